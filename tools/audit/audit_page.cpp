#include "tools/audit/audit_page.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "tools/audit/audit_curves.h"
#include "tools/audit/audit_groups.h"
#include "tools/audit/audit_rows.h"
#include "tools/audit/audit_verdict.h"
#include "tools/audit/page_parts.h"

namespace advf::tools {
namespace {

using nlohmann::json;

constexpr const char* kPictures = "What attackers make of what is stored";

std::string heading(const std::string& title) { return "<h2>" + svg_escaped(title) + "</h2>\n"; }

std::string text_of(const json& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }
std::string safe(const json& value) { return svg_escaped(text_of(value)); }
// Of a protection.
std::string name_html(const json& name) { return svg_escaped(in_quotes(text_of(name))); }
// A step's name has a protection's in it.
std::string step_html(const json& step) { return "<code>" + safe(step) + "</code>"; }

// A state by word and sign, so that colour alone says nothing.
std::string state_html(const std::string& state) {
  struct Look {
    const char *state, *css, *sign;
  };
  for (const Look& l :
       {Look{kOpen, "open", "&#9679;"}, {kPartly, "partly", "&#9680;"}, {kClosed, "closed", "&#9675;"}})
    if (state == l.state)
      return std::string("<span class=\"state ") + l.css + "\">" + l.sign + " " + state + "</span>";
  return "<span class=\"state unknown\">&#8211; " + svg_escaped(state) + "</span>";
}

std::string verdict_html(const std::string& verdict) {
  const char* css = verdict == "holds" ? "closed" : verdict == "leaks" ? "open" : "unknown";
  const char* sign = verdict == "holds" ? "&#9675; " : verdict == "leaks" ? "&#9679; " : "&#8211; ";
  return std::string("<span class=\"state ") + css + "\">" + sign + svg_escaped(verdict) + "</span>";
}

class Page {
 public:
  Page(const json& report, const PagePictures* pictures) : r_(report), pictures_(pictures) {}

  std::string html() {
    body_ += "<header><h1>Audit of protected face features</h1>\n";
    line("Made " + safe(r_["date"]) + " by " + safe(r_["program"]) + ", size " + safe(r_["size"]) + ".");
    body_ += "</header><main id=\"main\">\n";
    verdict();
    if (pictures_) people();
    curves();
    rows();
    proved();
    threats();
    untested();
    groups();
    duties();
    card();
    limits();
    remake();
    body_ +=
        "</main><footer><p>Numbers in square brackets are 95 % intervals from a bootstrap over people; of "
        "accuracy, over those in the gallery.</p></footer>\n";
    return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
           "content=\"width=device-width,initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" "
           "content=\"default-src 'none'; "
           "img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n<title>Audit of "
           "protected face features</title>\n<style>" +
           std::string(kPageStyle) +
           "</style></head>\n<body><a class=\"skip\" href=\"#main\">To the report</a>\n" + body_ +
           "<script>" + kPageScript + "</script></body></html>\n";
  }

 private:
  void head(const std::string& title) { body_ += heading(title); }
  void line(const std::string& html) { body_ += "<p>" + html + "</p>\n"; }
  void list(const std::vector<std::string>& items) {
    body_ += "<ul>\n";
    for (const std::string& item : items) body_ += "<li>" + item + "</li>\n";
    body_ += "</ul>\n";
  }

  void verdict() {
    head("Verdict");
    body_ += "<div class=\"verdict\">\n";
    for (const json& sentence : r_["summary"]) line(safe(sentence));
    body_ += "</div>\n";
    HtmlTable table("What gets through each protection, by the strongest attacker who counts or has found it",
                    {"Protection", "Verdict", "Appearance", "Identity", "Linkability", "Attributes",
                     "Accuracy", "Bytes", "ms"},
                    "stack");
    for (const json& v : r_["verdicts"]) {
      std::vector<std::string> cells{
          name_html(v["protection"]),
          verdict_html(v["verdict"]) + (v.contains("undone_by") ? "<br>undone by who knows the seed" : "")};
      for (const std::string& leak : leaks()) cells.push_back(leak_html(v["leaks"][leak]));
      const json& c = v["cost"];
      const auto cost = [&](const char* key, const char* format) {
        if (!c.contains(key)) return std::string("-");
        char text[32];
        std::snprintf(text, sizeof text, format, c[key].get<double>());
        return std::string(text);
      };
      cells.push_back(cost("accuracy", "%.4f") + " of " + cost("accuracy_raw", "%.4f") +
                      (c.contains("loss_low")
                           ? "<br>loss " + cost("loss", "%.4f") + " [" + cost("loss_low", "%.4f") + ", " +
                                 cost("loss_high", "%.4f") + "]"
                           : ""));
      cells.push_back(cost("bytes", "%.0f") + " of " + cost("bytes_raw", "%.0f"));
      cells.push_back(cost("ms", "%.2f"));
      table.add(cells);
    }
    body_ += table.html();
    list({state_html(kClosed) + ": the strongest attacker is where somebody is who has no feature",
          state_html(kPartly) + ": between that and unprotected features (the share says how far)",
          state_html(kOpen) + ": not told from unprotected features",
          state_html(kNoConclusion) +
              ": no attacker counts, or one found nothing that has not converged: that is no good sign"});
  }

  static std::string leak_html(const json& leak) {
    std::string text = state_html(leak["state"]);
    if (leak.contains("value")) {
      text += "<br>" + safe(leak["attacker"]) + (leak.contains("counts") ? ", who does not count," : ",") +
              " " + measure_html(leak["measure"]) + " " + figure_number(leak["value"]) +
              (leak.contains("turned") ? " by scores turned round" : "");
      if (leak.contains("nothing")) {
        char beside[96];
        std::snprintf(beside, sizeof beside, "<br>nothing %.3f, raw %.3f: %.0f %%",
                      leak["nothing"]["mean"].get<double>(), leak["raw"]["mean"].get<double>(),
                      100 * leak["share"].get<double>());
        text += beside;
      }
    }
    if (leak.contains("said") && leak["said"].is_string()) text += "<br>" + safe(leak["said"]);
    return text;
  }

  void people() {
    head(kPictures);
    line(
        "Each row is a person of the test part, whom no network was trained on. First the photograph, then "
        "what is stored of it (a cell a "
        "value), then what each attacker draws from that alone. <strong>This page shows photographs of " +
        std::to_string(r_["people_shown"].size()) +
        " people</strong>: give it to nobody who may not see them, or make it again with "
        "<code>--without-pictures</code>.");
    size_t there = 0;
    for (size_t i = 1; i <= r_["people_shown"].size(); ++i) there += pictures_->has(photograph_of(i)) ? 1 : 0;
    if (there == 0) return line("No attacker draws pictures in this audit.");
    body_ += "<div class=\"gallery\">\n";
    for (const json& p : r_["protections"]) people_of(text_of(p["name"]));
    body_ += "</div>\n";
  }

  // A column for each attacker of whom there is a picture.
  void people_of(const std::string& protection) {
    const bool raw = protection == text_of(r_["protections"][0]["name"]);
    const size_t people = r_["people_shown"].size();
    std::vector<std::string> columns{"person", "photograph", "stored"};
    bool stored = false;
    for (size_t i = 1; i <= people; ++i) stored = stored || pictures_->has(stored_of(protection, i));
    for (const AuditAttacker& row : audit_attackers())
      for (size_t i = 1; i <= people; ++i)
        if (pictures_->has(drawn_by(row.name, protection, raw, i))) {
          columns.push_back(row.name);
          break;
        }
    if (columns.size() == 3 && !stored) return;
    const std::string called = raw ? "unprotected" : in_quotes(protection);
    body_ += "<div><h3>" + svg_escaped(raw ? "Unprotected features" : called) + "</h3>\n";
    HtmlTable table("Stored and drawn: " + called, columns, "pictures");
    for (size_t i = 1; i <= people; ++i) {
      std::vector<std::string> cells{std::to_string(i), pictures_->html(photograph_of(i)),
                                     pictures_->html(stored_of(protection, i), "cells")};
      for (size_t k = cells.size(); k < columns.size(); ++k)
        cells.push_back(pictures_->html(drawn_by(columns[k], protection, raw, i)));
      table.add(cells);
    }
    body_ += table.html() + "</div>\n";
  }

  void curves() {
    head("What privacy costs");
    line(
        "Each point is a protection. Further left costs more accuracy of recognition; further up, the "
        "strongest attacker learns more. The "
        "line below is who has no feature, the line above unprotected features.");
    for (const Plot& plot : privacy_curves(r_))
      body_ += "<figure tabindex=\"0\" aria-label=\"" + svg_escaped(plot.title) + "\">" +
               svg_plot(plot.title, plot.series, plot.x_label, plot.y_label, plot.layout) + "</figure>\n";
  }

  void rows() {
    head("Every measurement");
    HtmlTable table("All rows, the strongest first within each measure",
                    {"Protection", "Attacker", "Measure", "Value", "Features", "Images", "Counts", "Seconds"},
                    "sorted");
    struct One {
      const json* row;
      std::string measure;
      double value;
    };
    std::vector<One> all;
    for (const json& r : r_["rows"])
      for (const auto& [name, value] : r["measures"].items())
        if (value.is_object()) all.push_back({&r, name, value["mean"].get<double>()});
    std::stable_sort(all.begin(), all.end(), [](const One& a, const One& b) {
      return a.measure != b.measure ? a.measure < b.measure : a.value > b.value;
    });
    for (const One& one : all) {
      const json& r = *one.row;
      std::string counts = r["why_not"].is_string() ? safe(r["why_not"]) : "yes";
      if (r["counts"].empty()) counts = "-";
      const std::string variant = text_of(r["variant"]);
      const double magnitude = std::fabs(one.value);
      table.add({name_html(r["protection"]),
                 safe(r["attacker"]) + (variant.empty() ? "" : ": " + svg_escaped(variant)),
                 measure_html(one.measure),
                 number_html(r["measures"][one.measure], magnitude >= 100            ? 0
                                                         : magnitude >= 10           ? 2
                                                         : one.measure == "accuracy" ? 4
                                                                                     : 3),
                 safe(r["features"]), r.contains("images") ? safe(r["images"]) : "-", counts,
                 "<a href=\"#step-" + safe(r["step"]) + "\" title=\"the command\">" +
                     std::to_string(int(std::lround(r["seconds"].get<double>()))) + "</a>"},
                {"", "", "", std::to_string(one.value)});
    }
    body_ += table.html();
    line(safe(r_["intervals"]) +
         " intervals of 95 % stand here: of so many, one in twenty misses its number by chance alone. A "
         "single surprising row is a reason to measure again, not a finding; verdicts ask for the whole "
         "interval, and of attributes, about which many probes ask, for a wider one (Bonferroni).");
  }

  void threats() {
    head("Who attacks, and what they hold");
    line(
        "All attackers hold the stored features, the deployed recogniser, and photographs of other people; "
        "all but "
        "transfer know the protection with all its settings and networks, but not what a seed draws of it "
        "for a "
        "record. Where a protection has a key, "
        "nobody but "
        "the matching side has it; the entries <em>(key leaked)</em> say what is left when somebody does.");
    std::vector<std::string> items;
    for (const AuditAttacker& a : audit_attackers())
      for (const json& asked : r_["config"]["attackers"])
        if (asked == a.name)
          items.push_back("<strong>" + svg_escaped(a.name) + "</strong> (" + svg_escaped(a.leak) +
                          "): " + svg_escaped(a.help));
    list(items);
  }

  void untested() {
    head("What was not tested");
    std::vector<std::string> items;
    for (const AuditAttacker& a : audit_attackers()) {
      bool asked = false;
      for (const json& name : r_["config"]["attackers"]) asked |= name == a.name;
      if (!asked)
        items.push_back("no attacker <strong>" + svg_escaped(a.name) + "</strong>: " + svg_escaped(a.help));
    }
    for (const json& l : r_["left_out"])
      items.push_back(name_html(l["protection"]) + ", " + safe(l["attacker"]) + ": " + safe(l["reason"]));
    for (const json& p : r_["protections"])
      if (p.contains("undone_by"))
        items.push_back("<strong>" + name_html(p["name"]) +
                        "</strong>, by who knows the seed: " + safe(p["undone_by"]));
    for (const json& f : r_["failed"])
      items.push_back("<strong>failed</strong>: " + step_html(f["step"]) + ": " + safe(f["reason"]));
    items.push_back(
        "other recognisers, cuts and photographs than those named below; attackers with more photographs, "
        "larger networks, or more time");
    items.push_back(
        "whoever changes the programs, watches the machine at work, shows pictures to a camera, or takes the "
        "key from who holds it");
    list(items);
  }

  void groups() {
    if (!r_.contains("groups") || r_["groups"].empty()) return;
    head("Groups");
    line(
        "The same numbers for people with and without each attribute: a mean hides whom a protection serves "
        "badly. Intervals that do not meet "
        "are a difference, where a group is not so small that its people are alike by chance.");
    HtmlTable table("By attribute",
                    {"Protection", "Attacker", "Attribute", "Group", "Images", "Measure", "Value"}, "sorted");
    for (const json& g : r_["groups"])
      table.add({name_html(g["protection"]),
                 safe(g["attacker"]) + (g.contains("variant") ? ": " + safe(g["variant"]) : ""),
                 safe(g["attribute"]), g["has"] == true ? "with" : "without", safe(g["images"]),
                 measure_html(g["measure"]), number_html(g["value"])});
    body_ += table.html();
    line(
        "Rank 1 is that of a group's photographs in the gallery of all. Of attributes the best probe of each "
        "is asked; among those who share what it asks about, how often it is right. D_sys, which is of all "
        "pairs of two sets, and AUC are not told by group, nor is any group of fewer than " +
        std::to_string(kFewest) + " people.");
  }

  void duties() {
    head("For who is responsible for data protection");
    line(
        "These figures speak to duties that you have; they are no statement of conformity, which nobody but "
        "an assessor can give.");
    body_ += duties_html();
  }

  // It follows from how a protection is made (docs/theory.md).
  void proved() {
    std::vector<std::string> items;
    for (const json& p : r_["protections"]) {
      const json certificate = p.value("proved", json::object());
      std::string said;
      for (const auto& [what, value] : certificate.items()) {
        if (what == "least_cosine")
          said += " Each stored feature has a cosine of at least " + safe(figure_number({{"mean", value}})) +
                  " with what it was made of: so much it was allowed to move, and no bound on what it gives "
                  "away.";
        else if (what == "without_key")
          said += " Who has one record and no key learns " + safe(value) + " of its direction.";
        else
          said += " " + safe(what) + ": " + safe(value) + ".";
      }
      if (!said.empty()) items.push_back("<strong>" + name_html(p["name"]) + "</strong>:" + said);
    }
    if (items.empty()) return;
    head("What is proved");
    line("For every record, whoever attacks; all else on this page is what the attackers here have reached.");
    list(items);
  }

  void card() {
    head("Card of this audit");
    const json &d = r_["data"], &c = r_["config"];
    HtmlTable table("What was measured, with what", {"What", "Which"});
    const auto said = [&](const std::string& what, const std::string& html) {
      if (!html.empty()) table.add({what, html});
    };
    said("Recogniser deployed",
         safe(c["recogniser"]) + ", features at " + safe(d["cut"]) + " of shape " + safe(d["feature_shape"]));
    said("Recogniser that judges faces", c.value("second_recogniser", "").empty()
                                             ? "the deployed one, which its own inversion deceives"
                                             : safe(c["second_recogniser"]));
    said("Photographs", safe(c["images"]) + ": " + safe(d["images"]) + " looked at; tested " +
                            safe(d["test_images"]) + " of " + safe(d["test_people"]) +
                            " people, trained on " + safe(d["train_images"]) + " of " +
                            safe(d["train_people"]) + " others");
    said("Attackers", safe(without_brackets(c["attackers"])));
    said("Budget", safe(without_brackets(c["budget"])));
    said("Seeds", "split " + safe(c["split_seed"]) + ", all else " + safe(c["seed"]));
    said("Computed on", safe(r_["device"]) + ", " + safe(r_["precision"]) + ", by " + safe(r_["program"]));
    said("Meant for",
         "choosing a protection of stored features, and telling who is concerned what it leaves open");
    said("Not meant for",
         "a promise to people, a certificate, or another recogniser, cut or population than these");
    body_ += table.html();
  }

  void limits() {
    head("Limits, and who is hurt by a wrong promise");
    const json& d = r_["data"];
    list({"Measured on " + safe(d["test_images"]) + " photographs of " + safe(d["test_people"]) +
              " people; networks were trained on " + safe(d["train_images"]) + " of " +
              safe(d["train_people"]) + " others. Your people, cameras and light may differ.",
          "Who identifies people by features must be able to compare them: whoever holds the recogniser, and "
          "what is stored without a lock, "
          "can compare as well. Without a key elsewhere, identity cannot be hidden at unchanged accuracy.",
          "A face cannot be changed when it has leaked. A promise that turns out wrong hurts those whose "
          "features were stored, not those who "
          "made it: take <em>no conclusion</em> for <em>unsafe</em>.",
          "Protection makes it easier to store more: that features are safer is no reason to collect them, "
          "to keep them longer, or to use "
          "them for something else than people agreed to.",
          "Recognition errs more for some groups than for others, and a protection may shift that; look at "
          "the groups, and measure your own."});
  }

  void remake() {
    head("To make it again");
    line(
        "Networks and results were kept under a hash of all that they depend on. Each step is a call of the "
        "programs beside advface-audit, and writes into the folder that the shell is in; on paper look for "
        "the commands in report.json. Two names stand in them for folders, and are said once: "
        "<code>AUDIT_DATA</code> is the one that all inputs lie in (here it was <code>" +
        safe(r_["data_folder"]) +
        "</code>, as the table below has it), <code>AUDIT_CACHE</code> the cache of a call of this audit, "
        "which makes the lists and keys there that steps read, and what earlier steps make:");
    body_ += "<pre>export AUDIT_DATA=... AUDIT_CACHE=~/.cache/advface</pre>\n";
    std::set<std::string> named;
    for (const json& step : r_["steps"]) {
      const std::string hash = step["hash"];
      body_ += "<details><summary>" + step_html(step["id"]) + " (" +
               (step["seconds"].is_number()
                    ? std::to_string(int(std::lround(step["seconds"].get<double>()))) + " s"
                    : "not run") +
               ")</summary><pre" + (named.insert(hash).second ? " id=\"step-" + hash + "\"" : "") + ">" +
               safe(step["command"]) + "</pre></details>\n";
    }
    HtmlTable table("What results depend on", {"File or folder", "Digest"});
    for (const json& input : r_["inputs"])
      table.add({safe(input["path"]), "<code>" + safe(input["digest"]) + "</code>"});
    body_ += table.html();
  }

  const json& r_;
  const PagePictures* pictures_;  // null: the chapter that shows them is left out
  std::string body_;
};

}  // namespace

std::string audit_page(const json& report, const PagePictures* pictures) {
  return Page(report, pictures).html();
}

bool has_pictures(const std::string& page) { return page.find(heading(kPictures)) != std::string::npos; }

}  // namespace advf::tools
