#include "advface/core/face_stream.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "tensor/io/image.h"
#include "tensor/io/input_file.h"

namespace advf {

// Reads files in order until so many bytes wait to be taken. It touches files alone: no tensor, no backend,
// no parallel_for.
class FaceStream::Reader {
 public:
  explicit Reader(std::vector<std::string> paths)
      : paths_(std::move(paths)), thread_([this] { read_all(); }) {}
  ~Reader() {
    {
      const std::lock_guard lock(mutex_);
      quit_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

  // The bytes of file i, each once, from any thread; waits for them. Throws what reading it threw.
  std::vector<std::byte> take(size_t i) {
    std::unique_lock lock(mutex_);
    // Whoever waits for a file must get it, whatever else waits to be taken.
    wanted_ = std::max(wanted_, i + 1);
    changed_.notify_all();
    changed_.wait(lock, [&] { return ready_.contains(i); });
    File file = std::move(ready_.at(i));
    ready_.erase(i);
    waiting_ -= file.bytes.size();
    lock.unlock();
    changed_.notify_all();
    if (file.error) std::rethrow_exception(file.error);
    return std::move(file.bytes);
  }

 private:
  struct File {
    std::vector<std::byte> bytes;
    std::exception_ptr error;
  };

  void read_all() {
    for (size_t i = 0; i < paths_.size(); ++i) {
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return quit_ || i < wanted_ || waiting_ < kReadAhead; });
        if (quit_) return;
      }
      File file;
      try {
        file.bytes = read_file(paths_[i], ImageLimits().max_file_bytes);
      } catch (...) {
        file.error = std::current_exception();
      }
      {
        const std::lock_guard lock(mutex_);
        waiting_ += file.bytes.size();
        ready_.emplace(i, std::move(file));
      }
      changed_.notify_all();
    }
  }

  std::vector<std::string> paths_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<size_t, File> ready_;
  size_t waiting_ = 0, wanted_ = 0;  // bytes; files up to here are waited for
  bool quit_ = false;
  std::thread thread_;  // the last, as it uses the others
};

FaceStream::FaceStream(FaceSource& source, std::vector<int64_t> indices, const FaceCut& cut, int size,
                       int64_t batch)
    : source_(source), indices_(std::move(indices)), cut_(cut), size_(size), batch_(batch) {
  check(batch >= 1, "a batch of ", batch, " pictures");
  std::vector<std::string> paths;
  for (const int64_t i : indices_) paths.push_back(source.path(i));
  reader_ = std::make_unique<Reader>(std::move(paths));
}

FaceStream::~FaceStream() = default;

FaceBatch FaceStream::next() {
  check(!done(), source_.folder(), ": there are no more pictures");
  const int64_t begin = next_, end = std::min(int64_t(indices_.size()), begin + batch_);
  next_ = end;
  return source_.load(std::span(indices_).subspan(size_t(begin), size_t(end - begin)), cut_, size_,
                      [&](size_t i) { return reader_->take(size_t(begin) + i); });
}

}  // namespace advf
