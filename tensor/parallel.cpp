#include "tensor/parallel.h"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "tensor/check.h"

namespace advf {
namespace {

thread_local bool inside = false;

class Pool {
 public:
  ~Pool() { resize(1); }

  int size() {
    std::lock_guard lock(run_mutex_);
    ensure();
    return size_;
  }

  void resize(int n) {
    std::lock_guard lock(run_mutex_);
    stop();
    size_ = n > 0 ? n : std::max(1, int(std::thread::hardware_concurrency()));
  }

  void run(int64_t n, const std::function<void(int64_t)>& body) {
    if (n <= 0) return;
    if (inside || n == 1) {
      for (int64_t i = 0; i < n; ++i) body(i);
      return;
    }
    std::lock_guard lock(run_mutex_);
    ensure();
    if (size_ == 1) {
      inside = true;
      struct Reset {
        ~Reset() { inside = false; }
      } reset;
      for (int64_t i = 0; i < n; ++i) body(i);
      return;
    }
    {
      std::lock_guard job_lock(mutex_);
      body_ = &body;
      n_ = n;
      next_ = 0;
      error_ = nullptr;
      busy_ = int(workers_.size());
      ++generation_;
    }
    wake_.notify_all();
    work();
    std::unique_lock job_lock(mutex_);
    done_.wait(job_lock, [this] { return busy_ == 0; });
    body_ = nullptr;
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  void ensure() {
    if (size_ == 0) size_ = std::max(1, int(std::thread::hardware_concurrency()));
    while (int(workers_.size()) < size_ - 1)
      workers_.emplace_back([this, seen = generation_]() mutable {
        for (;;) {
          {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [&] { return quit_ || generation_ != seen; });
            if (quit_) return;
            seen = generation_;
          }
          work();
          std::lock_guard lock(mutex_);
          if (--busy_ == 0) done_.notify_one();
        }
      });
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
    inside = true;
    for (int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < n_;) {
      try {
        (*body_)(i);
      } catch (...) {
        std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
        next_ = n_;
      }
    }
    inside = false;
  }

  std::mutex run_mutex_, mutex_;
  std::condition_variable wake_, done_;
  std::vector<std::thread> workers_;
  int size_ = 0;
  const std::function<void(int64_t)>* body_ = nullptr;
  int64_t n_ = 0;
  std::atomic<int64_t> next_{0};
  int busy_ = 0;
  uint64_t generation_ = 0;
  bool quit_ = false;
  std::exception_ptr error_;
};

Pool& pool() {
  static Pool p;
  return p;
}

}  // namespace

void set_num_threads(int n) {
  check(n >= 0 && n <= 1024, "the number of threads must be 0 (all) to 1024, not ", n);
  pool().resize(n);
}
int num_threads() { return pool().size(); }
void parallel_for(int64_t n, const std::function<void(int64_t)>& body) { pool().run(n, body); }

}  // namespace advf
