#include "tools/bench/bench_photographs.h"

#include <cstdio>
#include <map>

#include "advface/core/features.h"
#include "advface/detect/detected_cut.h"
#include "tensor/parallel.h"
#include "tools/bench/bench_workloads.h"

namespace advf::tools {
namespace {

// Photographs that all have a face, with what each part makes of them.
class Photographs {
 public:
  explicit Photographs(const PhotographBenchOptions& o)
      : detector_(Detector::load(o.detector)),
        recogniser_(Recogniser::load(o.recogniser)),
        source_(FaceSource::open(o.images)) {
    source_.set_max_broken_share(0);
    images_.resize(size_t(source_.size()));
    read();
    std::map<std::string, std::vector<Face>> faces;
    for (size_t i = 0; i < images_.size(); ++i)
      faces[source_.name(int64_t(i))] = detector_.find(images_[i], settings_.view);
    told_ = std::make_shared<const FaceFinder>(faces, "found before");
    crops_ = cut();
    check(crops_.dim(0) > 0, o.images, ": no face was found");
  }

  int64_t size() const { return source_.size(); }
  // As a program does it that has loaded its networks.
  void whole() {
    FaceSource source = source_;
    int64_t rows = 0;
    for_each_feature_batch(recogniser_, cut_point(), source,
                           cutter(std::make_shared<const FaceFinder>(detector_, settings_.view)), {},
                           [&](const FeatureBatch& batch) { rows += int64_t(batch.indices.size()); });
  }
  void read() {
    parallel_for(size(), [&](int64_t i) { images_[size_t(i)] = load_image(source_.path(i)); });
  }
  void find() {
    parallel_for(size(), [&](int64_t i) { detector_.find(images_[size_t(i)], settings_.view); });
  }
  // The crops of those that have a face.
  Tensor cut() {
    const int side = int(recogniser_.card().input.width);
    const FaceCut cut = cutter(told_);
    std::vector<CutResult> results(images_.size());
    parallel_for(size(), [&](int64_t i) {
      results[size_t(i)] = cut.cut(images_[size_t(i)], source_.name(i), source_.path(i), side);
    });
    std::vector<float> values;
    for (const CutResult& r : results) values.insert(values.end(), r.pixels.begin(), r.pixels.end());
    return Tensor::from(values, {int64_t(values.size()) / (3 * side * side), 3, side, side});
  }
  void recognise() {
    const int64_t batch = ExtractOptions().batch;
    for (int64_t begin = 0; begin < crops_.dim(0); begin += batch)
      recogniser_.features(
          recogniser_.preprocess(crops_.slice_batch(begin, std::min(crops_.dim(0), begin + batch))),
          cut_point());
  }

 private:
  FaceCut cutter(std::shared_ptr<const FaceFinder> finder) const {
    return detected_cut(std::move(finder), recogniser_.card().crop, settings_);
  }
  const std::string& cut_point() const { return recogniser_.card().embedding.name; }

  Detector detector_;
  Recogniser recogniser_;
  FaceSource source_;
  DetectionSettings settings_;
  std::vector<Image> images_;
  std::shared_ptr<const FaceFinder> told_;
  Tensor crops_;
};

}  // namespace

bool bench_photographs(const PhotographBenchOptions& o, int repeat, Report& report) {
  const std::string title = "photographs to features";
  const char* const parts[] = {"read", "find", "cut", "recognise"};
  bool wanted = report.wanted("W8 whole", title);
  for (const char* part : parts) wanted = wanted || report.wanted(std::string("W8 ") + part, title);
  if (!wanted) return true;
  if (o.images.empty() || o.detector.empty() || o.recogniser.empty()) {
    report.say("W8 " + title + ": skipped; give --photographs, --detector and --recogniser");
    return true;
  }
  Photographs p(o);
  const double n = double(p.size());
  if (!measure_variants("W8", title, n, "photographs", {},
                        {{"whole", [&] { p.whole(); }},
                         {"read", [&] { p.read(); }},
                         {"find", [&] { p.find(); }},
                         {"cut", [&] { p.cut(); }},
                         {"recognise", [&] { p.recognise(); }}},
                        repeat, report))
    return false;
  double whole = 0, floor = 0;
  for (const nlohmann::json& row : report.workloads())
    if (row.value("workload", "") == "W8")
      (row["variant"] == "whole" ? whole : floor) += row["median_s"].get<double>();
  char text[120];
  std::snprintf(text, sizeof text, "the parts alone %.1f photographs/s: %.3f of it are reached", n / floor,
                floor / whole);
  if (whole > 0 && floor > 0) report.say(text);
  return true;
}

}  // namespace advf::tools
