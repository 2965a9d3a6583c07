// advface-inspect: what a recogniser's card, an ONNX model, a weight file or features hold.
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <set>

#include "advface/core/feature_file.h"
#include "advface/core/recogniser.h"
#include "advface/detect/detector_card.h"
#include "advface/store/enrolled_set.h"
#include "autograd/tape.h"
#include "tensor/backend.h"
#include "tensor/cpu/cpu_backend.h"
#include "tensor/io/npy.h"
#include "tensor/io/safetensors.h"
#include "tools/data/inspect_detector.h"
#include "tools/data/join.h"
#include "tools/data/progress_table.h"
#include "tools/options/cli.h"

using namespace advf;
using namespace advf::tools;
using nlohmann::json;

namespace {

struct Options {
  Common common;
  std::string file;
  std::string picture, out;
  int64_t size = 0;
  bool join = false, progress = false;
};

json to_json(const Shape& s) { return std::vector<int64_t>(s.begin(), s.end()); }

std::string str(const json& shape) {
  std::string out;
  for (const json& d : shape) out += (out.empty() ? "" : " x ") + (d == -1 ? std::string("?") : d.dump());
  return out.empty() ? "scalar" : out;
}

std::string millions(int64_t n) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f M", double(n) / 1e6);
  return text;
}

// The shapes to feed for one image; empty where the file leaves a size open and the caller names none.
OnnxModel::FeedShapes one_image(const OnnxModel& model, int64_t size) {
  OnnxModel::FeedShapes feeds;
  for (const auto& input : model.inputs()) {
    if (!input.has_shape) return {};
    Shape shape;
    for (size_t i = 0; i < input.dims.size(); ++i) {
      const int64_t d = input.dims[i] > 0 ? input.dims[i] : i == 0 ? 1 : size;
      if (d == 0) return {};
      shape.push_back(d);
    }
    feeds.emplace_back(input.name, shape);
  }
  return feeds;
}

// The ops of ours that the network runs and for which the cpu backend falls back to the reference.
std::vector<std::string> slow_ops(const OnnxModel& model, const OnnxModel::FeedShapes& feeds,
                                  const std::vector<std::string>& outputs) {
  const MetaScope meta;
  Tape tape;
  {
    const TapeScope record(tape);
    OnnxModel::Feeds tensors;
    for (const auto& [name, shape] : feeds) tensors.emplace_back(name, Tensor::meta(shape));
    model.run(tensors, outputs);
  }
  std::set<const OpDef*> fast;
  for (const OpDef* op : cpu_fast_ops()) fast.insert(op);
  std::set<std::string> slow;
  for (const Record& r : tape.records())
    if (!r.op->is_view && !fast.contains(r.op)) slow.insert(r.op->name);
  return {slow.begin(), slow.end()};
}

json describe(const OnnxModel& model, const OnnxModel::FeedShapes& feeds,
              const std::vector<std::string>& outputs) {
  json inputs = json::array();
  for (const auto& d : model.inputs()) inputs.push_back({{"name", d.name}, {"shape", d.dims}});
  json result = {
      {"producer", model.producer()}, {"opset", model.opset()},   {"inputs", inputs},
      {"outputs", outputs},           {"ops", model.op_counts()}, {"parameters", model.parameters()},
      {"metadata", model.metadata()}};
  if (feeds.empty()) return result;
  int64_t macs = 0;
  for (const auto& t : model.trace(feeds, outputs)) macs += t.macs;
  result["macs"] = macs;
  result["ops_without_fast_cpu_kernel"] = slow_ops(model, feeds, outputs);
  return result;
}

// The cut points of a model without a card: those on the way to its first output.
json cut_points(const OnnxModel& model, const OnnxModel::FeedShapes& feeds) {
  json cuts = json::array();
  if (model.outputs().empty()) return cuts;
  const std::vector<std::string> names = model.cuts(model.outputs()[0]);
  int64_t macs = 0;
  size_t next = 0;
  for (const auto& t : model.trace(feeds, {model.outputs()[0]})) {
    macs += t.macs;
    if (next == names.size() || t.name != names[next]) continue;
    ++next;
    json shape = to_json(t.shape);
    if (!shape.empty()) shape.erase(shape.begin());
    cuts.push_back({{"name", t.name}, {"op", t.op_type}, {"shape", shape}, {"macs", macs}});
  }
  return cuts;
}

json inspect_card(const Options& o) {
  const Recogniser r = Recogniser::load(o.file);
  const RecogniserCard& c = r.card();
  const std::vector<std::string> outputs{c.embedding.name};
  json result = describe(r.model(), {{c.input.name, r.input_shape(1)}}, outputs);
  result["kind"] = "recogniser";
  result["model"] = c.model;
  result["fingerprint"] = r.fingerprint();
  result["embedding"] = {{"name", c.embedding.name}, {"dimension", c.embedding.dimension}};
  result["default_cut"] = c.default_cut;
  if (!c.trained_against.empty()) result["trained_against"] = c.trained_against;
  result["one_image_at_a_time"] = r.one_at_a_time();
  for (const CutPoint& p : r.cut_points())
    result["cut_points"].push_back(
        {{"name", p.name}, {"op", p.op_type}, {"shape", to_json(p.shape)}, {"macs", p.macs}});
  return result;
}

json inspect_onnx(const Options& o) {
  const OnnxModel model = OnnxModel::load(o.file);
  const auto feeds = one_image(model, o.size);
  json result = describe(model, feeds, model.outputs());
  result["kind"] = "onnx";
  if (!feeds.empty()) result["cut_points"] = cut_points(model, feeds);
  return result;
}

json inspect_weights(const Options& o) {
  const TensorFile file = load_safetensors(o.file);
  json tensors = json::array();
  int64_t count = 0;
  for (const auto& [name, t] : file.tensors) {
    tensors.push_back({{"name", name}, {"shape", to_json(t.shape())}, {"type", name_of(t.dtype())}});
    count += t.numel();
  }
  return {{"kind", "weights"}, {"metadata", file.metadata}, {"parameters", count}, {"tensors", tensors}};
}

// A set of an older version; each row is compared with its checksum.
json inspect_set(const Options& o) {
  const std::string array = o.file.substr(0, o.file.size() - npy_index_path("").size());
  const EnrolledRows set = read_enrolled_set(array);
  return {{"kind", "set"},
          {"rows", set.records.size()},
          {"feature_shape", to_json(set.row)},
          {"metadata", set.made_by},
          {"last_name", set.records.empty() ? json() : json(set.records.back().name)}};
}

// A file of features, or what lies beside it.
json inspect_features(const Options& o) {
  const std::string ending = ".npy.json";
  const std::string array = o.file.ends_with(ending) ? o.file.substr(0, o.file.size() - 5) : o.file;
  const FeatureFile file = open_feature_file(array, OtherSalts::taken);
  return {{"kind", "features"},
          {"rows", file.rows.count()},
          {"feature_shape", to_json(file.rows.row())},
          {"recogniser", file.info.recogniser},
          {"cut", file.info.cut},
          {"features_are", file.info.protection.describe()},
          {"protection", json::parse(file.info.protection.to_json())}};
}

void print_features(const json& r, const std::string& file) {
  std::cout << file << ": features, " << r["rows"] << " rows of shape " << str(r["feature_shape"]) << '\n';
  if (const std::string why = r["protection"].is_object() ? r["protection"].value("unknown", "") : "";
      !why.empty()) {
    std::cout << "nothing is known of them: " << why << '\n';
    return;
  }
  std::cout << "recogniser   " << r["recogniser"].get<std::string>() << "\ncut          "
            << r["cut"].get<std::string>() << "\nthey are     " << r["features_are"].get<std::string>()
            << '\n';
  for (const json& applied : r["protection"]) {
    std::cout << "protection   " << applied["name"].get<std::string>();
    for (const auto& [key, value] : applied["settings"].items()) std::cout << ' ' << key << ' ' << value;
    for (const auto& [part, print] : applied["networks"].items())
      std::cout << ", " << part << ' ' << print.get<std::string>();
    std::cout << '\n';
  }
}

void print(const json& r, const std::string& file) {
  if (r["kind"] == "joined") {
    std::cout << r["parts"] << " parts -> " << file << ", " << r["rows"] << " rows\n";
    return;
  }
  if (r["kind"] == "progress") return print_progress(r);
  if (r["kind"] == "features") return print_features(r, file);
  if (r["kind"] == "detector") return print_detector(r, file);
  if (r["kind"] == "set") {
    std::cout << file << ": set, " << r["rows"] << " rows of shape " << str(r["feature_shape"])
              << ", each as it was enrolled\n";
    for (const auto& [key, value] : r["metadata"].items())
      std::cout << "made by      " << key << " = " << value.get<std::string>() << '\n';
    return;
  }
  std::cout << file << ": " << r["kind"].get<std::string>() << ", "
            << millions(r["parameters"].get<int64_t>()) << " parameters";
  if (r.contains("macs"))
    std::cout << ", " << millions(r["macs"].get<int64_t>()) << " multiply-adds per image";
  std::cout << '\n';
  if (r.contains("fingerprint"))
    std::cout << "model        " << r["model"].get<std::string>() << " ("
              << r["fingerprint"].get<std::string>() << ")\n";
  if (const std::string why = r.value("one_image_at_a_time", ""); !why.empty())
    std::cout << "one image at a time, which is slower: " << why << '\n';
  if (r.contains("trained_against"))
    std::cout << "trained against " << r["trained_against"].get<std::string>() << '\n';
  if (r.contains("opset")) std::cout << "opset        " << r["opset"] << '\n';
  for (const json& in : r.value("inputs", json::array()))
    std::cout << "input        " << in["name"].get<std::string>() << "  " << str(in["shape"]) << '\n';
  for (const json& out : r.value("outputs", json::array()))
    std::cout << "output       " << out.get<std::string>() << '\n';
  const json metadata = r.value("metadata", json::object());
  for (const auto& [key, value] : metadata.items())
    std::cout << "metadata     " << key << " = " << value.get<std::string>() << '\n';
  if (r.contains("ops")) {
    std::cout << "ops         ";
    for (const auto& [op, count] : r["ops"].items()) std::cout << ' ' << op << ' ' << count;
    std::cout << '\n';
  }
  if (r.contains("ops_without_fast_cpu_kernel")) {
    std::cout << "no fast cpu kernel:";
    for (const json& op : r["ops_without_fast_cpu_kernel"]) std::cout << ' ' << op.get<std::string>();
    std::cout << (r["ops_without_fast_cpu_kernel"].empty() ? " none\n" : "\n");
  }
  for (const json& t : r.value("tensors", json::array()))
    std::cout << "tensor       " << t["name"].get<std::string>() << "  " << t["type"].get<std::string>()
              << "  " << str(t["shape"]) << '\n';
  for (const json& c : r.value("cut_points", json::array())) {
    char line[64];
    std::snprintf(line, sizeof line, "cut  %14s  %11s  ", str(c["shape"]).c_str(),
                  millions(c["macs"].get<int64_t>()).c_str());
    std::cout << line << c["name"].get<std::string>() << " (" << c["op"].get<std::string>() << ")"
              << (r.value("default_cut", "") == c["name"] ? "  default" : "") << '\n';
  }
  if (r["kind"] == "onnx" && !r.contains("cut_points"))
    std::cout << "the file leaves the image's size open; --size shows shapes and cut points\n";
}

int inspect(const Options& o) {
  o.common.activate();
  as_usage([&] {
    check(o.out.empty() || !o.picture.empty(),
          "--out draws what a detector sees in --picture; give a picture");
  });
  const std::string extension = std::filesystem::path(o.file).extension().string();
  json result;
  as_usage([&] { check(!o.join || !o.progress, "give --join or --progress"); });
  if (o.progress) {
    result = progress_of_parts(o.file);
  } else if (o.join) {
    as_usage(
        [&] { check(o.file.ends_with(".npy"), "--join puts features together, FILE.npy, not ", o.file); });
    result = join_parts(o.file);
  } else if (o.file.ends_with(".npy") || o.file.ends_with(".npy.json")) {
    result = inspect_features(o);
  } else if (extension == ".json" && is_detector_card(o.file)) {
    result = inspect_detector(o.file, o.picture, o.out);
  } else if (!o.picture.empty()) {
    throw CLI::ValidationError("--picture",
                               o.file + " is no card of a detector, which alone looks at pictures");
  } else if (extension == ".json") {
    result = inspect_card(o);
  } else if (extension == ".onnx") {
    result = inspect_onnx(o);
  } else if (extension == ".safetensors") {
    result = inspect_weights(o);
  } else if (o.file.ends_with(".npy.index")) {
    result = inspect_set(o);
  } else {
    throw CLI::ValidationError("FILE", o.file + ": neither .json, .onnx, .safetensors, .npy nor .npy.index");
  }
  print(result, o.file);
  o.common.write_json(result);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Shows what a recogniser's or a detector's card, an ONNX model, a weight file or features hold.",
      "advface-inspect");
  app.footer(
      "Example:\n  advface-inspect facenet.json --json facenet_info.json\n"
      "  advface-inspect yunet.json --picture group.jpg --out drawn.png");
  Options o;
  app.add_option(
         "FILE", o.file,
         "a card (.json), a model (.onnx), weights (.safetensors), features (.npy) or the index of an "
         "older version's set (.npy.index)")
      ->required();
  app.add_option("--size", o.size,
                 "height and width of an ONNX input whose file leaves them open; 0 = unknown")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(0), int64_t(4096)));
  app.add_flag(
      "--join", o.join,
      "makes FILE.npy, and the lists beside it, of its parts FILE.1-of-N.npy to FILE.N-of-N.npy, which "
      "--part has made");
  app.add_flag("--progress", o.progress,
               "FILE is a folder: how far the parts are that --part makes in it, and which to run again");
  app.add_option("--picture", o.picture, "for a detector's card: a photograph that it looks at");
  app.add_option("--out", o.out,
                 "where the photograph goes (.png) with boxes, scores, landmarks and crops drawn");
  o.common.add_to(app);
  return run(app, argc, argv, [&] { return inspect(o); });
}
