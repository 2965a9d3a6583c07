#include "advface/protections/protection.h"

#include <numeric>

#include "tensor/hash.h"
#include "tensor/io/input_file.h"

namespace advf {
namespace {

// Of a network's file.
std::string fingerprint(const std::string& path) {
  constexpr uint64_t kMostBytes = uint64_t(1) << 32;
  return hex(fnv1a(read_file(path, kMostBytes)));
}

}  // namespace

Protection::Protection(const ProtectionFiles& files, const ProtectSettings& settings,
                       const Recogniser* recogniser, const Shape& row, const std::string& what,
                       const std::string& cut)
    : settings_(settings), recogniser_(recogniser) {
  std::string prints;
  for (const std::string& path : files.shadows) {
    shadows_.push_back(Decoder::load(path));
    shadows_.back()->check_fits(row, "", cut, what);
    prints += (prints.empty() ? "" : " ") + fingerprint(path);
  }
  networks_["shadow"] = prints;
  if (!files.generator.empty()) {
    generator_ = Generator::load(files.generator);
    networks_["generator"] = fingerprint(files.generator);
  }
  const bool embedding = info().domain == FeatureDomain::sphere;
  if (!recogniser_ && settings_.needs_recogniser(embedding))
    throw WrongCall(settings_.summary() + " needs the recogniser: name its card with --recogniser");
  models().check_fit(settings_);
}

void Protection::set_epsilon(double epsilon) {
  settings_.epsilon = epsilon;
  models().check_fit(settings_);
}

ProtectModels Protection::models() const {
  std::vector<Decoder*> list;
  for (const auto& shadow : shadows_) list.push_back(shadow.get());
  ProtectModels models(list, recogniser_);
  models.generator = generator_.get();
  return models;
}

void Protection::check_never_saw(const std::vector<std::string>& identities) const {
  for (const auto& shadow : shadows_) shadow->check_never_saw(identities);
  if (generator_) generator_->check_never_saw(identities);
}

void Protection::recalibrate(int64_t rows, const std::function<Tensor(int64_t begin, int64_t end)>& read) {
  if (settings_.batch_norm != BatchNormMode::recalibrated) return;
  for (const auto& shadow : shadows_) advf::recalibrate(*shadow, rows, read);
}

ReadPhotographs photographs_of(FaceSource& faces, std::vector<int64_t> indices,
                               const std::optional<FaceBox>& box, int size) {
  return [&faces, indices = std::move(indices), box, size](int64_t begin, int64_t end) {
    const FaceBatch batch =
        faces.load(std::span(indices).subspan(size_t(begin), size_t(end - begin)), box, size);
    check(batch.broken.empty(),
          "an image became unreadable: ", batch.broken.empty() ? "" : batch.broken[0].why);
    return batch.images;
  };
}

FeatureRows protected_rows(Protection& protection, const FeatureRows& features,
                           std::span<const int64_t> records, const ReadPhotographs& photographs,
                           int64_t memory_bytes, const Context& context) {
  constexpr int64_t kBatch = 256;
  const int64_t n = features.count();
  std::vector<int64_t> rows(records.begin(), records.end());
  if (rows.empty()) {
    rows.resize(size_t(n));
    std::iota(rows.begin(), rows.end(), int64_t(0));
  }
  protection.recalibrate(n, [&](int64_t begin, int64_t end) { return features.batch(begin, end); });
  Protector protector(protection.models(), protection.settings(), context.stop);
  FeatureSpool spool(features.row(), memory_bytes);
  const auto progress = context.begin("protect", n, "features");
  for (int64_t begin = 0; begin < n;) {
    context.check_stop();
    // One record alone has no statistics for --bn batch: it goes with those before it.
    const int64_t end = n - begin <= kBatch + 1 ? n : begin + kBatch;
    const Tensor seen = protection.needs_photographs() ? photographs(begin, end) : Tensor();
    spool.append(protector
                     .protect(features.range(begin, end),
                              std::span(rows).subspan(size_t(begin), size_t(end - begin)), seen)
                     .features);
    progress->advance(end - begin);
    begin = end;
  }
  progress->finish();
  return spool.finish();
}

}  // namespace advf
