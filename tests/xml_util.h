// A small strict reader of XML, for pictures that are SVG: whatever is not well-formed is refused.
#pragma once
#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/check.h"
#include "tensor/io/text_layout.h"

namespace advf::test {

struct Element {
  std::string name, text;  // text: its own, without that of its children
  std::map<std::string, std::string> attributes;
  std::vector<Element> children;

  double number(const std::string& attribute) const { return std::stod(attributes.at(attribute)); }
  bool has(const std::string& attribute, const std::string& value) const {
    const auto found = attributes.find(attribute);
    return found != attributes.end() && found->second == value;
  }
  // All of this name within, in order.
  std::vector<const Element*> all(const std::string& wanted) const {
    std::vector<const Element*> found;
    for (const Element& child : children) {
      if (child.name == wanted) found.push_back(&child);
      const auto within = child.all(wanted);
      found.insert(found.end(), within.begin(), within.end());
    }
    return found;
  }
};

class XmlReader {
 public:
  explicit XmlReader(std::string_view text) : text_(text) {}
  Element document() {
    if (text_.starts_with("<?xml ")) at_ = text_.find("?>") + 2;
    skip_blanks();
    Element root = element();
    skip_blanks();
    check(at_ == text_.size(), "XML: something behind the root");
    return root;
  }

 private:
  bool is(char c) const { return at_ < text_.size() && text_[at_] == c; }
  void expect(std::string_view word) {
    check(text_.substr(at_, word.size()) == word, "XML, byte ", at_, ": no ", std::string(word));
    at_ += word.size();
  }
  void skip_blanks() {
    while (is(' ') || is('\n')) ++at_;
  }
  std::string name() {
    const size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || is('-') || is(':')))
      ++at_;
    check(at_ > begin, "XML, byte ", begin, ": no name");
    return std::string(text_.substr(begin, at_ - begin));
  }
  // One character, or what an entity stands for.
  std::string character() {
    const size_t begin = at_;
    const char32_t point = next_code_point(text_, at_);
    const bool replaced = text_.substr(begin, 3) == "\xEF\xBF\xBD";
    check((point >= 0x20 || point == '\n') && point != 0xFFFE && point != 0xFFFF &&
              (point != kReplacement || replaced),
          "XML, byte ", begin, ": not a character");
    if (point != '&') return std::string(text_.substr(begin, at_ - begin));
    for (const auto& [entity, meant] : std::map<std::string, std::string>{
             {"amp;", "&"}, {"lt;", "<"}, {"gt;", ">"}, {"quot;", "\""}, {"#39;", "'"}})
      if (text_.substr(at_, entity.size()) == entity) {
        at_ += entity.size();
        return meant;
      }
    fail("XML, byte ", begin, ": an unknown entity");
  }
  Element element() {
    expect("<");
    Element e{name(), {}, {}, {}};
    while (!is('>') && !is('/')) {
      expect(" ");
      const std::string attribute = name();
      expect("=\"");
      std::string value;
      while (!is('"')) {
        check(at_ < text_.size() && !is('<'), "XML: an attribute without an end");
        value += character();
      }
      ++at_;
      check(e.attributes.emplace(attribute, value).second, "XML: ", attribute, " twice");
    }
    if (is('/')) {
      expect("/>");
      return e;
    }
    ++at_;
    while (text_.substr(at_, 2) != "</") {
      check(at_ < text_.size(), "XML: ", e.name, " has no end");
      if (is('<'))
        e.children.push_back(element());
      else
        e.text += character();
    }
    expect("</" + e.name + ">");
    return e;
  }

  std::string_view text_;
  size_t at_ = 0;
};

inline Element parse_xml(std::string_view text) { return XmlReader(text).document(); }

}  // namespace advf::test
