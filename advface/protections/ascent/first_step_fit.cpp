#include "advface/protections/ascent/first_step_fit.h"

#include <algorithm>

#include "advface/core/input_gradient.h"
#include "advface/core/recogniser.h"
#include "advface/networks/ascent_shadow.h"
#include "advface/networks/mean_face.h"
#include "autograd/tape.h"
#include "tensor/backend.h"
#include "tensor/linear_algebra.h"
#include "tensor/ops.h"

namespace advf {
namespace {

constexpr int64_t kMostValues = 2048;  // of a feature: the gradients of all are in memory at once
constexpr size_t kFaces = 512;         // of training people, whose mean is climbed from
constexpr int64_t kBatch = 16;

// At the picture `face` (3,size,size). Row k: the gradient of value k of the feature, (D, 3 size size).
std::vector<float> jacobian_at(const Recogniser& recogniser, const std::string& cut, const Tensor& face,
                               int64_t d, const Context& context) {
  const int64_t batch = recogniser.one_at_a_time().empty() ? std::min(kBatch, d) : 1;
  const Shape pictures = with_rows(batch, face.shape());
  InputGradient gradient(
      [&](const Tensor& images) { return recogniser.features(recogniser.preprocess(images), cut); },
      pictures);
  gradient.set_images(broadcast_to(reshape(face, with_rows(1, face.shape())), pictures));
  const int64_t values = face.numel();
  std::vector<float> rows(size_t(d * values));
  const auto progress = context.begin("differentiate", d, "values");
  for (int64_t k = 0; k < d; k += batch) {
    context.check_stop();
    std::vector<float> v(size_t(batch * d), 0.0f);
    for (int64_t i = 0; i < std::min(batch, d - k); ++i) v[size_t(i * d + k + i)] = 1;
    const Tensor g = gradient.along(Tensor::from(v, {batch, d}));
    std::copy_n(g.data<float>(), size_t(std::min(batch, d - k) * values), rows.begin() + k * values);
    progress->advance(std::min(batch, d - k));
  }
  progress->finish();
  return rows;
}

}  // namespace

Settings FirstStepFit::settings() {
  return {whole_setting("image_size", image_size_, {16, 512},
                        "of the pictures that an inversion climbs: height and width")};
}

void FirstStepFit::check_valid() const {}

Metadata FirstStepFit::fit(const FitData& data, const std::string& path, const Context& context) const {
  const Shape& row = data.features.row();
  const Provenance& from = data.provenance;
  check(row.rank() == 1 && from.domain == FeatureDomain::sphere, "features of shape ", row,
        " are no unit vectors, to which alone an inversion climbs by their cosine");
  check(row[0] <= kMostValues, "features of ", row[0], " values; the first step is for up to ", kMostValues);
  check(from.protection.is_raw(), "the recogniser's gradient is that of raw features, not of ",
        from.protection.describe());
  check(data.recogniser != nullptr, "the first step of an inversion is the recogniser's; name its card");
  const NoTapeScope off;
  const int64_t d = row[0];
  std::vector<int64_t> some = data.train;
  some.resize(std::min(some.size(), kFaces));
  const Tensor face = mean_face_of(
      [&](const std::vector<int64_t>& faces) {
        context.check_stop();
        return data.faces(faces, int(image_size_));
      },
      some);
  const std::vector<float> rows = jacobian_at(*data.recogniser, from.cut, face, d, context);
  const size_t values = rows.size() / size_t(d);
  Scatter scatter{size_t(d)};
  std::vector<double> column(static_cast<size_t>(d));
  for (size_t p = 0; p < values; ++p) {
    if (p % 1024 == 0) context.check_stop();
    for (size_t k = 0; k < size_t(d); ++k) column[k] = double(rows[k * values + p]);
    scatter.add(column);
  }
  const Matrix gram = scatter.mean(1);
  double trace = 0, squares = 0;
  for (size_t i = 0; i < size_t(d); ++i) {
    trace += gram(i, i);
    for (size_t j = 0; j < size_t(d); ++j) squares += gram(i, j) * gram(i, j);
  }
  FirstStep::of_gram({from, row, image_size_}, gram)->save(path);
  // How many directions of the feature move the picture, were they alike: 1 to D.
  return {{"directions", std::to_string(trace * trace / squares)}};
}

}  // namespace advf
