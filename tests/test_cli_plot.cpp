// Curves drawn from result files: what is read, the picture's structure, and what is refused.
#define BOOST_TEST_MODULE cli_plot
#include "cli_test_util.h"
#include "xml_util.h"

using namespace advf;
using namespace advf::test;
using nlohmann::json;

namespace {

Element draw(const std::string& out, const Args& args) {
  succeed("evaluate", Args{"plot", "--out", out} + args);
  return parse_xml(read_bytes(out));
}

std::vector<const Element*> curves_of(const Element& root) {
  std::vector<const Element*> curves;
  for (const Element* group : root.all("g"))
    if (group->has("class", "series")) curves.push_back(group);
  return curves;
}

}  // namespace

BOOST_AUTO_TEST_CASE(tables_results_and_reports) {
  const TempDir dir;
  write_bytes(dir / "a.csv",
              "x,y,low,high\n0.01,0.5,0.4,0.6\n0.02,0.4,0.35,0.5\n0.04,,,\n0.08,0.2,0.1,0.3\r\n");
  write_bytes(dir / "b.json", R"({"rows": [
    {"attacker": "t", "kind": "raw", "moment_matched": false, "epsilon": 0, "ssim": {"mean": 0.7, "low": 0.6, "high": 0.8}},
    {"attacker": "t", "kind": "raw", "moment_matched": true, "epsilon": 0, "ssim": {"mean": 0.9, "low": 0.8, "high": 0.95}},
    {"attacker": "t", "kind": "protected", "moment_matched": false, "epsilon": 0.04, "ssim": {"mean": 0.2, "low": 0.1, "high": 0.3}},
    {"attacker": "u", "kind": "protected", "moment_matched": false, "epsilon": 0.04, "ssim": null}]})");
  write_bytes(dir / "one.json", R"({"epsilon": 0.01, "accuracy": {"mean": 0.9, "std": 0.01}})");
  write_bytes(dir / "two.json", R"({"epsilon": 0.02, "accuracy": {"mean": 0.8, "std": 0.02}})");
  write_bytes(dir / "r.jsonl", "{\"record\": 0, \"cosine\": 0.9}\n{\"record\": 1, \"cosine\": 0.95}\n");
  const auto points = [&](const Args& series) {
    draw(dir / "p.svg", series + Args{"--json", dir / "p.json"});
    return read_json(dir / "p.json")["series"];
  };
  BOOST_TEST(points({"--series", "a=" + dir / "a.csv"}) == (json{{"a", 4}}));
  BOOST_TEST(points({"--series", "b=" + dir / "b.json,attacker=t,x=epsilon,y=ssim"}) == (json{{"b", 3}}));
  BOOST_TEST(points({"--series", "b=" + dir / "b.json,attacker=t,moment_matched=false,x=epsilon,y=ssim.mean",
                     "--series", "c=" + dir / "b.json,kind=protected,epsilon=4e-2,x=epsilon,y=ssim"}) ==
             (json{{"b", 2}, {"c", 2}}));
  BOOST_TEST(points({"--series", "acc=" + dir / "one.json,x=epsilon,y=accuracy", "--series",
                     "acc=" + dir / "two.json,x=epsilon,y=accuracy"}) == (json{{"acc", 2}}));
  BOOST_TEST(points({"--series", "r=" + dir / "r.jsonl,x=record,y=cosine"}) == (json{{"r", 2}}));
  BOOST_TEST(points({"--series", "r=" + dir / "b.json,list=rows,x=epsilon,y=ssim.low,attacker=t"}) ==
             (json{{"r", 3}}));
}

BOOST_AUTO_TEST_CASE(the_picture) {
  const TempDir dir;
  write_bytes(dir / "a.csv", "x,y\n0,1\n1,2\n2,4\n");
  write_bytes(dir / "bars.csv", "x,y,low,high\n0,1,0.5,1.5\n1,2,1,3\n2,4,3,5\n");
  const Args one{"--series", "first=" + dir / "a.csv"};
  const Element plain = draw(dir / "p.svg", one);
  BOOST_TEST((plain.has("width", "900") && plain.has("height", "600")));
  BOOST_REQUIRE(curves_of(plain).size() == 1u);
  BOOST_TEST(curves_of(plain)[0]->all("circle").size() == 3u);
  // A second curve has its own colour, a bar its line, and words are text.
  const Element both = draw(dir / "p.svg", one + Args{"--series", "second=" + dir / "a.csv"});
  BOOST_REQUIRE(curves_of(both).size() == 2u);
  const auto colour = [&](size_t k) { return curves_of(both)[k]->all("path")[0]->attributes.at("stroke"); };
  BOOST_TEST(colour(0) != colour(1));
  const Element bars = draw(dir / "p.svg", {"--series", "first=" + dir / "bars.csv"});
  BOOST_TEST(curves_of(bars)[0]->all("path").size() == 2u);
  const Element titled =
      draw(dir / "p.svg", one + Args{"--title", "what it is", "--x-label", "share, %", "--y-label", "<y>",
                                     "--width", "640", "--height", "400", "--describe", "three points"});
  BOOST_TEST((titled.has("width", "640") && titled.has("height", "400")));
  std::string words;
  for (const Element* text : titled.all("text")) words += text->text + "\n";
  for (const std::string word : {"what it is\n", "share, %\n", "<y>\n", "first\n"})
    BOOST_TEST(words.find(word) != std::string::npos, word);
  BOOST_TEST(titled.children.at(1).text == "three points");
  // The same files, the same bytes.
  draw(dir / "q.svg", one);
  draw(dir / "p.svg", one + Args{"--threads", "1"});
  BOOST_TEST((read_bytes(dir / "p.svg") == read_bytes(dir / "q.svg")));
}

BOOST_AUTO_TEST_CASE(what_cannot_be_drawn_is_refused) {
  const TempDir dir;
  const std::string folder = dir.path().string(), out = dir / "p.svg";
  const auto file = [&](const std::string& name, const std::string& text) {
    write_bytes(dir / name, text);
    return dir / name;
  };
  const std::string good = file("good.csv", "x,y\n0,1\n");
  const auto plot = [&](const std::string& series) { return Args{"plot", "--out", out, "--series", series}; };
  for (const auto& [series, words] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {good, {"NAME=FILE", good}},
           {"a=", {"NAME=FILE"}},
           {"a=" + good + ",x", {"KEY=VALUE"}},
           {"a=" + good + ",low=y", {"low", "high"}},
           {"a=" + good + ",b=1,b=2", {"b", "twice"}},
           {"a=" + dir / "p.txt", {"p.txt", ".csv"}}})
    refuse(folder, "evaluate", plot(series), 2, words);
  refuse(folder, "evaluate", {"plot", "--out", out}, 2, {"--series"});
  refuse(folder, "evaluate", plot("a=" + good) + Args{"--width", "100"}, 2, {"--width", "100"});
  refuse(folder, "evaluate", {"plot", "--out", dir / "p.png", "--series", "a=" + good}, 2,
         {"--out", "p.png", ".svg"});
  for (const auto& [series, words] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {dir / "missing.csv", {"missing.csv", "No such file"}},
           {good + ",y=z", {"good.csv", "point 1", "\"z\"", "x, y"}},
           {good + ",y=x.z", {"good.csv", "\"x.z\""}},
           {good + ",x=5", {"good.csv", "\"5\""}},
           {good + ",y=y,q=5", {"good.csv", "no point with q=5"}},
           {file("empty.csv", ""), {"empty.csv", "is empty"}},
           {file("none.csv", "x,y\n"), {"none.csv", "no point"}},
           {file("ragged.csv", "x,y\n1,2\n1\n"), {"ragged.csv, line 3", "1 fields", "2 columns"}},
           {file("text.csv", "x,y\n1,two\n"), {"text.csv, point 1", "no number"}},
           {file("twice.csv", "x,y,low,high\n1,2,3,4\n"), {"twice.csv, point 1", "3 to 4", "hold 2"}},
           {file("bad.json", "{"), {"bad.json", "not valid JSON"}},
           {file("number.json", "[1]"), {"number.json, point 1", "not an object"}},
           {file("other.json", R"({"x": 1})"), {"other.json", "\"y\""}},
           {file("list.json", R"({"x": 1})") + ",list=rows", {"list.json", "\"rows\""}},
           {file("bad.jsonl", "{}\n[]\n"), {"bad.jsonl, line 2"}}})
    refuse(folder, "evaluate", plot("a=" + series), 1, words);
  refuse(folder, "evaluate", {"plot", "--out", dir / "missing/p.svg", "--series", "a=" + good}, 1,
         {"missing/p.svg"});
}
