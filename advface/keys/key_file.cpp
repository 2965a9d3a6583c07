// The file of a key: five lines of fixed length, so that a damaged one is told by its size.
//   advface-key-1
//   id 0123456789abcdef
//   date 2025-01-31T12:00:00Z
//   key <64 hexadecimal digits>
//   check <32 hexadecimal digits>
#include <fcntl.h>
#include <poll.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "advface/core/utc_time.h"
#include "advface/keys/key.h"
#include "tensor/check.h"
#include "tensor/io/atomic_file.h"

namespace advf {
namespace {

constexpr std::string_view kFormat = "advface-key-", kVersion = "1", kId = "id ", kDate = "date ",
                           kSecret = "key ", kCheck = "check ";
constexpr size_t kIdLetters = 16, kDateLetters = 20, kCheckLetters = 32, kSecretLetters = 2 * Key::kBytes;
constexpr size_t kLines = 5;
constexpr size_t kSize = kFormat.size() + kVersion.size() + kId.size() + kIdLetters + kDate.size() +
                         kDateLetters + kSecret.size() + kSecretLetters + kCheck.size() + kCheckLetters +
                         kLines;
constexpr size_t kMostRead = 4096;

[[noreturn]] void fail_errno(const std::string& path) { fail(path, ": ", std::strerror(errno)); }

// An open file, closed at the end.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : Descriptor(path, flags, 0, path) {}
  // called: as what messages name it, where its own name says nothing to anybody.
  Descriptor(const std::string& path, int flags, mode_t mode, const std::string& called)
      : number_(open(path.c_str(), flags | O_CLOEXEC, mode)) {
    if (number_ < 0) fail_errno(called);
  }
  ~Descriptor() { close(number_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

// Returns when there is something to read, the end, or an error that read() will tell; throws Interrupted
// where stop() says so before.
void wait_for(int descriptor, const std::function<bool()>& stop) {
  constexpr int kBetween = 20;  // ms
  pollfd file{descriptor, POLLIN, 0};
  for (;;) {
    const int ready = poll(&file, 1, stop ? kBetween : -1);
    if (ready > 0 || (ready < 0 && errno != EINTR && errno != EAGAIN)) return;
    if (stop && stop()) throw Interrupted();
  }
}

size_t read_all(int descriptor, std::span<std::byte> out, const std::string& source,
                const std::function<bool()>& stop = {}) {
  size_t got = 0;
  while (got < out.size()) {
    wait_for(descriptor, stop);
    const ssize_t n = read(descriptor, out.data() + got, out.size() - got);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n < 0) fail_errno(source);
    if (n == 0) break;
    got += size_t(n);
  }
  return got;
}

void write_all(int descriptor, std::span<const std::byte> bytes, const std::string& path) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = write(descriptor, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno(path);
    done += size_t(n);
  }
  if (fsync(descriptor) != 0) fail_errno(path);
}

void check_private(int descriptor, const std::string& source) {
  struct stat is {};
  if (fstat(descriptor, &is) != 0) fail_errno(source);
  if (!S_ISREG(is.st_mode)) return;
  char mode[8];
  std::snprintf(mode, sizeof mode, "%03o", unsigned(is.st_mode & 0777));
  check((is.st_mode & 077) == 0, source, ": others than its owner may use this key (mode ", mode,
        "); 'chmod 600' it, and think about a new key");
}

// Line by line; what is not secret comes out as text.
class Reader {
 public:
  Reader(std::string_view text, const std::string& source) : rest_(text), source_(source) {}
  std::string_view line(std::string_view name, size_t letters) {
    const size_t size = name.size() + letters;
    check(rest_.size() > size && rest_.starts_with(name) && rest_[size] == '\n', source_,
          ": a damaged key file (no proper line \"", name, "...\")");
    const std::string_view value = rest_.substr(name.size(), letters);
    rest_.remove_prefix(size + 1);
    return value;
  }

 private:
  std::string_view rest_;
  const std::string& source_;
};

}  // namespace

Key parse_key(std::span<const std::byte> bytes, const std::string& source) {
  const std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  check(text.starts_with(kFormat), source, ": is no key file; advface-key new makes one");
  check(text.find('\r') == std::string_view::npos, source,
        ": a damaged key file: its lines end as on Windows (CR LF); take away the carriage returns (tr -d "
        "'\\r')");
  const std::string_view version = text.substr(kFormat.size(), text.find('\n') - kFormat.size());
  check(version == kVersion, source, ": a key file of version ", version.substr(0, 16),
        "; this program reads ", kVersion);
  check(text.size() == kSize, source, ": a damaged key file: it has ", text.size(), " bytes, not ", kSize);
  Reader lines(text, source);
  lines.line(kFormat, kVersion.size());
  KeyInfo info;
  info.id = lines.line(kId, kIdLetters);
  info.date = lines.line(kDate, kDateLetters);
  const std::string_view secret = lines.line(kSecret, kSecretLetters);
  info.check = lines.line(kCheck, kCheckLetters);
  SecretBytes key(Key::kBytes);
  size_t read = 0;
  check(sodium_hex2bin(reinterpret_cast<unsigned char*>(key.data()), key.size(), secret.data(), secret.size(),
                       nullptr, &read, nullptr) == 0 &&
            read == key.size(),
        source, ": a damaged key file (the key is not of hexadecimal digits)");
  check(is_utc_time(info.date), source, ": a damaged key file (no proper date)");
  check(info.id.find_first_not_of("0123456789abcdef") == std::string::npos, source,
        ": a damaged key file (no proper id)");
  const std::string stated = info.check;
  Key made(std::move(key), std::move(info));
  check(sodium_memcmp(made.info_.check.data(), stated.data(), stated.size()) == 0, source,
        ": a damaged key file: its key and its check value do not go together");
  return made;
}

namespace {

Key read_key(int descriptor, const std::string& source, const std::function<bool()>& stop = {}) {
  check_private(descriptor, source);
  SecretBytes text(kMostRead);
  const size_t size = read_all(descriptor, text.bytes(), source, stop);
  return parse_key(std::as_const(text).bytes().first(size), source);
}

}  // namespace

Key Key::read(const std::string& path) {
  const Descriptor file(path, O_RDONLY | O_NONBLOCK);  // without waiting for the other end of a pipe
  struct stat is {};
  if (fstat(file.number(), &is) != 0) fail_errno(path);
  check(S_ISREG(is.st_mode), path,
        ": is no regular file, and nothing else is read as a key; one that comes over a pipe is named by its "
        "descriptor (--key-fd)");
  return read_key(file.number(), path);
}

Key Key::read_or_wait(const std::string& path, const std::function<bool()>& stop) {
  // Of a pipe with a name: not until somebody opens its other end, which read_all() waits for.
  const Descriptor file(path, O_RDONLY | O_NONBLOCK);
  return read_key(file.number(), path, stop);
}

Key Key::read_from(int descriptor, const std::function<bool()>& stop) {
  return read_key(descriptor, "descriptor " + std::to_string(descriptor), stop);
}

void Key::write_new(const std::string& path) const {
  SecretBytes text(kSize + 1);  // and the zero that sodium_bin2hex ends with
  char* out = reinterpret_cast<char*>(text.data());
  const auto put = [&](std::string_view part) { out = std::copy(part.begin(), part.end(), out); };
  put(kFormat), put(kVersion), put("\n"), put(kId), put(info_.id), put("\n");
  put(kDate), put(info_.date), put("\n"), put(kSecret);
  sodium_bin2hex(out, kSecretLetters + 1, reinterpret_cast<const unsigned char*>(bytes_.data()),
                 bytes_.size());
  out += kSecretLetters;
  put("\n"), put(kCheck), put(info_.check), put("\n");

  // Beside it, and then under its name where that is free: half a key is never there, and none is replaced.
  // What somebody left who was killed meanwhile is nobody's.
  remove_stale_temporaries(path);
  const std::string temporary = path + ".tmp-" + std::to_string(getpid());
  {
    const Descriptor file(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600, path);
    try {
      write_all(file.number(), std::as_const(text).bytes().first(kSize), path);
    } catch (...) {
      unlink(temporary.c_str());
      throw;
    }
  }
  const bool linked = link(temporary.c_str(), path.c_str()) == 0;
  const int why = errno;
  unlink(temporary.c_str());
  check(linked, path, ": ",
        why == EEXIST ? "is there already, and a key is never replaced" : std::strerror(why));
}

void destroy_key_file(const std::string& path) {
  std::error_code none;
  check(!std::filesystem::is_symlink(path, none), path, ": is a link to ",
        std::filesystem::read_symlink(path, none).string(),
        "; name the key's own file; nothing was destroyed");
  const Descriptor file(path, O_RDWR | O_NOFOLLOW);
  struct stat is {};
  if (fstat(file.number(), &is) != 0) fail_errno(path);
  check(S_ISREG(is.st_mode) && is.st_size <= off_t(kMostRead), path,
        ": is no key file; nothing was destroyed");
  SecretBytes bytes(kMostRead);
  const size_t size = read_all(file.number(), bytes.bytes(), path);
  const std::string_view text{reinterpret_cast<const char*>(bytes.data()), size};
  check(text.starts_with(kFormat), path, ": is no key file; nothing was destroyed");
  randombytes_buf(bytes.data(), size);
  if (lseek(file.number(), 0, SEEK_SET) != 0) fail_errno(path);
  write_all(file.number(), std::as_const(bytes).bytes().first(size), path);
  if (unlink(path.c_str()) != 0) fail_errno(path);
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const Descriptor parent(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
  fsync(parent.number());
}

}  // namespace advf
