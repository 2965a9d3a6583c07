#include "advface/detect/found_faces.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <utility>

#include "advface/core/text_file.h"
#include "tensor/check.h"
#include "tensor/hash.h"
#include "tensor/io/atomic_file.h"

namespace advf {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBoxNumbers = 5;

// Exactly the number, in the fewest digits.
void append_number(std::string& text, double value) {
  char digits[40];
  const auto [end, unused] = std::to_chars(digits, digits + sizeof digits, value);
  text += ' ';
  text.append(digits, end);
}

std::string as_text(const std::vector<Face>& faces) {
  std::string text;
  for (const Face& f : faces) {
    text += text.empty() ? "" : ";";
    text += std::to_string(f.landmarks.size());
    for (const double v : {f.x, f.y, f.width, f.height, f.score}) append_number(text, v);
    for (const Point& p : f.landmarks) {
      append_number(text, p.x);
      append_number(text, p.y);
    }
  }
  return text;
}

bool parse_face(std::string_view text, Face& face) {
  std::vector<double> numbers;
  for (const std::string_view field : split_fields(text, ' ')) {
    double value = 0;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    if (error != std::errc() || end != field.data() + field.size()) return false;
    numbers.push_back(value);
  }
  if (numbers.empty() || (numbers[0] != 2 && numbers[0] != 5)) return false;
  if (numbers.size() != 1 + kBoxNumbers + 2 * size_t(numbers[0])) return false;
  face = {numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], {}};
  for (size_t i = 1 + kBoxNumbers; i < numbers.size(); i += 2)
    face.landmarks.push_back({numbers[i], numbers[i + 1]});
  return true;
}

// What names the file as it is now; "" where it cannot be told.
std::string name_of(const std::string& path) {
  std::error_code error;
  const fs::path whole = fs::absolute(path, error).lexically_normal();
  if (error || whole.string().find_first_of("\t\n\r") != std::string::npos) return "";
  const auto size = fs::file_size(whole, error);
  if (error) return "";
  const auto time = fs::last_write_time(whole, error).time_since_epoch().count();
  return error ? "" : whole.string() + "\t" + std::to_string(size) + "\t" + std::to_string(time);
}

// A line without its end: what names the picture, its faces, and a checksum of both.
std::string line_of(const std::string& name, const std::vector<Face>& faces) {
  const std::string text = name + "\t" + as_text(faces);
  return text + "\t" + hex(fnv1a(text));
}

bool parse_line(std::string_view line, std::string& name, std::vector<Face>& faces) {
  const size_t sum = line.rfind('\t');
  if (sum == std::string_view::npos || sum == 0 || line.substr(sum + 1) != hex(fnv1a(line.substr(0, sum))))
    return false;
  const size_t at = line.rfind('\t', sum - 1);
  if (at == std::string_view::npos) return false;
  name = line.substr(0, at);
  faces.clear();
  const std::string_view list = line.substr(at + 1, sum - at - 1);
  if (list.empty()) return true;
  const auto texts = split_fields(list, ';');
  return std::all_of(texts.begin(), texts.end(),
                     [&](std::string_view text) { return parse_face(text, faces.emplace_back()); });
}

}  // namespace

FoundFaces::FoundFaces(const std::string& folder, const std::string& key)
    : file_((fs::path(folder) / ("faces-" + hex(fnv1a(key)) + ".tsv")).string()),
      header_("advface-found-faces-2\t" + key + "\n") {
  std::error_code error;
  fs::create_directories(folder, error);
  check(fs::is_directory(folder), "--cache ", folder,
        ": is no folder and cannot be made one: ", error ? error.message() : "a file has this name");
  const AtomicFile probe(file_);
  lines_ = read();
}

FoundFaces::Lines FoundFaces::read() {
  Lines lines;
  if (!fs::exists(file_)) return lines;
  const std::string text = read_text(file_);
  if (!text.starts_with(header_)) {
    ++damaged_;
    return lines;
  }
  for (size_t at = header_.size(); at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string name;
    std::vector<Face> faces;
    if (parse_line(std::string_view(text).substr(at, end - at), name, faces))
      lines[name] = std::move(faces);
    else
      ++damaged_;
    at = end + 1;
  }
  return lines;
}

std::string FoundFaces::take_damage() {
  const int64_t lines = std::exchange(damaged_, 0);
  if (lines == 0) return "";
  return file_ + ": " + std::to_string(lines) + (lines == 1 ? " damaged line" : " damaged lines") +
         "; faces are looked for anew in these pictures";
}

std::optional<std::vector<Face>> FoundFaces::get(const std::string& path) const {
  const auto line = lines_.find(name_of(path));
  if (line == lines_.end()) return {};
  return line->second;
}

void FoundFaces::put(const std::string& path, const std::vector<Face>& faces) {
  const std::string name = name_of(path);
  if (name.empty()) return;
  lines_[name] = fresh_[name] = faces;
}

void FoundFaces::save() {
  if (fresh_.empty()) return;
  const int64_t told = damaged_;
  Lines all = read();
  damaged_ = told;  // those that were there at the beginning
  for (const auto& [name, faces] : fresh_) all[name] = faces;
  AtomicFile out(file_);
  out.write(header_);
  for (const auto& [name, faces] : all) out.write(line_of(name, faces) + "\n");
  out.commit();
  fresh_.clear();
}

}  // namespace advf
