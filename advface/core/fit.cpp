#include "advface/core/fit.h"

#include <algorithm>

namespace advf {

void each_vector(const FitData& data, const std::vector<int64_t>& rows, const Context& context,
                 const std::function<void(int64_t row, const std::vector<double>& x)>& f) {
  constexpr size_t kBlock = 256;
  const size_t d = size_t(data.features.row()[0]);
  for (size_t begin = 0; begin < rows.size(); begin += kBlock) {
    context.check_stop();
    const std::vector<int64_t> block(rows.begin() + std::ptrdiff_t(begin),
                                     rows.begin() + std::ptrdiff_t(std::min(rows.size(), begin + kBlock)));
    const Tensor values = data.features.at(block);
    const float* x = values.data<float>();
    for (size_t i = 0; i < block.size(); ++i) f(block[i], {x + i * d, x + (i + 1) * d});
  }
}

}  // namespace advf
