// Arbitrary bytes as a picture; what decodes is also cropped. The limit keeps a single input fast.
#include "fuzz.h"
#include "tensor/io/image.h"
#include "tensor/io/resample.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return advf::fuzz(data, size, [](auto bytes) {
    const advf::Image image = advf::decode_image(bytes, "fuzz", {1 << 20, 250'000});
    advf::crop_resize(image, {-1.5f, 0.25f, float(image.width), float(image.height) + 3}, 7, 5);
  });
}
