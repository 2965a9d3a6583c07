// From faces to features: the recogniser's F over a set of images, batch by batch, with an optional cache on
// disk.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "advface/core/faces.h"
#include "advface/core/feature_rows.h"
#include "advface/core/recogniser.h"

namespace advf {

struct ExtractOptions {
  int64_t batch = 32;
  bool mirrored = false;                    // the features of the pictures with left and right exchanged
  int64_t memory_bytes = int64_t(1) << 30;  // features beyond go to a temporary file
  // Called after every batch with the number of images done so far, of the source's size. Returning false
  // ends the work with Interrupted.
  std::function<bool(int64_t done)> progress;
  // Called for every image that cannot be read or has no finite feature.
  std::function<void(const BrokenFace&)> broken;
  // Called with what there is to tell of the cache.
  std::function<void(const std::string&)> told = {};
};

// Throws Error naming both cards where images that were cut out for one are not cut as the other wants them.
// Whole images were cut out by somebody else, as both want them.
void check_same_crop(const Recogniser& other, const Recogniser& recogniser);
// Throws Error naming both cards where they have the same network: it has no second opinion.
void check_another(const Recogniser& other, const Recogniser& recogniser);

// Why what a recogniser made of a picture is no feature; empty where it is one. An embedding that is all but
// zero has no direction, and one beyond what can be normalised keeps a wrong norm.
std::string fault_of_feature(std::span<const float> row, FeatureDomain domain);

// Features of one batch: of the faces that were cut out, with the indices of their images in the source, and
// the crops that the recogniser saw.
struct FeatureBatch {
  std::vector<int64_t> indices;
  Tensor features;
  Tensor images;                 // (indices.size(), 3, S, S) in [0, 1]
  std::vector<FoundFace> found;  // of each, where faces are found; else empty
};

// Calls take() for the images of the source in order; those that are left out are missing.
void for_each_feature_batch(const Recogniser& recogniser, const std::string& cut, FaceSource& faces,
                            const FaceCut& face_cut, const ExtractOptions& options,
                            const std::function<void(const FeatureBatch& batch)>& take);

// The features of a whole set. Row r belongs to image indices[r] of the source: broken ones are
// left out.
struct FeatureSet {
  std::vector<int64_t> indices;
  FeatureRows features;
};

// cache_dir: where features are kept between programs, under a name made from the recogniser's fingerprint,
// the cut, how faces are cut out (by which detector) and the files' names, sizes and times; empty = no cache.
// A damaged file of the cache is told, and made again.
FeatureSet extract_features(const Recogniser& recogniser, const std::string& cut, FaceSource& faces,
                            const FaceCut& face_cut, const std::string& cache_dir,
                            const ExtractOptions& options);

}  // namespace advf
