// Plots as SVG: read as XML, points where they belong, any numbers and names, the same bytes.
#define BOOST_TEST_MODULE plot
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <set>

#include "file_test_util.h"
#include "tensor/io/plot.h"
#include "test_util.h"
#include "xml_util.h"

using namespace advf;
using namespace advf::test;

namespace {

Element parsed(const std::string& svg) {
  const Element root = parse_xml(svg);
  BOOST_REQUIRE(root.name == "svg");
  return root;
}

std::vector<const Element*> of_class(const Element& root, const std::string& name,
                                     const std::string& wanted) {
  std::vector<const Element*> found;
  for (const Element* e : root.all(name))
    if (e->has("class", wanted)) found.push_back(e);
  return found;
}

// Of "M1 2L3 4": a piece for each M, of its numbers.
std::vector<std::vector<double>> pieces_of(const std::string& d) {
  std::vector<std::vector<double>> pieces;
  for (size_t at = 0; at < d.size();) {
    if (d[at] == 'M') pieces.emplace_back();
    size_t end = 0;
    pieces.back().push_back(std::stod(d.substr(at + 1), &end));
    at += 1 + end;
  }
  return pieces;
}

// The numbers that an axis is marked with, and where each stands in pixels.
std::map<double, double> marked(const Element& root, const std::string& axis) {
  std::map<double, double> places;
  for (const Element* e : of_class(root, "text", axis))
    places[std::stod(e->text)] = e->number(axis) - (axis == "y" ? 0.35 * 13 : 0);
  return places;
}

// Where a value stands, by the axis' first and last number.
double expected(const std::map<double, double>& axis, double v, bool log = false) {
  const auto [low, from] = *axis.begin();
  const auto [high, to] = *axis.rbegin();
  const double share = log ? std::log(v / low) / std::log(high / low) : (v - low) / (high - low);
  return from + share * (to - from);
}

const Element& series_of(const Element& root, size_t k) { return *of_class(root, "g", "series").at(k); }

// The picture's texts, parts of one line each.
std::string words_of(const Element& root) {
  std::string all;
  for (const Element* e : root.all("text")) all += e->text + "\n";
  return all;
}

const std::vector<double> kXs{0, 1, 2, 3};

}  // namespace

BOOST_AUTO_TEST_CASE(points_lie_where_their_numbers_are) {
  const std::vector<double> xs{1, 2.5, 4, 8.25}, ys{-3, 0.125, 7, 2};
  const Element root = parsed(svg_plot("t", {{"s", xs, ys, {-4, 0, 6, 1}, {-2, 1, 9, 3}}}, "x", "y"));
  const auto x_axis = marked(root, "x"), y_axis = marked(root, "y");
  BOOST_REQUIRE(x_axis.size() >= 3u);
  BOOST_REQUIRE(y_axis.size() >= 3u);
  const auto discs = series_of(root, 0).all("circle");
  BOOST_REQUIRE(discs.size() == xs.size());
  const auto paths = series_of(root, 0).all("path");
  BOOST_REQUIRE(paths.size() == 2u);
  const auto line = pieces_of(paths[1]->attributes.at("d"));
  BOOST_REQUIRE(line.size() == 1u);
  BOOST_REQUIRE(line[0].size() == 2 * xs.size());
  for (size_t i = 0; i < xs.size(); ++i) {
    const double x = expected(x_axis, xs[i]), y = expected(y_axis, ys[i]);
    BOOST_TEST(std::abs(discs[i]->number("cx") - x) < 0.02);
    BOOST_TEST(std::abs(discs[i]->number("cy") - y) < 0.02);
    BOOST_TEST(std::abs(line[0][2 * i] - x) < 0.02);
    BOOST_TEST(std::abs(line[0][2 * i + 1] - y) < 0.02);
  }
  // The first bar: from -4 to -2 at 1.
  const std::string bars = paths[0]->attributes.at("d");
  const std::string begin = "M" + svg_coordinate(expected(x_axis, 1)) + " ";
  BOOST_TEST(bars.starts_with(begin));
  size_t end = 0;
  BOOST_TEST(std::abs(std::stod(bars.substr(begin.size()), &end) - expected(y_axis, -4)) < 0.02);
  BOOST_TEST(std::abs(std::stod(bars.substr(begin.size() + end + 1)) - expected(y_axis, -2)) < 0.02);
}

BOOST_AUTO_TEST_CASE(it_says_what_it_is) {
  const Element root = parsed(svg_plot("a title", {{"first", kXs, kXs}, {"", kXs, kXs}}, "epsilon", "SSIM"));
  BOOST_TEST(root.has("xmlns", "http://www.w3.org/2000/svg"));
  BOOST_TEST((root.has("role", "img") && root.has("viewBox", "0 0 720 440")));
  BOOST_TEST((root.has("width", "720") && root.has("height", "440") && root.has("fill", "currentColor")));
  const Element &title = root.children.at(0), &desc = root.children.at(1);
  BOOST_TEST((title.name == "title" && title.text == "a title" && desc.name == "desc"));
  for (const std::string word : {"epsilon", "SSIM", "first", "0 to 3"})
    BOOST_TEST(desc.text.find(word) != std::string::npos, word);
  BOOST_TEST(root.attributes.at("aria-labelledby") ==
             title.attributes.at("id") + " " + desc.attributes.at("id"));
  for (const std::string word : {"a title\n", "epsilon\n", "SSIM\n", "first\n"})
    BOOST_TEST(words_of(root).find(word) != std::string::npos, word);
  const Element told = parsed(svg_plot("t", {}, "x", "y", {.describes = "what there is"}));
  BOOST_TEST(told.children.at(1).text == "what there is");
  // Ids are others in every other picture, and the same in the same.
  BOOST_TEST(svg_plot("t", {{"s", kXs, kXs}}, "x", "y") == svg_plot("t", {{"s", kXs, kXs}}, "x", "y"));
  BOOST_TEST(told.children[0].attributes.at("id") != title.attributes.at("id"));
}

BOOST_AUTO_TEST_CASE(series_differ_in_more_than_colour) {
  std::vector<Series> many(7, {"s", kXs, kXs});
  const Element root = parsed(svg_plot("t", many, "x", "y"));
  std::set<std::string> colours, dashes, shapes;
  for (size_t k = 0; k < many.size(); ++k) {
    const auto paths = series_of(root, k).all("path");
    colours.insert(paths[0]->attributes.at("stroke"));
    dashes.insert(paths[0]->attributes.contains("stroke-dasharray")
                      ? paths[0]->attributes.at("stroke-dasharray")
                      : std::string());
    shapes.insert(series_of(root, k).all("circle").empty() ? paths.back()->attributes.at("d") : "disc");
  }
  BOOST_TEST((colours.size() == 7u && dashes.size() == 5u && shapes.size() == 6u));
  // Without a line, without marks.
  Series points{"p", kXs, kXs}, line{"l", kXs, kXs};
  points.line = line.marks = false;
  const Element two = parsed(svg_plot("t", {points, line}, "x", "y"));
  BOOST_TEST((series_of(two, 0).all("path").empty() && series_of(two, 0).all("circle").size() == 4u));
  BOOST_TEST((series_of(two, 1).all("path").size() == 1u && series_of(two, 1).all("circle").empty()));
}

BOOST_AUTO_TEST_CASE(what_is_not_finite_breaks_the_line) {
  Series s{"s", {0, 1, 2, 3, 4, 5, 6}, {1, 2, NAN, 3, NAN, 1, INFINITY}};
  const auto line_of = [&](const Series& one) {
    const Element root = parsed(svg_plot("t", {one}, "x", "y"));
    return pieces_of(series_of(root, 0).all("path").at(0)->attributes.at("d"));
  };
  const auto pieces = line_of(s);
  BOOST_REQUIRE(pieces.size() == 3u);
  BOOST_TEST((pieces[0].size() == 4u && pieces[1].size() == 2u && pieces[2].size() == 2u));
  // A point by itself is seen without marks, too.
  s.marks = false;
  const Element root = parsed(svg_plot("t", {s}, "x", "y"));
  BOOST_TEST(series_of(root, 0).all("circle").size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_log_axis_spaces_by_ratios) {
  const Element root =
      parsed(svg_plot("t", {{"s", {0, -1, 1, 2, 4, 300}, {9, 9, 1, 1, 1, 1}}}, "x", "y", {.log_x = true}));
  const auto discs = series_of(root, 0).all("circle");
  BOOST_REQUIRE(discs.size() == 4u);  // 0 and -1 are left out
  const auto x = [&](size_t i) { return discs[i]->number("cx"); };
  BOOST_TEST(std::abs((x(1) - x(0)) - (x(2) - x(1))) < 0.03);
  const auto axis = marked(root, "x");
  for (const auto& [i, v] : {std::pair(size_t(0), 1.0), {1, 2.0}, {3, 300.0}})
    BOOST_TEST(std::abs(x(i) - expected(axis, v, true)) < 0.02);
}

BOOST_AUTO_TEST_CASE(any_numbers_can_be_drawn) {
  for (const auto& ys : std::vector<std::vector<double>>{{1, 2, 3, 4},
                                                         {0, 0, 0, 0},
                                                         {NAN, INFINITY, 1, -1e308},
                                                         {NAN, NAN, NAN, NAN},
                                                         {1e-310, 0, 1e-310, 0},
                                                         {1e9, 1e9 + 1, 1e9, 1e9},
                                                         {-1e299, 1e299, 0, 5},
                                                         {5, 5, 5, 5 + 1e-15}}) {
    const Element root = parsed(svg_plot("t", {{"s", kXs, ys}}, "x", "y"));
    for (const Element* mark : root.all("circle"))
      BOOST_TEST((mark->number("cy") > 0 && mark->number("cy") < 440));
  }
  for (const auto& xs : std::vector<std::vector<double>>{
           {0, -1, 1, 2}, {1, 1, 1, 1}, {1e-299, 1, 1e299, NAN}, {0.3, 0.3, 0.4, 0.35}, {-1, -1, -1, -1}}) {
    const Element root = parsed(svg_plot("t", {{"s", xs, kXs}}, "x", "y", {.log_x = true}));
    for (const Element* mark : root.all("circle"))
      BOOST_TEST((mark->number("cx") > 0 && mark->number("cx") < 720));
  }
  // Nothing, and one point.
  const Element nothing = parsed(svg_plot("", {}, "", ""));
  BOOST_TEST((nothing.all("circle").empty() && marked(nothing, "x").size() >= 2u));
  BOOST_TEST(parsed(svg_plot("", {{"one", {3}, {4}}}, "", "")).all("circle").size() ==
             2u);  // one in the legend
  // Numbers that are near to each other are told apart; short ones are short.
  std::set<std::string> told;
  const Element near = parsed(svg_plot("", {{"", {0, 1}, {1e6, 1e6 + 1}}}, "", ""));
  const auto texts = of_class(near, "text", "y");
  for (const Element* e : texts) told.insert(e->text);
  BOOST_TEST((told.size() == texts.size() && told.contains("1000000.2")));
  BOOST_TEST(svg_number(0.1 + 0.2, 6) == "0.3");
  BOOST_TEST(svg_number(200000, 6) == "200000");
  BOOST_TEST(svg_number(1e6, 6) == "1e6");
  BOOST_TEST(svg_number(2e-5, 6) == "2e-5");
  BOOST_TEST(svg_number(-0.0, 6) == "0");
  BOOST_TEST(svg_number(1e-100, 6) == "1e-100");
}

BOOST_AUTO_TEST_CASE(names_are_text_whatever_they_say) {
  const std::string hostile =
      "</svg><script>alert(1)</script> & \"quoted\" 'so' ]]> <!-- \x01\x1b[31m \xff\xc3";
  Series s{hostile, {0, 1}, {0, 1}};
  s.labels = {hostile, "b"};
  const std::string svg = svg_plot(hostile, {s}, hostile, hostile, {.width = 3000, .describes = hostile});
  BOOST_TEST(svg.find("<script") == std::string::npos);
  const Element root = parsed(svg);
  BOOST_TEST(root.all("script").empty());
  const std::string title = root.children.at(0).text;
  BOOST_TEST(title.starts_with("</svg><script>alert(1)</script> & \"quoted\" 'so' ]]> <!--"));
  BOOST_TEST(title.ends_with("\xEF\xBF\xBD\xEF\xBF\xBD"));
  // A word after the other: the same text at each of its five places, in lines of its own.
  std::string words = words_of(root);
  size_t count = 0;
  for (size_t at = 0; (at = words.find("</svg><script>", at)) != std::string::npos; ++at) ++count;
  BOOST_TEST(count >= 5u);
  BOOST_TEST(svg_escaped("Z\xC3\xBCrich \xF0\x9F\x98\x80") == "Z\xC3\xBCrich \xF0\x9F\x98\x80");
  BOOST_TEST(svg_escaped("\xEF\xBF\xBF\t\xC2\x85") == "\xEF\xBF\xBD  ");
}

BOOST_AUTO_TEST_CASE(a_million_points_are_thinned_out) {
  Series s{"s", {}, {}};
  for (int i = 0; i < 1000000; ++i) {
    s.xs.push_back(i);
    s.ys.push_back(i == 654321 ? 7 : i >= 300000 && i < 400000 ? NAN : std::sin(i * 0.1));
  }
  const std::string svg = svg_plot("t", {s}, "x", "y");
  BOOST_TEST(svg.size() < 600000u);
  const Element root = parsed(svg);
  BOOST_TEST(series_of(root, 0).all("circle").size() <= 4000u);
  const auto pieces = pieces_of(series_of(root, 0).all("path").at(0)->attributes.at("d"));
  BOOST_TEST(pieces.size() == 2u);  // the gap is there
  const auto y_axis = marked(root, "y");
  double highest = 1e9;  // and so is the one point that is out of line
  for (const auto& piece : pieces)
    for (size_t i = 1; i < piece.size(); i += 2) highest = std::min(highest, piece[i]);
  BOOST_TEST(std::abs(highest - expected(y_axis, 7)) < 0.02);
}

BOOST_AUTO_TEST_CASE(a_legend_takes_its_own_room) {
  std::vector<Series> many;
  for (int k = 0; k < 20; ++k)
    many.push_back(
        {"a name that is rather long, and the longer the more: " + std::string(size_t(10 * k), 'n'), kXs,
         kXs});
  const Element root =
      parsed(svg_plot(std::string(2000, 't'), many, "x", "y", {.width = 300, .height = 200}));
  BOOST_TEST(root.number("height") > 600);
  double lowest = 0, first = 1e9;
  for (size_t k = 0; k < many.size(); ++k)
    for (const Element* disc : series_of(root, k).all("circle"))
      lowest = std::max(lowest, disc->number("cy"));
  const auto legend = of_class(root, "g", "legend");
  BOOST_REQUIRE(legend.size() == 1u);
  double before = 0;
  for (const Element* text : legend[0]->all("text")) {
    first = std::min(first, text->number("y") - 13);
    BOOST_TEST(text->number("y") >= before + 13);  // one column, one line below the other
    before = text->number("y");
  }
  BOOST_TEST(first > lowest + 20);
  BOOST_TEST(before < root.number("height"));
}

BOOST_AUTO_TEST_CASE(labels_stand_beside_their_points) {
  Series s{"s", {}, {}};
  for (int i = 0; i < 12; ++i) {
    s.xs.push_back(i % 4);
    s.ys.push_back(i / 4 + 0.001 * i);
    s.labels.push_back("point " + std::to_string(i));
  }
  s.labels[3] = std::string(500, 'x');
  const Element root = parsed(svg_plot("t", {s}, "x", "y"));
  const auto labels = of_class(root, "g", "labels").at(0)->all("text");
  const auto discs = series_of(root, 0).all("circle");
  BOOST_REQUIRE((labels.size() == 12u && discs.size() == 12u));
  for (size_t i = 0; i < 12; ++i) {
    if (i == 3) continue;
    BOOST_TEST(labels[i]->text == s.labels[i]);
    const double width = svg_letters(12).width(labels[i]->text), x = labels[i]->number("x"),
                 y = labels[i]->number("y");
    const double dx = std::max({x - discs[i]->number("cx"), discs[i]->number("cx") - x - width, 0.0});
    BOOST_TEST(std::hypot(dx, y - discs[i]->number("cy")) < 70);
    for (size_t j = 0; j < i; ++j) {
      const double other = svg_letters(12).width(labels[j]->text);
      BOOST_TEST((std::abs(labels[j]->number("y") - y) >= 12 || labels[j]->number("x") >= x + width ||
                  x >= labels[j]->number("x") + other),
                 i << " and " << j);
    }
  }
  BOOST_TEST(labels[3]->text.ends_with("xx..."));
}

BOOST_AUTO_TEST_CASE(several_in_one_and_files) {
  const Plot one{"one", {{"s", kXs, kXs}}, "x", "y", {.height = 300}};
  const std::string svg = svg_stack("all", {one, one, {"three", {}, "x", "y", {.width = 900}}});
  const Element root = parsed(svg);
  BOOST_TEST((root.has("width", "900") && root.has("height", "1040") && root.has("role", "group")));
  const auto panels = root.all("svg");
  BOOST_REQUIRE(panels.size() == 3u);
  BOOST_TEST((panels[0]->has("y", "0") && panels[1]->has("y", "300") && panels[2]->has("y", "600")));
  std::set<std::string> ids;
  for (const std::string name : {"title", "desc"})
    for (const Element* e : root.all(name)) ids.insert(e->attributes.at("id"));
  BOOST_TEST(ids.size() == 8u);  // equal pictures, too, have ids of their own
  BOOST_CHECK_THROW(svg_stack("none", {}), Error);

  const TempDir dir;
  write_svg(dir / "a.svg", svg);
  const std::string file = read_bytes(dir / "a.svg");
  BOOST_TEST(file.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns="));
  BOOST_TEST(parsed(file).all("style").size() == 1u);
  BOOST_TEST(dir.count() == 1u);
  refused([&] { write_svg(dir / "no/a.svg", svg); }, {"no/a.svg"});
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused) {
  const auto plot = [](Series s, PlotLayout layout = {}) {
    return [=] { svg_plot("t", {s}, "x", "y", layout); };
  };
  refused(plot({"curve", kXs, {1}}), {"curve", "4 x", "1 y"});
  refused(plot({"curve", kXs, kXs, {1}, {2}}), {"curve", "4 y", "1 lower"});
  refused(plot({"curve", kXs, kXs, kXs, {}}), {"curve", "4 lower", "0 upper"});
  Series labelled{"curve", kXs, kXs};
  labelled.labels = {"a"};
  refused(plot(labelled), {"curve", "4 points", "1 labels"});
  refused(plot({"s", kXs, kXs}, {.width = 199}), {"199 x 440"});
  refused(plot({"s", kXs, kXs}, {.height = 8001}), {"720 x 8001"});
}
