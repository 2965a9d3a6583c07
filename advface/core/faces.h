// From a folder of pictures to a recogniser's input: where the face is cut out, reading and decoding on all
// threads, and a set of crops held in memory for training. (N,3,S,S) f32 in [0,1], RGB; the card's scale is
// applied later.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "advface/core/face_cut.h"
#include "tensor/tensor.h"

namespace advf {

// A picture that could not be read or gives no face, and why (the message names the file).
struct BrokenFace {
  int64_t index = 0;
  std::string why;
  Reason reason = Reason::unreadable;

  bool is_broken() const { return reason == Reason::unreadable || reason == Reason::no_feature; }
};

struct FaceBatch {
  Tensor images;  // (good.size(), 3, S, S) f32 in [0, 1]
  // Indices in the source, in the order asked for; a picture of which all faces are cut out stands there once
  // for each.
  std::vector<int64_t> good;
  std::vector<FoundFace> found;  // of each, where faces are found; else empty
  std::vector<BrokenFace> broken;
};

// What lies in a folder of pictures and is not read. Nothing is left out in silence.
struct PassedOver {
  std::map<std::string, int64_t> by_ending;  // ".webp" -> 3, lower case; "" for files without an ending
  // Pictures by their endings that cannot be used: links that lead nowhere, and names that no list of files
  // could hold (line breaks, backslashes). With the reason, fit to be printed.
  std::vector<std::string> unusable;

  int64_t count() const;
  // "7 files were passed over: 3 .webp, 1 .heic, ..., 1 unusable"; "" where there are none.
  std::string summary() const;
};

// Whether a file of this name in a folder of pictures is one.
bool has_picture_ending(const std::string& path);

// One of the faces of a picture, as lists of features name it: "a.jpg#2" is the second of a.jpg; "a.jpg"
// alone has the number 0.
struct FaceName {
  std::string picture;
  int number = 0;

  static FaceName parse(const std::string& name);
  // The name of a face that was cut out of what a list calls `listed`: that, which may have a number already;
  // where every face of a picture is asked for, with its number but for the first.
  static std::string of(const std::string& listed, const FoundFace& face, bool several);
};

class FaceSource {
 public:
  // The pictures (endings jpg, jpeg, jpe, jfif, png, bmp, pgm, ppm, in any case) below a folder, sorted by
  // relative path; or those that `list` names, one relative path per line, in its order. Throws Error for a
  // folder without pictures, a list that names a file twice or outside the folder.
  static FaceSource open(const std::string& folder, const std::string& list = {});
  // The named files below `folder`, in this order.
  FaceSource(std::string folder, std::vector<std::string> names);

  int64_t size() const { return int64_t(names_.size()); }
  const std::string& folder() const { return folder_; }
  const std::string& name(int64_t i) const { return names_.at(size_t(i)); }  // relative path with '/'
  const std::vector<std::string>& names() const { return names_; }
  // Only these from now on, [begin, end), of a run over all: how many may be left out is a share of all.
  void keep_range(int64_t begin, int64_t end);
  std::string path(int64_t i) const;                              // of the file: the picture of a FaceName
  const PassedOver& passed_over() const { return passed_over_; }  // empty where a list was given

  // Broken pictures, and those without a face, are left out, named in the result and counted over all calls;
  // more than max_broken_share() of the source that are broken, or max_rejected_share() that give no face,
  // end the run with an Error that names the first ones. A box that does not fit a picture ends it at once,
  // with both sizes: one of fewer than 8 pixels a side, one of which less than half lies in the picture, or
  // one made from an eye outside of it, since the eye centres are then those of other pictures. Pictures that
  // are decoded at the same time have at most kMostPixels together. The result does not depend on the number
  // of threads. Not for several threads at once.
  static constexpr int64_t kMostPixels = 200'000'000;
  FaceBatch load(std::span<const int64_t> indices, const FaceCut& cut, int size);
  // bytes(i): of the file of the i-th of these; called once for each, from several threads, in their order.
  using FileBytes = std::function<std::vector<std::byte>(size_t i)>;
  FaceBatch load(std::span<const int64_t> indices, const FaceCut& cut, int size, const FileBytes& bytes);
  FaceBatch load(int64_t begin, int64_t end, const FaceCut& cut, int size);

  // Adds pictures that turned out to be broken after they were read, under the same limits.
  void count_broken(std::span<const BrokenFace> broken);

  double max_broken_share() const { return max_broken_share_; }
  void set_max_broken_share(double share);    // [0, 1]; 1 = never end the run
  void set_max_rejected_share(double share);  // likewise
  // Where the list of what was left out so far goes (face_list.h) before too much of it ends the run; "" for
  // nowhere.
  void set_left_out_file(std::string path) { left_out_file_ = std::move(path); }
  int64_t broken_count() const;
  // All pictures that were left out so far, by index.
  const std::map<int64_t, BrokenFace>& left_out() const { return left_out_; }
  // The faces that were left out beside others of their pictures, by these pictures and their numbers there.
  using FaceOfPicture = std::pair<int64_t, int>;
  const std::map<FaceOfPicture, RefusedFace>& refused_faces() const { return refused_faces_; }
  void count_refused(int64_t index, RefusedFace face);

 private:
  std::string listed_before_the_end() const;  // says where, for the message

  std::string folder_;
  std::vector<std::string> names_;
  PassedOver passed_over_;
  int64_t of_others_ = 0;  // pictures of the run that keep_range() left out
  double max_broken_share_ = 0.01;
  double max_rejected_share_ = 1;
  std::string left_out_file_;
  // Counted once, however often they are asked for.
  std::map<int64_t, BrokenFace> left_out_;
  std::map<FaceOfPicture, RefusedFace> refused_faces_;
};

// Crops of a whole set in memory, as 8 bits: 10,000 of 3 x 64 x 64 take 123 MB.
class FaceCache {
 public:
  // Reads all pictures of the source, or the given ones; broken ones are left out.
  FaceCache(FaceSource& source, const FaceCut& cut, int size);
  FaceCache(FaceSource& source, std::span<const int64_t> indices, const FaceCut& cut, int size);

  int64_t count() const { return int64_t(source_index_.size()); }
  int image_size() const { return size_; }
  // Position in the cache -> index in the source.
  const std::vector<int64_t>& source_index() const { return source_index_; }
  // (positions.size(), 3, S, S) f32 in [0, 1].
  Tensor batch(std::span<const int64_t> positions) const;
  Tensor batch(int64_t begin, int64_t end) const;

 private:
  int size_;
  std::vector<int64_t> source_index_;
  std::vector<uint8_t> pixels_;  // (count, 3, S, S)
};

// Pictures (N,C,H,W) f32 with left and right exchanged; where `which` is given, those for which it is not 0.
Tensor mirrored(const Tensor& images, const std::vector<uint8_t>& which = {});

}  // namespace advf
