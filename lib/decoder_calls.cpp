#include <algorithm>
#include <nlohmann/json.hpp>

#include "lib/arrays.h"
#include "lib/call.h"
#include "lib/objects.h"
#include "tensor/backend.h"

using namespace advf;
using namespace advf::lib;

namespace {

constexpr int64_t kBatch = 64;  // as Decoder::reconstruct() has it

nlohmann::json description(const Decoder& decoder) {
  const DecoderInfo& info = decoder.info();
  return {{"feature", std::vector<int64_t>(info.spec.feature.begin(), info.spec.feature.end())},
          {"image_size", info.spec.image_size},
          {"decoder", info.spec.name},
          {"cut", info.cut},
          {"recogniser", info.recogniser},
          {"domain", name_of(info.domain)},
          {"protection", nlohmann::json::parse(info.protection.to_json())},
          {"loss", info.loss}};
}

}  // namespace

advface_status advface_decoder_load(const char* path, advface_decoder** decoder, advface_error** error) {
  return guarded(error, [&] {
    check_argument(decoder, "decoder is NULL: the handle has nowhere to go");
    auto object = std::make_shared<DecoderObject>(DecoderObject{Decoder::load(text_argument(path, "path"))});
    *decoder = new_handle<advface_decoder>(std::move(object));
  });
}

advface_status advface_decoder_free(advface_decoder* decoder) { return free_handle(decoder); }

advface_status advface_decoder_describe(const advface_decoder* decoder, char* text, uint64_t bytes,
                                        uint64_t* needed, advface_error** error) {
  return guarded(error, [&] { give_text(description(*held(decoder)->decoder).dump(), text, bytes, needed); });
}

advface_status advface_decoder_reconstruct(const advface_decoder* decoder, const advface_array* features,
                                           const advface_control* control, advface_array* images,
                                           advface_error** error) {
  return guarded(error, [&] {
    const auto object = held(decoder);
    Control asked(control);
    const DecoderInfo& info = object->decoder->info();
    const Tensor rows = read_rows(features, "features", info.spec.feature);
    const int64_t n = rows.dim(0), size = info.spec.image_size;
    float* out = written_f32(images, "images", {n, 3, size, size});
    check_apart(features, images, false);
    check_rows(rows, FeatureDomain::real, "features");
    for (int64_t begin = 0; begin < n; begin += kBatch) {
      asked.check_stop();
      const int64_t end = std::min(n, begin + kBatch);
      const Tensor made =
          object->decoder->reconstruct(rows.slice_batch(begin, end).to(current_backend()), kBatch).on_host();
      std::copy_n(made.data<float>(), made.numel(), out + begin * 3 * size * size);
    }
  });
}
