// What is to be protected: features of a file, or photographs, of which a recogniser makes them.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "advface/core/face_set.h"
#include "advface/core/feature_file.h"
#include "advface/protections/protection_chain.h"

namespace advf {

class FeaturesToProtect {
 public:
  // Of a file. Features of which nothing is known are taken for raw ones; note() says so, and where they are
  // protected already.
  static FeaturesToProtect of_file(const std::string& path);
  // Of photographs, before their features are there; names: of the records, or none for the files' own.
  static FeaturesToProtect of_photographs(const FaceSettings& faces, const Recogniser& recogniser,
                                          const std::vector<std::string>& files,
                                          const std::vector<std::string>& names);

  // What a protection is made for. recogniser: null where none was named.
  ProtectionInput input(const Recogniser* recogniser) const;
  // The photographs of the file's features, for a protection that asks for them: one for each row.
  void add_photographs(const FaceSettings& faces, const Context& context);
  // Makes the features of photographs, all of which must be readable: somebody is to be enrolled with each.
  void extract(const FaceSettings& faces, const Recogniser& recogniser, const Context& context);
  // One record for each person instead: the mean of the first `most` of their features (0: of all), in the
  // order in which people come first. people: of every row. Throws Error for features that are protected
  // already.
  void average(const std::vector<std::string>& people, int64_t most, FeatureDomain domain);
  // Of how many features each record is the mean; empty where nothing was averaged.
  const std::vector<int64_t>& photographs_of_record() const { return averaged_; }
  // Of photographs in which faces were found, what was found in each; else empty.
  const std::vector<FoundFace>& found() const { return found_; }
  // Of these rows, as the protection wants them.
  ReadPhotographs photographs(const FaceSettings& faces, const Recogniser* recogniser, int size);

  const std::string& what() const { return what_; }  // names it in messages
  const FeatureRows& features() const { return features_; }
  const FeatureInfo& info() const { return info_; }
  const std::string& note() const { return note_; }  // to be told once nothing else is wrong
  std::vector<std::string> names(int64_t begin, int64_t end) const;
  bool is_file() const { return is_file_; }

 private:
  std::string what_, note_;
  FeatureRows features_;
  FeatureInfo info_;
  std::optional<FaceSource> faces_;
  std::vector<std::string> names_;
  std::vector<int64_t> averaged_;
  std::vector<FoundFace> found_;
  Shape row_;
  bool is_file_ = false;
};

}  // namespace advf
