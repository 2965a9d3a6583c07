#include "tensor/io/atomic_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <utility>

#include "tensor/check.h"
#include "tensor/io/path_reason.h"
#include "tensor/io/process.h"

namespace advf {
namespace {

std::string temporary_of(const std::string& target) { return target + ".tmp-"; }

}  // namespace

std::string temporary_name(const std::string& path) {
  return temporary_of(path) + std::to_string(::getpid());
}

void remove_stale_temporaries(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path begin(temporary_of(path));
  std::error_code none;
  const fs::path folder = begin.has_parent_path() ? begin.parent_path() : fs::path(".");
  for (const auto& entry : fs::directory_iterator(folder, none)) {
    const std::string name = entry.path().filename().string(), prefix = begin.filename().string();
    if (!name.starts_with(prefix)) continue;
    pid_t process = 0;
    const char* end = name.data() + name.size();
    const auto [at, error] = std::from_chars(name.data() + prefix.size(), end, process);
    if (error != std::errc() || (at != end && *at != '-') || process <= 0) continue;
    if (!is_running(process)) fs::remove(entry.path(), none);
  }
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)), target_(path_) {
  // A rename would replace a link by the file.
  std::error_code dangling;
  if (std::filesystem::is_symlink(path_, dangling))
    if (const auto real = std::filesystem::canonical(path_, dangling); !dangling) target_ = real.string();
  struct stat info {};
  const bool exists = ::stat(path_.c_str(), &info) == 0;
  if (exists && S_ISDIR(info.st_mode)) fail(path_, ": cannot be written: is a folder");
  if (!exists || S_ISREG(info.st_mode)) temporary_ = temporary_name(target_);
  file_ = std::fopen((temporary_.empty() ? target_ : temporary_).c_str(), "wb");
  if (!file_) fail(path_, ": cannot be written: ", path_reason(errno, path_));
}

AtomicFile::~AtomicFile() {
  if (file_) std::fclose(file_);
  if (!temporary_.empty() && !committed_) std::remove(temporary_.c_str());
}

void AtomicFile::fail_errno(const char* what) {
  fail(path_, ": ", what, ": ", std::strerror(errno), "; it was not written");
}

void AtomicFile::write(const void* data, size_t bytes) {
  if (bytes && std::fwrite(data, 1, bytes, file_) != bytes) fail_errno("writing failed");
}

void AtomicFile::rewrite(size_t offset, std::string_view bytes) {
  if (std::fseek(file_, long(offset), SEEK_SET) != 0) fail_errno("seeking failed");
  write(bytes);
  if (std::fseek(file_, 0, SEEK_END) != 0) fail_errno("seeking failed");
}

bool AtomicFile::can_rewrite() const { return ::lseek(::fileno(file_), 0, SEEK_CUR) >= 0; }

void AtomicFile::finish() {
  if (!file_) return;
  if (std::fflush(file_) != 0) fail_errno("writing failed");
  if (!temporary_.empty() && ::fsync(::fileno(file_)) != 0) fail_errno("writing failed");
  if (std::fclose(std::exchange(file_, nullptr)) != 0) fail_errno("writing failed");
}

void AtomicFile::commit() {
  finish();
  if (committed_) return;
  if (!temporary_.empty() && std::rename(temporary_.c_str(), target_.c_str()) != 0)
    fail_errno("writing failed");
  committed_ = true;
}

}  // namespace advf
