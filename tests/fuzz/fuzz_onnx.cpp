// Any bytes as an ONNX file: an Error, or a model whose shapes can be computed. Beside it lie data that it
// may refer to. Nothing is run, so that a slow network is not taken for a hang.
#include <fstream>

#include "fuzz.h"
#include "nn/onnx/model.h"

namespace {

const std::string& folder_with_data() {
  static const std::string folder = [] {
    std::string data(4096, '\0');
    for (size_t i = 0; i < data.size(); i += 4)
      data[i + 2] = char(i / 4), data[i + 3] = 0x3f;  // floats near 1
    std::ofstream(advf::scratch_folder() / "data", std::ios::binary) << data;
    return advf::scratch_folder().string();
  }();
  return folder;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return advf::fuzz(data, size, [](auto bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto model = advf::OnnxModel::from_bytes(text, "fuzz.onnx", advf::DType::f32, folder_with_data());
    advf::OnnxModel::FeedShapes feeds;
    for (const auto& input : model.inputs()) {
      advf::Shape shape;
      for (const int64_t d : input.dims) shape.push_back(d < 0 ? 8 : d);
      feeds.emplace_back(input.name, shape);
    }
    model.trace(feeds, model.outputs());
    for (const auto& output : model.outputs()) model.cuts(output);
  });
}
