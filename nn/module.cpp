#include "nn/module.h"

#include "tensor/backend.h"
#include "tensor/hash.h"

namespace advf {

Philox Initialiser::stream(const std::string& parameter) const {
  return {seed, fnv1a(parameter, fnv1a(prefix))};
}

void Module::train(bool on) {
  training_ = on;
  for (const Child& c : children_) c.module->train(on);
}

void Module::collect(const std::string& prefix, bool with_buffers, std::vector<Named>& out) const {
  settle();
  for (const Entry& e : own_)
    if (e.tensor->defined() && (e.trainable || with_buffers)) out.push_back({prefix + e.name, e.tensor});
  for (const Child& c : children_) c.module->collect(prefix + c.name + ".", with_buffers, out);
}

std::vector<Named> Module::parameters() {
  std::vector<Named> out;
  collect("", false, out);
  return out;
}

std::vector<Named> Module::state() {
  std::vector<Named> out;
  collect("", true, out);
  return out;
}

std::vector<std::pair<std::string, Tensor>> Module::values() const {
  std::vector<Named> all;
  collect("", true, all);
  std::vector<std::pair<std::string, Tensor>> out;
  for (const Named& n : all) out.emplace_back(n.name, *n.tensor);
  return out;
}

std::vector<Module*> Module::modules() {
  std::vector<Module*> out{this};
  for (const Child& c : children_)
    for (Module* m : c.module->modules()) out.push_back(m);
  return out;
}

void Module::to(DType dtype) {
  check(dtype == DType::f32 || dtype == DType::f64, "a model runs in f32 or f64, not in ", name_of(dtype));
  for (const Named& n : state())
    if (n.tensor->dtype() == DType::f32 || n.tensor->dtype() == DType::f64) *n.tensor = n.tensor->to(dtype);
}

void Module::to(Backend& backend) {
  for (const Named& n : state()) *n.tensor = n.tensor->to(backend);
}

void Module::initialise(uint64_t seed) { initialise(Initialiser{seed, ""}); }

void Module::initialise(const Initialiser& init) {
  initialise_own(init);
  for (const Child& c : children_) c.module->initialise(Initialiser{init.seed, init.prefix + c.name + "."});
}

std::vector<Tensor> values(const std::vector<Named>& named) {
  std::vector<Tensor> out;
  out.reserve(named.size());
  for (const Named& n : named) out.push_back(*n.tensor);
  return out;
}

int64_t count_elements(const std::vector<Named>& named) {
  int64_t count = 0;
  for (const Named& n : named) count += n.tensor->numel();
  return count;
}

}  // namespace advf
