// export, import: a set as files that others read, and back.
#include <iostream>

#include "advface/store/set_exchange.h"
#include "tools/options/progress.h"
#include "tools/store/store_options.h"

namespace advf::tools {
namespace {

struct ExchangeOptions : StoreOptions {
  std::string file, protect;
  RowType rows = RowType::f32;
  bool next = false;
};

int export_to(const ExchangeOptions& o) {
  o.common.activate();
  exchange_format(o.file);
  Store store = o.open(Database::Access::read);
  const StoredSet set = store.set(o.set, o.next ? Generation::next : Generation::current);
  export_set(store, set, o.file, console());
  o.common.write_json({{"out", o.file}, {"records", set.records}, {"set", set.name}});
  std::cout << set.records << " records of the set " << set.name << " -> " << o.file << ", "
            << set.info.protection.describe() << "; remove does not reach this file\n";
  return 0;
}

int import_from(const ExchangeOptions& o) {
  o.common.activate();
  as_usage([&] {
    check(o.protect.empty() || o.protect == "none", "import protects nothing: --protect takes none alone");
  });
  ExchangedSet set = read_set_file(o.file);
  ProtectionId& protection = set.info.protection;
  check((protection.known() && !protection.is_raw()) || o.protect == "none", o.file, ": its features are ",
        protection.known() ? "raw" : "of unknown protection (" + protection.unknown + ")",
        "; advface-store add protects them, and --protect none stores them as they are");
  if (!protection.known()) protection = {};
  NewStore file(o.store);
  {
    Store store = o.open(Database::Access::write);
    const StoredSet made = import_set(store, o.set, set, o.rows, console());
    o.common.write_json({{"in", o.file}, {"records", made.records}, {"set", made.name}});
    std::cout << made.records << " records of " << o.file << " -> the set " << made.name << " of " << o.store
              << "\n";
  }
  file.keep();
  return 0;
}

}  // namespace

void add_exchange_verbs(CLI::App& app, Verbs& verbs) {
  auto out = std::make_shared<ExchangeOptions>();
  CLI::App* verb = app.add_subcommand("export", "writes a set, as it is protected, for other programs");
  out->add_to(*verb, false);
  verb->add_option("--out", out->file, "FILE.npy (with lists beside it), FILE.jsonl or FILE.safetensors")
      ->required();
  verb->add_flag("--next", out->next, "the generation that a renewal has begun");
  verbs.push_back({verb, [out] { return export_to(*out); }});

  auto in = std::make_shared<ExchangeOptions>();
  verb = app.add_subcommand("import", "begins a set with what export, or advface-protect, has written");
  in->add_to(*verb, true);
  add_rows_option(*verb, in->rows);
  verb->add_option("--in", in->file, "FILE.npy (also an older version's set), FILE.jsonl or FILE.safetensors")
      ->required();
  verb->add_option("--protect", in->protect, "none: raw features are stored as they are");
  verbs.push_back({verb, [in] { return import_from(*in); }});
}

}  // namespace advf::tools
