#include "tools/data/inspect_detector.h"

#include <cstdio>
#include <iostream>

#include "advface/detect/contact_sheet.h"
#include "advface/detect/detected_cut.h"

namespace advf::tools {
namespace {

using nlohmann::json;

json face_json(const FoundFace& f) {
  json points = json::array();
  for (const Point& p : f.face.landmarks) points.push_back({p.x, p.y});
  return {{"number", f.number},
          {"box", {f.face.x, f.face.y, f.face.width, f.face.height}},
          {"score", f.face.score},
          {"landmarks", points},
          {"size", f.quality.size},
          {"roll", f.quality.roll},
          {"yaw", f.quality.yaw},
          {"pitch", f.quality.pitch},
          {"sharpness", f.quality.sharpness},
          {"exposure", f.quality.exposure},
          {"outside", f.quality.outside}};
}

json look_at(Detector detector, const std::string& picture, const std::string& drawn) {
  constexpr int kCrop = 112;
  DetectionSettings settings;
  settings.choice = FaceChoice::all;
  settings.min_face = 1;
  settings.where_none =
      "programs that take --detector may find one with a lower --min-score or another --detect-side";
  const Image image = to_rgb(load_image(picture));
  const auto finder = std::make_shared<const FaceFinder>(std::move(detector), settings.view);
  const CutResult cut = detected_cut(finder, FaceTemplate{}, settings).cut(image, picture, picture, kCrop);
  if (!drawn.empty()) {
    std::vector<Image> crops;
    const size_t pixels = size_t(3) * kCrop * kCrop;
    for (size_t i = 0; i < cut.faces; ++i) {
      const auto from = cut.pixels.begin() + std::ptrdiff_t(i * pixels);
      crops.push_back(
          to_image(Tensor::from(std::vector<float>(from, from + std::ptrdiff_t(pixels)), {3, kCrop, kCrop})));
    }
    write_png(drawn, draw_faces(image, cut.found, crops));
  }
  json faces = json::array();
  for (const FoundFace& f : cut.found) faces.push_back(face_json(f));
  json refused = json::array();
  for (const RefusedFace& f : cut.refused)
    refused.push_back({{"number", f.number}, {"reason", name_of(f.reason)}, {"explanation", f.why}});
  return {{"file", picture}, {"width", image.width}, {"height", image.height},
          {"faces", faces},  {"left_out", refused},  {"why_none", cut.why}};
}

}  // namespace

json inspect_detector(const std::string& card, const std::string& picture, const std::string& drawn) {
  Detector detector = Detector::load(card);
  const DetectorCard& c = detector.card();
  json result = {{"kind", "detector"},
                 {"model", c.model},
                 {"fingerprint", detector.fingerprint()},
                 {"parameters", detector.model().parameters()},
                 {"decoding", c.decoding},
                 {"strides", c.strides},
                 {"anchors", c.anchors},
                 {"points", c.points},
                 {"score", c.score},
                 {"overlap", c.overlap},
                 {"input",
                  {{"name", c.input.name},
                   {"channels", c.input.channels},
                   {"width", c.input.width},
                   {"height", c.input.height}}},
                 {"outputs",
                  {{"score", c.outputs.score},
                   {"object", c.outputs.object},
                   {"box", c.outputs.box},
                   {"landmarks", c.outputs.landmarks}}},
                 {"opset", detector.model().opset()},
                 {"ops", detector.model().op_counts()}};
  if (!c.trained_on.empty()) result["trained_on"] = c.trained_on;
  constexpr int64_t kSide = 640;
  const int64_t width = c.input.width > 0 ? c.input.width : kSide,
                height = c.input.height > 0 ? c.input.height : kSide;
  int64_t macs = 0;
  std::vector<std::string> outputs = c.outputs.score;
  for (const auto* more : {&c.outputs.object, &c.outputs.box, &c.outputs.landmarks})
    outputs.insert(outputs.end(), more->begin(), more->end());
  for (const auto& t : detector.model().trace({{c.input.name, {1, 3, height, width}}}, outputs))
    macs += t.macs;
  result["macs"] = macs;
  result["macs_of"] = {width, height};
  if (!picture.empty()) result["picture"] = look_at(std::move(detector), picture, drawn);
  return result;
}

void print_detector(const json& r, const std::string& file) {
  char line[160];
  std::snprintf(line, sizeof line, ": detector, %.3f M parameters, %.1f M multiply-adds for %dx%d pixels\n",
                r["parameters"].get<double>() / 1e6, r["macs"].get<double>() / 1e6,
                r["macs_of"][0].get<int>(), r["macs_of"][1].get<int>());
  std::cout << file << line << "model        " << r["model"].get<std::string>() << " ("
            << r["fingerprint"].get<std::string>() << ")\ninput        "
            << r["input"]["name"].get<std::string>() << "  " << r["input"]["channels"].get<std::string>()
            << ", "
            << (r["input"]["width"] == 0
                    ? std::string("any size, filled up to a multiple of ") + r["strides"].back().dump()
                    : r["input"]["width"].dump() + " x " + r["input"]["height"].dump())
            << "\ndecoding     " << r["decoding"].get<std::string>() << ", strides " << r["strides"].dump()
            << ", " << r["anchors"] << " to a cell, " << r["points"]
            << " landmarks\nfaces        from a score of " << r["score"]
            << "; of two that overlap by more than " << r["overlap"] << " the better one\n";
  if (r.contains("trained_on")) std::cout << "trained on   " << r["trained_on"].get<std::string>() << "\n";
  for (const auto& [what, names] : r["outputs"].items())
    for (size_t i = 0; i < names.size(); ++i)
      std::cout << "output       " << names[i].get<std::string>() << "  " << what << " at "
                << (names.size() == r["strides"].size() ? "stride " + r["strides"][i].dump() : "all strides")
                << "\n";
  if (!r.contains("picture")) return;
  const json& p = r["picture"];
  std::cout << p["file"].get<std::string>() << ": " << p["width"] << " x " << p["height"] << " pixels, "
            << p["faces"].size() << (p["faces"].size() == 1 ? " face\n" : " faces\n");
  if (p["faces"].empty()) std::cout << p["why_none"].get<std::string>() << "\n";
  for (const json& f : p["faces"]) {
    const auto v = [&](const char* key) { return f[key].get<double>(); };
    std::snprintf(
        line, sizeof line,
        "face %-3d  score %.3f  %4.0f px at (%.0f, %.0f)  roll %.0f  yaw %.0f  pitch %.0f  sharpness %.0f"
        "  exposure %.2f  outside %.2f\n",
        f["number"].get<int>(), v("score"), v("size"), f["box"][0].get<double>(), f["box"][1].get<double>(),
        v("roll"), v("yaw"), v("pitch"), v("sharpness"), v("exposure"), v("outside"));
    std::cout << line;
  }
  for (const json& f : p["left_out"])
    std::cout << "left out: " << f["explanation"].get<std::string>() << "\n";
}

}  // namespace advf::tools
