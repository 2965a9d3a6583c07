// Faces of many pictures, batch by batch, in order. Files are read ahead on a thread of its own, so that the
// threads that decode, find faces and recognise do not wait for a disk.
#pragma once
#include <memory>
#include <vector>

#include "advface/core/faces.h"

namespace advf {

class FaceStream {
 public:
  // Bytes of files that are read and not decoded yet; a larger file is read when there are no others.
  static constexpr size_t kReadAhead = size_t(64) << 20;

  // `source` outlives this.
  FaceStream(FaceSource& source, std::vector<int64_t> indices, const FaceCut& cut, int size, int64_t batch);
  // Ends the reading, after the file at hand.
  ~FaceStream();
  FaceStream(const FaceStream&) = delete;
  FaceStream& operator=(const FaceStream&) = delete;

  bool done() const { return next_ == int64_t(indices_.size()); }
  int64_t pictures_done() const { return next_; }
  // Of the next pictures, `batch` of them but in the end: what FaceSource::load() gives, with its errors.
  FaceBatch next();

 private:
  class Reader;
  FaceSource& source_;
  std::vector<int64_t> indices_;
  FaceCut cut_;
  int size_;
  int64_t batch_, next_ = 0;
  std::unique_ptr<Reader> reader_;
};

}  // namespace advf
