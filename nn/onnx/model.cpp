#include "nn/onnx/model.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <mutex>
#include <set>
#include <span>
#include <unordered_map>

#include "autograd/tape.h"
#include "nn/onnx/import.h"
#include "nn/onnx/rows.h"
#include "tensor/backend.h"
#include "tensor/hash.h"
#include "tensor/io/input_file.h"
#include "tensor/ops.h"

namespace advf {

using onnx::Declared;
using onnx::Problems;
using onnx::Value;

struct OnnxModel::Step {
  std::string label, op_type;
  onnx::Emit emit;
  std::vector<int> in, out;  // value numbers; -1 = absent
};

struct OnnxModel::State {
  std::string source, producer, fingerprint;
  DType dtype = DType::f32;
  int64_t opset = 0, parameters = 0;
  std::vector<Declared> inputs;
  std::vector<std::string> outputs;
  std::map<std::string, std::string> metadata;
  std::map<std::string, int64_t> op_counts;

  std::vector<std::string> names;  // by value number
  std::unordered_map<std::string, int> number;
  std::unordered_map<int, Value> constants;
  std::vector<Step> steps;  // those that depend on an input
  std::vector<int> maker;   // by value number: its step, or -1

  // Requests whose sizes were found acceptable; run() need not look again.
  mutable std::mutex accepted_mutex;
  mutable std::set<std::string> accepted;

  int number_of(const std::string& name) const {
    const auto found = number.find(name);
    check(found != number.end(), source, ": there is no tensor named '", name, "'");
    return found->second;
  }
  std::vector<int> needed_steps(const std::unordered_map<int, Value>& fed,
                                const std::vector<int>& wanted) const;
  void check_feed(const std::string& name, const Shape& shape) const;
  void compile(const onnx::Graph& graph, int64_t file_bytes, Problems& problems);
  void fold(const Step& step, int64_t& budget);
  std::unordered_map<int, Value> probe(int64_t images, Problems& problems) const;
  void fold_shapes(const std::unordered_map<int, Value>& one_image);
  using Values = std::unordered_map<int, Value>;  // by number
  template <class After>
  void execute(std::span<Values> lanes, const std::vector<int>& steps, const std::vector<int>& wanted,
               After after) const;
  template <class After>
  void execute_one(Values& values, const std::vector<int>& steps, const std::vector<int>& wanted,
                   After after) const;
  template <class Visit>
  void sweep(const std::string& output, Visit visit) const;
};

namespace {

// Hears every op of a pass over shapes: refuses what is too large before anything is allocated, counts MACs.
class SizeGuard : public Recorder {
 public:
  SizeGuard(int64_t images, int64_t max_total) : images_(images), max_total_(max_total) {
    previous_ = set_recorder(this);
  }
  ~SizeGuard() override { set_recorder(previous_); }
  SizeGuard(const SizeGuard&) = delete;

  void record(const OpDef& op, const Attrs& attrs, std::span<const Tensor> in,
              std::span<const Tensor> out) override {
    for (const Tensor& t : out) add(t.shape());
    const int64_t macs = op.macs ? op.macs(call_of(op, attrs, in, out)) : 0;
    check(macs < INT64_MAX && !__builtin_add_overflow(macs_, macs, &macs_), op.name,
          ": too much work at shape ", out[0].shape());
  }
  void add(const Shape& shape) {
    const int64_t n = shape.numel();
    check(n <= OnnxModel::kMaxValue * images_, "a value of shape ", shape, " is too large");
    total_ += n;
    check(total_ <= max_total_ * images_, "the values computed are too large in sum, at shape ", shape);
  }
  int64_t take_macs() { return std::exchange(macs_, 0); }

 private:
  Recorder* previous_;
  int64_t images_, max_total_, total_ = 0, macs_ = 0;
};

// Ops of quantised networks, in the standard and in exporters' own domains, are one kind of problem.
bool quantises(const std::string& op) {
  for (const char* part : {"QLinear", "uantize", "Integer", "QAttention", "QGemm"})
    if (op.find(part) != std::string::npos) return true;
  return false;
}

// The outputs of one node, given all values that exist.
template <class Step>
std::vector<Value> run_step(const Step& step, const std::unordered_map<int, Value>& constants,
                            const std::unordered_map<int, Value>& values) {
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

}  // namespace

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

// A declared input must fit its declaration, but for a batch that the file fixes at one.
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

// Runs the steps over `lanes`, of which each holds what was fed to it; usually there is one. `after(step,
// made)` sees each step's results, by lane. A value goes after its last use.
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
    for (size_t l = 0; l < lanes.size(); ++l) made[l] = run_step(step, constants, lanes[l]);
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

// The same for one lane, with errors that name the file.
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

// visit(step, live): after each step on the way to `output`, the values still needed by later ones.
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

// Steps that depend on constants only run now, once. They may not make more than the file is long (and a
// little), so that a small file cannot ask for a large constant.
void OnnxModel::State::fold(const Step& step, int64_t& budget) {
  const NoTapeScope quiet;
  {
    const MetaScope meta;
    const SizeGuard guard(1, budget);
    run_step(step, constants, {});
  }
  std::vector<Value> out = run_step(step, constants, {});
  for (size_t o = 0; o < step.out.size() && o < out.size(); ++o) {
    budget -= out[o].ints ? int64_t(out[o].ints->size()) : out[o].tensor.numel();
    check(budget >= 0, step.op_type, " '", step.label, "': the constants computed are too large in sum");
    out[o].batched = false;
    onnx::note_host(out[o]);
    if (step.out[o] >= 0) constants.emplace(step.out[o], std::move(out[o]));
  }
}

// Every node that can be compiled becomes a step, or constants where nothing of it depends on an input.
void OnnxModel::State::compile(const onnx::Graph& graph, int64_t file_bytes, Problems& problems) {
  const auto add_name = [&](const std::string& name) {
    const auto [slot, fresh] = number.try_emplace(name, int(names.size()));
    if (fresh) names.push_back(name);
    return slot->second;
  };
  for (const Declared& d : graph.inputs) add_name(d.name);
  for (const onnx::Constant& c : graph.constants) {
    parameters += int64_t(c.floats.size());
    constants.emplace(add_name(c.name), to_value(c, dtype));
  }
  std::map<std::string, std::pair<int64_t, std::string>> unsupported;  // how many, and the first
  std::set<int> broken;                                                // values that a bad node would make
  int64_t budget = file_bytes + (int64_t(1) << 20);
  for (const onnx::Node& node : graph.nodes) {
    ++op_counts[node.op_type];
    Step step{node.outputs.empty() ? node.name : node.outputs[0], node.op_type, {}, {}, {}};
    if (!node.name.empty()) step.label = node.name;
    for (const std::string& in : node.inputs) step.in.push_back(in.empty() ? -1 : add_name(in));
    for (const std::string& out : node.outputs) step.out.push_back(out.empty() ? -1 : add_name(out));
    const bool standard = node.domain.empty() || node.domain == "ai.onnx";
    if (const onnx::OpRow* row = standard ? onnx::find_row(node.op_type) : nullptr) {
      step.emit = onnx::compile_node(node, opset, dtype, problems);
      for (size_t i = 0; row->weighted && i < step.in.size(); ++i)
        if (const auto weight = constants.find(step.in[i]); weight != constants.end())
          onnx::check_weight(node, i, weight->second, problems);
    } else if (quantises(node.op_type)) {
      problems.add_of(node.op_type + " '" + step.label + "'", onnx::kIsQuantised);
    } else {
      auto& [count, first] = unsupported[standard ? node.op_type : node.domain + "." + node.op_type];
      if (count++ == 0) first = step.label;
    }
    const auto is_broken = [&](int i) { return broken.contains(i); };
    if (!step.emit || std::any_of(step.in.begin(), step.in.end(), is_broken)) {
      broken.insert(step.out.begin(), step.out.end());
      broken.erase(-1);
      continue;
    }
    const auto is_constant = [&](int i) { return i < 0 || constants.contains(i); };
    if (!std::all_of(step.in.begin(), step.in.end(), is_constant)) {
      steps.push_back(std::move(step));
      continue;
    }
    // With problems already found the model will be refused; folding could only repeat them.
    if (!problems.empty()) continue;
    try {
      fold(step, budget);
    } catch (const Error& e) {
      problems.add(e.what());
    }
  }
  const auto seen = [](const std::pair<int64_t, std::string>& nodes) {
    return std::to_string(nodes.first) + (nodes.first == 1 ? " node" : " nodes") + ", the first is '" +
           nodes.second + "'";
  };
  for (const auto& [op, nodes] : unsupported)
    problems.add("op ", op, " is not supported (", seen(nodes), ")");
}

// Where the file fixes all sizes but the batch: every value's shape, for so many images, and the whole
// numbers that are computed from shapes. Every node that does not fit is a problem. Empty where sizes are
// open.
std::unordered_map<int, Value> OnnxModel::State::probe(int64_t images, Problems& problems) const {
  const NoTapeScope quiet;
  const MetaScope meta;
  SizeGuard guard(images, kMaxTotal);
  std::unordered_map<int, Value> values;
  try {
    for (const Declared& d : inputs) {
      Shape shape;
      for (size_t i = 0; i < d.dims.size(); ++i) {
        if (i > 0 && d.dims[i] < 0) return {};
        const bool counts_images = i == 0 && (d.dims[i] < 0 || d.dims[i] == 1);
        shape.push_back(counts_images ? images : d.dims[i]);
      }
      if (!d.has_shape) return {};
      guard.add(shape);
      values.emplace(number.at(d.name), Value(Tensor::meta(shape, dtype)));
    }
  } catch (const Error& e) {
    problems.add("its declared inputs: ", e.what());
    return {};
  }
  for (const Step& step : steps) {
    const auto missing = [&](int i) { return i >= 0 && !values.contains(i) && !constants.contains(i); };
    if (std::any_of(step.in.begin(), step.in.end(), missing)) continue;  // behind a node that was listed
    try {
      std::vector<Value> out = run_step(step, constants, values);
      for (size_t o = 0; o < step.out.size() && o < out.size(); ++o)
        if (step.out[o] >= 0) values.emplace(step.out[o], std::move(out[o]));
    } catch (const Error& e) {
      problems.add(e.what());
    }
  }
  return values;
}

// What follows from the declared sizes is computed once: numbers that are the same for one image and for two
// do not depend on the batch, and become constants. So they also do not go round a cut.
void OnnxModel::State::fold_shapes(const std::unordered_map<int, Value>& one_image) {
  const auto is_host = [](const Value& v) { return v.ints || v.host; };
  if (std::none_of(one_image.begin(), one_image.end(), [&](const auto& v) { return is_host(v.second); }))
    return;
  Problems unused;  // a file whose shapes hold for a batch of one alone is not wrong: it runs one at a time
  const std::unordered_map<int, Value> two = probe(2, unused);
  if (!unused.empty()) return;
  for (const auto& [value, first] : one_image) {
    const auto second = two.find(value);
    if (constants.contains(value) || !is_host(first) || second == two.end()) continue;
    if (first.ints != second->second.ints || first.host != second->second.host) continue;
    Value same = first;
    if (first.host) {  // made while tensors had no storage
      const onnx::Constant c{.name = {}, .shape = first.tensor.shape(), .floats = *first.host, .ints = {}};
      same = to_value(c, dtype);
    } else if (first.int_shape != second->second.int_shape) {
      continue;
    }
    constants.emplace(value, std::move(same));
  }
  std::erase_if(steps, [&](const Step& step) {
    return std::all_of(step.out.begin(), step.out.end(),
                       [&](int o) { return o < 0 || constants.contains(o); });
  });
}

OnnxModel OnnxModel::load(const std::string& path, DType dtype) {
  const std::vector<std::byte> bytes = read_file(path, kMaxFileBytes);
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return from_bytes({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path, dtype,
                    folder.empty() ? "." : folder);
}

OnnxModel OnnxModel::from_bytes(std::string_view bytes, const std::string& source, DType dtype,
                                const std::string& folder) {
  Problems problems;
  onnx::ExternalData external(folder, kMaxFileBytes - std::min<uint64_t>(bytes.size(), kMaxFileBytes));
  onnx::Graph graph = onnx::parse_model(bytes, source, external, problems);
  if (graph.opset < onnx::kOldestOpset || graph.opset > onnx::kNewestOpset)
    problems.add("its opset is ", graph.opset, "; ", onnx::kOldestOpset, " to ", onnx::kNewestOpset,
                 " are supported; export it again with one of these");
  const bool sound = problems.empty();
  auto state = std::make_shared<State>();
  state->source = source;
  state->fingerprint = hex(external.hash(fnv1a(bytes)));
  state->producer = graph.producer;
  state->dtype = dtype;
  state->opset = graph.opset;
  state->inputs = graph.inputs;
  state->metadata = graph.metadata;
  for (const Declared& d : graph.outputs) state->outputs.push_back(d.name);
  state->compile(graph, int64_t(bytes.size()), problems);
  if (sound) {
    const auto shapes = state->probe(1, problems);
    if (problems.empty()) state->fold_shapes(shapes);
  }
  state->maker.assign(state->names.size(), -1);
  for (size_t s = 0; s < state->steps.size(); ++s)
    for (const int o : state->steps[s].out)
      if (o >= 0) state->maker[size_t(o)] = int(s);
  problems.throw_if_any(source, "this ONNX model cannot be used");
  return OnnxModel(std::move(state));
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
