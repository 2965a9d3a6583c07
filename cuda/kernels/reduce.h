// Sums without atomics: the same bits in every run. Values are f32, sums f64. A block's sum (block_sums)
// serves the kernels that work row by row; launch_sums serves few long rows, in two steps: parts of rows,
// then their sum in order.
#pragma once
#include <cstdint>

#include "cuda/launch.h"

namespace advf::cuda {

template <int K>
struct Sums {
  double v[K];
};

// The sum over the threads of a block, in every thread. Blocks are whole warps, at most 1024 threads.
template <int K>
__device__ inline Sums<K> block_sums(Sums<K> s) {
  __shared__ double parts[K][32];
  for (int k = 0; k < K; ++k)
    for (int d = 16; d > 0; d /= 2) s.v[k] += __shfl_xor_sync(0xFFFFFFFFu, s.v[k], d);
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, warps = int(blockDim.x) / 32;
  __syncthreads();  // of an earlier call, all have read
  if (lane == 0)
    for (int k = 0; k < K; ++k) parts[k][warp] = s.v[k];
  __syncthreads();
  for (int k = 0; k < K; ++k) {
    s.v[k] = 0;
    for (int w = 0; w < warps; ++w) s.v[k] += parts[k][w];
  }
  return s;
}

__device__ inline float block_max(float x) {
  __shared__ float parts[32];
  for (int d = 16; d > 0; d /= 2) x = fmaxf(x, __shfl_xor_sync(0xFFFFFFFFu, x, d));
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, warps = int(blockDim.x) / 32;
  __syncthreads();
  if (lane == 0) parts[warp] = x;
  __syncthreads();
  x = parts[0];
  for (int w = 1; w < warps; ++w) x = fmaxf(x, parts[w]);
  return x;
}

// `rows` sums over `count` values each; a row is cut into `parts` so that the device is busy.
struct SumPlan {
  int64_t rows, count, parts;
  size_t scratch_bytes(int k) const { return size_t(rows * parts * k) * sizeof(double); }
};
inline SumPlan plan_sums(int64_t rows, int64_t count) {
  constexpr int64_t kBusy = 1024, kLeast = 2048;  // blocks; values of a part
  const int64_t wanted = rows > 0 ? (kBusy + rows - 1) / rows : 1, able = (count + kLeast - 1) / kLeast;
  return {rows, count, std::max<int64_t>(1, std::min(wanted, able))};
}

// partial[row, part] = sum of value(row, i) over the part's i
template <int K, class Value>
__global__ void sum_parts_kernel(Value value, SumPlan plan, Sums<K>* partial) {
  const int64_t size = (plan.count + plan.parts - 1) / plan.parts;
  for (int64_t b = blockIdx.x; b < plan.rows * plan.parts; b += gridDim.x) {
    const int64_t row = b / plan.parts, begin = b % plan.parts * size;
    const int64_t end = begin + size < plan.count ? begin + size : plan.count;
    Sums<K> s{};
    for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
      const Sums<K> x = value(row, i);
      for (int k = 0; k < K; ++k) s.v[k] += x.v[k];
    }
    s = block_sums(s);
    if (threadIdx.x == 0) partial[b] = s;
  }
}

// A sum per row where neighbouring rows lie side by side in memory (a batch summed up): a thread per row, so
// that a warp reads neighbours; part p takes every parts-th value.
template <int K, class Value>
__global__ void sum_columns_kernel(Value value, SumPlan plan, Sums<K>* partial) {
  const int64_t n = plan.rows * plan.parts;
  for (int64_t t = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; t < n;
       t += int64_t(gridDim.x) * blockDim.x) {
    const int64_t row = t % plan.rows, part = t / plan.rows;
    Sums<K> s{};
    for (int64_t i = part; i < plan.count; i += plan.parts) {
      const Sums<K> x = value(row, i);
      for (int k = 0; k < K; ++k) s.v[k] += x.v[k];
    }
    partial[row * plan.parts + part] = s;
  }
}

// store(row, sums)
template <int K, class Store>
__global__ void sum_finish_kernel(Store store, SumPlan plan, const Sums<K>* partial) {
  for (int64_t row = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; row < plan.rows;
       row += int64_t(gridDim.x) * blockDim.x) {
    Sums<K> s{};
    for (int64_t p = 0; p < plan.parts; ++p)
      for (int k = 0; k < K; ++k) s.v[k] += partial[row * plan.parts + p].v[k];
    store(row, s);
  }
}

template <int K, class Store>
void launch_sum_finish(const SumPlan& plan, const Store& store, const Sums<K>* partial, cudaStream_t stream) {
  launch("sum_finish_kernel", sum_finish_kernel<K, Store>, grid_for(plan.rows), stream, store, plan, partial);
}

// `scratch` holds plan.scratch_bytes(K).
template <int K, class Value, class Store>
void launch_sums(const SumPlan& plan, const Value& value, const Store& store, void* scratch,
                 cudaStream_t stream, bool columns = false) {
  auto* partial = static_cast<Sums<K>*>(scratch);
  if (columns)
    launch("sum_columns_kernel", sum_columns_kernel<K, Value>, grid_for(plan.rows * plan.parts), stream,
           value, plan, partial);
  else
    launch("sum_parts_kernel", sum_parts_kernel<K, Value>, grid_of_blocks(plan.rows * plan.parts), stream,
           value, plan, partial);
  launch_sum_finish<K>(plan, store, partial, stream);
}

}  // namespace advf::cuda
