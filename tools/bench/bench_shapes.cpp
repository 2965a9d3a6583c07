#include "tools/bench/bench_shapes.h"

#include <array>

namespace advf::tools {
namespace {

struct Conv {
  int64_t c, h, w, o, kh, kw;
  int stride;
  int pad_y, pad_x;
  int groups = 1;
};

std::string describe(const Conv& v) {
  auto s = [](int64_t i) { return std::to_string(i); };
  return s(v.c) + "x" + s(v.h) + "x" + s(v.w) + " -> " + s(v.o) + " k" + s(v.kh) + "x" + s(v.kw) +
         (v.stride > 1 ? " s" + s(v.stride) : "") +
         (v.pad_y || v.pad_x ? " p" + s(v.pad_y) + "," + s(v.pad_x) : "") +
         (v.groups > 1 ? " g" + s(v.groups) : "");
}

int64_t out_size(int64_t in, int64_t k, int stride, int pad) { return (in + 2 * pad - k) / stride + 1; }

void add_forward(std::vector<BenchCase>& list, const char* group, int64_t n, const Conv& v, bool counts,
                 bool constant) {
  const ConvAttrs a{
      .stride = {v.stride, v.stride}, .pad = {v.pad_y, v.pad_x, v.pad_y, v.pad_x}, .groups = v.groups};
  list.push_back({group,
                  "conv " + describe(v),
                  &op_conv2d,
                  a,
                  {{n, v.c, v.h, v.w}, {v.o, v.c / v.groups, v.kh, v.kw}, {v.o}},
                  counts,
                  constant});
}

// The two gradients; the forward pass too of a transposed convolution, which is the input gradient of the
// same convolution seen from its output.
void add_gradients(std::vector<BenchCase>& list, const char* group, int64_t n, const Conv& v, bool counts) {
  ConvAttrs a{
      .stride = {v.stride, v.stride}, .pad = {v.pad_y, v.pad_x, v.pad_y, v.pad_x}, .groups = v.groups};
  const Shape x{n, v.c, v.h, v.w}, w{v.o, v.c / v.groups, v.kh, v.kw};
  const Shape y{n, v.o, out_size(v.h, v.kh, v.stride, v.pad_y), out_size(v.w, v.kw, v.stride, v.pad_x)};
  a.size = {v.h, v.w};
  list.push_back({group, "input gradient " + describe(v), &op_conv_transpose2d, a, {y, w, kAbsent}, counts});
  a.size = {v.kh, v.kw};
  list.push_back({group, "weight gradient " + describe(v), &op_conv2d_grad_weight, a, {x, y}, counts});
}

// ConvTranspose2d in -> out at h x w, kernel 4, stride 2, padding 1: forward, input gradient, weight
// gradient.
void add_deconv(std::vector<BenchCase>& list, const char* group, int64_t n, int64_t in, int64_t out,
                int64_t size) {
  ConvAttrs a{.stride = {2, 2}, .pad = {1, 1, 1, 1}};
  const Shape small{n, in, size, size}, large{n, out, 2 * size, 2 * size}, w{in, out, 4, 4};
  const std::string name = std::to_string(in) + "x" + std::to_string(size) + "x" + std::to_string(size) +
                           " -> " + std::to_string(out) + " k4 s2 p1";
  list.push_back({group, "deconv input gradient " + name, &op_conv2d, a, {large, w, kAbsent}, true});
  a.size = {2 * size, 2 * size};
  list.push_back({group, "deconv " + name, &op_conv_transpose2d, a, {small, w, {out}}, true});
  a.size = {4, 4};
  list.push_back({group, "deconv weight gradient " + name, &op_conv2d_grad_weight, a, {large, small}, true});
}

// The distinct convolutions of Inception-ResNet-v1 at 160x160.
const Conv kFacenet[] = {
    {3, 160, 160, 32, 3, 3, 2, 0, 0},  {32, 79, 79, 32, 3, 3, 1, 0, 0},   {32, 77, 77, 64, 3, 3, 1, 1, 1},
    {64, 38, 38, 80, 1, 1, 1, 0, 0},   {80, 38, 38, 192, 3, 3, 1, 0, 0},  {192, 36, 36, 256, 3, 3, 2, 0, 0},
    {256, 17, 17, 32, 1, 1, 1, 0, 0},  {32, 17, 17, 32, 3, 3, 1, 1, 1},   {96, 17, 17, 256, 1, 1, 1, 0, 0},
    {256, 17, 17, 384, 3, 3, 2, 0, 0}, {256, 17, 17, 192, 1, 1, 1, 0, 0}, {192, 17, 17, 192, 3, 3, 1, 1, 1},
    {192, 17, 17, 256, 3, 3, 2, 0, 0}, {896, 8, 8, 128, 1, 1, 1, 0, 0},   {128, 8, 8, 128, 1, 7, 1, 0, 3},
    {128, 8, 8, 128, 7, 1, 1, 3, 0},   {256, 8, 8, 896, 1, 1, 1, 0, 0},   {896, 8, 8, 256, 1, 1, 1, 0, 0},
    {256, 8, 8, 384, 3, 3, 2, 0, 0},   {256, 8, 8, 256, 3, 3, 2, 0, 0},   {256, 8, 8, 256, 3, 3, 1, 1, 1},
    {1792, 3, 3, 192, 1, 1, 1, 0, 0},  {192, 3, 3, 192, 1, 3, 1, 0, 1},   {192, 3, 3, 192, 3, 1, 1, 1, 0},
    {384, 3, 3, 1792, 1, 1, 1, 0, 0},
};

// The distinct depthwise and first convolutions of MobileFaceNet at 112x112.
const Conv kMobile[] = {
    {3, 112, 112, 64, 3, 3, 2, 1, 1},       {64, 56, 56, 64, 3, 3, 1, 1, 1, 64},
    {64, 56, 56, 128, 1, 1, 1, 0, 0},       {128, 56, 56, 128, 3, 3, 2, 1, 1, 128},
    {128, 28, 28, 128, 3, 3, 1, 1, 1, 128}, {128, 28, 28, 64, 1, 1, 1, 0, 0},
    {256, 14, 14, 256, 3, 3, 1, 1, 1, 256}, {512, 7, 7, 512, 7, 7, 1, 0, 0, 512},
};

std::vector<BenchCase> make_cases() {
  std::vector<BenchCase> list;
  for (const auto& [in, out, size] :
       {std::array<int64_t, 3>{256, 128, 4}, {128, 64, 8}, {64, 32, 16}, {32, 16, 32}})
    add_deconv(list, "decoder", 32, in, out, size);
  const Conv last{16, 64, 64, 3, 3, 3, 1, 1, 1};
  add_forward(list, "decoder", 32, last, true, false);
  add_gradients(list, "decoder", 32, last, true);
  for (const Conv& v : kFacenet) add_forward(list, "facenet", 16, v, true, true);
  for (const Conv& v : kMobile) add_forward(list, "mobile", 16, v, false, true);
  for (const Conv& v : kMobile) add_gradients(list, "mobile-grad", 16, v, false);
  for (const Conv& v : {kFacenet[5], kFacenet[13], kFacenet[21]})
    add_forward(list, "batch-1", 1, v, false, true);
  const auto matmul = [&](const char* name, Shape a, Shape b, Shape bias, MatmulAttrs t) {
    list.push_back({"matmul", name, &op_matmul, t, {a, b, bias}});
  };
  matmul("linear 32x512 -> 4096", {32, 512}, {4096, 512}, {4096}, {false, true});
  matmul("linear input gradient", {32, 4096}, {4096, 512}, kAbsent, {false, false});
  matmul("linear weight gradient", {32, 4096}, {32, 512}, kAbsent, {true, false});
  matmul("linear 16x1792 -> 512", {16, 1792}, {512, 1792}, {512}, {false, true});
  matmul("square 1024", {1024, 1024}, {1024, 1024}, kAbsent, {});
  const Shape image{32, 64, 64, 64}, channel{64}, per_channel{1, 64, 1, 1};
  const auto memory = [&](const char* name, const OpDef& op, Attrs attrs, std::vector<Shape> in) {
    list.push_back({"memory", name, &op, attrs, std::move(in)});
  };
  memory("relu", op_relu, {}, {image});
  memory("sigmoid", op_sigmoid, {}, {image});
  memory("add", op_add, {}, {image, image});
  memory("mul per channel", op_mul, {}, {image, per_channel});
  memory("reduce_sum per channel", op_reduce_sum, AxesAttrs{0b1101, true}, {image});
  memory("batch_norm_train", op_batch_norm_train, ScalarAttrs{1e-5, 0}, {image, channel, channel});
  memory("batch_norm_train_grad", op_batch_norm_train_grad, ScalarAttrs{1e-5, 0},
         {image, channel, channel, channel, image});
  memory("max_pool2d 3x3 s2", op_max_pool2d, PoolAttrs{.kernel = {3, 3}, .stride = {2, 2}}, {image});
  memory("resize2d 64 -> 160", op_resize2d, ResizeAttrs{{160, 160}}, {{16, 3, 64, 64}});
  memory("prelu per channel", op_prelu, {}, {image, channel});
  memory("tanh", op_tanh, {}, {image});
  memory("erf", op_erf, {}, {image});
  memory("power 1.7", op_power, ScalarAttrs{1.7, 0}, {image});
  memory("concat channels", op_concat, AxisAttrs{1}, {image, image});
  memory("slice channels", op_slice, SliceAttrs{{0, 16, 0, 0}, {32, 32, 64, 64}}, {image});
  memory("pad by 1", op_pad, PadAttrs{{0, 0, 1, 1}, {0, 0, 1, 1}}, {image});
  memory("permute to channels last", op_permute, PermuteAttrs{{0, 2, 3, 1, 4}}, {image});
  memory("broadcast_to", op_broadcast_to, ShapeAttrs{image}, {per_channel});
  const Shape parameters{2097152};
  memory("adam_step", op_adam_step, {}, {parameters, parameters, parameters, parameters, {8}});
  // A batch of a classifier of 10,000 people.
  const Shape logits{64, 10000}, labels{64};
  const auto of_classes = [&](const char* name, const OpDef& op, Attrs attrs, std::vector<Shape> in) {
    memory(name, op, attrs, std::move(in));
    list.back().labels = true;
  };
  of_classes("softmax_cross_entropy", op_softmax_cross_entropy, {}, {logits, labels});
  of_classes("softmax_cross_entropy_grad", op_softmax_cross_entropy_grad, {}, {logits, labels, {1}});
  of_classes("arcface_margin", op_arcface_margin, ScalarAttrs{64, 0.5}, {logits, labels});
  of_classes("arcface_margin_grad", op_arcface_margin_grad, ScalarAttrs{64, 0.5}, {logits, labels, logits});
  return list;
}

}  // namespace

const std::vector<BenchCase>& bench_cases() {
  static const std::vector<BenchCase> list = make_cases();
  return list;
}

double flops_of(const OpCall& call) { return call.op->macs ? 2.0 * double(call.op->macs(call)) : 0; }

}  // namespace advf::tools
