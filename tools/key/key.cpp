// advface-key: makes a key, says whose it is, turns what is stored from one key to another, destroys it.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <numeric>

#include "advface/core/feature_file.h"
#include "advface/core/unfinished_rows.h"
#include "advface/keys/key.h"
#include "advface/protections/rotation_protection.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/npy.h"
#include "tools/options/cli.h"
#include "tools/options/progress.h"

using namespace advf;
using namespace advf::tools;

namespace {

struct Options {
  Common common;
  std::string file;                   // of new, inspect, destroy
  std::string key, new_key, in, out;  // of rotate
  int64_t batch = 4096;
};

// What may be told of it.
nlohmann::json to_json(const KeyInfo& info, const std::string& file) {
  return {{"file", file}, {"key", info.id}, {"date", info.date}, {"check", info.check}};
}

int make_key(const Options& o) {
  check_writable({o.common.json});
  const Key key = Key::fresh();
  key.write_new(o.file);
  o.common.write_json(to_json(key.info(), o.file));
  std::cout << "key " << key.info().id << " -> " << o.file << "\n";
  return 0;
}

int inspect_key(const Options& o) {
  check_writable({o.common.json});
  const KeyInfo info = Key::read(o.file).info();
  o.common.write_json(to_json(info, o.file));
  std::cout << "key " << info.id << ", made " << info.date << ", check value " << info.check << "\n";
  return 0;
}

int destroy_key(const Options& o) {
  check_writable({o.common.json});
  destroy_key_file(o.file);
  o.common.write_json({{"file", o.file}, {"destroyed", true}});
  std::cout << o.file
            << " is overwritten and removed. Copies elsewhere (backups, snapshots, other names of the file) "
               "are not; "
            << "nor may a flash disk or a journaling file system have written over the old bytes\n";
  return 0;
}

bool is_there(const std::string& path) {
  std::error_code none;
  return std::filesystem::exists(path, none);
}

// What is stored, whose last protection is a rotation.
FeatureFile open_locked(const std::string& path) {
  const std::string index = npy_index_path(path);
  check(!is_there(index), path, ": is a set of an older version (", index,
        " lies beside it); advface-store import takes it, and advface-store renew turns it there");
  FeatureFile file = open_feature_file(path);
  const ProtectionId& protection = file.info.protection;
  check(protection.known(), protection.unknown);
  check(!protection.applied.empty() && protection.applied.back().name == "rotation", path,
        ": its features are ", protection.describe(), "; a key changes where a rotation was applied last");
  return file;
}

std::vector<int64_t> numbers(int64_t begin, int64_t end) {
  std::vector<int64_t> list(static_cast<size_t>(end - begin));
  std::iota(list.begin(), list.end(), begin);
  return list;
}

// The rotation of the rows that an earlier call has turned; null where there are none.
const AppliedProtection* begun_in(const UnfinishedRows& part) {
  if (!part.begun() || part.begun()->protection.applied.empty()) return nullptr;
  const AppliedProtection& last = part.begun()->protection.applied.back();
  return last.name == "rotation" ? &last : nullptr;
}

// What an earlier call left must be for the same rows and the same key.
void check_goes_on(const Options& o, const UnfinishedRows& part, const RowsToMake& what) {
  if (!part.begun()) return;
  const std::string advice = "; remove it to begin anew";
  check(part.begun()->source == what.source, part.path(), ": was begun with other rows than those of ", o.in,
        advice);
  const AppliedProtection* begun = begun_in(part);
  const auto key_of = [](const AppliedProtection& a) {
    const auto found = a.networks.find("key");
    return found == a.networks.end() ? std::string("another") : found->second;
  };
  const std::string its = begun ? key_of(*begun) : "none", ours = key_of(what.protection.applied.back());
  check(its == ours, part.path(), ": was begun with the new key ", its, ", which ", o.new_key,
        " is not; give that one, or remove the file to begin anew");
  check(*part.begun() == what, part.path(),
        ": was begun of rows that were protected otherwise than those of ", o.in, " (",
        part.begun()->protection.describe(), ")", advice);
}

// How far the earlier call came. Its last batch may not have reached the disk before a power cut, so it is
// made again; of the rest one row is compared.
int64_t go_on(const Options& o, const FeatureRows& from, const KeyChange& change, UnfinishedRows& part) {
  constexpr float kNear = 1e-5f;  // other processors round otherwise
  check(part.count() <= from.count(), part.path(), ": has ", part.count(), " rows, more than ", o.in,
        "; remove it to begin anew");
  const int64_t done = std::max<int64_t>(0, part.count() - o.batch);
  if (done > 0) {
    const auto again = change.change(from.range(done - 1, done), numbers(done - 1, done)).to_vector<float>(),
               there = part.range(done - 1, done).to_vector<float>();
    for (size_t k = 0; k < there.size(); ++k)
      check(std::abs(again[k] - there[k]) < kNear, part.path(), ": its row ", done - 1,
            " does not come of that of ", o.in, "; remove it to begin anew");
    std::cerr << "goes on behind row " << done << " of " << part.path() << "\n";
  }
  part.cut_back(done);
  return done;
}

void turn_all(const Options& o, const FeatureRows& from, const KeyChange& change, UnfinishedRows& part) {
  int64_t done = go_on(o, from, change, part);
  Progress progress("turn", from.count() - done, "records");
  while (done < from.count()) {
    if (interrupted()) {
      progress.finish();
      std::cerr << "stopped after " << done << " records; the same command goes on with them\n";
      throw Interrupted();
    }
    const int64_t end = std::min(from.count(), done + o.batch);
    const Tensor turned = change.change(from.range(done, end), numbers(done, end));
    try {
      part.append(turned);
    } catch (const Error& e) {
      fail(e.what(), "; ", done, " records are there, and the same command goes on with them");
    }
    progress.advance(end - done);
    done = end;
  }
  progress.finish();
}

// All rows are there: from what was unfinished to a file of features.
void finish(const Options& o, const FeatureInfo& made, UnfinishedRows& part) {
  FeatureFileWriter out(o.out, part.row(), made);
  for (int64_t begin = 0; begin < part.count(); begin += o.batch) {
    if (interrupted()) throw Interrupted();
    const int64_t end = std::min(part.count(), begin + o.batch);
    const Tensor rows = part.range(begin, end);
    try {
      check_records(rows, numbers(begin, end), FeatureDomain::sphere);
    } catch (const Error& e) {
      fail(part.path(), ": is damaged: ", e.what(), "; remove it to begin anew");
    }
    out.append_rows(rows);
  }
  out.commit();
  part.remove();
}

int rotate_key(const Options& o) {
  o.common.activate();
  install_interrupt_handler();
  // Half files of calls that were killed.
  for (const std::string& file : {o.out, feature_info_path(o.out), o.new_key}) remove_stale_temporaries(file);
  const FeatureFile from = open_locked(o.in);
  const auto old_key = std::make_shared<const Key>(Key::read(o.key));
  const bool is_new = !is_there(o.new_key);
  const auto new_key = std::make_shared<const Key>(is_new ? Key::fresh() : Key::read(o.new_key));
  // An output that cannot be written is told before the work.
  FeatureFileWriter(o.out, from.rows.row(), from.info);
  UnfinishedRows part(o.out + ".part", from.rows.row());
  const KeyChange change(from.info.protection.applied.back(), old_key, new_key, o.in, begun_in(part));
  FeatureInfo made = from.info;
  made.protection.applied.back() = change.after();
  const RowsToMake what{from.rows.sample_hash(), made.protection};
  check_goes_on(o, part, what);
  check_rows(from.rows, FeatureDomain::sphere, o.in);
  if (is_new) {  // only when nothing speaks against the rest
    new_key->write_new(o.new_key);
    std::cerr << "a new key, " << new_key->info().id << " -> " << o.new_key << "\n";
  }
  if (!part.begun()) part.begin(what);
  turn_all(o, from.rows, change, part);
  finish(o, made, part);
  const std::string id = new_key->info().id;
  o.common.write_json({{"records", from.rows.count()},
                       {"key", old_key->info().id},
                       {"new_key", id},
                       {"in", o.in},
                       {"out", o.out}});
  std::cout << "turned " << from.rows.count() << " records from key " << old_key->info().id << " to " << id
            << " -> " << o.out << "; remove " << o.in << " and destroy " << o.key
            << " once nothing needs them\n";
  return 0;
}

CLI::App* add_file_verb(CLI::App& app, const std::string& name, const std::string& help, Options& o) {
  CLI::App* verb = app.add_subcommand(name, help);
  verb->add_option("FILE", o.file, "the key's file")->required();
  verb->add_option("--json", o.common.json, "also write the result to this file");
  return verb;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Keys of protections that need one: makes, shows, changes and destroys them.", "advface-key");
  app.footer(
      "Example:\n  advface-key new face.key\n  advface-protect --protect rotation --key face.key --in z.npy "
      "--out p.npy\n"
      "  advface-key rotate --key face.key --new-key next.key --in p.npy --out q.npy\n  advface-key destroy "
      "face.key");
  app.require_subcommand(1);
  Options o;
  const CLI::App* make =
      add_file_verb(app, "new", "makes a key in a new file, which its owner alone may read", o);
  const CLI::App* inspect =
      add_file_verb(app, "inspect", "says which key it is and when it was made, never the key", o);
  const CLI::App* destroy = add_file_verb(app, "destroy", "overwrites the file and removes it", o);
  CLI::App* rotate = app.add_subcommand(
      "rotate", "turns every stored record from one key to another, in one pass that can be resumed");
  rotate->add_option("--key", o.key, "the key with which they are protected")->required();
  rotate->add_option("--new-key", o.new_key, "the key with which they will be; made where there is none")
      ->required();
  rotate
      ->add_option("--in", o.in, "features that a rotation locks (.npy), with their description beside them")
      ->required();
  rotate->add_option("--out", o.out, "where the turned records go (.npy); on the way they lie in OUT.part")
      ->required();
  rotate->add_option("--batch", o.batch, "records at a time")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  o.common.add_to(*rotate);
  return run(app, argc, argv, [&] {
    return make->parsed()      ? make_key(o)
           : inspect->parsed() ? inspect_key(o)
           : destroy->parsed() ? destroy_key(o)
                               : rotate_key(o);
  });
}
