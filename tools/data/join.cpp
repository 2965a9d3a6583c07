#include "tools/data/join.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <vector>

#include "advface/core/feature_file.h"
#include "advface/core/text_file.h"
#include "advface/detect/face_list.h"
#include "advface/protections/protection.h"
#include "tools/options/part.h"
#include "tools/options/progress.h"

namespace advf::tools {
namespace {

namespace fs = std::filesystem;

struct OpenPart {
  std::string path;
  FeatureFile file;
};

void check_same_run(const OpenPart& first, const OpenPart& part) {
  const FeatureInfo &a = first.file.info, &b = part.file.info;
  const auto same = [&](const char* what, const auto& of_a, const auto& of_b) {
    check(of_a == of_b, part.path, " and ", first.path, " are not of one run: ", what, " is ", of_b, " and ",
          of_a);
  };
  same("the recogniser", a.recogniser, b.recogniser);
  same("the cut", a.cut, b.cut);
  same("the protection", a.protection.to_json(), b.protection.to_json());
  same("the shape of a feature", first.file.rows.row(), part.file.rows.row());
  same("the seed", a.part->seed, b.part->seed);
  same("the input", a.part->input, b.part->input);
  same("the size of the input", a.part->total, b.part->total);
  same("the card", a.card, b.card);
}

std::vector<OpenPart> open_parts(const std::string& out) {
  const std::vector<std::string> files = part_files(out);
  std::vector<OpenPart> parts;
  for (size_t i = 0; i < files.size(); ++i) {
    parts.push_back({files[i], open_feature_file(files[i], OtherSalts::taken)});
    const auto& told = parts.back().file.info.part;
    check(told && told->number == int64_t(i) + 1 && told->of == int64_t(files.size()), files[i],
          ": its description does not say that it is part ", i + 1, " of ", files.size());
    check_same_run(parts[0], parts.back());
  }
  int64_t next = 0;
  for (const OpenPart& part : parts) {
    const FeaturePart& told = *part.file.info.part;
    check(told.first == next, part.path, ": begins at ", told.first,
          " of the input, but the part before it ends at ", next, "; the runs had another --batch");
    next = told.end;
  }
  check(next == parts[0].file.info.part->total, out, ": its parts end at ", next, " of ",
        parts[0].file.info.part->total);
  return parts;
}

// A list of lines beside each part, of the name of the part and `ending`, one behind the other. rows: whether
// there is a line for each row. A head that all of them begin with stands once.
std::unique_ptr<AtomicFile> join_lists(const std::string& out, const std::vector<OpenPart>& parts,
                                       const std::string& ending, const std::string& head, bool rows) {
  std::unique_ptr<AtomicFile> joined;
  std::error_code none;
  for (const OpenPart& part : parts) {
    const std::string path = part.path + ending;
    const bool there = fs::exists(path, none);
    const auto& bound = part.file.info.part->lists;
    if (const auto hash = bound.find(ending); hash != bound.end())
      check(there && hash->second == file_fingerprint(path), path,
            there ? " is another list than" : " is not there;", " the one that was written beside ",
            part.path, "; run the part again");
    check(!rows || there == fs::exists(parts[0].path + ending, none), path,
          there ? " is there" : " is not there", ", while that of part 1 is", there ? " not" : "");
    if (!there) continue;
    std::string text = read_text(path);
    check(text.starts_with(head), path, ": does not begin as such a list does");
    text.erase(0, head.size());
    const auto lines = std::count(text.begin(), text.end(), '\n');
    check(!rows || lines == part.file.rows.count(), path, " has ", lines, " lines, but ", part.path, " has ",
          part.file.rows.count(), " rows");
    if (!joined) {
      joined = std::make_unique<AtomicFile>(out + ending);
      joined->write(head);
    }
    joined->write(text);
  }
  return joined;
}

}  // namespace

nlohmann::json join_parts(const std::string& out) {
  install_interrupt_handler();
  const std::vector<OpenPart> parts = open_parts(out);
  FeatureInfo info = parts[0].file.info;
  info.part.reset();
  FeatureFileWriter rows(out, parts[0].file.rows.row(), info);
  std::vector<std::unique_ptr<AtomicFile>> lists;
  lists.push_back(join_lists(out, parts, kFileListEnding, "", true));
  lists.push_back(join_lists(out, parts, face_list_path(""), face_list_header(), true));
  lists.push_back(join_lists(out, parts, left_out_path(""), left_out_header(), false));
  for (const OpenPart& part : parts) {
    const std::string &told = part.file.info.part->rows, read = part.file.rows.hash([&](const Tensor&some) {
      if (interrupted()) throw Interrupted();
      rows.append_rows(some);
    });
    check(told.empty() || told == read, part.path,
          ": its rows are not those that were written; run the part again");
  }
  rows.finish();
  for (const auto& list : lists)
    if (list) list->finish();
  rows.commit();
  for (const auto& list : lists)
    if (list) list->commit();
  return {{"kind", "joined"}, {"out", out}, {"parts", parts.size()}, {"rows", rows.rows()}};
}

}  // namespace advf::tools
