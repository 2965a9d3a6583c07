#include "tools/audit/report_verification.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "advface/core/text_file.h"
#include "tools/audit/audit.h"
#include "tools/audit/audit_page.h"
#include "tools/audit/audit_people.h"
#include "tools/audit/audit_report.h"
#include "tools/audit/json_schema.h"
#include "tools/audit/report_checks.h"

namespace advf::tools {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

using List = std::vector<std::string>;

// One line of a check; whether nothing is wrong.
bool told_of(const char* what, const char* good, const char* bad, const List& wrong) {
  std::printf("%s: %s%s%s\n", what, wrong.empty() ? good : bad, wrong.empty() ? "" : ": ",
              first_of(wrong).c_str());
  return wrong.empty();
}

// Paths below one folder as those below another; names of protections are none.
json moved_paths(json value, const std::string& from, const std::string& to) {
  if (value.is_string()) {
    const std::string path = value, folder = from == "/" ? "" : from;
    if (path == from) return to;
    if (path.starts_with(folder + "/")) return (to == "/" ? "" : to) + path.substr(folder.size());
  } else if (value.is_structured()) {
    for (auto& [key, one] : value.items())
      if (key != "name") one = moved_paths(std::move(one), from, to);
  }
  return value;
}

class Verifier {
 public:
  Verifier(const json& report, const std::string& path, const std::string& data, bool is_signed,
           const Context& context)
      : report_(report), path_(path), is_signed_(is_signed), context_(context) {
    if (data.empty()) return;
    as_usage([&] {
      check(report.contains("data_folder") && report["data_folder"].is_string(), "--data: ", path,
            " does not say which folder its inputs lay in, as reports of older versions do not; put the "
            "inputs where they were");
      check(fs::is_directory(data), "--data ", data, ": is no folder; name the one that holds what lay in ",
            report["data_folder"].get<std::string>());
    });
    was_ = report["data_folder"];
    data_ = fs::absolute(data).lexically_normal().string();
    if (data_.size() > 1 && data_.ends_with('/')) data_.pop_back();
  }

  Verification verify(bool must_plan) {
    v_.told = {{"report", path_}, {"inputs", json::array()}};
    note("digest", digest());
    if (!report_.contains("digest")) v_.told["digest"] = nullptr;
    if (note("shape",
             told_of("shape", "as docs/audit.schema.json has it", "IS NOT as docs/audit.schema.json has it",
                     schema_errors(report_schema(), report_))))
      content(must_plan);
    return std::move(v_);
  }

 private:
  bool note(const char* key, bool fine) {
    v_.told[key] = fine;
    v_.good &= fine;
    return fine;
  }
  void reserve(std::string what) { v_.reserved.push_back(std::move(what)); }

  // What a report of the right shape says, against itself and what is here.
  void content(bool must_plan) {
    const json config = report_["config"];
    v_.config = parse_audit_config((data_.empty() ? config : moved_paths(config, was_, data_)).dump(), path_,
                                   fs::current_path().string());
    note("verdicts", keys(concluded_keys(v_.config, report_), "the rows"));
    note("parts",
         told_of("parts", "rows, groups and failures agree with one another",
                 "rows, groups and failures CONTRADICT one another", contradictions(report_, v_.config)));
    note("people", people());
    note("page", page());
    failures();
    const bool same = inputs(must_plan);
    if (same || must_plan) planned();
  }

  // Whether the report is what was written, as far as it says so itself. The digest is of what it says, in
  // the form in which advface-audit writes it: other blanks between the same keys and values leave it right.
  bool digest() const {
    const bool laid_out = read_text(path_) != report_text(report_);
    const bool named = report_.contains("digest"), same = is_as_written(report_);
    std::printf("digest: %s\n",
                same && laid_out ? "the report is as it was written, but its file was laid out anew"
                : same           ? "the report is as it was written"
                : named          ? "the report IS NOT as it was written: somebody changed it"
                : is_signed_     ? "none, as in reports of older versions; the signature binds the report"
                                 : "NONE: somebody took it away, or the report is of an older version, and "
                                   "nothing binds its rows, groups, dates and times");
    return same || (!named && is_signed_);
  }

  // Keys that follow from others, made again. Older reports have fewer keys.
  bool keys(const json& again, const char* from) const {
    bool good = true;
    for (const auto& [key, value] : again.items()) {
      if (!report_.contains(key)) continue;
      const bool same = report_[key] == value;
      good &= same;
      std::printf("%s: %s\n", key.c_str(),
                  (same ? std::string("as it follows from ") + from
                        : std::string("DOES NOT follow from ") + from + " by the rules of this program")
                      .c_str());
    }
    return good;
  }

  // The file of people beside it; a report goes without one, but not with another's.
  bool people() {
    ReportPeople people = people_of(report_, path_);
    if (!people.values) {
      std::error_code none;
      const bool named = report_.contains("people"),
                 there = fs::exists(fs::path(path_).parent_path() / kPeopleFile, none);
      std::printf("people: %s%s\n", people.why_not.c_str(),
                  named && !there ? ", and is part of the audit: put it beside the report" : "");
      reserve("means and intervals of rows with the values of people: " + people.why_not);
      return !named || !there;
    }
    people_ = std::move(people.values);
    return told_of("people", "as they were, and they make the means of the rows",
                   "they DO NOT make the means of the rows", not_of_people(report_, *people_));
  }

  // The page beside it, which says the same; the bytes of its pictures are bound by its digest alone.
  bool page() {
    if (!report_.contains("page")) {
      reserve(std::string(kPageFile) + ", of which the report names no digest");
      return true;
    }
    const std::string file = (fs::path(path_).parent_path() / kPageFile).string();
    std::error_code none;
    if (!fs::exists(file, none)) {
      std::printf("page: %s is not there, and is part of the audit: put it beside the report\n",
                  file.c_str());
      reserve("what the page says: " + file + " is not there");
      return true;
    }
    if (digest_of_file(file) != report_["page"]["digest"]) {
      std::printf("page: %s IS NOT as it was written, or of another report\n", file.c_str());
      return false;
    }
    const std::string there = read_text(file);
    const PagePictures pictures(there);
    if (there == audit_page(report_, has_pictures(there) ? &pictures : nullptr)) {
      std::printf("page: as it follows from the report\n");
      return true;
    }
    // Another version may say the same in other words.
    const bool own = report_.value("programs", json::object()).value("audit", "") == own_digest();
    std::printf("page: %s\n", own ? "DOES NOT follow from the report, pictures aside" : "as it was written");
    if (!own)
      reserve("what " + std::string(kPageFile) + " says with the report, as another advface-audit wrote it");
    return !own;
  }

  // Who could not be run attacks nobody, and why is nobody's to tell but his who saw it.
  void failures() {
    List names;
    for (const json& f : report_["failed"]) names.push_back(f["step"]);
    if (names.empty()) return;
    std::printf("failed: %s\n", first_of(names).c_str());
    reserve("whether " + std::to_string(names.size()) + " step" + (names.size() > 1 ? "s" : "") +
            " failed, as the report says (" + first_of(names) + "), which takes away what " +
            (names.size() > 1 ? "they" : "it") + " would have found; --rerun \"" + names[0] +
            "\" tries again");
  }

  // One line each; whether all are as they were.
  bool inputs(bool must_be_there) {
    bool same = !report_["inputs"].empty();
    if (!same) std::printf("inputs: NONE are named, so that nothing can be compared\n");
    List absent;
    bool changed = !same;
    for (const json& input : report_["inputs"]) {
      const std::string told = input["path"], digest = input["digest"];
      const std::string path = data_.empty() ? told : moved_paths(told, was_, data_).get<std::string>();
      std::error_code none;
      if (!fs::exists(path, none)) {
        absent.push_back(path);
        v_.told["inputs"].push_back({{"path", path}, {"same", nullptr}});
        std::printf("%s: is not there\n", path.c_str());
        continue;
      }
      std::string now;
      try {
        now = path == v_.config.faces.images
                  ? digest_of_images(v_.config.faces.open_images(context_), context_)
                  : digest_of_file(path);
      } catch (const Error& e) {
        now = e.what();
      }
      changed |= now != digest;
      v_.told["inputs"].push_back({{"path", path}, {"same", now == digest}});
      std::printf("%s: %s\n", path.c_str(),
                  now == digest                                                 ? "as it was"
                  : now.find(':') == std::string::npos || now.starts_with(path) ? now.c_str()
                                                                                : "CHANGED");
    }
    v_.good &= !changed;
    if (!absent.empty()) {
      const std::string folder = !data_.empty() ? data_ : report_.value("data_folder", "");
      const std::string remedy = folder.empty()
                                     ? "; put them where they were"
                                     : "; put them into " + folder +
                                           ", or name the folder that holds what lay there with --data DIR";
      check(!must_be_there, path_, ": --rerun takes the inputs, and ", absent[0], " is not there", remedy);
      reserve("inputs that are not there (" + first_of(absent) +
              "), and what follows from settings and inputs" + remedy);
    } else if (changed) {
      reserve("what follows from settings and inputs, as these are not as they were");
    }
    return !changed && absent.empty();
  }

  // What the settings plan with the inputs.
  void planned() {
    AuditFacts facts = audit_facts(v_.config, context_);
    AuditPlan plan = make_audit_plan(v_.config, facts, programs_folder(),
                                     {report_.value("device", "cpu"), report_.value("precision", "f32")});
    v_.here = std::make_unique<PlannedHere>(PlannedHere{std::move(facts), std::move(plan)});
    const auto& [known, here] = *v_.here;
    note("programs", programs(here));
    const json again = planned_keys(v_.config, known, here);
    note("planned", keys(data_.empty() ? again : moved_paths(again, data_, was_), "settings and inputs"));
    if (!report_.contains("data_folder"))
      reserve("commands, as the report does not say which folder its inputs lay in");
    note("steps", told_of("steps", "as they were planned", "ARE NOT those that follow from the settings",
                          wrong_steps(report_, v_.config, known, here)));
    note("rows",
         told_of("rows", "one or more of each pair that was measured",
                 "ARE NOT those of the pairs that were measured", wrong_rows(report_, v_.config, here)));
    if (people_)
      note("tested", told_of("intervals", "those that the people under test give",
                             "ARE NOT those that the people under test give",
                             not_of_tested(report_, *people_, known.test_identities)));
    if (report_["steps"].size() != here.steps.size()) return;  // told above
    bool is_known = true;
    note("converged",
         told_of("converged", "as settings and trainings say", "NOT as settings and trainings say",
                 not_at_rest(report_, v_.config, here, is_known)));
    if (!is_known)
      reserve("whether trainings came to rest, of which reports of older versions do not say how they ended");
  }

  // Which programs made it. Without that, as in older reports, nobody knows of which programs its hashes are.
  bool programs(const AuditPlan& plan) {
    if (!names_programs(report_)) {
      std::printf("programs: %s\n",
                  is_signed_ ? "not named, as in reports of older versions; the signature binds the report"
                             : "NOT named: somebody took them away, or the report is of an older version");
      reserve("hashes of steps, as the report does not name the programs that made it");
      return is_signed_;
    }
    const List others = other_programs(report_, plan);
    std::printf("programs: %s\n",
                others.empty()
                    ? "those that are here"
                    : ("NOT THE SAME as here: " + first_of(others) +
                       "; hashes of steps are compared with those that its own programs give, whose digests "
                       "it names")
                          .c_str());
    if (!others.empty())
      reserve("whether its own programs give these numbers, as other ones are here (" + first_of(others) +
              ")");
    return true;
  }

  const json& report_;
  const std::string path_;
  std::string was_, data_;  // the folder of the inputs, as the report names it and as it is here
  const bool is_signed_;
  const Context& context_;
  std::optional<PeopleValues> people_;
  Verification v_;
};

}  // namespace

std::string first_of(const List& findings) {
  constexpr size_t kTold = 5;
  std::string text;
  for (size_t i = 0; i < std::min(findings.size(), kTold); ++i) text += (i > 0 ? "; " : "") + findings[i];
  return findings.size() > kTold ? text + "; and " + std::to_string(findings.size() - kTold) + " more" : text;
}

Verification verify_report(const json& report, const std::string& path, const std::string& data,
                           bool is_signed, bool must_plan, const Context& context) {
  return Verifier(report, path, data, is_signed, context).verify(must_plan);
}

const List& taken_on_trust() {
  static const List list{
      "what was measured: numbers of rows with the people that make them, groups, and how trainings ended; "
      "--rerun makes those of a row again",
      "date, times, memory, why steps failed, and pictures of the page"};
  return list;
}

}  // namespace advf::tools
