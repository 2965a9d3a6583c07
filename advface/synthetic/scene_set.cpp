#include "advface/synthetic/scene_set.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <numeric>

#include "tensor/backend.h"
#include "tensor/check.h"
#include "tensor/io/atomic_file.h"
#include "tensor/parallel.h"
#include "tensor/rng.h"

namespace advf {

void SceneSetSettings::check_valid() const {
  constexpr int64_t kMostBytes = int64_t(8) << 30;
  check(train >= 1 && validation >= 1, "there must be scenes to train and to validate on, not ", train,
        " and ", validation);
  scene.check_valid();
  const double bytes = double(train + validation) * scene.width * scene.height * 3;
  check(bytes <= double(kMostBytes), train + validation, " scenes of ", scene.width, " x ", scene.height,
        " pixels are held in memory and would take ", bytes / double(1 << 30), " GiB; 8 are possible");
}

SceneSet::SceneSet(const SceneSetSettings& settings, const std::function<bool(int64_t done)>& go_on)
    : settings_(settings) {
  settings.check_valid();
  constexpr int64_t kBlock = 64;
  const int64_t count = settings.train + settings.validation;
  faces_.resize(size_t(count));
  pixels_.resize(size_t(count));
  const Philox rng{settings.seed, 0x5CE9E5E7ull};
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(count, begin + kBlock);
    parallel_for(end - begin, [&](int64_t i) {
      const int64_t row = begin + i;
      SceneOptions options = settings.scene;
      options.faces = int(rng.below(uint64_t(row), uint64_t(settings.scene.faces) + 1));
      if (row >= settings.train) options.first_identity += options.identities;
      Scene scene = draw_scene(settings.seed, row, options);
      pixels_[size_t(row)] = std::move(scene.image.pixels);
      for (SceneFace& f : scene.faces) faces_[size_t(row)].push_back(std::move(f.face));
    });
    if (go_on && !go_on(end)) throw Interrupted();
  }
}

Image SceneSet::image(int64_t row) const {
  Image image(settings_.scene.width, settings_.scene.height, 3);
  image.pixels = pixels_.at(size_t(row));
  return image;
}

Tensor SceneSet::batch(const std::vector<int64_t>& rows) const {
  for (const int64_t r : rows) check(r >= 0 && r < size(), "scene ", r, " of ", size());
  const int64_t height = settings_.scene.height, width = settings_.scene.width, plane = height * width;
  Tensor out;
  {
    const BackendScope host(host_backend());
    out = Tensor::empty({int64_t(rows.size()), 3, height, width});
  }
  float* values = out.mutable_data<float>();
  parallel_for(int64_t(rows.size()), [&](int64_t i) {
    const uint8_t* from = pixels_[size_t(rows[size_t(i)])].data();
    float* to = values + 3 * plane * i;
    for (int64_t p = 0; p < plane; ++p)
      for (int64_t c = 0; c < 3; ++c) to[c * plane + p] = float(from[3 * p + c]) / 255.0f;
  });
  return out.to(current_backend());
}

std::string scene_file(int64_t number) {
  char name[40];
  std::snprintf(name, sizeof name, "scene_%06lld.png", static_cast<long long>(number + 1));
  return name;
}

namespace {

std::string pixels_text(double v) {
  char text[40];
  std::snprintf(text, sizeof text, ",%.2f", v);
  return text;
}

// The lines that one scene gives to each list.
struct SceneLines {
  std::string faces, landmarks, labels;
};

SceneLines lines_of(const std::string& file, const Scene& scene) {
  SceneLines out;
  for (const SceneFace& f : scene.faces) {
    std::string points;
    for (const Point& p : f.face.landmarks) points += pixels_text(p.x) + pixels_text(p.y);
    const std::string who = file + "," + std::to_string(f.identity);
    out.labels += who + "\n";
    out.landmarks += file + points + "\n";
    out.faces += who;
    for (const double v : {f.face.x, f.face.y, f.face.width, f.face.height}) out.faces += pixels_text(v);
    out.faces += points + "\n";
  }
  return out;
}

void write_list(const std::string& path, const std::string& header, const std::vector<SceneLines>& lines,
                std::string SceneLines::*list) {
  AtomicFile file(path);
  file.write(header + "\n");
  for (const SceneLines& l : lines) file.write(l.*list);
  file.commit();
}

}  // namespace

int64_t write_scenes(const std::string& folder, uint64_t seed, int64_t count, const SceneOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(folder + "/images", error);
  check(!error, folder, ": cannot be made: ", error.message());
  std::vector<SceneLines> lines{size_t(count)};
  std::vector<int64_t> drawn(size_t(count), 0);
  parallel_for(count, [&](int64_t n) {
    const Scene scene = draw_scene(seed, n, options);
    write_png(folder + "/images/" + scene_file(n), scene.image);
    lines[size_t(n)] = lines_of(scene_file(n), scene);
    drawn[size_t(n)] = int64_t(scene.faces.size());
  });
  std::string points;
  for (int i = 1; i <= 5; ++i) points += ",x" + std::to_string(i) + ",y" + std::to_string(i);
  write_list(folder + "/landmarks.csv", "file" + points, lines, &SceneLines::landmarks);
  write_list(folder + "/faces.csv", "file,identity,x,y,width,height" + points, lines, &SceneLines::faces);
  if (options.faces == 1) write_list(folder + "/labels.csv", "file,identity", lines, &SceneLines::labels);
  return std::accumulate(drawn.begin(), drawn.end(), int64_t(0));
}

}  // namespace advf
