// advface-store against mistakes: outputs over inputs, broken imports, rows and lists that were changed,
// names that lie.
#define BOOST_TEST_MODULE cli_store_care
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "advface/store/store.h"
#include "store_test_util.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

const ToyWorld& world() { return toy_world(); }

}  // namespace

// What the options name is never what SQLite keeps beside the store; and what would be wrong for good is
// refused at the beginning.
BOOST_AUTO_TEST_CASE(a_store_is_kept_from_mistakes) {
  const Operator o;
  const std::string folder = o.dir.path().string();
  for (const char* end : {"-wal", "-shm", "-journal"})
    refuse(folder, "store", {"list", o.db(), "--json", o.db() + end}, 2, {"--json would replace", end},
           Late::yes);
  refuse(folder, "store", {"stats", o.db(), "--actor", "x"}, 2, {"--actor"}, Late::yes);
  refuse(folder, "store", {"remove", o.db(), "--subject", o.name(0), "--actor", "eve\n7\tday"}, 2,
         {"control character"}, Late::yes);
  refuse(
      folder, "store",
      Args{"init", o.at("new.db"), "--protect", "rotation", "--protect", "noise", "--noise-length", "0.1"} +
          world().recogniser() + o.key(),
      2, {"goes last"}, Late::yes);
  // Of the same network, but fed with other values.
  std::string card = read_bytes(world().at("rec.json"));
  const size_t model = card.find("\"rec.onnx\"");
  BOOST_REQUIRE(model != std::string::npos);
  card.replace(model, 10, "\"" + world().at("rec.onnx") + "\"");
  json changed = json::parse(card);
  changed["input"]["mean"] = 3.5;
  write_bytes(o.at("changed.json"), changed.dump());
  const Args probe = Args{"--image", o.photograph(0), "--threshold", "0", "--subject", o.name(0)} + o.key();
  refuse(folder, "store", Args{"verify", o.db(), "--recogniser", o.at("changed.json")} + probe, 1,
         {"people.db", "changed.json", "another card"}, Late::yes);
  // Features say of which card they are.
  succeed("extract", Args{"--recogniser", o.at("changed.json"), "--images", world().at("faces/images"),
                          "--out", o.at("of_changed.npy")});
  write_bytes(o.at("who.txt"), read_bytes(o.at("of_changed.npy.txt")));
  refuse(folder, "store",
         Args{"add", o.db(), "--in", o.at("of_changed.npy"), "--subjects", o.at("who.txt")} + o.key(), 1,
         {"people.db", "of_changed.npy", "another card"}, Late::yes);
  refuse(
      folder, "store",
      Args{"calibrate", o.db(), "--in", o.at("of_changed.npy"), "--people", o.at("who.txt"), "--fmr", "0.1"},
      1, {"people.db", "of_changed.npy", "another card"}, Late::yes);
  const Outcome enrolled = run_program("store", Args{"calibrate", o.db(), "--in", o.at("first.npy"),
                                                     "--people", o.at("first.txt"), "--fmr", "0.1"});
  BOOST_TEST(
      (enrolled.code == 0 && enrolled.err.find("40 of these people are in the set") != std::string::npos),
      enrolled.err);
  Store(o.db(), Database::Access::write).database().execute("UPDATE calibrations SET highest = x'0000'");
  refuse(folder, "store", {"check", o.db()}, 1, {"1 problems"}, Late::yes);
}

// Nothing that a call writes is what it, or SQLite beside it, keeps; also where the call makes the store.
BOOST_AUTO_TEST_CASE(outputs_are_kept_apart) {
  const Operator o;
  const std::string folder = o.dir.path().string(), fresh = o.at("fresh.db"), out = o.at("out.npy");
  succeed("store", {"export", o.db(), "--out", out});
  const auto wrong = [&](const Args& args, const std::vector<std::string>& words) {
    refuse(folder, "store", args, 2, words, Late::yes);
  };
  for (const char* end : {"", "-wal", "-shm", "-journal"}) {
    wrong(
        Args{"init", fresh, "--protect", "rotation", "--json", fresh + end} + world().recogniser() + o.key(),
        {"--json would replace"});
    wrong({"import", fresh, "--in", out, "--json", fresh + end}, {"--json would replace"});
  }
  for (const char* end : {".json", ".records.tsv"}) {
    wrong({"import", fresh, "--in", out, "--json", out + end}, {"--json would replace", end});
    wrong({"export", o.db(), "--out", o.at("new.npy"), "--json", o.at("new.npy") + end},
          {"--json", "both write"});
  }
  wrong({"renew", o.db(), "--old-key", o.at("key"), "--new-key", o.db() + "-journal"},
        {"--new-key would replace"});
  std::filesystem::create_symlink(o.db(), o.at("linked.npy.records.tsv"));
  wrong({"export", o.db(), "--out", o.at("linked.npy")}, {"--out would replace", "people.db"});
  // What a killed export has left goes with the next.
  const size_t files = tree(folder).size();
  for (const char* end : {"", ".json", ".records.tsv"}) write_bytes(out + end + ".tmp-999999999", "left");
  succeed("store", {"export", o.db(), "--out", out});
  BOOST_TEST(tree(folder).size() == files);
}

// A record of several photographs is nearer to strangers than the one that a calibration was made with: its
// rate is told only where it was measured for such ones.
BOOST_AUTO_TEST_CASE(means_are_calibrated_as_means) {
  const Operator o;
  const Args probe{"--in", o.at("one.npy"), "--json", o.at("j")};
  save_npy(o.at("one.npy"), load_npy(o.at("second.npy")).slice_batch(0, 1));
  std::string pairs;
  for (const std::string& name : lines_of(read_bytes(o.at("first.txt"))))
    pairs += "of-" + name.substr(3, 2) + "\n";
  write_bytes(o.at("pairs.txt"), pairs);
  succeed("store",
          Args{"init", o.db(), "--set", "means", "--protect", "rotation"} + world().recogniser() + o.key());
  succeed("store", Args{"add", o.db(), "--set", "means", "--in", o.at("first.npy"), "--subjects",
                        o.at("pairs.txt"), "--average", "2"} +
                       o.key());
  const auto calibrate = [&](const Args& more) {
    return succeed("store", Args{"calibrate", o.db(), "--set", "means", "--in", o.at("others.npy"),
                                 "--people", o.at("others.txt"), "--fmr", "0.1"} +
                                more);
  };
  const auto rate = [&](const Args& verb) {
    run_program("store", verb + probe + o.key());
    return read_json(o.at("j"));
  };
  const std::string who = lines_of(pairs)[0];
  const Args verify{"verify", o.db(), "--set", "means", "--subject", who},
      identify{"identify", o.db(), "--set", "means"};
  calibrate({});
  for (const Args& verb : {verify, identify}) {
    const json one = rate(verb);
    BOOST_TEST(one["false_match_rate"].is_null());
    BOOST_TEST(one["calibration"].get<std::string>().find("calibrate --average 2") != std::string::npos,
               one.dump());
    BOOST_TEST(!one.contains("false_identification_rate"));
  }
  calibrate({"--average", "2"});
  for (const Args& verb : {verify, identify}) BOOST_TEST(rate(verb)["false_match_rate"].is_number());
  // Two photographs of a probe are a mean as well.
  save_npy(o.at("one.npy"), load_npy(o.at("second.npy")).slice_batch(0, 2));
  const json both = rate(verify + Args{"--average", "0"});
  BOOST_TEST(both["false_match_rate"].is_null());
  BOOST_TEST(both["calibration"].get<std::string>().find("the probe is the mean") != std::string::npos,
             both.dump());
  // Rates are told of what was really averaged, and of records of which somebody noted it.
  const Outcome few = calibrate({"--average", "50", "--json", o.at("j")});
  BOOST_TEST((read_json(o.at("j"))["mean_of"] == 2 && few.err.find("no more than 2") != std::string::npos),
             few.err);
  save_npy(o.at("one.npy"), load_npy(o.at("second.npy")).slice_batch(0, 1));
  Store(o.db(), Database::Access::write).database().execute("UPDATE records SET mean_of = 0");
  const json unknown = rate(verify);
  BOOST_TEST((unknown["false_match_rate"].is_null() &&
              unknown["calibration"].get<std::string>().find("nobody noted") != std::string::npos),
             unknown.dump());
  Store(o.db(), Database::Access::write).database().execute("UPDATE records SET mean_of = 2");
  // It goes with exports, in each of their forms.
  for (const char* name : {"m.npy", "m.jsonl", "m.safetensors"}) {
    succeed("store", {"export", o.db(), "--set", "means", "--out", o.at(name)});
    succeed("store", {"import", o.at(name) + ".db", "--in", o.at(name)});
    Store back(o.at(name) + ".db", Database::Access::read);
    const StoredSet set = back.set("default");
    BOOST_TEST(back.record(set, who).mean_of ==
               Store(o.db(), Database::Access::read)
                   .record(Store(o.db(), Database::Access::read).set("means"), who)
                   .mean_of);
    BOOST_TEST(back.largest_mean(set) == 2);
  }
  refuse(
      o.dir.path().string(), "store",
      {"calibrate", o.db(), "--in", o.at("others.npy"), "--people", o.at("others.txt"), "--key", o.at("key")},
      2, {"calibrate takes no key"});
  refuse(o.dir.path().string(), "store",
         {"calibrate", o.db(), "--in", o.at("others.npy"), "--people", o.at("others.txt"), "--average", "0"},
         2, {"--average"}, Late::yes);
}

BOOST_AUTO_TEST_CASE(an_import_that_broke_off_is_told_and_erased) {
  const Operator o;
  // By a process that is no more.
  const auto begin = [&](const std::string& name) {
    const pid_t child = ::fork();
    if (child == 0) {
      Store store(o.db(), Database::Access::write);
      const StoredSet whole = store.set("default");
      store.set_actor("anna");
      const StoredSet half = store.begin_set(name, Generation::next, whole);
      const std::vector<StoredRecord> records = store.records(whole, 0, 3);
      const std::vector<int64_t> numbers{0, 1, 2};
      store.reserve_numbers(half, 3);
      store.add(half, store.features(whole, numbers), records);
      ::_exit(store.events(1, 100)[2].what == "begin import" ? 0 : 1);
    }
    int status = -1;
    BOOST_TEST((::waitpid(child, &status, 0) == child && status == 0));
  };
  begin("half");
  const std::string folder = o.dir.path().string();
  const Outcome told = run_program("store", {"check", o.db()});
  BOOST_TEST((told.code == 1 && told.err.find("whose import broke off") != std::string::npos), told.err);
  refuse(folder, "store",
         Args{"init", o.db(), "--set", "half", "--protect", "rotation"} + world().recogniser() + o.key(), 1,
         {"broke off", "check --repair"}, Late::yes);
  succeed("store", {"check", o.db(), "--repair"});
  BOOST_TEST(succeed("store", {"list", o.db(), "--sets"}).out.find("half") == std::string::npos);
  // Or the same import begins anew, and leaves nothing to repair.
  succeed("store", {"export", o.db(), "--out", o.at("out.jsonl")});
  // One that runs is left alone, by a repair and by another import of that name.
  Store(o.db(), Database::Access::write)
      .begin_set("again", Generation::next, Store(o.db(), Database::Access::read).set("default"));
  const Args import{"import", o.db(), "--in", o.at("out.jsonl"), "--set", "again"};
  refuse(folder, "store", import, 1, {"is being imported by process " + std::to_string(::getpid())},
         Late::yes);
  BOOST_TEST(run_program("store", {"check", o.db(), "--repair"}).code == 1);
  {
    Store store(o.db(), Database::Access::write);
    BOOST_TEST(store.find_set("again", Generation::next).has_value());
    store.give_up_imports();  // its own
    store.finish_erasures();
  }
  succeed("store", import);
  succeed("store", {"check", o.db()});
}

// What would be refused for ever after, or be somebody else, does not come in.
BOOST_AUTO_TEST_CASE(changed_exports_are_refused) {
  const Operator o;
  const std::string folder = o.dir.path().string(), fresh = o.at("fresh.db"), out = o.at("out.npy");
  const auto wrong = [&](const std::string& file, const std::vector<std::string>& words) {
    refuse(folder, "store", {"import", fresh, "--in", file}, 1, words, Late::yes);
  };
  succeed("store", {"export", o.db(), "--out", o.at("out.jsonl")});
  std::vector<std::string> lines = lines_of(read_bytes(o.at("out.jsonl")));
  for (const double factor : {10.0, 0.0, 1e30}) {
    json row = json::parse(lines[4]);
    for (json& value : row["feature"]) value = value.get<double>() * factor;
    std::string text;
    for (size_t i = 0; i < lines.size(); ++i) text += (i == 4 ? row.dump() : lines[i]) + "\n";
    write_bytes(o.at("scaled.jsonl"), text);
    wrong(o.at("scaled.jsonl"), {"scaled.jsonl", "row 3"});
  }
  json head = json::parse(lines[0]);
  head["raw_dimension"] = "99";
  std::string text = head.dump() + "\n";
  for (size_t i = 1; i < lines.size(); ++i) text += lines[i] + "\n";
  write_bytes(o.at("wide.jsonl"), text);
  wrong(o.at("wide.jsonl"), {"wide.jsonl", "[99]"});
  succeed("store", {"export", o.db(), "--out", out});
  std::vector<std::string> list = lines_of(read_bytes(out + ".records.tsv"));
  std::swap(list[3], list[5]);
  text.clear();
  for (const std::string& line : list) text += line + "\n";
  write_bytes(out + ".records.tsv", text);
  wrong(out, {"records.tsv", "another list"});
  // In the store itself, check tells it, and a renewal loses nobody over it.
  Store(o.db(), Database::Access::write).database().execute("UPDATE sets SET records = records + 1");
  refuse(folder, "store", {"renew", o.db(), "--old-key", o.at("key"), "--new-key", o.at("wrong")}, 1,
         {"is damaged", "40 records, but 41"}, Late::yes);
  Store(o.db(), Database::Access::write).database().execute("DELETE FROM events");
  refuse(folder, "store", {"log", o.db(), "--verify"}, 1, {"the log was emptied"}, Late::yes);
}

// Noise whose seed stood beside it would be taken off by whoever has both.
BOOST_AUTO_TEST_CASE(noise_in_a_store_has_no_seed) {
  const Operator o({"--protect", "noise", "--noise-length", "0.2", "--protect", "rotation"});
  succeed("store", {"show", o.db(), "--json", o.at("j")});
  const json noise = read_json(o.at("j"))["protection"][0];
  BOOST_TEST((noise["settings"]["noise_from"] == "secret" && !noise["settings"].contains("seed")),
             noise.dump());
  // Two calls of one seed store other noise, and say nothing of it.
  const auto stored = [&](const char* source) {
    succeed("protect", {"--in", o.at("first.npy"), "--out", o.at("p.npy"), "--protect", "noise",
                        "--noise-length", "0.2", "--noise-from", source});
    return read_bytes(o.at("p.npy"));
  };
  BOOST_TEST((stored("seed") == stored("seed")));
  const std::string once = stored("secret");
  BOOST_TEST((once != stored("secret")));
  BOOST_TEST(read_bytes(o.at("p.npy.json")).find("\"seed\"") == std::string::npos);
  refuse(o.dir.path().string(), "store",
         Args{"init", o.at("new.db"), "--protect", "shuffle"} + world().recogniser(), 2,
         {"shuffle", "take rotation"}, Late::yes);
  // Of one key the records of two calls would share their noise.
  refuse(o.dir.path().string(), "store",
         Args{"init", o.at("new.db"), "--protect", "noise", "--noise-from", "secret", "--noise-key",
              o.key()[1]} +
             world().recogniser(),
         2, {"--noise-key", "anew in each call"}, Late::yes);
}

// Nobody is turned away because the disk is full: to read takes no room.
BOOST_AUTO_TEST_CASE(a_full_disk_turns_nobody_away) {
  const Operator o;
  Store(o.db(), Database::Access::write).forget();  // what is in the log would have no room either
  save_npy(o.at("probe.npy"), load_npy(o.at("second.npy")).slice_batch(0, 1));
  Surroundings full;
  full.max_file_bytes = 4096;  // what is said has room
  const Args verify =
      Args{"verify", o.db(), "--in", o.at("probe.npy"), "--subject", o.name(0), "--threshold", "-1"} +
      o.key();
  const Outcome accepted = run_program("store", verify, full);
  BOOST_TEST(accepted.code == 0, accepted.err);
  BOOST_TEST(run_program("store", {"check", o.db()}, full).code == 0);
  const Outcome written = run_program("store", {"remove", o.db(), "--subject", o.name(0)}, full);
  BOOST_TEST((written.code == 1 && written.err.find("people.db") != std::string::npos), written.err);
}

// Where a renewal was stopped behind the switch, the same command ends it.
BOOST_AUTO_TEST_CASE(a_renewal_that_was_stopped_behind_the_switch) {
  const Operator o;
  const Args renew{"renew", o.db(), "--old-key", o.at("key"), "--new-key", o.at("wrong")};
  succeed("store", renew + Args{"--keep-both"});
  {
    Store store(o.db(), Database::Access::write);
    store.set_actor("anna");
    store.switch_to_next("default", false);
    BOOST_TEST(!store.problems().empty());
  }
  BOOST_TEST(succeed("store", renew).out.find("already") != std::string::npos);
  succeed("store", {"check", o.db(), "--key", o.at("wrong")});
}

// A file of two names has two logs, and each name sees its own.
BOOST_AUTO_TEST_CASE(a_store_has_one_name) {
  const Operator o;
  std::filesystem::create_hard_link(o.db(), o.at("other.db"));
  for (const std::string& name : {o.db(), o.at("other.db")})
    for (const Args& call : {Args{"list", name}, Args{"remove", name, "--subject", o.name(0)}})
      refuse(o.dir.path().string(), "store", call, 1, {name, "2 names (hard links)"}, Late::yes);
  std::filesystem::remove(o.at("other.db"));
  succeed("store", {"check", o.db()});
}

// What is removed from one set may be in another; what is damaged is mended as far as it can be.
BOOST_AUTO_TEST_CASE(other_sets_and_damage) {
  const Operator o;
  succeed("store",
          Args{"init", o.db(), "--set", "two", "--protect", "rotation"} + world().recogniser() + o.key());
  succeed("store",
          Args{"add", o.db(), "--set", "two", "--in", o.at("first.npy"), "--subjects", o.at("first.txt")} +
              o.key());
  const Outcome removed = succeed("store", {"remove", o.db(), "--subject", o.name(0), "--json", o.at("j")});
  BOOST_TEST(removed.err.find("still in the set two") != std::string::npos, removed.err);
  BOOST_TEST((read_json(o.at("j"))["also_in"] == json{"two"}));
  BOOST_TEST(
      succeed("store", {"remove", o.db(), "--set", "two", "--subject", o.name(0)}).err.find("still in") ==
      std::string::npos);
  refuse(o.dir.path().string(), "store", {"remove", o.db(), "--whole-set", "--subject", o.name(1)}, 2,
         {"leave --subject"}, Late::yes);
  // Of what another program did: records that nobody removed, salts that were changed, features of nobody.
  const std::string good = read_bytes(o.db());
  const auto told = [&](const char* sql) {
    write_bytes(o.db(), good);
    {
      Store store(o.db(), Database::Access::write);
      store.database().execute(sql);
      store.forget();
    }
    return run_program("store", {"check", o.db()});
  };
  succeed("store", {"check", o.db()});
  // Also where people were removed of the event, which then tells nothing of the others.
  BOOST_TEST(told("UPDATE records SET salt = salt + 1 WHERE id & 1023 = 7").err.find("a salt was changed") !=
             std::string::npos);
  BOOST_TEST(
      told("DELETE FROM features WHERE id & 1023 IN (7, 8); DELETE FROM records WHERE id & 1023 IN (7, 8); "
           "UPDATE sets SET records = records - 2")
          .err.find("no event removed the others") != std::string::npos);
  const Outcome orphans = told("DELETE FROM records WHERE id & 1023 = 7");
  BOOST_TEST(orphans.err.find("2 features without a record") != std::string::npos, orphans.err);
  const Outcome mended = run_program("store", {"check", o.db(), "--repair"});
  BOOST_TEST(mended.code == 1);  // two people are gone that no event removed
  BOOST_TEST(mended.err.find("without a record") == std::string::npos, mended.err);
  BOOST_TEST(mended.err.find("are counted") == std::string::npos, mended.err);
  succeed("store", Args{"export", o.db(), "--out", o.at("e.npy")});
}

// A changed salt turns away whom it is of: told by whoever would decide by it, or make it last.
BOOST_AUTO_TEST_CASE(a_changed_salt_is_no_decision) {
  const Operator o;
  const std::string folder = o.dir.path().string();
  save_npy(o.at("probe.npy"), load_npy(o.at("second.npy")).slice_batch(7, 8));
  const Args probe = Args{"--in", o.at("probe.npy"), "--threshold", "0.5"} + o.key();
  const auto change = [&](const char* set) {
    Store store(o.db(), Database::Access::write);
    store.database().execute(std::string("UPDATE records SET ") + set + " WHERE id & 1023 = 7");
    store.forget();
  };
  const std::string good = read_bytes(o.db());
  for (const char* salt : {"salt = salt + 1", "salt = 0"}) {
    write_bytes(o.db(), good);
    change(salt);
    refuse(folder, "store", Args{"verify", o.db(), "--subject", o.name(7)} + probe, 1,
           {"is damaged", "salt of record 7", "backup"}, Late::yes);
    refuse(folder, "store", Args{"identify", o.db()} + probe, 1, {"is damaged", "salt of record 7"},
           Late::yes);
    refuse(folder, "store", {"renew", o.db(), "--old-key", o.at("key"), "--new-key", o.at("next")}, 1,
           {"is damaged", "record 7", "Nothing was written"}, Late::yes);
    BOOST_TEST((!std::filesystem::exists(o.at("next")) && read_bytes(o.db()) != good));
    refuse(folder, "store", {"export", o.db(), "--out", o.at("out.npy")}, 1, {"salt of record 7"}, Late::yes);
    const Outcome check = run_program("store", Args{"check", o.db()} + o.key());
    BOOST_TEST((check.code == 1 && check.err.find("a salt was changed") != std::string::npos), check.err);
    // Of others it says what it said.
    succeed("store",
            Args{"verify", o.db(), "--subject", o.name(0), "--in", o.at("first.npy"), "--threshold", "-1"} +
                o.key());
  }
  // In the generation that takes the place of the old one.
  write_bytes(o.db(), good);
  succeed("store", {"renew", o.db(), "--old-key", o.at("key"), "--new-key", o.at("next"), "--keep-both"});
  change("salt = salt + 1");  // of both generations
  refuse(folder, "store", {"renew", o.db(), "--switch"}, 1, {"is damaged", "salts of"}, Late::yes);
  // Who is removed is nobody's fault any more.
  write_bytes(o.db(), good);
  change("salt = 0");
  succeed("store", {"remove", o.db(), "--subject", o.name(7)});
  succeed("store", {"renew", o.db(), "--old-key", o.at("key"), "--new-key", o.at("next")});
  succeed("store", {"check", o.db()});
}

// A decision of an earlier call is none of one that failed.
BOOST_AUTO_TEST_CASE(no_decision_stays_behind) {
  const Operator o;
  const Args call =
      Args{"verify", o.db(), "--in", o.at("probe.npy"), "--threshold", "0", "--json", o.at("j")} + o.key();
  save_npy(o.at("probe.npy"), load_npy(o.at("second.npy")).slice_batch(0, 1));
  succeed("store", call + Args{"--subject", o.name(0)});
  BOOST_TEST(read_json(o.at("j"))["accepted"] == true);
  BOOST_TEST(run_program("store", call + Args{"--subject", "nobody"}).code == 1);
  BOOST_TEST(!std::filesystem::exists(o.at("j")));
}

// A key is made when nothing speaks against the renewal.
BOOST_AUTO_TEST_CASE(a_renewal_to_another_key_makes_none) {
  const Operator o;
  const Args renew{"renew", o.db(), "--old-key", o.at("key"), "--new-key"};
  succeed("store", renew + Args{o.at("next"), "--keep-both"});
  const Outcome other = run_program("store", renew + Args{o.at("third")});
  BOOST_TEST(other.code == 1);
  BOOST_TEST(other.err.find("being renewed to") != std::string::npos, other.err);
  BOOST_TEST(!std::filesystem::exists(o.at("third")));
  succeed("store", {"check", o.db()});  // also with both generations
}

BOOST_AUTO_TEST_CASE(calls_that_cannot_be_meant) {
  const Operator o;
  const std::string folder = o.dir.path().string();
  refuse(folder, "store", {"migrate", o.db(), "--switch", "--give-up"}, 2, {"--switch or --give-up"},
         Late::yes);
  for (const char* name : {"an\xE2\x80\xAEna", "a\xC2\x9B z", "x\xE2\x81\xA6z"}) {
    write_bytes(o.at("names.txt"), std::string(name) + "\n");
    save_npy(o.at("one.npy"), load_npy(o.at("second.npy")).slice_batch(0, 1));
    refuse(folder, "store",
           Args{"add", o.db(), "--in", o.at("one.npy"), "--subjects", o.at("names.txt")} + o.key(), 1,
           {"control character"}, Late::yes);
  }
  for (const auto& [name, why] : {std::pair("anna ", "begins or ends"),
                                  {" anna", "begins or ends"},
                                  {"anna\xC2\xA0", "begins or ends"},
                                  {"an\xE2\x80\x8Bna", "nobody sees"}})
    refuse(
        folder, "store",
        Args{"add", o.db(), "--image", o.photograph(1), "--subject", name} + world().recogniser() + o.key(),
        1, {why}, Late::yes);
  write_bytes(o.at("names.txt"), "\n");
  refuse(folder, "store",
         Args{"add", o.db(), "--in", o.at("one.npy"), "--subjects", o.at("names.txt")} + o.key(), 1,
         {"names.txt"}, Late::yes);
  // One feature for all: no threshold tells them apart.
  save_npy(o.at("same.npy"), FeatureRows(load_npy(o.at("second.npy"))).at(std::vector<int64_t>(30, 0)));
  std::string names;
  for (int i = 0; i < 30; ++i) names += "p" + std::to_string(i) + "\n";
  write_bytes(o.at("same.txt"), names);
  refuse(folder, "store",
         {"calibrate", o.db(), "--in", o.at("same.npy"), "--people", o.at("same.txt"), "--fmr", "0.05"}, 1,
         {"no score reaches"}, Late::yes);
  // Twice the same name is one person; features of whoever, where the set does not say whose.
  succeed("store", {"remove", o.db(), "--subject", o.name(0), "--subject", o.name(0)});
  succeed("store", {"init", o.at("any.db"), "--like", o.at("first.npy"), "--protect", "none"});
  succeed("store", {"add", o.at("any.db"), "--in", world().at("z.npy")});
}
