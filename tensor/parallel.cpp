// The pool: workers look for the next job for a few microseconds before they sleep, and a job never waits for
// a worker that has not joined it, so a short job costs no context switch and a busy machine delays nobody.
#include "tensor/parallel.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "tensor/check.h"

namespace advf {
namespace {

thread_local bool inside = false;
struct InsideScope {
  InsideScope() { inside = true; }
  ~InsideScope() { inside = false; }
};

constexpr auto kSpin = std::chrono::microseconds(40);

// Polls until ready() or until the time to spin is over.
template <class Ready>
bool spin_until(Ready ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
#if defined(__x86_64__)
      __builtin_ia32_pause();
#endif
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

class Pool {
 public:
  // Takes no lock: a body of parallel_for may ask.
  int size() const {
    const int n = size_;
    return n > 0 ? n : machine_threads();
  }

  void resize(int n) {
    std::lock_guard lock(run_mutex_);
    stop();
    size_ = n > 0 ? n : machine_threads();
  }

  void run(int64_t n, IndexFn call, const void* body) {
    if (n <= 0) return;
    if (inside || n == 1) {
      for (int64_t i = 0; i < n; ++i) call(body, i);
      return;
    }
    std::unique_lock lock(run_mutex_, std::try_to_lock);
    if (!lock.owns_lock()) {  // another thread has the workers: this one works alone, and waits for nobody
      InsideScope scope;
      for (int64_t i = 0; i < n; ++i) call(body, i);
      return;
    }
    ensure();
    if (size_ == 1) {
      InsideScope scope;
      for (int64_t i = 0; i < n; ++i) call(body, i);
      return;
    }
    call_ = call;
    body_ = body;
    n_ = n;
    next_.store(0, std::memory_order_relaxed);
    open_ = true;
    ++generation_;
    if (sleepers_ > 0) {
      std::lock_guard wake_lock(mutex_);
      wake_.notify_all();
    }
    work();
    // A worker counts itself in before it looks at open_, so one that found the job open is waited for here.
    open_ = false;
    if (!spin_until([this] { return active_ == 0; })) {
      std::unique_lock done_lock(mutex_);
      done_.wait(done_lock, [this] { return active_ == 0; });
    }
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  static int machine_threads() { return std::max(1, int(std::thread::hardware_concurrency())); }

  void ensure() {
    if (size_ == 0) size_ = machine_threads();
    while (int(workers_.size()) < size_ - 1) try {
        workers_.emplace_back([this, seen = generation_.load()] { loop(seen); });
      } catch (
          const std::system_error& e) {  // those that were made stay, and the next job asks for the others
        std::ostringstream text;
        text << "the system gives this process " << workers_.size() + 1 << " of the " << size_.load()
             << " threads that it computes with (" << e.code().message()
             << "); compute with fewer threads, or raise the limit of processes (ulimit -u) or of memory";
        throw OutOfThreads(text.str());
      }
  }

  void loop(uint64_t seen) {
    const auto called = [&] { return quit_ || generation_ != seen; };
    for (;;) {
      if (!spin_until(called)) {
        std::unique_lock lock(mutex_);
        ++sleepers_;
        wake_.wait(lock, called);
        --sleepers_;
      }
      if (quit_) return;
      seen = generation_;
      ++active_;
      if (open_) work();
      if (--active_ == 0) {
        std::lock_guard lock(mutex_);
        done_.notify_one();
      }
    }
  }

  void stop() {
    {
      std::lock_guard lock(mutex_);
      quit_ = true;
    }
    wake_.notify_all();
    for (std::thread& t : workers_) t.join();
    workers_.clear();
    quit_ = false;
  }

  void work() {
    InsideScope scope;
    for (int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < n_;) {
      try {
        call_(body_, i);
      } catch (...) {
        std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
        next_ = n_;
      }
    }
  }

  std::mutex run_mutex_, mutex_;  // one job at a time; sleeping, waking and the first error
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  std::atomic<int> size_{0};  // 0 until the first use
  IndexFn call_ = nullptr;
  const void* body_ = nullptr;
  int64_t n_ = 0;
  std::atomic<int64_t> next_{0};
  std::atomic<bool> open_{false}, quit_{false};
  std::atomic<int> active_{0}, sleepers_{0};
  std::atomic<uint64_t> generation_{0};
  std::exception_ptr error_;
};

// Never destroyed: whoever runs late, during exit, still finds it; the workers sleep and end with the
// process.
Pool& pool() {
  static Pool& instance = *new Pool;
  return instance;
}

}  // namespace

void set_num_threads(int n) {
  check(n >= 0 && n <= 1024, "the number of threads must be 0 (all) to 1024, not ", n);
  pool().resize(n);
}
int num_threads() { return pool().size(); }
void parallel_for(int64_t n, IndexFn call, const void* body) { pool().run(n, call, body); }

}  // namespace advf
