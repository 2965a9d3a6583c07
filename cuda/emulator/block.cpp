// One kernel on the CPU: a fiber per thread of a block, blocks one after another. Between barriers threads
// are resumed in a random order, so that code that needs a barrier and has none gives another result. Every
// other block, by chance, is unfair: some warps run as far as they can while others have not begun. A barrier
// that some threads never reach ends the launch with a message.
#include <sanitizer/common_interface_defs.h>

#include <algorithm>
#include <boost/context/detail/fcontext.hpp>
#include <memory>
#include <string>
#include <vector>

#include "cuda/emulator/emulator.h"
#include "tensor/rng.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADVF_EMULATOR_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ADVF_EMULATOR_ASAN 1
#endif
#ifdef ADVF_EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#else
// Without the sanitizer a switch of stacks concerns nobody.
#define __sanitizer_start_switch_fiber(save, bottom, size) ((void)(save), (void)(bottom), (void)(size))
#define __sanitizer_finish_switch_fiber(fake, bottom, size) ((void)(fake), (void)(bottom), (void)(size))
#define __asan_unpoison_memory_region(p, size) ((void)(p), (void)(size))
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace advf::cuda::emulator {
namespace {

namespace context = boost::context::detail;

constexpr size_t kStackBytes = size_t(64) << 10;
constexpr unsigned kWarp = 32, kMaxThreads = 1024;

enum class State { ready, at_block_barrier, at_warp_barrier, done };

struct Fiber {
  uint3 index;
  unsigned number = 0;    // in the block, x fastest
  unsigned priority = 0;  // where the block is unfair: the highest that can run does
  State state = State::ready;
  unsigned mask = 0;  // of the warp barrier that it waits at
  alignas(16) unsigned char value[16] = {};
  context::fcontext_t where = nullptr;
  void* fake_stack = nullptr;
  std::unique_ptr<unsigned char[]> stack;
};

class BlockRunner {
 public:
  std::string run(const char* name, dim3 grid, dim3 block, const std::function<void()>& body, uint64_t seed) {
    name_ = name;
    body_ = &body;
    rng_ = Philox{seed, 0};
    drawn_ = 0;
    gridDim = grid;
    blockDim = block;
    const unsigned blocks = grid.x * grid.y * grid.z, threads = block.x * block.y * block.z;
    if (threads == 0 || threads > kMaxThreads) return "a block of " + std::to_string(threads) + " threads";
    while (fibers_.size() < threads) {
      fibers_.push_back(std::make_unique<Fiber>());
      fibers_.back()->stack.reset(new unsigned char[kStackBytes]);
    }
    const unsigned first = draw(blocks);
    for (unsigned i = 0; i < blocks; ++i) {
      const unsigned b = (i + first) % blocks;
      blockIdx = {b % grid.x, b / grid.x % grid.y, b / grid.x / grid.y};
      std::string error = run_block(threads);
      if (!error.empty()) return error;
    }
    return {};
  }

  void block_barrier() { yield(State::at_block_barrier); }

  void warp_barrier(unsigned mask) {
    current_->mask = mask;
    yield(State::at_warp_barrier);
  }

  // Two meetings: after the first all values are there, after the second all have been read.
  void exchange(unsigned mask, const void* mine, void* theirs, size_t size, int source) {
    Fiber* const me = current_;
    std::memcpy(me->value, mine, size);
    warp_barrier(mask);
    const unsigned other = me->number / kWarp * kWarp + unsigned(source);
    // A lane outside the mask or the block has no value to give.
    if ((mask >> source & 1u) && other < threads_)
      std::memcpy(theirs, fibers_[other]->value, size);
    else
      std::memset(theirs, 0xFF, size);
    warp_barrier(mask);
  }

  int lane() const { return int(current_->number % kWarp); }

 private:
  unsigned draw(unsigned n) { return n > 1 ? unsigned(rng_.below(drawn_++, n)) : 0; }

  std::string run_block(unsigned threads) {
    threads_ = threads;
    ready_.clear();
    unfair_ = draw(2) == 1;
    const unsigned turn = draw(threads), step = 2 * draw(kWarp / 2) + 1;
    for (unsigned t = 0; t < threads; ++t) {
      Fiber& f = *fibers_[t];
      f.number = t;
      f.index = {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
      // Warps in a random rotation; lanes of a warp in another order each time.
      f.priority = (t + turn) % threads / kWarp * kWarp + (t * step + turn) % kWarp;
      f.fake_stack = nullptr;
      __asan_unpoison_memory_region(f.stack.get(), kStackBytes);
      f.where = context::make_fcontext(f.stack.get() + kStackBytes, kStackBytes, &BlockRunner::enter);
      release(f);
    }
    unsigned done = 0, at_barrier = 0;
    while (!ready_.empty()) {
      if (unfair_)
        std::pop_heap(ready_.begin(), ready_.end(), behind);
      else
        std::swap(ready_[draw(unsigned(ready_.size()))], ready_.back());
      Fiber* const f = ready_.back();
      ready_.pop_back();
      resume(f);
      if (f->state == State::done) ++done;
      if (f->state == State::at_warp_barrier) release_warp(*f);
      if (f->state == State::at_block_barrier && ++at_barrier == threads) {
        at_barrier = 0;
        for (unsigned t = 0; t < threads; ++t) release(*fibers_[t]);
      }
    }
    return done == threads ? std::string() : stuck(done);
  }

  void release(Fiber& f) {
    f.state = State::ready;
    ready_.push_back(&f);
    if (unfair_) std::push_heap(ready_.begin(), ready_.end(), behind);
  }
  static bool behind(const Fiber* a, const Fiber* b) { return a->priority < b->priority; }

  // Lanes wait until all that the mask names have come with the same mask.
  void release_warp(const Fiber& last) {
    const unsigned first = last.number / kWarp * kWarp;
    for (unsigned l = 0; l < kWarp; ++l) {
      if (!(last.mask >> l & 1u)) continue;
      if (first + l >= threads_) return;
      const Fiber& f = *fibers_[first + l];
      if (f.state != State::at_warp_barrier || f.mask != last.mask) return;
    }
    for (unsigned l = 0; l < kWarp; ++l)
      if (last.mask >> l & 1u) release(*fibers_[first + l]);
  }

  std::string stuck(unsigned done) const {
    unsigned block = 0, warp = 0;
    for (unsigned t = 0; t < threads_; ++t) {
      block += fibers_[t]->state == State::at_block_barrier;
      warp += fibers_[t]->state == State::at_warp_barrier;
    }
    return std::string(name_) + ": of " + std::to_string(threads_) + " threads of a block " +
           std::to_string(block) + " wait at __syncthreads and " + std::to_string(warp) +
           " at a warp's barrier for others that never come; " + std::to_string(done) + " are done";
  }

  void resume(Fiber* f) {
    current_ = f;
    threadIdx = f->index;
    void* fake = nullptr;
    __sanitizer_start_switch_fiber(&fake, f->stack.get(), kStackBytes);
    f->where = context::jump_fcontext(f->where, this).fctx;
    __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
  }

  void yield(State state) {
    Fiber* const me = current_;
    me->state = state;
    // The last switch of a fiber gives its shadow stack back.
    __sanitizer_start_switch_fiber(state == State::done ? nullptr : &me->fake_stack, host_stack_, host_size_);
    scheduler_ = context::jump_fcontext(scheduler_, nullptr).fctx;
    finish_switch(me->fake_stack);
  }

  void finish_switch(void* fake) { __sanitizer_finish_switch_fiber(fake, &host_stack_, &host_size_); }

  static void enter(context::transfer_t from) {
    BlockRunner& runner = *static_cast<BlockRunner*>(from.data);
    runner.scheduler_ = from.fctx;
    runner.finish_switch(nullptr);
    (*runner.body_)();
    runner.yield(State::done);
  }

  const char* name_ = "";
  const std::function<void()>* body_ = nullptr;
  Philox rng_;
  uint64_t drawn_ = 0;
  unsigned threads_ = 0;
  bool unfair_ = false;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> ready_;
  Fiber* current_ = nullptr;
  context::fcontext_t scheduler_ = nullptr;
  const void* host_stack_ = nullptr;
  size_t host_size_ = 0;
};

// One for the process: kernels run one at a time, under the runtime's lock.
BlockRunner& runner() {
  static BlockRunner& instance = *new BlockRunner;
  return instance;
}

}  // namespace

std::string run_grid(const char* name, dim3 grid, dim3 block, const std::function<void()>& body,
                     uint64_t seed) {
  return runner().run(name, grid, block, body, seed);
}

void exchange(unsigned mask, const void* mine, void* theirs, size_t size, int source) {
  static_assert(sizeof(double) <= 16);
  runner().exchange(mask, mine, theirs, size, source);
}
int lane() { return runner().lane(); }

}  // namespace advf::cuda::emulator

void __syncthreads() { advf::cuda::emulator::runner().block_barrier(); }
void __syncwarp(unsigned mask) { advf::cuda::emulator::runner().warp_barrier(mask); }
