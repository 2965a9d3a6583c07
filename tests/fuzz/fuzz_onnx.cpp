// Any bytes as an ONNX file: an Error, or a model whose shapes can be computed. Nothing is run, so that a
// slow network is not taken for a hang.
#include <cstddef>
#include <cstdint>

#include "nn/onnx/model.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const auto model = advf::OnnxModel::from_bytes({reinterpret_cast<const char*>(data), size}, "fuzz.onnx");
    advf::OnnxModel::FeedShapes feeds;
    for (const auto& input : model.inputs()) {
      advf::Shape shape;
      for (const int64_t d : input.dims) shape.push_back(d < 0 ? 8 : d);
      feeds.emplace_back(input.name, shape);
    }
    model.trace(feeds, model.outputs());
    for (const auto& output : model.outputs()) model.cuts(output);
  } catch (const advf::Error&) {
  }
  return 0;
}
