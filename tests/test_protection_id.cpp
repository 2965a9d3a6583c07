// How features were protected, as a value: what is equal, what is alike, what a file may say; and the
// description that lies beside a file of features.
#define BOOST_TEST_MODULE protection_id
#include <boost/test/unit_test.hpp>
#include <filesystem>

#include "advface/core/feature_file.h"
#include "file_test_util.h"
#include "older_set.h"
#include "protection_test_util.h"
#include "tensor/io/npy.h"
#include "test_util.h"

using namespace advf;
using namespace advf::test;

namespace {

const Metadata kNetworks{{"shadow", "0123456789abcdef"}};

ProtectionId by(const AscentSettings& settings, const Metadata& networks = kNetworks) {
  return protected_by(settings, networks);
}

// Every setting away from its default, one at a time and together.
std::vector<AscentSettings> all_kinds() {
  std::vector<AscentSettings> list{{}};
  const auto add = [&](auto change) {
    AscentSettings s;
    change(s);
    list.push_back(s);
  };
  add([](auto& s) { s.epsilon = 0.1; });
  add([](auto& s) { s.steps = 7; });
  add([](auto& s) { s.step_size = 0.3; });
  for (const auto& c : choices<Objective>()) add([&](auto& s) { s.objective = c.value; });
  for (const auto& c : choices<Loss>()) add([&](auto& s) { s.loss = c.value; });
  for (const auto& c : choices<Method>()) add([&](auto& s) { s.method = c.value; });
  for (const auto& c : choices<Norm>()) add([&](auto& s) { s.norm = c.value; });
  for (const auto& c : choices<BatchNormMode>()) add([&](auto& s) { s.batch_norm = c.value; });
  for (const auto& c : choices<Ensemble>()) add([&](auto& s) { s.ensemble = c.value; });
  add([](auto& s) { s.keep_recognition = 0.75; });
  add([](auto& s) { s.seed = UINT64_MAX; });
  return list;
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_file_gives_back_the_value) {
  std::vector<ProtectionId> ids{{}, {{}, "nobody wrote it \"down\""}};
  for (const AscentSettings& s : all_kinds()) ids.push_back(by(s));
  ids.push_back(by({.epsilon = 0.5}, {{"shadow", "01 02"}}));
  ids.push_back({{ids[3].applied[0], ids[4].applied[0]}, {}});
  for (const ProtectionId& id : ids) {
    const ProtectionId back = ProtectionId::from_json(id.to_json(), "f");
    BOOST_TEST((back == id), id.to_json());
    BOOST_TEST(back.to_json() == id.to_json());
    BOOST_TEST(back.describe() == id.describe());
  }
}

BOOST_AUTO_TEST_CASE(settings_that_do_the_same_are_equal) {
  BOOST_TEST((by({.epsilon = 0.02}) == by({.epsilon = 0.02, .steps = 10, .step_size = 2.5 * 0.02 / 10})));
  BOOST_TEST((by({.method = Method::fgsm}) == by({.steps = 1, .method = Method::fgsm})));
  BOOST_TEST(by({.steps = 10, .step_size = 0.005}).describe() == "protected, epsilon 0.02");
  BOOST_TEST(by({.steps = 7, .step_size = 0.005}).describe() ==
             "protected, epsilon 0.02, steps 7, step size 0.005");
}

BOOST_AUTO_TEST_CASE(what_is_alike_and_what_is_not) {
  const auto list = all_kinds();
  const ProtectionId usual = by(list[0]);
  for (const AscentSettings& s : list) {
    const ProtectionId other = by(s);
    AscentSettings same_seed = s;
    same_seed.seed = list[0].seed;
    BOOST_TEST(usual.is_like(other) == (by(same_seed) == usual), other.to_json());
    BOOST_TEST(usual.is_like(other) == usual.difference(other).empty());
  }
  BOOST_TEST(usual.difference(by({.epsilon = 0.04, .step_size = 0.005})) == "epsilon is 0.02, not 0.04");
  BOOST_TEST(usual.difference(by({}, {{"shadow", "ff"}})) == "the shadow is 0123456789abcdef, not ff");
  BOOST_TEST(by({.keep_recognition = 0.9}).difference(usual) == "keep_recognition is 0.9, not not set");
  const ProtectionId raw, unknown{{}, "nobody knows"};
  BOOST_TEST(raw.is_like(raw));
  BOOST_TEST(!raw.is_like(usual));
  BOOST_TEST(!unknown.is_like(unknown));
  BOOST_TEST((raw.is_raw() && !unknown.is_raw() && !usual.is_raw()));
  BOOST_TEST(usual.difference(raw) == "protected, epsilon 0.02 is not raw");
  BOOST_TEST(raw.difference(unknown) == "nobody knows");
}

BOOST_AUTO_TEST_CASE(texts_that_are_no_protection) {
  const std::string good = by({}).to_json();
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const size_t at = text.find(from);
    BOOST_REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
  };
  const std::pair<std::string, const char*> bad[] = {
      {"", "not valid JSON"},
      {"{}", "list"},
      {"3", "list"},
      {"[3]", "list"},
      {R"({"unknown": 3})", "unknown"},
      {R"({"unknown": ""})", "unknown"},
      {good.substr(0, good.size() / 2), "not valid JSON"},
      // As deep as a stack is not.
      {changed(R"("epsilon":0.02)", R"("epsilon":)" + std::string(200000, '[') + std::string(200000, ']')),
       ""},
      {changed("advface", "magic"), "magic"},
      {changed(R"("pgd")", R"("sgd")"), "sgd"},
      {changed(R"("epsilon":0.02)", R"("epsilon":"0.02")"), "epsilon"},
      {changed(R"("epsilon":0.02)", R"("epsilon":-1)"), "epsilon"},
      {changed(R"("epsilon":0.02,)", ""), "epsilon"},
      {changed(R"("epsilon":0.02,)", R"("epsilon":0.02,"extra":1,)"), "extra"},
      {changed(R"("steps":10)", R"("steps":1.5)"), "steps"},
      {changed(R"("steps":10)", R"("steps":1e300)"), "steps"},
      {changed(R"("seed":1)", R"("seed":-1)"), "seed"},
      {changed(R"("0123456789abcdef")", "7"), "shadow"}};
  for (const auto& wrong : bad)
    refused([&] { ProtectionId::from_json(wrong.first, "bad.json"); }, {"bad.json", wrong.second});
  survive(
      good, [](const std::string& text) { ProtectionId::from_json(text, "damaged"); }, 300);
}

BOOST_AUTO_TEST_CASE(a_description_lies_beside_its_features) {
  const TempDir dir;
  const std::string path = dir / "z.npy";
  const FeatureInfo info{"r", "c", by({.epsilon = 0.3})};
  save_npy(path, randn({5, 4}, 1, DType::f32));
  BOOST_TEST(open_feature_file(path).info.protection.unknown.find("z.npy.json") != std::string::npos);
  write_feature_info(path, info);
  const FeatureFile file = open_feature_file(path);
  BOOST_TEST(
      (file.info.recogniser == "r" && file.info.cut == "c" && file.info.protection == info.protection));
  BOOST_TEST(file.rows.count() == 5);
  check_comes_from(file.info, path, "r", "c", "the card");
  refused([&] { check_comes_from(file.info, path, "other", "c", "the card"); },
          {path, "r", "other", "the card"});
  refused([&] { check_comes_from(file.info, path, "r", "p", "the card"); }, {path, "c", "p", "the card"});

  // Of other rows: as many, or more.
  const std::string description = read_bytes(path + ".json");
  for (const int64_t rows : {5, 6}) {
    save_npy(path, randn({rows, 4}, 2, DType::f32));
    refused([&] { open_feature_file(path); }, {path + ".json", "other features"});
  }
  save_npy(path, randn({5, 4}, 1, DType::f32));
  survive(
      description,
      [&](const std::string& text) {
        write_bytes(path + ".json", text);
        open_feature_file(path);
      },
      100);
  std::filesystem::remove(path + ".json");
  BOOST_TEST(!open_feature_file(path).info.protection.known());
  // As the programs write them: both are new, or neither is.
  const Tensor rows = randn({5, 4}, 3, DType::f32);
  {
    FeatureFileWriter abandoned(path, {4}, info);
    abandoned.append_rows(rows);
  }
  BOOST_TEST(!open_feature_file(path).info.protection.known());
  FeatureFileWriter writer(path, {4}, info);
  writer.append_rows(rows);
  writer.commit();
  BOOST_TEST((open_feature_file(path).info.protection == info.protection));
  BOOST_TEST(relative_error(open_feature_file(path).rows.range(0, 5), rows) == 0);
  // Nothing lies beside what is no file.
  write_feature_info("/dev/null", info);
  BOOST_TEST(!std::filesystem::exists("/dev/null.json"));
}

// As sets of older versions have it: of one ascent the settings by name, of everything else JSON.
BOOST_AUTO_TEST_CASE(a_set_of_an_older_version_knows_how_it_was_protected) {
  const TempDir dir;
  const std::string path = dir / "set.npy";
  const auto read = [&](const Metadata& words) {
    write_older_set(path, randn({2, 4}, 1, DType::f32), {"a", "b"}, words);
    const FeatureInfo info = open_feature_file(path).info;
    BOOST_TEST((info.recogniser == "r" && info.cut == "c"));
    return info.protection;
  };
  const auto plain = [](const ProtectionId& id) {
    Metadata words = id.applied[0].networks;
    words["recogniser"] = "r";
    words["cut"] = "c";
    for (const auto& [key, text] : id.applied[0].settings)
      words[key] = text.starts_with('"') ? text.substr(1, text.size() - 2) : text;
    return words;
  };
  for (const AscentSettings& s : all_kinds()) {
    const ProtectionId id = by(s, {{"shadow", "01 02"}});
    BOOST_TEST((read(plain(id)) == id), id.to_json());
    const ProtectionId twice{{id.applied[0], by({}).applied[0]}, {}};
    BOOST_TEST((read({{"recogniser", "r"}, {"cut", "c"}, {"protection", twice.to_json()}}) == twice));
  }
  // Once the generator was a method of advface.
  Metadata old = plain(by({.epsilon = 0.25}));
  old["method"] = "generator";
  old["generator"] = "4567";
  old["steps"] = "1";
  BOOST_TEST(
      (read(old) == ProtectionId{{{"generator", {{"epsilon", "0.25"}}, {{"generator", "4567"}}}}, {}}));
  old["method"] = "magic";
  refused([&] { read(old); }, {"set.npy.index", "magic"});
}
