#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "lib/arrays.h"
#include "lib/call.h"
#include "lib/matches.h"
#include "lib/requests.h"
#include "tensor/backend.h"

namespace advf::lib {

Tensor ProtectionObject::turned(const Tensor& probes, std::span<const int64_t> records,
                                Control& control) const {
  return turn_some_at_a_time(probes.dim(0), control, [&](int64_t begin, int64_t end) {
    return chain->apply_probe(probes.slice_batch(begin, end).to(current_backend()),
                              records.subspan(size_t(begin), size_t(end - begin)));
  });
}

namespace {

constexpr int64_t kAtOnce = 256;  // features, as advface-protect has it

nlohmann::json space_json(const FeatureSpace& space) {
  return {{"shape", std::vector<int64_t>(space.row.begin(), space.row.end())},
          {"domain", advf::name_of(space.domain)},
          {"moved", space.moved}};
}

nlohmann::json description(const ProtectionObject& object) {
  const ProtectionChain& chain = *object.chain;
  return {{"protection", nlohmann::json::parse(chain.id().to_json())},
          {"recogniser", chain.recogniser()},
          {"cut", chain.cut()},
          {"proved", to_json(chain.guarantee())},
          {"changes_probe", chain.changes_probe()},
          {"draws_by_record", chain.draws_by_record()},
          {"separates_records", object.separates_records},
          {"needs_key", chain.needs_key()},
          {"in", space_json(chain.in())},
          {"out", space_json(chain.out())}};
}

std::shared_ptr<ProtectionObject> make(const advface_space* space, const Asked& asked,
                                       const char* described) {
  SpaceOf of = space_of(space);
  ProtectionId id;
  if (described) {
    id = described_protection(described);
    of.input.beside = &id;
    of.input.beside_what = "the description";
  }
  const ProtectionSpecs specs = described ? asked.specs_again(id, "the description") : asked.specs();
  auto object = std::make_shared<ProtectionObject>();
  object->recogniser = of.recogniser;
  object->chain = std::make_unique<ProtectionChain>(specs, of.input);
  object->separates_records = any_separates_records(specs);
  check_argument(object->chain->photograph_size() == 0,
                 "--objective original looks at photographs, which the library does not take; protect with "
                 "advface-protect, or with another objective");
  const ProtectionId mine = object->chain->id();
  if (described && !(mine == id)) {
    const std::string difference = mine.difference(id);
    fail("the description is of another protection than what is given makes: ",
         difference.empty() ? "another seed" : difference);
  }
  return object;
}

advface_report told_of(const RecordReport& r) {
  return {r.record,
          r.noise_l2,
          r.noise_linf,
          r.cosine,
          r.losses.empty() ? 0 : r.loss_before,
          r.losses.empty() ? 0 : r.loss_after,
          r.kept,
          r.recognition};
}

void protect(ProtectionObject& object, const Tensor& features, const std::vector<int64_t>& records,
             Control& control, float* out, advface_report* reports) {
  ProtectionChain& chain = *object.chain;
  std::optional<Turn> turn;
  if (!chain.is_shareable()) turn.emplace(object.one_call, control);
  const Context context = control.context();
  const FeatureRows rows(features);
  const int64_t n = features.dim(0), values = chain.out().row.numel();
  if (n > 0) chain.look_at(rows, records, context);
  for (int64_t begin = 0; begin < n;) {
    context.check_stop();
    // Nobody who depends on company may be left alone.
    const int64_t rest = n - begin, end = begin + (rest <= kAtOnce + 1 ? rest : kAtOnce);
    const ProtectedRows part =
        chain.apply(features.slice_batch(begin, end),
                    std::span(records).subspan(size_t(begin), size_t(end - begin)), Tensor(), context);
    std::copy_n(part.features.data<float>(), part.features.numel(), out + begin * values);
    for (size_t i = 0; reports && i < part.reports.size(); ++i)
      reports[size_t(begin) + i] = told_of(part.reports[i]);
    begin = end;
  }
}

}  // namespace
}  // namespace advf::lib

using namespace advf;
using namespace advf::lib;

advface_status advface_protection_make(const advface_space* space, const advface_setting* settings,
                                       uint64_t count, const advface_key* key, const char* described,
                                       const advface_control* control, advface_protection** protection,
                                       advface_error** error) {
  return guarded(error, [&] {
    Control asked(control);
    check_argument(protection, "protection is NULL: the handle has nowhere to go");
    *protection =
        new_handle<advface_protection>(make(space, asked_for(settings, count, key, asked), described));
  });
}

advface_status advface_protection_free(advface_protection* protection) { return free_handle(protection); }

advface_status advface_protection_describe(const advface_protection* protection, char* text, uint64_t bytes,
                                           uint64_t* needed, advface_error** error) {
  return guarded(error, [&] { give_text(description(*held(protection)).dump(), text, bytes, needed); });
}

advface_status advface_protection_out_shape(const advface_protection* protection, int64_t* shape,
                                            int32_t* rank, advface_error** error) {
  return guarded(error, [&] {
    const auto object = held(protection);
    check_argument(shape && rank, "shape and rank must not be NULL");
    const Shape row = object->chain->out().row;
    std::copy(row.begin(), row.end(), shape);
    *rank = row.rank();
  });
}

advface_status advface_protect(const advface_protection* protection, const advface_array* features,
                               const advface_array* records, const advface_control* control,
                               advface_array* protected_rows, advface_report* reports,
                               advface_error** error) {
  return guarded(error, [&] {
    const auto object = held(protection);
    Control asked(control);
    const Tensor rows = read_rows(features, "features", object->chain->in().row);
    check_argument(
        records || !object->chain->draws_by_record(), "records: none are given, but this protection (",
        object->chain->id().describe(),
        ") draws what it does to a record by the record's number, and two people of one number could be "
        "compared by whoever steals them; give each record of the set a number of its own, and go on "
        "from there in the next call");
    const std::vector<int64_t> numbers = read_records(records, rows.dim(0), true);
    float* out =
        written_f32(protected_rows, "protected_rows", with_rows(rows.dim(0), object->chain->out().row));
    check_apart(features, protected_rows, true);
    check_apart(records, protected_rows, false);
    const advface_array told = bytes_of(reports, rows.dim(0));
    for (const advface_array* array : {features, records, static_cast<const advface_array*>(protected_rows)})
      check_apart(array, &told, false);
    check_rows(rows, object->chain->in().domain, "features");  // told before anything is written
    protect(*object, rows, numbers, asked, out, reports);
  });
}

advface_status advface_turn_probe(const advface_protection* protection, const advface_array* features,
                                  const advface_array* records, const advface_control* control,
                                  advface_array* probes, advface_error** error) {
  return guarded(error, [&] {
    const auto object = held(protection);
    Control asked(control);
    check_argument(
        records || !object->separates_records,
        "records: none are given, but a probe looks another way to each record, by its number; give "
        "the numbers of the records that it is compared with");
    const Tensor rows = read_rows(features, "features", object->chain->in().row);
    const std::vector<int64_t> numbers = read_records(records, rows.dim(0), false);
    const Shape row = object->chain->changes_probe() ? object->chain->out().row : object->chain->in().row;
    float* out = written_f32(probes, "probes", with_rows(rows.dim(0), row));
    check_apart(features, probes, true);
    check_apart(records, probes, false);
    check_rows(rows, object->chain->in().domain, "features");
    if (rows.dim(0) == 0) return;
    const Tensor made = object->turned(rows, numbers, asked);
    check(made.shape() == with_rows(rows.dim(0), row), "a probe has become ", made.shape());
    std::copy_n(made.data<float>(), made.numel(), out);
  });
}
