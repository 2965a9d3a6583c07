#include "advface/networks/reader.h"

#include "advface/protections/ascent/noise.h"
#include "tensor/io/safetensors.h"
#include "tensor/ops.h"

namespace advf {
namespace {

struct RoleRow {
  ReaderRole role;
  const char *kind, *format, *what;
};
constexpr RoleRow kRoles[] = {
    {ReaderRole::adapter, "adapter", "advface-adapter-1", "an adapter made by advface-train adapter"},
    {ReaderRole::linkage, "linkage network", "advface-linkage-1",
     "a linkage network made by advface-train linkage"},
};

const RoleRow& row_of(ReaderRole role) { return kRoles[size_t(role)]; }

}  // namespace

Reader::Reader(const ReaderInfo& info, uint64_t seed)
    : TrainedNetwork(row_of(info.role).kind), info_(info), net_(info.spec, seed) {
  check(info.role != ReaderRole::adapter || !emits_embeddings(),
        "an adapter leads back to features, which the recogniser takes, not to ", info.spec.out, " numbers");
  register_child("net", net_);
  if (!emits_embeddings()) net_.silence();
}

std::unique_ptr<Reader> Reader::load(const std::string& path, ReaderRole role) {
  NetworkFile file = load_network(path, row_of(role).format, row_of(role).what);
  const ReaderInfo info{std::move(file.provenance), FeatureNetSpec::from_metadata(file.metadata, path), role};
  auto reader = std::make_unique<Reader>(info, 0);
  load_state_dict(*reader, file.tensors, path);
  reader->set_source(path);
  reader->train(false);
  return reader;
}

std::unique_ptr<Reader> Reader::load(const std::string& path) {
  const Metadata metadata = load_safetensors(path).metadata;
  const auto format = metadata.find("format");
  for (const RoleRow& row : kRoles)
    if (format != metadata.end() && format->second == row.format) return load(path, row.role);
  fail(path, ": neither ", kRoles[0].what, " nor ", kRoles[1].what, ": its metadata have ",
       format == metadata.end() ? "no \"format\"" : "the \"format\" \"" + format->second + "\"");
}

Metadata Reader::description() const {
  Metadata metadata = info_.spec.to_metadata();
  metadata["format"] = row_of(info_.role).format;
  return metadata;
}

Tensor Reader::forward(const Tensor& features) const {
  const Tensor y = net_.forward(features);
  if (emits_embeddings()) return l2_normalise(y);
  return into_domain(info_.domain, add(features, net_.in_input_units(y)));
}

Tensor Reader::embed(const Tensor& read, const Recogniser& recogniser) const {
  return emits_embeddings() ? read : recogniser.embed_from(read, info_.cut);
}

void Reader::check_trained_on(const ProtectionId& protection) const {
  check(info_.protection.is_like(protection), "the ", row_of(info_.role).kind, " ", source(),
        " was trained on other features (", info_.protection.describe(), ") than these (",
        protection.describe(), "): ", info_.protection.difference(protection),
        "; take what it was trained with, or train it again");
}

Tensor embed_rows(const Recogniser& recogniser, const FeatureRows& features, const std::string& cut,
                  const Reader* reader) {
  constexpr int64_t kBatch = 64;
  return collect_rows(features.count(), kBatch, [&](int64_t begin, int64_t end) {
    const Tensor rows = features.batch(begin, end);
    if (!reader) return recogniser.embed_from(rows, cut);
    const Tensor read = reader->forward(rows);
    check_rows(
        read, reader->out_domain(),
        std::string("what the ") + row_of(reader->info().role).kind + " gives, whose training has failed");
    return reader->embed(read, recogniser);
  });
}

}  // namespace advf
