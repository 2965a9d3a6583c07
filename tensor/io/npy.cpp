#include "tensor/io/npy.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/backend.h"
#include "tensor/io/byte_size.h"
#include "tensor/io/half.h"

namespace advf {
namespace {

static_assert(std::endian::native == std::endian::little,
              "files are little-endian and are copied as they are");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxHeader = 65536;

// The header is a Python literal: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }. This reads
// exactly that much of Python.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  void parse(NpyHeader& out) {
    expect('{');
    bool descr = false, order = false, shape = false;
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && !descr) {
        descr = true;
        check(peek() != '[', file_, ": holds records; only plain numbers are read");
        set_type(quoted(), out);
      } else if (key == "fortran_order" && !order) {
        order = true;
        check(!accept_word("True"), file_, ": Fortran order; save it with numpy.ascontiguousarray(array)");
        if (!accept_word("False")) bad("fortran_order is neither True nor False");
      } else if (key == "shape" && !shape) {
        shape = true;
        parse_shape(out.shape);
      } else {
        fail(file_, ": the npy header has an unknown or repeated key \"", key, "\"");
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (!(descr && order && shape)) bad("descr, fortran_order or shape is missing");
    skip_space();
    if (at_ != text_.size()) bad("text after the closing brace");
  }

 private:
  [[noreturn]] void bad(const std::string& what) { fail(file_, ": malformed npy header: ", what); }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) bad("expected '" + std::string(1, c) + "' at byte " + std::to_string(at_));
  }
  bool accept_word(std::string_view word) {
    skip_space();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  std::string_view quoted() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') bad("expected a quoted word at byte " + std::to_string(at_));
    const size_t begin = ++at_;
    const size_t end = text_.find(quote, begin);
    if (end == std::string_view::npos) bad("a quote is not closed");
    at_ = end + 1;
    return text_.substr(begin, end - begin);
  }
  void parse_shape(Shape& shape) {
    expect('(');
    while (!accept(')')) {
      int64_t size = 0;
      if (peek() < '0' || peek() > '9') bad("a dimension is not a number");
      for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_)
        check(!__builtin_mul_overflow(size, int64_t(10), &size) &&
                  !__builtin_add_overflow(size, int64_t(text_[at_] - '0'), &size),
              file_, ": a dimension is too large");
      check(shape.rank() < Shape::kMaxRank, file_, ": more than ", Shape::kMaxRank, " dimensions");
      shape.push_back(size);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
  }
  void set_type(std::string_view descr, NpyHeader& out) {
    check(descr.empty() || descr[0] != '>', file_, ": big-endian values (", descr,
          "); save it with array.astype(array.dtype.newbyteorder('<'))");
    if (descr == "<f4")
      out.dtype = DType::f32;
    else if (descr == "<f8")
      out.dtype = DType::f64;
    else if (descr == "<i4")
      out.dtype = DType::i32;
    else if (descr == "<i8")
      out.dtype = DType::i64;
    else if (descr == "|u1" || descr == "<u1")
      out.dtype = DType::u8;
    else if (descr == "<f2")
      out.half = true;
    else
      fail(file_, ": values of type \"", descr, "\"; f2, f4, f8, i4, i8 and u1 are read");
  }

  std::string_view text_;
  const std::string& file_;
  size_t at_ = 0;
};

// The values of `shape`, from bytes as they stand in the file.
Tensor from_file_bytes(const NpyHeader& header, std::span<const std::byte> bytes, const Shape& shape) {
  if (!header.half) return Tensor::from_bytes(bytes, shape, header.dtype);
  std::vector<float> wide(bytes.size() / 2);
  for (size_t i = 0; i < wide.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, bytes.data() + 2 * i, 2);
    wide[i] = f16_to_float(bits);
  }
  return Tensor::from(wide, shape);
}

void write_values(AtomicFile& file, const Tensor& t) {
  if (t.numel() == 0) return;
  if (t.backend().is_host()) {
    file.write(t.raw(), t.bytes());
  } else {
    std::vector<std::byte> host(t.bytes());
    t.backend().copy_out(host.data(), t.raw(), host.size());
    file.write(host.data(), host.size());
  }
}

// Where the values end is for the caller to judge: they take `bytes`.
NpyHeader parse_start(std::span<const std::byte> start, const std::string& name, uint64_t& bytes) {
  const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
  check(text.substr(0, kMagic.size()) == kMagic && text.size() >= 10, name, ": not an npy file");
  const auto byte = [&](size_t i) { return size_t(uint8_t(text[i])); };
  const size_t version = byte(6);
  check(version >= 1 && version <= 3, name, ": npy version ", version, "; 1 to 3 are read");
  const size_t prefix = version == 1 ? 10 : 12;
  check(text.size() >= prefix, name, ": cut short in the npy header");
  size_t length = byte(8) | byte(9) << 8;
  if (version > 1) length |= byte(10) << 16 | byte(11) << 24;
  check(length <= kMaxHeader, name, ": an npy header of ", length, " bytes; at most ", kMaxHeader,
        " are read");
  check(length <= text.size() - prefix, name, ": cut short in the npy header");
  NpyHeader header;
  HeaderParser(text.substr(prefix, length), name).parse(header);
  header.data_offset = prefix + length;
  bytes = uint64_t(byte_size(header.shape, header.element_bytes(), name));
  return header;
}

// What may lie behind the values.
enum class Behind { nothing, anything };

NpyHeader parse_sized(std::span<const std::byte> start, uint64_t file_size, const std::string& name,
                      Behind behind) {
  uint64_t bytes = 0;
  const NpyHeader header = parse_start(start, name, bytes);
  const uint64_t held = file_size - header.data_offset;
  check(held >= bytes, name, ": shape ", header.shape, " takes ", bytes, " bytes, the file has ", held,
        "; it is cut short");
  check(held <= bytes || behind == Behind::anything, name, ": shape ", header.shape, " takes ", bytes,
        " bytes, and the file has ", held - bytes,
        " more behind them; it holds something else, or its header is damaged");
  return header;
}

NpyHeader read_header(const InputFile& file) {
  std::vector<std::byte> start(size_t(std::min<uint64_t>(file.size(), kMaxHeader + 12)));
  file.read_at(0, start.data(), start.size());
  std::error_code none;
  const bool is_set = std::filesystem::exists(npy_index_path(file.path()), none);
  return parse_sized(start, file.size(), file.path(), is_set ? Behind::anything : Behind::nothing);
}

// The header as it is written here: version 1, always of this length, as that of rows that are streamed is
// written last, when their number is known.
constexpr size_t kHeaderBytes = 192;
std::string npy_header(const std::string& path, DType dtype, const Shape& shape) {
  const char* descr = "";
  switch (dtype) {
    case DType::f32:
      descr = "<f4";
      break;
    case DType::f64:
      descr = "<f8";
      break;
    case DType::i32:
      descr = "<i4";
      break;
    case DType::i64:
      descr = "<i8";
      break;
    case DType::u8:
      descr = "|u1";
      break;
  }
  std::string dict = std::string("{'descr': '") + descr + "', 'fortran_order': False, 'shape': (";
  for (int i = 0; i < shape.rank(); ++i)
    dict += std::to_string(shape[i]) + (i + 1 < shape.rank() ? ", " : shape.rank() == 1 ? "," : "");
  dict += "), }";
  const size_t length = kHeaderBytes - kMagic.size() - 4;
  check(dict.size() < length, path, ": the shape ", shape, " is too long for an npy header");
  dict.resize(length - 1, ' ');
  return std::string(kMagic) + std::string("\x01\x00", 2) + char(length & 255) + char(length >> 8) + dict +
         '\n';
}

}  // namespace

NpyHeader parse_npy_header(std::span<const std::byte> start, uint64_t file_size, const std::string& name) {
  return parse_sized(start, file_size, name, Behind::nothing);
}

Tensor parse_npy(std::span<const std::byte> bytes, const std::string& name) {
  const NpyHeader header = parse_npy_header(bytes, bytes.size(), name);
  return from_file_bytes(header, bytes.subspan(size_t(header.data_offset)), header.shape);
}

Tensor load_npy(const std::string& path) {
  const InputFile file(path);
  const NpyHeader header = read_header(file);
  std::vector<std::byte> bytes(size_t(byte_size(header.shape, header.element_bytes(), path)));
  file.read_at(header.data_offset, bytes.data(), bytes.size());
  return from_file_bytes(header, bytes, header.shape);
}

void save_npy(const std::string& path, const Tensor& tensor) {
  check(tensor.defined() && tensor.has_storage(), path, ": the tensor has no values to be written");
  AtomicFile file(path);
  file.write(npy_header(path, tensor.dtype(), tensor.shape()));
  write_values(file, tensor);
  file.commit();
}

NpyReader::NpyReader(const std::string& path) : file_(path), header_(read_header(file_)) {
  check(header_.shape.rank() > 0, path, ": holds a single number, not rows");
}

Tensor NpyReader::read_rows(int64_t begin, int64_t end) const {
  check(0 <= begin && begin <= end && end <= rows(), path(), ": rows [", begin, ", ", end, ") of ", rows());
  Shape shape = header_.shape;
  shape.set(0, end - begin);
  const uint64_t row_bytes = uint64_t(shape.numel(1, shape.rank())) * header_.element_bytes();
  std::vector<std::byte> bytes(size_t(row_bytes * uint64_t(end - begin)));
  file_.read_at(header_.data_offset + uint64_t(begin) * row_bytes, bytes.data(), bytes.size());
  if (header_.half || header_.dtype == DType::f32) return from_file_bytes(header_, bytes, shape);
  // Converted in host memory, then taken to where new tensors live.
  Tensor converted;
  {
    BackendScope host(host_backend());
    converted = from_file_bytes(header_, bytes, shape).to(DType::f32);
  }
  return converted.to(current_backend());
}

NpyWriter::NpyWriter(const std::string& path, DType dtype, const Shape& row_shape)
    : path_(path), file_(path), dtype_(dtype), row_shape_(row_shape) {
  check(row_shape.rank() < Shape::kMaxRank, path, ": rows of shape ", row_shape, " have too many dimensions");
  check(file_.can_rewrite(), path,
        ": is a pipe, but the head of an array, which counts its rows, is written last; ", "name a file");
  file_.write(std::string(kHeaderBytes, ' '));
}

void NpyWriter::append_rows(const Tensor& rows) {
  const Shape& s = rows.shape();
  check(rows.defined() && s.rank() == row_shape_.rank() + 1 &&
            std::equal(row_shape_.begin(), row_shape_.end(), s.begin() + 1) && rows.dtype() == dtype_,
        path_, ": rows of shape ", row_shape_, " (", name_of(dtype_), ") expected, got ", s, " (",
        name_of(rows.dtype()), ")");
  write_values(file_, rows);
  rows_ += s[0];
}

void NpyWriter::finish() {
  if (std::exchange(finished_, true)) return;
  Shape shape{rows_};
  for (int64_t d : row_shape_) shape.push_back(d);
  file_.rewrite(0, npy_header(path_, dtype_, shape));
  file_.finish();
}

void NpyWriter::commit() {
  finish();
  file_.commit();
}

}  // namespace advf
