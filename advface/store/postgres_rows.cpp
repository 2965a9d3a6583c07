#include "advface/store/postgres_rows.h"

#include <bit>
#include <cstdio>
#include <cstring>

namespace advf {
namespace {

// The most significant byte first.
template <class T>
void put(std::string& bytes, T value) {
  for (int shift = 8 * int(sizeof(T)) - 8; shift >= 0; shift -= 8)
    bytes += char(uint8_t(uint64_t(value) >> shift));
}

uint64_t unsigned_in(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (const std::byte b : bytes) value = value << 8 | uint64_t(b);
  return value;
}

void put_field(std::string& bytes, std::string_view value) {
  put(bytes, int32_t(value.size()));
  bytes += value;
}

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

}  // namespace

void BoundValues::set(int at, const SqlValue& value) {
  const size_t i = size_t(at);
  if (values_.size() <= i) {
    values_.resize(i + 1);
    pointers_.resize(i + 1);
    lengths_.resize(i + 1);
    formats_.resize(i + 1);
  }
  formats_[i] = std::holds_alternative<std::span<const std::byte>>(value) ? 1 : 0;
  values_[i] = std::visit(
      Overloaded{[](std::monostate) { return std::optional<std::string>(); },
                 [](int64_t v) { return std::optional(std::to_string(v)); },
                 [](double v) {
                   char text[32];
                   std::snprintf(text, sizeof text, "%.17g", v);
                   return std::optional<std::string>(text);
                 },
                 [](std::string_view v) { return std::optional<std::string>(v); },
                 [](std::span<const std::byte> v) { return std::optional<std::string>(as_text(v)); }},
      value);
  // A vector that grows moves its texts, and short ones lie in the object itself.
  for (size_t k = 0; k < values_.size(); ++k) {
    pointers_[k] = values_[k] ? values_[k]->c_str() : nullptr;
    lengths_[k] = values_[k] ? int(values_[k]->size()) : 0;
  }
}

CopyRows::CopyRows(size_t columns) : columns_(columns) {
  bytes_.assign("PGCOPY\n\377\r\n\0", 11);
  put(bytes_, int32_t(0));  // no flags
  put(bytes_, int32_t(0));  // nothing more in the header
}

void CopyRows::add(std::span<const SqlValue> values) {
  put(bytes_, int16_t(columns_));
  for (const SqlValue& value : values)
    std::visit(Overloaded{[&](std::monostate) { put(bytes_, int32_t(-1)); },
                          [&](int64_t v) {
                            put(bytes_, int32_t(8));
                            put(bytes_, v);
                          },
                          [&](double v) {
                            put(bytes_, int32_t(8));
                            put(bytes_, std::bit_cast<int64_t>(v));
                          },
                          [&](std::string_view v) { put_field(bytes_, v); },
                          [&](std::span<const std::byte> v) { put_field(bytes_, as_text(v)); }},
               value);
}

void CopyRows::end() { put(bytes_, int16_t(-1)); }

std::span<const std::byte> bytes_in(const PGresult* result, int row, int column) {
  return {reinterpret_cast<const std::byte*>(libpq().getvalue(result, row, column)),
          size_t(libpq().getlength(result, row, column))};
}

int64_t number_in(const PGresult* result, int row, int column) {
  const auto bytes = bytes_in(result, row, column);
  const uint64_t value = unsigned_in(bytes);
  switch (bytes.size()) {
    case 2:
      return int16_t(value);
    case 4:
      return int32_t(value);
    default:
      return int64_t(value);
  }
}

double real_in(const PGresult* result, int row, int column) {
  return std::bit_cast<double>(unsigned_in(bytes_in(result, row, column)));
}

std::string one_line(const char* said) {
  std::string text = said ? said : "";
  for (char& c : text)
    if (c == '\n') c = ' ';
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

}  // namespace advf
