// What a loaded model is asked for. Every request finds the steps that it needs and runs them, on tensors or
// on shapes.
#include "nn/onnx/model.h"

#include <algorithm>
#include <array>
#include <mutex>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>

#include "autograd/tape.h"
#include "nn/onnx/import.h"
#include "nn/onnx/model_state.h"
#include "nn/onnx/rows.h"
#include "nn/onnx/size_guard.h"
#include "tensor/backend.h"
#include "tensor/ops.h"

namespace advf {

using onnx::Declared;
using onnx::SizeGuard;
using onnx::Value;

std::vector<int> OnnxModel::State::needed_steps(const std::unordered_map<int, Value>& fed,
                                                const std::vector<int>& wanted) const {
  std::vector<char> needed(steps.size());
  const auto want = [&](int value, const std::string& who) {
    if (value < 0 || fed.contains(value) || constants.contains(value)) return;
    check(maker[size_t(value)] >= 0, source, ": ", who, " needs '", names[size_t(value)],
          "', which was not given");
    needed[size_t(maker[size_t(value)])] = 1;
  };
  for (const int w : wanted) want(w, "the request");
  std::vector<int> order;
  for (size_t s = steps.size(); s-- > 0;) {
    if (!needed[s]) continue;
    order.push_back(int(s));
    for (const int i : steps[s].in) want(i, steps[s].op_type + " '" + steps[s].label + "'");
  }
  std::reverse(order.begin(), order.end());
  return order;
}

void OnnxModel::State::check_feed(const std::string& name, const Shape& shape) const {
  for (const Declared& d : inputs) {
    if (d.name != name || !d.has_shape) continue;
    bool fits = int(d.dims.size()) == shape.rank();
    std::string declared;
    for (size_t i = 0; i < d.dims.size(); ++i) {
      const bool free = d.dims[i] < 0 || (i == 0 && d.dims[i] == 1);
      declared += (i ? "," : "") + (free ? "?" : std::to_string(d.dims[i]));
      fits = fits && (free || d.dims[i] == shape[int(i)]);
    }
    check(fits, source, ": the input '", name, "' takes [", declared, "], not ", shape);
  }
}

std::vector<Value> OnnxModel::State::run_step(const Step& step,
                                              const std::unordered_map<int, Value>& values) const {
  std::vector<const Value*> in;
  int64_t images = -1;
  for (const int i : step.in) {
    const Value* v = nullptr;
    if (i >= 0) {
      const auto found = values.find(i);
      v = found != values.end() ? &found->second : &constants.at(i);
      if (v->batched && v->tensor.defined()) images = v->tensor.dim(0);
    }
    in.push_back(v);
  }
  std::vector<Value> out;
  try {
    out = step.emit(onnx::Inputs(std::move(in)));
  } catch (const Error& e) {
    fail(step.op_type, " '", step.label, "': ", e.what());
  }
  for (Value& v : out)
    v.batched = v.batched && images >= 0 && v.tensor.defined() && v.tensor.shape().rank() > 0 &&
                v.tensor.dim(0) == images;
  return out;
}

template <class After>
void OnnxModel::State::execute(std::span<Values> lanes, const std::vector<int>& order,
                               const std::vector<int>& wanted, After after) const {
  std::unordered_map<int, int> uses;
  for (const int w : wanted) ++uses[w];
  for (const int s : order)
    for (const int i : steps[size_t(s)].in) ++uses[i];
  std::vector<std::vector<Value>> made(lanes.size());
  for (const int s : order) {
    const Step& step = steps[size_t(s)];
    for (size_t l = 0; l < lanes.size(); ++l) made[l] = run_step(step, lanes[l]);
    after(step, made);
    for (const int i : step.in)
      if (--uses[i] == 0)
        for (Values& values : lanes) values.erase(i);
    for (size_t l = 0; l < lanes.size(); ++l)
      for (size_t o = 0; o < step.out.size() && o < made[l].size(); ++o)
        if (step.out[o] >= 0 && uses.contains(step.out[o]))
          lanes[l].emplace(step.out[o], std::move(made[l][o]));
  }
}

template <class After>
void OnnxModel::State::execute_one(Values& values, const std::vector<int>& order,
                                   const std::vector<int>& wanted, After after) const {
  try {
    execute(std::span(&values, 1), order, wanted,
            [&](const Step& step, const std::vector<std::vector<Value>>& made) { after(step, made[0]); });
  } catch (const Error& e) {
    fail(source, ": ", e.what());
  }
}

template <class Visit>
void OnnxModel::State::sweep(const std::string& output, Visit visit) const {
  std::unordered_map<int, Value> fed;
  std::set<int> live;
  for (const Declared& d : inputs) fed.emplace(number_of(d.name), Value());
  const std::vector<int> order = needed_steps(fed, {number_of(output)});
  std::unordered_map<int, int> uses{{number_of(output), 1}};
  for (const int s : order)
    for (const int i : steps[size_t(s)].in)
      if (i >= 0 && !constants.contains(i)) ++uses[i];
  for (const auto& [input, unused] : fed)
    if (uses.contains(input)) live.insert(input);
  for (const int s : order) {
    for (const int i : steps[size_t(s)].in)
      if (const auto found = uses.find(i); found != uses.end() && --found->second == 0) live.erase(i);
    for (const int o : steps[size_t(s)].out)
      if (uses.contains(o)) live.insert(o);
    visit(steps[size_t(s)], live);
  }
}

const std::string& OnnxModel::source() const { return state_->source; }
const std::string& OnnxModel::fingerprint() const { return state_->fingerprint; }
DType OnnxModel::dtype() const { return state_->dtype; }
const std::vector<Declared>& OnnxModel::inputs() const { return state_->inputs; }
std::vector<std::string> OnnxModel::outputs() const { return state_->outputs; }
int64_t OnnxModel::opset() const { return state_->opset; }
const std::string& OnnxModel::producer() const { return state_->producer; }
const std::map<std::string, std::string>& OnnxModel::metadata() const { return state_->metadata; }
const std::map<std::string, int64_t>& OnnxModel::op_counts() const { return state_->op_counts; }
int64_t OnnxModel::parameters() const { return state_->parameters; }
bool OnnxModel::has_value(const std::string& name) const { return state_->number.contains(name); }

std::vector<std::string> OnnxModel::values() const {
  std::vector<std::string> out;
  for (const Step& step : state_->steps)
    for (const int o : step.out)
      if (o >= 0) out.push_back(state_->names[size_t(o)]);
  return out;
}

OnnxModel OnnxModel::one_at_a_time() const {
  OnnxModel model = *this;
  model.one_at_a_time_ = true;
  return model;
}

std::vector<Tensor> OnnxModel::run(const Feeds& feeds, const std::vector<std::string>& wanted) const {
  const auto images = [](const auto& feed) {
    return feed.second.defined() && feed.second.shape().rank() > 0 ? feed.second.dim(0) : 1;
  };
  const int64_t n = feeds.empty() ? 1 : images(feeds[0]);
  if (!one_at_a_time_ || n <= 1) return run_all(feeds, wanted);
  std::vector<std::vector<Tensor>> rows(wanted.size());
  for (int64_t i = 0; i < n; ++i) {
    Feeds alone;
    for (const auto& feed : feeds) {
      check(images(feed) == n, state_->source, ": '", feed.first, "' is given for ", images(feed),
            " images, others for ", n);
      alone.emplace_back(feed.first, slice(feed.second, 0, i, i + 1));
    }
    const std::vector<Tensor> made = run_all(alone, wanted);
    for (size_t w = 0; w < wanted.size(); ++w) rows[w].push_back(made[w]);
  }
  std::vector<Tensor> out;
  for (const auto& row : rows) out.push_back(concat(row, 0));
  return out;
}

OnnxModel::RowTest OnnxModel::test_rows(const Feeds& pair, const std::vector<std::string>& wanted) const {
  const State& s = *state_;
  const NoTapeScope quiet;
  const MetaScope real(false);
  std::array<State::Values, 3> lanes;  // of the first image, of the second, of both
  FeedShapes one;
  for (const auto& [name, tensor] : pair) {
    check(tensor.dim(0) == 2, s.source, ": '", name, "' is not given for two images");
    const Tensor parts[] = {tensor.slice_batch(0, 1), tensor.slice_batch(1, 2), tensor};
    for (size_t l = 0; l < lanes.size(); ++l) lanes[l].emplace(s.number_of(name), Value(parts[l]));
    one.emplace_back(name, parts[0].shape());
  }
  trace(one, wanted);  // throws where one image is too large or does not fit; what fails below fails for two
  std::vector<int> numbers;
  for (const std::string& name : wanted) numbers.push_back(s.number_of(name));
  RowTest result{std::vector<bool>(wanted.size(), false), {}};
  const onnx::RowTracker tracker(pair[0].second);
  const auto compare = [&](const Step& step, const std::vector<std::vector<Value>>& made) {
    for (size_t o = 0; o < step.out.size() && o < made[0].size(); ++o) {
      const Value &first = made[0][o], &second = made[1][o], &both = made[2][o];
      if (step.out[o] < 0 || !both.tensor.defined()) continue;
      onnx::RowsApart rows = onnx::compare_rows(both.tensor, first.tensor, second.tensor);
      rows.apart = rows.apart && !tracker.mixed(both.tensor);
      if (!rows.apart && result.why.empty())
        result.why = step.op_type + " '" + step.label + "' mixes the images of a batch";
      const auto place = std::find(numbers.begin(), numbers.end(), step.out[o]);
      if (place != numbers.end())
        result.apart[size_t(place - numbers.begin())] = rows.apart && rows.axis == 0;
    }
  };
  try {
    s.execute(lanes, s.needed_steps(lanes[0], numbers), {}, compare);
  } catch (const OutOfMemory&) {
    throw;
  } catch (const Error& e) {
    if (result.why.empty()) result.why = std::string(e.what()) + ", with two images";
  }
  return result;
}

std::vector<Tensor> OnnxModel::run_all(const Feeds& feeds, const std::vector<std::string>& wanted) const {
  const State& s = *state_;
  FeedShapes shapes;
  std::unordered_map<int, Value> values;
  std::string request;
  for (const auto& [name, tensor] : feeds) {
    check(tensor.defined(), s.source, ": an undefined tensor for '", name, "'");
    check(tensor.dtype() == s.dtype, s.source, ": '", name, "' is given as ", name_of(tensor.dtype()),
          ", the weights are ", name_of(s.dtype));
    s.check_feed(name, tensor.shape());
    check(values.emplace(s.number_of(name), Value(tensor)).second, s.source, ": '", name, "' is given twice");
    shapes.emplace_back(name, tensor.shape());
    request += std::to_string(s.number_of(name)) + tensor.shape().str() + ";";
  }
  std::vector<int> numbers;
  for (const std::string& name : wanted) {
    numbers.push_back(s.number_of(name));
    request += std::to_string(numbers.back()) + ",";
  }
  bool known;
  {
    const std::lock_guard lock(s.accepted_mutex);
    known = s.accepted.contains(request);
  }
  if (!known) {
    trace(shapes, wanted);  // throws where a value would be too large
    constexpr size_t kRemembered = 256;
    const std::lock_guard lock(s.accepted_mutex);
    if (s.accepted.size() >= kRemembered) s.accepted.clear();
    s.accepted.insert(request);
  }
  s.execute_one(values, s.needed_steps(values, numbers), numbers,
                [](const Step&, const std::vector<Value>&) {});
  std::vector<Tensor> out;
  for (const int n : numbers) {
    const auto found = values.find(n);
    const Value& v = found != values.end() ? found->second : s.constants.at(n);
    check(v.tensor.defined(), s.source, ": '", s.names[size_t(n)], "' holds whole numbers, not floats");
    out.push_back(v.tensor);
  }
  return out;
}

std::vector<OnnxModel::Traced> OnnxModel::trace(const FeedShapes& feeds,
                                                const std::vector<std::string>& wanted) const {
  const State& s = *state_;
  constexpr int64_t kManyImages = 1 << 20;
  const MetaScope meta;
  std::unordered_map<int, Value> values;
  int64_t images = 1;
  for (const auto& [name, shape] : feeds) {
    s.check_feed(name, shape);
    values.emplace(s.number_of(name), Value(Tensor::meta(shape, s.dtype)));
    if (shape.rank() > 0) images = std::clamp(shape[0], images, kManyImages);
  }
  std::vector<int> numbers;
  for (const std::string& name : wanted) numbers.push_back(s.number_of(name));
  SizeGuard guard(images, kMaxTotal);
  for (const auto& [name, shape] : feeds) guard.add(shape);
  std::vector<Traced> out;
  s.execute_one(values, s.needed_steps(values, numbers), numbers,
                [&](const Step& step, const std::vector<Value>& made) {
                  int64_t macs = guard.take_macs();
                  for (size_t o = 0; o < step.out.size() && o < made.size(); ++o) {
                    if (step.out[o] < 0 || !made[o].tensor.defined()) continue;
                    out.push_back({s.names[size_t(step.out[o])], step.op_type, made[o].tensor.shape(),
                                   std::exchange(macs, 0)});
                  }
                });
  return out;
}

bool OnnxModel::non_negative(const std::string& value) const {
  const State& s = *state_;
  std::vector<int> open{s.number_of(value)};
  std::set<int> seen;
  while (!open.empty()) {
    const int v = open.back();
    open.pop_back();
    if (!seen.insert(v).second) continue;
    if (v < 0 || s.maker[size_t(v)] < 0) return false;  // absent, an input, or a constant: nothing is known
    const Step& step = s.steps[size_t(s.maker[size_t(v)])];
    switch (onnx::find_row(step.op_type)->sign) {
      case onnx::OpRow::Sign::any:
        return false;
      case onnx::OpRow::Sign::never_negative:
        break;
      case onnx::OpRow::Sign::of_first:
        open.push_back(step.in[0]);
        break;
      case onnx::OpRow::Sign::of_all:
        open.insert(open.end(), step.in.begin(), step.in.end());
        break;
    }
  }
  return true;
}

std::vector<std::string> OnnxModel::cuts(const std::string& output) const {
  std::vector<std::string> out;
  state_->sweep(output, [&](const Step& step, const std::set<int>& live) {
    if (live.size() != 1) return;
    if (std::find(step.out.begin(), step.out.end(), *live.begin()) != step.out.end())
      out.push_back(state_->names[size_t(*live.begin())]);
  });
  return out;
}

std::string OnnxModel::bypass(const std::string& cut, const std::string& output) const {
  const int number = state_->number_of(cut);
  bool made = false;
  std::string other;
  state_->sweep(output, [&](const Step& step, const std::set<int>& live) {
    if (made || !live.contains(number)) return;
    if (std::find(step.out.begin(), step.out.end(), number) == step.out.end()) return;
    made = true;
    for (const int v : live)
      if (v != number && other.empty()) other = state_->names[size_t(v)];
  });
  check(made, state_->source, ": '", cut, "' is not computed on the way from the input to '", output, "'");
  return other;
}

}  // namespace advf
