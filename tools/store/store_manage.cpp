// list, show, remove, log, check, backup.
#include <algorithm>
#include <filesystem>
#include <iostream>

#include "advface/core/text_file.h"
#include "tools/options/progress.h"
#include "tools/options/protection_options.h"
#include "tools/store/store_options.h"

namespace advf::tools {
namespace {

struct ListOptions : StoreOptions {
  bool all_sets = false;
};

int list(const ListOptions& o) {
  o.common.activate();
  Store store = o.open(Database::Access::read);
  nlohmann::json result = {{"sets", nlohmann::json::array()}, {"records", nlohmann::json::array()}};
  for (const StoredSet& set : store.sets()) {
    result["sets"].push_back(to_json(set));
    if (o.all_sets)
      std::cout << set.name << (set.generation == Generation::next ? " (next)" : "") << "\t" << set.records
                << " records\t" << set.info.protection.describe() << "\n";
  }
  if (!o.all_sets) {
    const StoredSet set = store.set(o.set);
    for (int64_t from = 0;;) {
      if (interrupted()) throw Interrupted();
      const auto records = store.records(set, from, 4096);
      if (records.empty()) break;
      for (const StoredRecord& r : records) {
        if (!o.common.json.empty()) result["records"].push_back(to_json(r));
        std::cout << r.number << "\t" << r.subject << "\t" << r.created << "\t" << r.photograph << "\n";
      }
      from = records.back().number + 1;
    }
  }
  o.common.write_json(result);
  return 0;
}

struct SubjectOptions : StoreOptions {
  std::vector<std::string> subjects;
  std::string subjects_file;
  bool whole_set = false;
};

int show(const SubjectOptions& o) {
  o.common.activate();
  Store store = o.open(Database::Access::read);
  const StoredSet set = store.set(o.set);
  nlohmann::json result = to_json(set);
  std::cout << "set " << set.name << ", made " << set.created << ": " << set.records << " records of "
            << set.dimension << " values, " << set.info.protection.describe() << ", of recogniser "
            << (set.info.recogniser.empty() ? "not known" : set.info.recogniser) << ", cut "
            << (set.info.cut.empty() ? "not known" : set.info.cut) << "\n";
  if (const auto next = store.find_set(o.set, Generation::next)) {
    result["next"] = to_json(*next);
    std::cout << "is being renewed: " << next->records << " records are " << next->info.protection.describe()
              << "\n";
  }
  nlohmann::json records = nlohmann::json::array();
  for (const std::string& subject : o.subjects) {
    const StoredRecord r = store.record(set, subject);
    records.push_back(to_json(r));
    std::cout << r.subject << ": record " << r.number << ", made " << r.created
              << (r.photograph.empty() ? "" : ", of " + r.photograph)
              << (r.quality.empty() ? "" : ", " + r.quality) << "\n";
  }
  result["shown"] = records;
  o.common.write_json(result);
  return 0;
}

int remove_people(const SubjectOptions& o) {
  o.common.activate();
  std::vector<std::string> subjects = o.subjects;
  if (!o.subjects_file.empty())
    for (std::string& name : lines_of_file(o.subjects_file)) subjects.push_back(std::move(name));
  as_usage([&] {
    check(o.whole_set || !subjects.empty(),
          "say who is removed: --subject, --subjects FILE, or --whole-set for all");
    check(!o.whole_set || subjects.empty(), "--whole-set removes all; leave --subject and --subjects out");
  });
  Store store = o.open(Database::Access::write);
  if (o.whole_set)
    store.remove_set(o.set);
  else
    store.remove(o.set, subjects);
  const bool erased = store.forget();
  std::ranges::sort(subjects);
  subjects.erase(std::unique(subjects.begin(), subjects.end()), subjects.end());
  const std::vector<std::string> also_in = store.also_in(o.set, subjects);
  o.common.write_json(
      {{"removed", subjects.size()}, {"whole_set", o.whole_set}, {"set", o.set}, {"also_in", also_in}});
  if (o.whole_set)
    std::cout << "removed the set " << o.set;
  else
    std::cout << "removed " << subjects.size() << " from the set " << o.set;
  std::cout << "; " << what_is_left(erased, o.store) << ". Backups and exports have what they had\n";
  if (!also_in.empty())
    std::cerr << "of the same name somebody is still in the set " << names_text(also_in)
              << ": what was enrolled there stays (--set NAME removes it)\n";
  return 0;
}

struct LogOptions : StoreOptions {
  bool verify = false;
  std::string known;
};

int show_log(const LogOptions& o) {
  o.common.activate();
  as_usage([&] { check(o.known.empty() || o.verify, "--known is for --verify"); });
  Store store = o.open(Database::Access::read);
  nlohmann::json events = nlohmann::json::array();
  std::string last;
  if (o.verify) {
    last = store.verify_events(o.known);
    check(!last.empty() || store.sets().empty(), o.store, ": has sets and no event; the log was emptied");
  }
  for (int64_t from = 1;;) {
    if (interrupted()) throw Interrupted();
    const auto some = store.events(from, 4096);
    if (some.empty()) break;
    for (const StoredEvent& e : some) {
      if (!o.verify)
        std::cout << e.number << "\t" << e.time << "\t" << e.actor << "\t" << e.what << "\t" << e.set << "\t"
                  << e.detail << "\n";
      events.push_back({{"event", e.number},
                        {"time", e.time},
                        {"actor", e.actor},
                        {"what", e.what},
                        {"set", e.set},
                        {"detail", e.detail},
                        {"chain", e.chain}});
    }
    from = some.back().number + 1;
  }
  if (o.verify)
    std::cout << events.size() << " events go with the chain; the last is " << last
              << ": note it elsewhere, for --known, since who can write the file can make all of it anew\n";
  o.common.write_json({{"events", events}, {"verified", o.verify}, {"last", last}});
  return 0;
}

struct CheckOptions : StoreOptions {
  CheckOptions() { looks_for_damage = true; }
  bool repair = false;
};

int check_store(const CheckOptions& o) {
  o.common.activate();
  Store store = o.open(o.repair ? Database::Access::write : Database::Access::read);
  if (o.repair) {
    store.give_up_imports();
    store.erase_retired(interrupted);
    store.remove_orphans();
    store.forget(Store::Forget::thoroughly);
    check(store.database().overwrite_remains(), o.store,
          ": another program is in the way, so that remains of moved rows were not overwritten; call again "
          "when none is");
  }
  std::vector<std::string> problems = store.problems(interrupted);
  try {
    store.check_log();
  } catch (const Error& e) {
    problems.emplace_back(e.what());
  }
  for (const StoredSet& set : store.sets()) {
    if (const std::string problem = Calibration::problem(store, set); !problem.empty())
      problems.push_back(problem);
  }
  const bool with_files = !o.files.empty();
  if (with_files) {
    const StoredSet set = store.set(o.set);
    try {
      SetProtection(store, set, o.files, nullptr);
    } catch (const WrongCall&) {
      throw;
    } catch (const Error& e) {
      problems.push_back(e.what());
    }
  }
  int64_t records = 0;
  for (const StoredSet& set : store.sets()) records += set.records;
  o.common.write_json({{"problems", problems}, {"records", records}});
  for (const std::string& problem : problems) std::cerr << "problem: " << problem << "\n";
  check(problems.empty(), o.store, ": ", problems.size(),
        " problems, listed above; a backup has what was there");
  std::cout << o.store << " is whole: " << records << " records"
            << (with_files ? ", and the key is the right one" : "") << "\n";
  return 0;
}

struct BackupOptions : StoreOptions {
  std::string out;
};

int backup(const BackupOptions& o) {
  o.common.activate();
  Store store = o.open(Database::Access::read);
  store.database().copy_to(o.out);
  o.common.write_json({{"out", o.out}, {"bytes", std::filesystem::file_size(o.out)}});
  std::cout << o.store << " as it is now -> " << o.out << "; the key is not in it, and is kept elsewhere\n";
  return 0;
}

}  // namespace

void add_manage_verbs(CLI::App& app, Verbs& verbs) {
  auto listed = std::make_shared<ListOptions>();
  CLI::App* verb = app.add_subcommand("list", "lists the records of a set: number, name, date, photograph");
  listed->add_to(*verb, false);
  verb->add_flag("--sets", listed->all_sets, "the sets instead");
  verbs.push_back({verb, [listed] { return list(*listed); }});

  auto shown = std::make_shared<SubjectOptions>();
  verb = app.add_subcommand("show", "says what a set is, and what is told of people in it");
  shown->add_to(*verb, false);
  verb->add_option("--subject", shown->subjects, "of whom")->allow_extra_args(false);
  verbs.push_back({verb, [shown] { return show(*shown); }});

  auto removed = std::make_shared<SubjectOptions>();
  verb = app.add_subcommand("remove", "erases people, so that no byte of their features stays");
  removed->add_to(*verb, true);
  verb->add_option("--subject", removed->subjects, "who is removed; repeated")->allow_extra_args(false);
  verb->add_option("--subjects", removed->subjects_file, "a file with a name on each line");
  verb->add_flag("--whole-set", removed->whole_set, "everybody, and the set");
  verbs.push_back({verb, [removed] { return remove_people(*removed); }});

  auto events = std::make_shared<LogOptions>();
  verb = app.add_subcommand("log",
                            "says who did what and when; there are no features and no names of people in it");
  events->add_to(*verb, false);
  verb->add_flag("--verify", events->verify, "whether no event was changed or taken out");
  verb->add_option("--known", events->known,
                   "for --verify: a digest that was noted before, which must be among them")
      ->check([](const std::string& digest) { return digest.empty() ? "is empty" : ""; });
  verbs.push_back({verb, [events] { return show_log(*events); }});

  auto checked = std::make_shared<CheckOptions>();
  verb = app.add_subcommand(
      "check", "reads everything and says what is wrong; with --key also whether it is the right one");
  checked->add_to(*verb, true);
  verb->add_flag(
      "--repair", checked->repair,
      "go on with an erasure that broke off, erase features of which no record tells, and empty the log");
  checked->add_files_to(*verb);
  verbs.push_back({verb, [checked] { return check_store(*checked); }});

  auto copied = std::make_shared<BackupOptions>();
  verb = app.add_subcommand("backup", "copies the store as it is at one moment, while others use it");
  copied->add_to(*verb, false);
  verb->add_option("--out", copied->out, "a new file")->required();
  verbs.push_back({verb, [copied] { return backup(*copied); }});
}

}  // namespace advf::tools
