// Errors of the user's making (a bad file, a wrong shape, an unknown name) are thrown as Error through
// check() and fail(). The message names the op, the shape or the file, and what to do.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>

namespace advf {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A device has too little memory: less at a time may fit.
class OutOfMemory : public Error {
 public:
  using Error::Error;
};

// The system gives this process no more threads.
class OutOfThreads : public Error {
 public:
  using Error::Error;
};

// The user asked to stop; what was finished is saved.
class Interrupted : public Error {
 public:
  Interrupted() : Error("interrupted") {}
};

// Throws Error with all parts streamed one after the other.
template <class... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  throw Error(text.str());
}

template <class... Parts>
void check(bool ok, const Parts&... parts) {
  if (!ok) fail(parts...);
}

}  // namespace advf
