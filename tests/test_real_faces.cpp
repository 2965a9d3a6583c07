// Real data sets, where they are: ADVF_SHARED names a folder with data/lfw and data/celeba below it.
#define BOOST_TEST_MODULE real_faces
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <set>

#include "advface/core/dataset.h"
#include "advface/core/faces.h"

using namespace advf;

namespace {

// Empty, with the reason printed, where the data are not here.
std::string data_folder() {
  const char* set = std::getenv("ADVF_SHARED");
  const std::string folder = std::string(set ? set : ADVF_TEST_DATA "/../../../shared") + "/data/";
  if (std::filesystem::exists(folder + "lfw") && std::filesystem::exists(folder + "celeba")) return folder;
  std::cout << "SKIPPED: no faces; set ADVF_SHARED to a folder with data/lfw and data/celeba in it\n";
  return {};
}

}  // namespace

BOOST_AUTO_TEST_CASE(lfw_protocol_and_its_pictures) {
  const std::string data = data_folder();
  if (data.empty()) return;
  const PairList list = load_pairs(data + "lfw/pairs.txt");
  BOOST_TEST((list.folds == 10 && list.per_fold == 300 && list.pairs.size() == 6000));
  FaceSource source = FaceSource::open(data + "lfw/images");
  const std::set<std::string> names(source.names().begin(), source.names().end());
  BOOST_TEST(names.size() == 7701u);
  for (const Pair& p : list.pairs)
    BOOST_TEST((names.contains(p.a) && names.contains(p.b)), p.a << " " << p.b);
  const Labels labels = labels_from_folders(source.names());
  BOOST_TEST(std::set<std::string>(labels.identities.begin(), labels.identities.end()).size() == 4281u);
  const FaceBatch faces = source.load(0, 64, face_box({71, 79.5f, 114, 79.5f}), 112);
  BOOST_TEST(faces.good.size() == 64u);
}

BOOST_AUTO_TEST_CASE(celeba_labels_and_their_split) {
  const std::string data = data_folder();
  if (data.empty()) return;
  const Labels labels = load_labels(data + "celeba/labels.csv");
  BOOST_TEST((labels.size() == 10000 && labels.attributes.size() == 40));
  const Split split = split_by_identity(labels, 1);
  BOOST_TEST(split.train.size() > 7500u);
  BOOST_TEST(split.train.size() < 8500u);
  FaceSource source(data + "celeba/images", labels.files);
  const FaceBatch faces = source.load(9900, 10000, face_box({34.5f, 55.5f, 54, 55.5f}), 64);
  BOOST_TEST(faces.good.size() == 100u);
}
