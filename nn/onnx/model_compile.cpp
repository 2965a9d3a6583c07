// How a file becomes an OnnxModel: its nodes are compiled, what depends on constants only is computed once,
// and where the file fixes the sizes, a pass over shapes shows whether its nodes fit.
#include "nn/onnx/model_state.h"

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <set>
#include <unordered_map>

#include "autograd/tape.h"
#include "nn/onnx/import.h"
#include "nn/onnx/size_guard.h"
#include "tensor/backend.h"
#include "tensor/hash.h"
#include "tensor/io/input_file.h"

namespace advf {

using onnx::Declared;
using onnx::Problems;
using onnx::SizeGuard;
using onnx::Value;

namespace {

// Ops of quantised networks, in the standard and in exporters' own domains, are one kind of problem.
bool quantises(const std::string& op) {
  for (const char* part : {"QLinear", "uantize", "Integer", "QAttention", "QGemm"})
    if (op.find(part) != std::string::npos) return true;
  return false;
}

}  // namespace

void OnnxModel::State::fold(const Step& step, int64_t& budget) {
  const NoTapeScope quiet;
  {
    const MetaScope meta;
    const SizeGuard guard(1, budget);
    run_step(step, {});
  }
  std::vector<Value> out = run_step(step, {});
  for (size_t o = 0; o < step.out.size() && o < out.size(); ++o) {
    budget -= out[o].ints ? int64_t(out[o].ints->size()) : out[o].tensor.numel();
    check(budget >= 0, step.op_type, " '", step.label, "': the constants computed are too large in sum");
    out[o].batched = false;
    onnx::note_host(out[o]);
    if (step.out[o] >= 0) constants.emplace(step.out[o], std::move(out[o]));
  }
}

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
      std::vector<Value> out = run_step(step, values);
      for (size_t o = 0; o < step.out.size() && o < out.size(); ++o)
        if (step.out[o] >= 0) values.emplace(step.out[o], std::move(out[o]));
    } catch (const Error& e) {
      problems.add(e.what());
    }
  }
  return values;
}

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

}  // namespace advf
