// The emulator finds what it is for: planted mistakes in kernels, in the order of streams and in what a graph
// may hold.
#define BOOST_TEST_MODULE cuda_emulator
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <numeric>

#include "advface/protections/ascent/ascent.h"
#include "autograd/plan.h"
#include "cuda/context.h"
#include "cuda/cuda_backend.h"
#include "cuda/emulator/emulator.h"
#include "cuda/launch.h"
#include "cuda/replay.h"
#include "nn/freeze.h"
#include "nn/nets/decoders.h"
#include "protection_test_util.h"
#include "tensor/ops.h"
#include "test_util.h"

using namespace advf;
using advf::test::protect;
namespace emulator = advf::cuda::emulator;

namespace {

constexpr int kThreads = 64;

// ---- kernels, right and wrong

__global__ void fill_kernel(float* y, int n, int beyond) {
  for (int i = int(threadIdx.x); i < n + beyond; i += int(blockDim.x)) y[i] = float(i);
}

__global__ void reverse_kernel(const float* x, float* y, bool barrier) {
  __shared__ float values[kThreads];
  values[threadIdx.x] = x[threadIdx.x];
  if (barrier) __syncthreads();
  y[threadIdx.x] = values[kThreads - 1 - threadIdx.x];
}

__global__ void beyond_shared_kernel(float* y, int at) {
  __shared__ float values[kThreads];
  float* const first = values;  // an index into the array itself the compiler would see
  first[at + int(threadIdx.x)] = 1;
  __syncthreads();
  y[threadIdx.x] = values[threadIdx.x];
}

// Sums 32 values; half = 16 is right.
__global__ void warp_sum_kernel(const float* x, float* y, int half) {
  float v = x[threadIdx.x];
  for (int d = half; d > 0; d /= 2) v += __shfl_xor_sync(0xFFFFFFFFu, v, d);
  y[threadIdx.x] = v;
}

// The second half of the warp never comes.
__global__ void divergent_shuffle_kernel(float* y) {
  float v = 1;
  if (threadIdx.x < 16) v += __shfl_xor_sync(0xFFFFFFFFu, v, 1);
  y[threadIdx.x] = v;
}

__global__ void divergent_barrier_kernel(float* y) {
  if (threadIdx.x > 0) __syncthreads();
  y[threadIdx.x] = 1;
}

__global__ void shift_kernel(float* y, int n) {
  for (int i = int(threadIdx.x); i < n; i += int(blockDim.x)) y[i] += 1;
}

// ---- device memory of a test

class Block {
 public:
  explicit Block(int n) : n_(n) {
    cuda::check_cuda(cudaMallocAsync(&p_, size_t(n) * sizeof(float), cuda::context().stream), "allocating");
  }
  explicit Block(const std::vector<float>& v) : Block(int(v.size())) {
    cudaMemcpyAsync(p_, v.data(), v.size() * sizeof(float), cudaMemcpyHostToDevice, cuda::context().stream);
  }
  ~Block() { cudaFreeAsync(p_, cuda::context().stream); }
  Block(const Block&) = delete;
  float* data() const { return static_cast<float*>(p_); }
  std::vector<float> read() const {
    std::vector<float> v(static_cast<size_t>(n_));
    cuda::check_cuda(cudaMemcpyAsync(v.data(), p_, v.size() * sizeof(float), cudaMemcpyDeviceToHost,
                                     cuda::context().stream),
                     "reading");
    return v;
  }

 private:
  void* p_ = nullptr;
  int n_;
};

std::vector<float> counted(int n) {
  std::vector<float> v(static_cast<size_t>(n));
  std::iota(v.begin(), v.end(), 1.0f);
  return v;
}

cudaStream_t stream() { return cuda::context().stream; }

struct Death {
  bool died = false;
  std::string said;
};
// Runs f in a process of its own.
template <class F>
Death in_child(const F& f) {
  int ends[2];
  BOOST_REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 2);
    close(ends[0]);
    f();
    _exit(0);
  }
  close(ends[1]);
  Death death;
  std::array<char, 4096> part;
  for (ssize_t n; (n = read(ends[0], part.data(), part.size())) > 0;)
    death.said.append(part.data(), size_t(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  death.died = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  return death;
}

// How many of 20 orders of the threads give the right answer.
template <class Run>
int right_in_twenty(const Run& run) {
  int right = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    emulator::set_seed(seed);
    right += run();
  }
  return right;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_write_past_the_end_is_reported_with_the_kernel) {
  const auto run = [](int beyond) {
    const Block y(100);
    cuda::launch("fill_kernel", fill_kernel, {1, kThreads}, stream(), y.data(), 100, beyond);
    y.read();
  };
  BOOST_TEST(!in_child([&] { run(0); }).died);
  const Death death = in_child([&] { run(1); });
  BOOST_TEST(death.died);
  BOOST_TEST(death.said.find("heap-buffer-overflow") != std::string::npos, death.said);
  BOOST_TEST(death.said.find("fill_kernel") != std::string::npos, death.said);
}

BOOST_AUTO_TEST_CASE(a_write_past_shared_memory_is_reported) {
  const auto run = [](int at) {
    const Block y(kThreads);
    cuda::launch("beyond_shared_kernel", beyond_shared_kernel, {1, kThreads}, stream(), y.data(), at);
    y.read();
  };
  BOOST_TEST(!in_child([&] { run(0); }).died);
  const Death death = in_child([&] { run(1); });
  BOOST_TEST(death.died);
  BOOST_TEST(death.said.find("global-buffer-overflow") != std::string::npos, death.said);
}

BOOST_AUTO_TEST_CASE(memory_that_was_freed_is_reported) {
  const Death death = in_child([&] {
    float* gone = nullptr;
    {
      const Block y(100);
      gone = y.data();
    }
    cuda::launch("fill_kernel", fill_kernel, {1, kThreads}, stream(), gone, 100, 0);
    cudaStreamSynchronize(stream());
  });
  BOOST_TEST(death.said.find("heap-use-after-free") != std::string::npos, death.said);
}

BOOST_AUTO_TEST_CASE(a_missing_barrier_gives_other_results) {
  const Block x(counted(kThreads)), y(kThreads);
  std::vector<float> expected = counted(kThreads);
  std::reverse(expected.begin(), expected.end());
  const auto run = [&](bool barrier) {
    return right_in_twenty([&] {
      cuda::launch("reverse_kernel", reverse_kernel, {1, kThreads}, stream(), x.data(), y.data(), barrier);
      return y.read() == expected;
    });
  };
  BOOST_TEST(run(true) == 20);
  // The shared memory still holds the right values of the run before: others go first.
  const Block other(std::vector<float>(kThreads, -1));
  const int right = right_in_twenty([&] {
    cuda::launch("reverse_kernel", reverse_kernel, {1, kThreads}, stream(), other.data(), y.data(), true);
    cuda::launch("reverse_kernel", reverse_kernel, {1, kThreads}, stream(), x.data(), y.data(), false);
    return y.read() == expected;
  });
  BOOST_TEST(right == 0);
}

BOOST_AUTO_TEST_CASE(a_wrong_shuffle_gives_a_wrong_sum) {
  const Block x(counted(32)), y(32);
  const auto sums = [&](int half) {
    cuda::launch("warp_sum_kernel", warp_sum_kernel, {1, 32}, stream(), x.data(), y.data(), half);
    return y.read();
  };
  BOOST_TEST((sums(16) == std::vector<float>(32, 32 * 33 / 2)));
  BOOST_TEST((sums(8) != std::vector<float>(32, 32 * 33 / 2)));
}

// A kernel's error is for ever, so each has a process.
BOOST_AUTO_TEST_CASE(threads_that_never_come_end_the_launch) {
  const auto run = [](void (*kernel)(float*), const char* name) {
    return in_child([=] {
      try {
        const Block y(32);
        cuda::launch(name, kernel, {1, 32}, stream(), y.data());
        y.read();
      } catch (const Error& e) {
        dprintf(2, "Error: %s\n", e.what());
        _exit(3);
      }
    });
  };
  const Death shuffle = run(divergent_shuffle_kernel, "divergent_shuffle_kernel");
  BOOST_TEST(shuffle.died);
  BOOST_TEST(shuffle.said.find("16 at a warp's barrier") != std::string::npos, shuffle.said);
  const Death barrier = run(divergent_barrier_kernel, "divergent_barrier_kernel");
  BOOST_TEST(barrier.died);
  BOOST_TEST(barrier.said.find("31 wait at __syncthreads") != std::string::npos, barrier.said);
  BOOST_TEST(barrier.said.find("Error: cuda: reading: unspecified launch failure") != std::string::npos,
             barrier.said);
  BOOST_TEST(barrier.said.find("divergent_barrier_kernel") != std::string::npos, barrier.said);
}

BOOST_AUTO_TEST_CASE(a_missing_event_gives_other_results) {
  cuda::Handle<cudaStream_t, cudaStreamDestroy> side;
  cuda::Handle<cudaEvent_t, cudaEventDestroy> filled;
  BOOST_REQUIRE(cudaStreamCreateWithFlags(side.put(), cudaStreamNonBlocking) == cudaSuccess);
  BOOST_REQUIRE(cudaEventCreateWithFlags(filled.put(), cudaEventDisableTiming) == cudaSuccess);
  const auto run = [&](bool wait) {
    return right_in_twenty([&] {
      const Block y(std::vector<float>(8, -5));
      cudaStreamSynchronize(stream());
      cuda::launch("fill_kernel", fill_kernel, {1, 8}, side.get(), y.data(), 8, 0);
      cudaEventRecord(filled.get(), side.get());
      if (wait) cudaStreamWaitEvent(stream(), filled.get());
      cuda::launch("shift_kernel", shift_kernel, {1, 8}, stream(), y.data(), 8);
      cudaStreamSynchronize(side.get());
      return y.read() == counted(8);
    });
  };
  BOOST_TEST(run(true) == 20);
  BOOST_TEST(run(false) < 20);
}

BOOST_AUTO_TEST_CASE(a_graph_holds_neither_allocations_nor_waits) {
  const Block y(std::vector<float>(8, 0));
  const auto graph = cuda::record_graph([&] {
    cuda::launch("shift_kernel", shift_kernel, {1, 8}, stream(), y.data(), 8);
  });
  BOOST_TEST((y.read() == std::vector<float>(8, 0)));  // recorded, not run
  graph->run(3);
  BOOST_TEST((y.read() == std::vector<float>(8, 3)));
  BOOST_CHECK_THROW(cuda::record_graph([] { Block inside(8); }), Error);
  BOOST_CHECK_THROW(cuda::record_graph([] { cuda::synchronise(); }), Error);
  BOOST_CHECK_THROW(cuda::record_graph([&] { y.read(); }), Error);
  graph->run(1);  // the stream is not left in capture
  BOOST_TEST((y.read() == std::vector<float>(8, 4)));
}

BOOST_AUTO_TEST_CASE(nothing_is_launched_for_nothing) {
  const auto before = emulator::launches();
  cuda::launch("shift_kernel", shift_kernel, cuda::grid_for(0), stream(), static_cast<float*>(nullptr), 0);
  cudaStreamSynchronize(stream());
  BOOST_TEST((emulator::launches() == before));
}

// ---- the loop, and bad states

namespace {

DecoderInfo toy_info() {
  DecoderInfo info;
  info.spec = {"deconv", {12}, 32, 16};
  info.cut = "embedding";
  info.recogniser = "0123456789abcdef";
  info.domain = FeatureDomain::sphere;
  return info;
}
Tensor toy_features(int64_t n) {
  const BackendScope host(host_backend());
  return l2_normalise(test::randn({n, 12}, 5, DType::f32));
}

// What f throws.
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

// Another machine for a while.
struct MachineScope {
  emulator::Machine before = emulator::machine();
  ~MachineScope() { emulator::machine() = before; }
};

}  // namespace

BOOST_AUTO_TEST_CASE(nothing_but_graphs_between_iterations) {
  register_cuda_backend();
  const BackendScope device(backend("cuda"));
  Decoder shadow(toy_info(), 2);
  shadow.train(false);
  Tape tape(Tape::Keep::everything);
  const Tensor z = Tensor::meta({4, 12}), delta = Tensor::meta({4, 12});
  Tensor next;
  {
    const MetaScope meta;
    const TapeScope scope(tape);
    const Tensor image = shadow.forward(l2_normalise(add(z, delta)));
    tape = fold_batch_norm(tape, std::span(&image, 1));
    next = pgd_step(delta, backward(tape, sum_all(power(image, 2)), {delta}, true)[0], 0.01, 0.02);
  }
  const Tensor in[] = {z, delta};
  const Carry round{delta, next};
  PlanState state(compile(tape, in, std::span(&next, 1), std::span(&round, 1)));
  state.set(0, toy_features(4));
  state.set(1, affine(toy_features(4).to(backend("cuda")), 0.01, 0));
  state.run(2);  // warms up, and records
  const auto counts = [] {
    return std::array{emulator::allocations(), emulator::host_waits(), emulator::host_copies()};
  };
  const auto before = counts();
  const int64_t graphs = emulator::graph_launches();
  state.run(10);
  BOOST_TEST(emulator::graph_launches() == graphs + 10);
  BOOST_TEST((counts() == before));
}

// Momentum, step, projection, the way back through the normalisation and the next feature: one launch for
// each step of the ascent, one for loss and gradient, one that notes the losses. Nothing is copied on its way
// to the next iteration.
BOOST_AUTO_TEST_CASE(a_step_of_the_ascent_is_one_launch) {
  register_cuda_backend();
  const BackendScope device(backend("cuda"));
  Decoder shadow(toy_info(), 2);
  const Tensor features = toy_features(4);
  const auto count = [](const char* kernel) {
    const auto found = emulator::launches().find(kernel);
    return found == emulator::launches().end() ? 0 : found->second;
  };
  const auto launched = [&](int steps) {
    AscentSettings settings{.epsilon = 0.05, .steps = steps, .step_size = 0.01};
    settings.method = Method::mi_fgsm;
    const auto now = [&] {
      return std::array{
          count("image_loss_kernel"),   count("ascent_step_kernel"),       count("trace_step_kernel"),
          count("l2_normalise_kernel"), count("l2_normalise_grad_kernel"), count("broadcast_kernel"),
          count("copy_kernel")};
    };
    auto before = now();
    const ProtectedRows p = protect(shadow, features, 0, settings);
    BOOST_TEST(p.reports[0].losses.size() == size_t(steps) + 1);
    auto after = now();
    for (size_t k = 0; k < after.size(); ++k) after[k] -= before[k];
    return after;
  };
  const auto few = launched(3), many = launched(11);
  for (size_t k = 0; k < few.size(); ++k) BOOST_TEST(many[k] - few[k] == (k < 3 ? 8 : 0));
}

// The start of the next batch goes to the device before the results of this one are waited for.
BOOST_AUTO_TEST_CASE(protection_is_the_same_in_any_order_of_streams) {
  register_cuda_backend();
  const BackendScope device(backend("cuda"));
  AscentSettings settings{.epsilon = 0.05, .steps = 3};
  Decoder shadow(toy_info(), 2);
  const Tensor features = toy_features(7);
  std::vector<float> first;
  for (uint64_t seed : {1, 2, 3}) {
    emulator::set_seed(seed);
    const auto values = protect(shadow, features, 0, settings).features.to_vector<float>();
    if (first.empty()) first = values;
    BOOST_TEST((values == first));
  }
}

BOOST_AUTO_TEST_CASE(too_little_memory_halves_the_batch) {
  register_cuda_backend();
  const BackendScope device(backend("cuda"));
  AscentSettings settings{.epsilon = 0.05, .steps = 2};
  Decoder shadow(toy_info(), 2);
  const Tensor features = toy_features(16);
  const auto expected = protect(shadow, features, 0, settings).features.to_vector<float>();
  cudaStreamSynchronize(stream());
  const MachineScope machine;
  Ascent protector(shadow, settings);
  const size_t used = emulator::memory_in_use();
  emulator::machine().memory = used + (size_t(5) << 20);
  const auto halved = protector.protect(features, 0).features.to_vector<float>();
  BOOST_TEST((halved == expected));
  // Not even one.
  Ascent none(shadow, settings);
  emulator::machine().memory = emulator::memory_in_use() + 1000;
  const std::string why = error_of([&] { none.protect(features, 0); });
  BOOST_TEST(why.find("out of memory") != std::string::npos, why);
  BOOST_TEST(why.find("MiB were asked for") != std::string::npos, why);
}

BOOST_AUTO_TEST_CASE(a_machine_without_a_device_is_named) {
  const MachineScope machine;
  emulator::machine().devices = 0;
  BOOST_TEST(cuda_unusable() == "no CUDA device on this machine; use --device cpu");
  emulator::machine().devices = 1;
  emulator::machine().driver_version = 12020;
  BOOST_TEST(
      cuda_unusable() ==
      "the driver supports CUDA 12.2, but this build needs 13.0; update the driver, or use --device cpu");
  emulator::machine().driver_version = 0;
  BOOST_TEST(cuda_unusable() == "no NVIDIA driver on this machine; use --device cpu");
}
