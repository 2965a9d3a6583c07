// NumPy's .npy: one array, C order, little-endian. Feature sets are longer than memory, so there is a reader
// and a writer that hold only the rows in hand.
#pragma once
#include <cstddef>
#include <span>
#include <string>

#include "tensor/io/atomic_file.h"
#include "tensor/io/input_file.h"
#include "tensor/tensor.h"

namespace advf {

// What the header says.
struct NpyHeader {
  Shape shape;
  DType dtype = DType::f32;  // in memory: f4, f8, i4, i8, u1 as they are, f2 widened to f32
  bool half = false;         // f2 in the file
  uint64_t data_offset = 0;  // bytes before the first value
  size_t element_bytes() const { return half ? 2 : size_of(dtype); }  // in the file
};

// `start` is the file's beginning (64 KiB suffice), file_size its true size. Versions 1 to 3. Throws Error,
// naming the file, for Fortran order, big-endian values, other types, more than five dimensions, and wherever
// shape and file size do not fit exactly.
NpyHeader parse_npy_header(std::span<const std::byte> start, uint64_t file_size, const std::string& name);

// Sets of an older version (advface/store/enrolled_set.h) grew in place, with an index of this name beside
// the array. The array's header alone counts their rows: bytes behind those are what an append left that
// broke off. The functions below that take a path read such a file as its header says, and any other to its
// exact size.
inline std::string npy_index_path(const std::string& path) { return path + ".index"; }

Tensor parse_npy(std::span<const std::byte> bytes, const std::string& name);
Tensor load_npy(const std::string& path);
void save_npy(const std::string& path, const Tensor& tensor);  // appears whole or not at all

// Rows of the first dimension, read when asked for; from any thread.
class NpyReader {
 public:
  explicit NpyReader(const std::string& path);  // throws Error also for an array without dimensions
  const std::string& path() const { return file_.path(); }
  const Shape& shape() const { return header_.shape; }
  DType dtype() const { return header_.dtype; }
  int64_t rows() const { return header_.shape[0]; }
  // (end - begin, ...) as f32, whatever the file's type (an f64 or a large integer is rounded).
  Tensor read_rows(int64_t begin, int64_t end) const;

 private:
  InputFile file_;
  NpyHeader header_;
};

// (rows, row_shape...): the number of rows need not be known before. Without commit() no file appears.
class NpyWriter {
 public:
  NpyWriter(const std::string& path, DType dtype, const Shape& row_shape);
  void append_rows(const Tensor& rows);  // (n, row_shape...) of the writer's type
  int64_t rows() const { return rows_; }
  void finish();  // as AtomicFile has it
  void commit();
  const std::string& written_at() const { return file_.written_at(); }

 private:
  std::string path_;
  AtomicFile file_;
  bool finished_ = false;
  DType dtype_;
  Shape row_shape_;
  int64_t rows_ = 0;
};

}  // namespace advf
