// Where a database's file comes from.
#pragma once
#include <functional>
#include <string>

namespace advf {

// A file that appears when it is whole, or not at all. Throws Error where there is one of that name.
class NewDatabaseFile {
 public:
  explicit NewDatabaseFile(std::string path);
  ~NewDatabaseFile();
  NewDatabaseFile(const NewDatabaseFile&) = delete;
  // fill(path) makes it under another name; its errors say this one.
  void make(const std::function<void(const std::string& path)>& fill);

 private:
  void remove() const;
  std::string path_, temporary_;
};

}  // namespace advf
