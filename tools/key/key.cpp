// advface-key: makes a key, says whose it is, turns what is stored from one key to another, destroys it.
#include <algorithm>
#include <filesystem>
#include <iostream>
#include <numeric>

#include "advface/keys/key.h"
#include "advface/protections/rotation_protection.h"
#include "advface/store/stored_rows.h"
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

// What is stored, and where it goes on the way: a set that grows is turned into a set, and a file by way of
// one, so that both go on where they were left.
struct Job {
  FeatureFile from;
  std::vector<std::string> names;  // of the records of a set; none for a file
  FeatureInfo made;
  std::string growing;

  bool is_set() const { return !names.empty(); }
};

const AppliedProtection& rotation_of(const FeatureFile& file, const std::string& path) {
  const ProtectionId& protection = file.info.protection;
  check(protection.known(), protection.unknown);
  check(!protection.applied.empty() && protection.applied.back().name == "rotation", path,
        ": its features are ", protection.describe(), "; a key changes where a rotation was applied last");
  return protection.applied.back();
}

Job open_job(const Options& o) {
  Job job{open_feature_file(o.in), {}, {}, o.out};
  job.made = job.from.info;
  if (is_there(npy_index_path(o.in)))
    for (const auto& record : read_enrolled_set(o.in).records) job.names.push_back(record.name);
  else
    job.growing += ".part";
  return job;
}

std::vector<int64_t> numbers(int64_t begin, int64_t end) {
  std::vector<int64_t> list(static_cast<size_t>(end - begin));
  std::iota(list.begin(), list.end(), begin);
  return list;
}

// What an earlier call left must be of the same rows: its last one is made again.
void check_goes_on(const Options& o, const Job& job, const KeyChange& change, int64_t done) {
  check(done <= job.from.rows.count(), job.growing, " has ", done, " rows, more than ", o.in,
        "; remove it to begin anew");
  if (done == 0) return;
  const Tensor again = change.change(job.from.rows.range(done - 1, done), numbers(done - 1, done),
                                     numbers(done - 1, done)),
               there = FeatureRows::open(job.growing).range(done - 1, done);
  check(again.to_vector<float>() == there.to_vector<float>(), job.growing, ": its row ", done - 1,
        " does not come of that of ", o.in, "; remove it to begin anew");
}

void turn_all(const Options& o, const Job& job, const KeyChange& change) {
  const int64_t rows = job.from.rows.count();
  const auto wait = [] { return !interrupted(); };
  int64_t done = StoredRows::to_set(job.growing, job.from.rows.row(), job.made, wait).first();
  check_goes_on(o, job, change, done);
  if (done > 0) std::cerr << "goes on behind row " << done << " of " << job.growing << "\n";
  Progress progress("turn", rows - done, "records");
  while (done < rows) {
    if (interrupted()) {
      progress.finish();
      std::cerr << "stopped after " << done << " records; the same command goes on from there\n";
      throw Interrupted();
    }
    const int64_t end = std::min(rows, done + o.batch);
    StoredRows out = StoredRows::to_set(job.growing, job.from.rows.row(), job.made, wait);
    check(out.first() == done, job.growing, ": somebody else adds to it");
    std::vector<std::string> names(static_cast<size_t>(end - done));
    for (int64_t r = done; r < end; ++r)
      names[size_t(r - done)] = job.is_set() ? job.names[size_t(r)] : std::to_string(r);
    out.append(change.change(job.from.rows.range(done, end), numbers(done, end), numbers(done, end)), names);
    out.commit();
    progress.advance(end - done);
    done = end;
  }
  progress.finish();
}

// Of a file: from the set that grew to a file again.
void finish(const Options& o, const Job& job) {
  if (job.is_set()) return;
  const FeatureRows turned = FeatureRows::open(job.growing);
  FeatureFileWriter out(o.out, turned.row(), job.made);
  for (int64_t begin = 0; begin < turned.count(); begin += o.batch)
    out.append_rows(turned.range(begin, std::min(turned.count(), begin + o.batch)));
  out.commit();
  std::error_code none;
  for (const std::string& path : {job.growing, npy_index_path(job.growing)})
    std::filesystem::remove(path, none);
}

int rotate_key(const Options& o) {
  o.common.activate();
  install_interrupt_handler();
  Job job = open_job(o);
  const AppliedProtection& before = rotation_of(job.from, o.in);
  const auto old_key = std::make_shared<const Key>(Key::read(o.key));
  const bool made = !is_there(o.new_key);
  const auto new_key = std::make_shared<const Key>(made ? Key::fresh() : Key::read(o.new_key));
  const KeyChange change(before, old_key, new_key, o.in, &before);
  job.made.protection.applied.back() = change.after();
  check_rows(job.from.rows, FeatureDomain::sphere, o.in);
  if (made) {  // only when nothing speaks against the rest
    new_key->write_new(o.new_key);
    std::cerr << "a new key, " << new_key->info().id << " -> " << o.new_key << "\n";
  }
  turn_all(o, job, change);
  finish(o, job);
  const std::string id = change.after().networks.at("key");
  o.common.write_json({{"records", job.from.rows.count()},
                       {"key", old_key->info().id},
                       {"new_key", id},
                       {"in", o.in},
                       {"out", o.out}});
  std::cout << "turned " << job.from.rows.count() << " records from key " << old_key->info().id << " to "
            << id << " -> " << o.out << "; remove " << o.in << " and destroy " << o.key
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
  rotate->add_option("--in", o.in, "what advface-protect wrote: a file, or a set that grows (.npy)")
      ->required();
  rotate->add_option("--out", o.out, "where the turned records go, of the same kind (.npy)")->required();
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
