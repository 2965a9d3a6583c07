// What an audit concludes, by rules, of rows that are made here; its file; its plan; signatures.
#define BOOST_TEST_MODULE audit_rules
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>

#include "advface/keys/key.h"
#include "advface/keys/signature.h"
#include "file_test_util.h"
#include "tools/audit/audit_report.h"
#include "tools/audit/audit_rows.h"
#include "tools/audit/audit_verdict.h"
#include "tools/audit/page_parts.h"
#include "tools/audit/page_pictures.h"

using namespace advf;
using namespace advf::test;
using namespace advf::tools;
using nlohmann::json;

namespace {

json interval(double mean, double half) {
  return {{"mean", mean}, {"low", mean - half}, {"high", mean + half}};
}

json row(const std::string& protection, const std::string& attacker, const std::string& features,
         const json& measures, const json& counts, bool converged = true) {
  return {{"id", protection + "/" + attacker + "/" + features},
          {"protection", protection},
          {"attacker", attacker},
          {"features", features},
          {"measures", measures},
          {"counts", counts},
          {"converged", converged},
          {"why_not", converged ? json() : json("not at rest")}};
}

// The mean face has 0.30 +- 0.02, an attacker on raw features 0.60 +- 0.02.
json world() {
  return {row("none", "mean face", "none", {{"ssim", interval(0.30, 0.02)}}, {{"appearance", false}}),
          row("none", "transfer", "raw", {{"ssim", interval(0.60, 0.02)}}, {{"appearance", true}})};
}

json appearance(const std::vector<json>& rows) {
  json all = world();
  for (const json& r : rows) all.push_back(r);
  return audit_verdicts(all, {"none", "P"})[0];
}
json protected_by(double ssim, double half, bool counts = true, bool converged = true,
                  const std::string& attacker = "adaptive") {
  return row("P", attacker, "protected", {{"ssim", interval(ssim, half)}}, {{"appearance", counts}},
             converged);
}

}  // namespace

BOOST_AUTO_TEST_CASE(states_by_where_the_interval_lies) {
  const auto state = [](const json& one) {
    return appearance({one})["leaks"]["appearance"]["state"].get<std::string>();
  };
  BOOST_TEST(state(protected_by(0.31, 0.02)) == "closed");
  BOOST_TEST(state(protected_by(0.45, 0.02)) == "partly");
  BOOST_TEST(state(protected_by(0.57, 0.02)) == "open");
  BOOST_TEST(state(protected_by(0.70, 0.01)) == "open");
  // A wide interval that reaches the mean face is no proof of being there.
  BOOST_TEST(state(protected_by(0.45, 0.12)) == "partly");
  BOOST_TEST(state(protected_by(0.45, 0.14)) == "no conclusion");
  BOOST_TEST(state(protected_by(0.27, 0.01)) == "closed");
  // A decoder that adapts and draws less than the mean face has not begun to learn; one that does not adapt
  // is led astray.
  BOOST_TEST(state(protected_by(0.20, 0.01)) == "no conclusion");
  BOOST_TEST(appearance({protected_by(0.20, 0.01, true, true, "transfer"),
                         protected_by(0.30, 0.01)})["leaks"]["appearance"]["state"] == "closed");
  // Whoever does not count says nothing; nor does one who found nothing and has not converged. What is found
  // is found.
  BOOST_TEST(state(protected_by(0.31, 0.02, false)) == "no conclusion");
  BOOST_TEST(state(protected_by(0.31, 0.02, true, false)) == "no conclusion");
  BOOST_TEST(state(protected_by(0.57, 0.02, true, false)) == "open");
}

BOOST_AUTO_TEST_CASE(the_strongest_who_counts_speaks) {
  const json v = appearance({protected_by(0.31, 0.02), protected_by(0.45, 0.02, true, true, "inversion"),
                             protected_by(0.31, 0.02, false, true, "oracle")});
  BOOST_TEST(v["verdict"] == "leaks");
  BOOST_TEST(v["leaks"]["appearance"]["worst"] == "P/inversion/protected");
  BOOST_CHECK_CLOSE(v["leaks"]["appearance"]["share"].get<double>(), 0.5, 1e-6);
  // Of two that find nothing, the one that has not converged keeps the question open.
  const json open =
      appearance({protected_by(0.31, 0.02), protected_by(0.30, 0.02, true, false, "inversion")});
  BOOST_TEST(open["verdict"] == "no conclusion");
  BOOST_TEST(appearance({})["leaks"]["appearance"]["state"] == "not asked");
}

// Who does not count, but has found it, is cited as who he is.
BOOST_AUTO_TEST_CASE(who_is_cited_and_does_not_count_is_told) {
  const json found = appearance({protected_by(0.57, 0.02, false)});
  BOOST_TEST(found["leaks"]["appearance"]["state"] == "open");
  BOOST_TEST(found["leaks"]["appearance"]["counts"] == false);
  const std::string told = "adaptive, who does not count by what it gets of raw features but has found it, ";
  BOOST_TEST(found["sentence"].get<std::string>().find(told + "ssim") != std::string::npos,
             found["sentence"]);
  const std::string worst = audit_summary(json::array({found}), json::object())[1];
  BOOST_TEST(worst.find("the attacker " + told + "gets 90 %") != std::string::npos, worst);
  const json counted = appearance({protected_by(0.57, 0.02)});
  BOOST_TEST(!counted["leaks"]["appearance"].contains("counts"));
  BOOST_TEST(audit_summary(json::array({counted}), json::object())[1].find("does not count") ==
             std::string::npos);
}

// What an attacker can tell is shown on raw features, by one who is at rest himself.
BOOST_AUTO_TEST_CASE(who_is_not_at_rest_on_raw_features_closes_nothing) {
  json all = world();
  all[1]["converged"] = false;
  all[1]["why_not"] = "it rises";
  all.push_back(protected_by(0.31, 0.02));
  const json told = audit_verdicts(all, {"none", "P"})[0]["leaks"]["appearance"];
  BOOST_TEST(told["state"] == "no conclusion");
  BOOST_TEST(told["said"] == "on raw features: it rises");
  all.back() = protected_by(0.57, 0.02);  // what is found is found
  BOOST_TEST(audit_verdicts(all, {"none", "P"})[0]["leaks"]["appearance"]["state"] == "open");
}

// A protection holds where everything that can always be asked was asked and is closed, appearance and
// identity by somebody who adapts; leaving attackers out makes nothing better.
BOOST_AUTO_TEST_CASE(what_was_not_asked_does_not_hold) {
  json all = world();
  all[0]["measures"]["cosine"] = interval(0.0, 0.02);
  all[0]["counts"]["identity"] = false;
  all[1]["measures"]["cosine"] = interval(0.6, 0.02);
  all[1]["counts"]["identity"] = true;
  const auto pictures = [](const std::string& attacker) {
    return row("P", attacker, "protected", {{"ssim", interval(0.30, 0.02)}, {"cosine", interval(0.0, 0.02)}},
               {{"appearance", true}, {"identity", true}});
  };
  const auto link = [](const std::string& protection, double rank_1, double auc) {
    json r =
        row(protection, "linkage", protection == "none" ? "raw" : "protected",
            {{"rank_1", interval(rank_1, 0.005)}, {"auc", interval(auc, 0.02)}}, {{"linkability", true}});
    r["chance"] = {{"rank_1", {{"mean", 0.01}}}};
    return r;
  };
  all.push_back(link("none", 0.9, 0.99));
  const auto verdict = [&](const std::vector<json>& rows) {
    json list = all;
    for (const json& r : rows) list.push_back(r);
    return audit_verdicts(list, {"none", "P"})[0];
  };
  BOOST_TEST(verdict({pictures("adaptive"), link("P", 0.01, 0.5)})["verdict"] == "holds");
  BOOST_TEST(verdict({pictures("adaptive")})["verdict"] == "no conclusion");
  const json alone = verdict({pictures("transfer"), link("P", 0.01, 0.5)});
  BOOST_TEST(alone["verdict"] == "no conclusion");
  BOOST_TEST(alone["leaks"]["appearance"]["said"] == "nobody who adapts to it was asked");
  // Nobody is found first, but pairs are told apart: by a network, or by the matcher that needs no key.
  BOOST_TEST(verdict({pictures("adaptive"), link("P", 0.01, 0.66)})["leaks"]["linkability"]["state"] ==
             "partly");
  const auto matcher = [](const std::string& protection, double value) {
    return row(protection, "accuracy", protection == "none" ? "raw" : "protected",
               {{"accuracy", interval(value, 0.03)}}, {{"linkability", true}});
  };
  all.push_back(matcher("none", 0.98));
  const json told = verdict({pictures("adaptive"), link("P", 0.01, 0.5), matcher("P", 0.79)});
  BOOST_TEST((told["verdict"] == "leaks" && told["leaks"]["linkability"]["measure"] == "accuracy"));
  BOOST_TEST(
      audit_summary(json::array({verdict({pictures("adaptive"), link("P", 0.01, 0.5)})}), json::object())[0]
          .find("attributes were not asked") != std::string::npos);
  BOOST_TEST(audit_summary(json::array({alone}), json::object())[1].find("which says nothing") !=
             std::string::npos);
}

// Closed is what is shown to be small: paired with the mean face, by the end of the interval, and as a share
// of what there is to get.
BOOST_AUTO_TEST_CASE(closed_is_shown_and_not_only_not_refuted) {
  const auto state = [](json r, double mean, double low, double high) {
    r["above"] = {{"ssim", {{"mean", mean}, {"low", low}, {"high", high}}}};
    return appearance({r})["leaks"]["appearance"]["state"].get<std::string>();
  };
  const json near = protected_by(0.31, 0.02);
  BOOST_TEST(state(near, 0.01, -0.01, 0.03) == "closed");
  BOOST_TEST(state(near, 0.01, -0.05, 0.07) ==
             "no conclusion");                            // more than a fifth of the way, for all we know
  BOOST_TEST(state(near, 0.03, 0.02, 0.04) == "partly");  // intervals that overlap hide it
  // Of an attacker who gets little of raw features a little is much.
  json all = world();
  all[1]["measures"]["ssim"] = interval(0.34, 0.005);
  json r = protected_by(0.312, 0.02);
  r["above"] = {{"ssim", {{"mean", 0.012}, {"low", 0.008}, {"high", 0.016}}}};
  all.push_back(r);
  BOOST_TEST(audit_verdicts(all, {"none", "P"})[0]["leaks"]["appearance"]["state"] == "partly");
}

// The mean face is looked at over the photographs that an attacker is asked about, and of who gets no further
// on raw features nothing can be said; but what somebody finds is found.
BOOST_AUTO_TEST_CASE(attackers_are_compared_over_the_same_photographs) {
  const auto reference = [](const std::string& of, double value, double half) {
    json r = row("none", "mean face", "none", {{"cosine", interval(value, half)}}, {{"identity", false}});
    r["variant"] = of;
    return r;
  };
  const auto asked = [](const std::string& protection, double value, double half, bool counts = true,
                        int images = 24) {
    json r = row(protection, "inversion", protection == "none" ? "raw" : "protected",
                 {{"cosine", interval(value, half)}}, {{"identity", counts}});
    r["images"] = images;
    return r;
  };
  const auto state = [](const json& rows) {
    return audit_verdicts(rows, {"none", "P"})[0]["leaks"]["identity"]["state"].get<std::string>();
  };
  // Somebody who adapts and counts for nothing is asked as well.
  const json adapts = row("P", "adaptive", "protected", json::object(), {{"identity", false}});
  const json transfer = reference("transfer", 0.15, 0.2), own = reference("inversion", -0.12, 0.02);
  const json raw = asked("none", 0.10, 0.02);
  BOOST_TEST(state({transfer, own, raw, asked("P", 0.09, 0.02)}) == "open");
  BOOST_TEST(state({transfer, own, raw, asked("P", -0.11, 0.02), adapts}) == "closed");
  BOOST_TEST(state({transfer, raw, asked("P", 0.09, 0.02)}) == "no conclusion");
  // On raw features no further than the mean face: nothing is closed by it, but a find is one.
  BOOST_TEST(state({own, asked("none", -0.11, 0.02), asked("P", -0.11, 0.02)}) == "no conclusion");
  BOOST_TEST(state({own, asked("none", -0.11, 0.02, false), asked("P", 0.4, 0.02, false)}) == "open");
  // Two people are too few for either.
  BOOST_TEST(state({own, raw, asked("P", -0.11, 0.02, true, 2)}) == "no conclusion");
  BOOST_TEST(state({own, raw, asked("P", 0.09, 0.02, true, 2)}) == "no conclusion");
}

// D_sys has no interval; that shuffled pairs hardly ever reach it tells a link from chance.
BOOST_AUTO_TEST_CASE(links_are_told_from_chance_by_shuffled_pairs) {
  const auto state = [](double d_sys, double p) {
    json r = row("P", "unlinkability", "protected", {{"d_sys", {{"mean", d_sys}}}}, {{"linkability", true}});
    r["chance"] = {{"d_sys", {{"mean", 0.04}, {"low", 0.0}, {"high", 0.065}}}};
    r["p_value"] = p;
    return audit_verdicts(json::array({r}), {"none", "P"})[0]["leaks"]["linkability"]["state"]
        .get<std::string>();
  };
  BOOST_TEST(state(0.05, 0.4) == "closed");
  BOOST_TEST(state(0.08, 0.12) == "no conclusion");
  BOOST_TEST(state(0.08, 0.04) == "partly");
  BOOST_TEST(state(1.0, 0.04) == "open");
}

BOOST_AUTO_TEST_CASE(without_raw_features_to_compare_with_there_is_no_conclusion) {
  const json rows = json::array(
      {row("none", "mean face", "none", {{"ssim", interval(0.30, 0.02)}}, {{"appearance", false}}),
       protected_by(0.31, 0.02)});
  BOOST_TEST(audit_verdicts(rows, {"none", "P"})[0]["verdict"] == "no conclusion");
}

BOOST_AUTO_TEST_CASE(attributes_are_compared_with_the_same_attribute) {
  const auto told = [](const std::string& protection, const std::string& features, const std::string& name,
                       double value) {
    json r = row(protection, "attributes", features, {{"balanced_accuracy", interval(value, 0.01)}},
                 {{"attributes", true}});
    r["attribute"] = name;
    r["id"] = r["id"].get<std::string>() + name;
    return r;
  };
  const json rows =
      json::array({told("none", "raw", "Male", 0.98), told("none", "raw", "Smiling", 0.70),
                   told("P", "protected", "Male", 0.52), told("P", "protected", "Smiling", 0.69)});
  const json v = audit_verdicts(rows, {"none", "P"})[0];
  BOOST_TEST(v["leaks"]["attributes"]["state"] == "open");
  BOOST_CHECK_CLOSE(v["leaks"]["attributes"]["raw"]["mean"].get<double>(), 0.70, 1e-6);
}

// Of 60 photographs 12 have it: an interval over a few people says nothing, to either side.
BOOST_AUTO_TEST_CASE(an_attribute_of_few_has_no_conclusion) {
  const auto state = [](double value, double majority) {
    const auto told = [&](const std::string& protection, double mean) {
      json r = row(protection, "attributes", protection == "none" ? "raw" : "protected",
                   {{"balanced_accuracy", interval(mean, 0.01)}}, {{"attributes", true}});
      r["attribute"] = "Beard", r["images"] = 60, r["majority_share"] = majority;
      return r;
    };
    const json v = audit_verdicts(json::array({told("none", 0.9), told("P", value)}), {"none", "P"})[0];
    return v["leaks"]["attributes"]["state"].get<std::string>();
  };
  BOOST_TEST(state(0.8, 0.8) == "no conclusion");
  BOOST_TEST(state(0.5, 0.8) == "no conclusion");
  BOOST_TEST(state(0.8, 40.0 / 60) == "partly");
  BOOST_TEST(state(0.5, 40.0 / 60) == "closed");
}

// Of many probes one finds something by chance: what one alone would have found takes a wider interval where
// many ask (Bonferroni). A find that is none by chance stays one.
BOOST_AUTO_TEST_CASE(many_probes_are_asked) {
  const auto state = [](double half, int others) {
    const auto probe = [](const std::string& protection, int number, double mean, double width) {
      json r = row(protection, "attributes", protection == "none" ? "raw" : "protected",
                   {{"balanced_accuracy", interval(mean, width)}}, {{"attributes", true}});
      r["attribute"] = "Male";
      r["id"] = r["id"].get<std::string>() + std::to_string(number);
      return r;
    };
    json rows = json::array({probe("none", 0, 0.98, 0.01), probe("P", 0, 0.6, half)});
    for (int i = 1; i <= others; ++i) rows.push_back(probe("P", i, 0.5, 0.02));
    return audit_verdicts(rows, {"none", "P"})[0]["leaks"]["attributes"]["state"].get<std::string>();
  };
  // Half an interval of 95 % is 1.96 deviations; where two are asked it takes 2.2414 of them, of ten 2.807.
  const double deviation = 0.1 / 1.96, of_ten = 0.1 / 2.807, of_two = 0.1 / 2.2414;
  BOOST_TEST(state(1.96 * deviation * 0.999, 0) == "partly");
  BOOST_TEST(state(1.96 * deviation * 1.001, 0) == "no conclusion");
  BOOST_TEST(state(1.96 * of_two * 0.999, 1) == "partly");
  BOOST_TEST(state(1.96 * of_two * 1.001, 1) == "no conclusion");
  BOOST_TEST(state(1.96 * of_ten * 0.999, 9) == "partly");
  BOOST_TEST(state(1.96 * of_ten * 1.001, 9) == "no conclusion");
}

// A protection that makes recognition better is not said to cost something.
BOOST_AUTO_TEST_CASE(a_gain_is_no_loss) {
  const auto said = [](double low, double loss, double high) {
    json rows = json::array();
    for (const char* protection : {"none", "P"}) {
      const bool raw = protection == std::string("none");
      rows.push_back(row(protection, kAccuracy, raw ? "raw" : "protected",
                         {{"accuracy", interval(raw ? 0.9 : 0.9 - loss, 0.02)}}, json::object()));
    }
    rows[1]["measures"]["accuracy_loss"] = {{"mean", loss}, {"low", low}, {"high", high}};
    return audit_verdicts(rows, {"none", "P"})[0]["sentence"].get<std::string>();
  };
  BOOST_TEST(said(0.01, 0.02, 0.03).find("0.8800 of 0.9000, a loss between 0.0100 and 0.0300.") !=
             std::string::npos);
  BOOST_TEST(said(-0.03, -0.02, 0.01).find("0.9200 of 0.9000, a gain between -0.0100 and 0.0300.") !=
             std::string::npos);
}

BOOST_AUTO_TEST_CASE(summaries_are_three_sentences_and_promise_nothing_of_a_quick_audit) {
  json rows = world();
  rows.push_back(protected_by(0.57, 0.02, true, false));
  const json verdicts = audit_verdicts(rows, {"none", "P"});
  const std::vector<std::string> said = audit_summary(verdicts, {{"converges", false}});
  BOOST_TEST(said.size() == 3u);
  BOOST_TEST(said[0].find("The protection that was tried is not shown") == 0u);
  BOOST_TEST(said[1].find("“P” leaks") == 0u);
  BOOST_TEST(said[2].find("not converged") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(digests_are_those_of_sha256sum) {
  const std::string text = "abc";
  if (has_keys())
    BOOST_TEST(digest(std::as_bytes(std::span(text))) ==
               "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  else
    BOOST_TEST(digest(std::as_bytes(std::span(text))).starts_with("fnv64:"));
}

BOOST_AUTO_TEST_CASE(signatures_go_with_one_report_and_one_key) {
  if (!has_keys()) return;
  const TempDir dir;
  new_signing_key(dir / "a");
  new_signing_key(dir / "b");
  BOOST_CHECK_THROW(new_signing_key(dir / "a"), Error);
  struct stat is {};
  BOOST_REQUIRE(stat((dir / "a").c_str(), &is) == 0);
  BOOST_TEST((is.st_mode & 0777) == 0600u);
  const std::string report = "a report", other = "a repors";
  const std::string signature = sign(std::as_bytes(std::span(report)), dir / "a");
  check_signature(std::as_bytes(std::span(report)), signature, "s", dir / "a.pub");
  BOOST_CHECK_THROW(check_signature(std::as_bytes(std::span(other)), signature, "s", dir / "a.pub"), Error);
  BOOST_CHECK_THROW(check_signature(std::as_bytes(std::span(report)), signature, "s", dir / "b.pub"), Error);
  for (size_t i = 0; i < signature.size(); i += 7) {
    std::string changed = signature;
    changed[i] = changed[i] == '0' ? '1' : '0';
    BOOST_CHECK_THROW(check_signature(std::as_bytes(std::span(report)), changed, "s", dir / "a.pub"), Error);
  }
  BOOST_CHECK_THROW(sign(std::as_bytes(std::span(report)), dir / "a.pub"), Error);
  chmod((dir / "a").c_str(), 0644);
  BOOST_CHECK_THROW(sign(std::as_bytes(std::span(report)), dir / "a"), Error);
}

BOOST_AUTO_TEST_CASE(texts_of_pages_are_made_safe) {
  const std::string png =
      "<img src=\"data:image/png;base64,iVBORw0KGgoA\" alt=\"&lt;script&gt;&amp;&quot;&#39;\">";
  const PagePictures pictures(png + "<img src=\"data:image/png;base64,PHN2Zz4=\" alt=\"b\">");
  BOOST_TEST(pictures.html("<script>&\"'") == png);
  BOOST_TEST((!pictures.has("b") && pictures.html("c").empty()));
  HtmlTable table("t", {"<a>", "b"});
  table.add({"1", "2"}, {"", "\"k\""});
  BOOST_TEST(table.html().find("scope=\"col\">&lt;a&gt;</th>") != std::string::npos);
  BOOST_TEST(table.html().find("data-key=\"&quot;k&quot;\"") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(who_could_not_be_run_leaves_the_question_open) {
  json rows = world();
  rows.push_back(protected_by(0.31, 0.02));
  const json unmeasured = {{{"protection", "P"}, {"attacker", "inversion"}}};
  BOOST_TEST(audit_verdicts(rows, {"none", "P"}, unmeasured)[0]["verdict"] == "no conclusion");
  // Nothing was asked of it at all.
  BOOST_TEST(audit_verdicts(world(), {"none", "P"})[0]["verdict"] == "no conclusion");
}
