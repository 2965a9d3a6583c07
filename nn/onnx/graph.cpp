// Field numbers stand beside each case; what the importer does not use is skipped.
#include "nn/onnx/graph.h"

#include <algorithm>
#include <functional>
#include <protozero/exception.hpp>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "nn/onnx/message.h"
#include "nn/onnx/tensor_fields.h"

namespace advf::onnx {
namespace {

// A message of two bytes becomes a struct of hundreds, so counts are bounded; real models lie far below.
constexpr size_t kMaxEntries = 100000;  // nodes, initialisers, inputs, outputs: each
constexpr size_t kMaxNames = 4096;      // inputs and outputs of a node
constexpr size_t kMaxAttributes = 64;   // of a node

template <class List>
void bound(const List& list, size_t limit, const char* what) {
  check(list.size() <= limit, "more than ", limit, " ", what);
}

Attribute::Kind kind_of_type(int64_t type) {
  switch (type) {  // AttributeProto.AttributeType
    case 1:
      return Attribute::Kind::real;
    case 2:
      return Attribute::Kind::integer;
    case 3:
      return Attribute::Kind::text;
    case 4:
      return Attribute::Kind::tensor;
    case 6:
      return Attribute::Kind::reals;
    case 7:
      return Attribute::Kind::integers;
    default:
      return Attribute::Kind::other;
  }
}

Attribute read_attribute(std::string_view bytes, ExternalData& external) {
  using Kind = Attribute::Kind;
  Attribute a;
  Kind stated = Kind::none;
  TensorFields tensor;
  for (Message m(bytes); m.next();) switch (m.field()) {
      case 1:
        a.name = m.text();
        break;
      case 2:
        a.real = m.real(), a.kind = Kind::real;
        break;
      case 3:
        a.integer = m.integer(), a.kind = Kind::integer;
        break;
      case 4:
        a.text = m.text(), a.kind = Kind::text;
        break;
      case 5:
        tensor = read_tensor_fields(m.bytes()), a.kind = Kind::tensor;
        break;
      case 6:
        a.kind = Kind::other, m.skip();
        break;  // a subgraph
      case 7:
        m.append(a.reals), a.kind = Kind::reals;
        break;
      case 8:
        m.append(a.integers), a.kind = Kind::integers;
        break;
      case 20:
        stated = kind_of_type(m.integer());
        break;
      default:
        m.skip();
    }
  if (stated != Kind::none) {
    // An empty list and a zero may be left out, so a stated type without a value is one of those.
    check(a.kind == Kind::none || a.kind == stated, "attribute '", a.name,
          "' is not of the type that it states");
    a.kind = stated;
  }
  if (a.kind == Kind::tensor) {
    try {
      a.tensor = judge_tensor(tensor, external);
    } catch (const Error& e) {
      fail("attribute '", a.name, "' ", e.what());
    }
  }
  return a;
}

Node read_node(std::string_view bytes, ExternalData& external, Problems& problems) {
  Node node;
  std::vector<std::string> bad;
  for (Message m(bytes); m.next();) {
    switch (m.field()) {
      case 1:
        node.inputs.push_back(m.text());
        break;
      case 2:
        node.outputs.push_back(m.text());
        break;
      case 3:
        node.name = m.text();
        break;
      case 4:
        node.op_type = m.text();
        break;
      case 5:
        try {
          node.attributes.push_back(read_attribute(m.bytes(), external));
        } catch (const Error& e) {
          bad.push_back(e.what());
        }
        break;
      case 7:
        node.domain = m.text();
        break;
      default:
        m.skip();
    }
    bound(node.inputs, kMaxNames, "inputs of one node");
    bound(node.outputs, kMaxNames, "outputs of one node");
    bound(node.attributes, kMaxAttributes, "attributes of one node");
  }
  for (const std::string& what : bad) problems.add_of(node.str() + ":", what);
  node.damaged = !bad.empty();
  return node;
}

// ValueInfoProto{name=1, type=2{tensor_type=1{shape=2{dim=1{dim_value=1}}}}}
Declared read_declared(std::string_view bytes) {
  Declared d;
  const auto read_dim = [](std::string_view dim) {
    int64_t value = -1;
    for (Message m(dim); m.next();) {
      if (m.field() == 1) {
        value = m.integer();
      } else {
        m.skip();
      }
    }
    return value > 0 ? value : -1;  // exporters write 0 for "any"
  };
  // Walks down one chain of single-message fields; the innermost is the list of dimensions.
  const auto inner = [](std::string_view outer, uint32_t field, auto&& found) {
    for (Message m(outer); m.next();) {
      if (m.field() == field) {
        found(m.bytes());
      } else {
        m.skip();
      }
    }
  };
  inner(bytes, 1, [&](std::string_view name) { d.name = std::string(name); });
  inner(bytes, 2, [&](std::string_view type) {
    inner(type, 1, [&](std::string_view tensor) {
      inner(tensor, 2, [&](std::string_view shape) {
        d.has_shape = true;
        inner(shape, 1, [&](std::string_view dim) {
          d.dims.push_back(read_dim(dim));
          bound(d.dims, kMaxNames, "dimensions of one input or output");
        });
      });
    });
  });
  return d;
}

void read_graph(std::string_view bytes, Graph& graph, ExternalData& external, Problems& problems) {
  for (Message m(bytes); m.next();) {
    switch (m.field()) {
      case 1:
        graph.nodes.push_back(read_node(m.bytes(), external, problems));
        break;
      case 5: {
        TensorFields fields = read_tensor_fields(m.bytes());
        Constant constant{.name = fields.name, .shape = {0}, .floats = {}, .ints = {}};
        try {
          constant = judge_tensor(fields, external);
        } catch (const Error& e) {
          problems.add_of("initialiser '" + fields.name + "'", e.what());
        }
        graph.constants.push_back(
            std::move(constant));  // a bad one too: its name is known, its users are fine
        break;
      }
      case 11:
        graph.inputs.push_back(read_declared(m.bytes()));
        break;
      case 12:
        graph.outputs.push_back(read_declared(m.bytes()));
        break;
      case 15:
        problems.add("sparse initialisers are not supported"), m.skip();
        break;
      default:
        m.skip();
    }
    bound(graph.nodes, kMaxEntries, "nodes");
    bound(graph.constants, kMaxEntries, "initialisers");
    bound(graph.inputs, kMaxEntries, "inputs");
    bound(graph.outputs, kMaxEntries, "outputs");
  }
}

void read_opset(std::string_view bytes, Graph& graph) {
  std::string domain;
  int64_t version = 1;
  for (Message m(bytes); m.next();) switch (m.field()) {
      case 1:
        domain = m.text();
        break;
      case 2:
        version = m.integer();
        break;
      default:
        m.skip();
    }
  if (domain.empty() || domain == "ai.onnx") graph.opset = version;
}

Graph read_model(std::string_view bytes, ExternalData& external, Problems& problems) {
  Graph graph;
  bool has_graph = false;
  for (Message m(bytes); m.next();) switch (m.field()) {
      case 2:
        graph.producer = m.text();
        break;
      case 7:
        check(!has_graph, "it holds two graphs");
        has_graph = true;
        read_graph(m.bytes(), graph, external, problems);
        break;
      case 8:
        read_opset(m.bytes(), graph);
        break;
      case 14: {
        const auto [key, value] = read_entry(m.bytes());
        graph.metadata[key] = value;
        break;
      }
      case 25:
        problems.add("functions defined inside the model are not supported"), m.skip();
        break;
      default:
        m.skip();
    }
  check(has_graph, "it holds no graph");
  return graph;
}

// Every name is made once, every input is made by someone. Removes inputs that only name a constant (IR < 4).
void check_names(Graph& graph, Problems& problems) {
  std::unordered_set<std::string> known;
  const auto make = [&](const std::string& name, const std::string& who) {
    if (!known.insert(name).second) problems.add(who, " makes '", name, "', a name that exists already");
  };
  for (const Constant& c : graph.constants) make(c.name, "an initialiser");
  std::erase_if(graph.inputs, [&](const Declared& d) { return known.contains(d.name); });
  for (const Declared& d : graph.inputs) make(d.name, "an input of the graph");
  for (const Node& node : graph.nodes)
    for (const std::string& out : node.outputs)
      if (!out.empty()) make(out, node.str());
  for (const Node& node : graph.nodes)
    for (const std::string& in : node.inputs)
      if (!in.empty() && !known.contains(in))
        problems.add(node.str(), " reads '", in, "', which nothing makes");
  for (const Declared& d : graph.outputs)
    if (!known.contains(d.name)) problems.add("the graph's output '", d.name, "' is made by nothing");
}

// Kahn's algorithm; nodes that are ready keep the order of the file.
void sort_nodes(Graph& graph, Problems& problems) {
  std::unordered_map<std::string_view, size_t> maker;
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (const std::string& out : graph.nodes[i].outputs)
      if (!out.empty()) maker.emplace(out, i);
  std::vector<std::vector<size_t>> users(graph.nodes.size());
  std::vector<size_t> waiting(graph.nodes.size());
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (const std::string& in : graph.nodes[i].inputs)
      if (const auto found = maker.find(in); found != maker.end()) {
        users[found->second].push_back(i);
        ++waiting[i];
      }
  std::vector<size_t> order;
  std::vector<size_t> ready;  // a min-heap
  const auto push = [&](size_t i) {
    ready.push_back(i);
    std::push_heap(ready.begin(), ready.end(), std::greater<>());
  };
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (waiting[i] == 0) push(i);
  while (!ready.empty()) {
    std::pop_heap(ready.begin(), ready.end(), std::greater<>());
    const size_t i = ready.back();
    ready.pop_back();
    order.push_back(i);
    for (const size_t user : users[i])
      if (--waiting[user] == 0) push(user);
  }
  if (order.size() < graph.nodes.size()) {
    const auto stuck = std::find_if(waiting.begin(), waiting.end(), [](size_t n) { return n > 0; });
    problems.add("its nodes form a cycle, for example through ",
                 graph.nodes[size_t(stuck - waiting.begin())].str());
    return;
  }
  std::vector<Node> sorted;
  sorted.reserve(order.size());
  for (const size_t i : order) sorted.push_back(std::move(graph.nodes[i]));
  graph.nodes = std::move(sorted);
}

}  // namespace

std::string Node::str() const {
  const std::string& label = !name.empty() || outputs.empty() ? name : outputs[0];
  return op_type + " '" + label + "'";
}

Graph parse_model(std::string_view bytes, const std::string& source, ExternalData& external,
                  Problems& problems) {
  Graph graph;
  try {
    graph = read_model(bytes, external, problems);
  } catch (const protozero::exception& e) {
    fail(source, ": not a readable ONNX model (", e.what(), "); is the file complete?");
  } catch (const Error& e) {
    fail(source, ": not a readable ONNX model: ", e.what());
  }
  check_names(graph, problems);
  sort_nodes(graph, problems);
  return graph;
}

}  // namespace advf::onnx
