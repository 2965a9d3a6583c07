#include "tools/audit/page_parts.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "tensor/io/input_file.h"

namespace advf::tools {
Image cells_of(std::span<const float> values, int64_t across) {
  float most = 0;
  for (const float v : values) most = std::max(most, std::fabs(v));
  Image image;
  image.width = int(across), image.height = int((int64_t(values.size()) + across - 1) / across),
  image.channels = 3;
  image.pixels.assign(size_t(image.width) * size_t(image.height) * 3, 255);
  for (size_t i = 0; i < values.size(); ++i) {
    const float v = most > 0 ? values[i] / most : 0;
    const float to[3] = {v < 0 ? 0.f : 213.f, v < 0 ? 114.f : 94.f, v < 0 ? 178.f : 0.f};
    for (size_t c = 0; c < 3; ++c) image.pixels[3 * i + c] = uint8_t(255 + (to[c] - 255) * std::fabs(v));
  }
  return image;
}

std::string figure_number(const nlohmann::json& value, int digits) {
  if (!value.is_object() || !value.contains("mean") || !value["mean"].is_number()) return "-";
  char text[96];
  if (value.contains("low") && value["low"].is_number())
    std::snprintf(text, sizeof text, "%.*f [%.*f, %.*f]", digits, value["mean"].get<double>(), digits,
                  value["low"].get<double>(), digits, value["high"].get<double>());
  else
    std::snprintf(text, sizeof text, "%.*f", digits, value["mean"].get<double>());
  return text;
}

std::string measure_html(const std::string& name) {
  std::string html;
  for (const char c : svg_escaped(name)) html += c == '_' ? std::string("_<wbr>") : std::string(1, c);
  return html;
}

std::string number_html(const nlohmann::json& value, int digits) {
  return "<span class=\"number\">" + figure_number(value, digits) + "</span>";
}

HtmlTable::HtmlTable(std::string caption, std::vector<std::string> head, std::string css)
    : caption_(std::move(caption)), css_(std::move(css)), head_(std::move(head)) {}

void HtmlTable::add(const std::vector<std::string>& cells) { add(cells, {}); }

void HtmlTable::add(const std::vector<std::string>& cells, const std::vector<std::string>& keys) {
  rows_ += "<tr role=\"row\">";
  for (size_t i = 0; i < cells.size(); ++i) {
    std::string data =
        i < keys.size() && !keys[i].empty() ? " data-key=\"" + svg_escaped(keys[i]) + "\"" : "";
    if (css_ == "stack") data += " data-label=\"" + svg_escaped(head_[i]) + "\"";
    rows_ += i == 0 ? "<th role=\"rowheader\" scope=\"row\"" + data + ">" + cells[i] + "</th>"
                    : "<td role=\"cell\"" + data + ">" + cells[i] + "</td>";
  }
  rows_ += "</tr>\n";
}

std::string HtmlTable::html() const {
  std::string text = "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"" +
                     svg_escaped(caption_) + "\"><table role=\"table\" class=\"" + css_ + "\"><caption>" +
                     svg_escaped(caption_) + "</caption><thead role=\"rowgroup\"><tr role=\"row\">";
  for (const std::string& name : head_)
    text += "<th role=\"columnheader\" scope=\"col\">" + svg_escaped(name) + "</th>";
  return text + "</tr></thead><tbody role=\"rowgroup\">\n" + rows_ + "</tbody></table></div>\n";
}

const char* const kPageStyle = R"CSS(
:root{color-scheme:light dark;--ink:#1a1a1a;--paper:#fff;--soft:#f2f2ef;--line:#8a8a85;--open:#a33b00;--partly:#7a5c00;--closed:#00604a;--none:#4a4a4a}
@media screen and (prefers-color-scheme:dark){:root{--ink:#ececec;--paper:#161616;--soft:#232323;--line:#8a8a85;--open:#ff9d66;--partly:#f0c244;--closed:#5fd6b4;--none:#c4c4c4}}
*{box-sizing:border-box}
body{margin:0;font:17px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
main,header,footer{max-width:70rem;margin:0 auto;padding:0 1rem}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:1rem;background:var(--paper);padding:.5rem}
h1{font-size:1.7rem;line-height:1.2;margin:1.5rem 0 .5rem}h2{font-size:1.3rem;margin:2.5rem 0 .5rem;border-bottom:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.5rem 0 .3rem}p,li{max-width:46rem}
.verdict{background:var(--soft);padding:.5rem 1rem;border-left:.4rem solid var(--line)}
.wide{overflow-x:auto;margin:1rem 0}
table{border-collapse:collapse;font-size:.92rem}caption{text-align:left;font-weight:600;padding:.2rem 0}
th,td{border:1px solid var(--line);padding:.25rem .5rem;text-align:left;vertical-align:top}
thead th{background:var(--soft);position:sticky;top:0}
thead th button{font:inherit;background:none;border:0;color:inherit;padding:0;cursor:pointer;text-decoration:underline dotted}
td img{display:block;width:78px;height:78px}.gallery{display:flex;flex-wrap:wrap;gap:0 2rem}.gallery>div{max-width:100%}td.cells img,td img.cells{image-rendering:pixelated}
.pictures th,.pictures td{text-align:center;font-weight:400}
.state{font-weight:700;white-space:nowrap}.open{color:var(--open)}.partly{color:var(--partly)}.closed{color:var(--closed)}.unknown{color:var(--none)}
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:var(--soft);padding:.5rem;font-size:.8rem}
svg{max-width:100%;height:auto}
.filter{margin:1rem 0}.filter label{margin-right:1rem}input,select{font:inherit;max-width:100%}
@media screen and (max-width:44rem){figure{margin:1rem 0;overflow-x:auto}figure svg{max-width:none;width:36rem}
.pictures{font-size:.78rem}.pictures th,.pictures td{padding:.12rem}.pictures td img{width:54px;height:54px}
.stack,.stack caption,.stack tbody,.stack tr,.stack th,.stack td{display:block}
.stack thead{position:absolute;clip-path:inset(50%)}.stack tr{margin:1rem 0;border:1px solid var(--line)}.stack th,.stack td{border:0}
.stack tbody th{background:var(--soft);font-weight:700}.stack td::before{content:attr(data-label) ": ";font-weight:600}}
a{color:inherit}:focus-visible{outline:3px solid #0072b2;outline-offset:2px}
.sorted .number{white-space:nowrap}
@page{margin:14mm 12mm}
@media print{:root{color-scheme:light}body{font-size:9.5pt;line-height:1.4}.filter,.skip{display:none}
main,header,footer{max-width:none;padding:0}p,li{max-width:none}h1{margin-top:0}h2{margin-top:1.6rem}
.wide{overflow:visible;margin:.6rem 0}table{font-size:8pt;line-height:1.3}th,td{padding:.15rem .3rem}
.stack,.sorted{width:100%}.sorted{font-size:7.5pt}.sorted th:nth-child(8),.sorted td:nth-child(8){display:none}
.state{white-space:normal}code{overflow-wrap:anywhere}thead th{position:static}thead th button{display:contents}
td img{width:12mm;height:12mm}.gallery{display:block}
.gallery>div{display:inline-block;vertical-align:top;margin-right:6mm;break-inside:avoid}
.verdict,tr,figure,li{break-inside:avoid}h2,h3,caption,h2+p{break-after:avoid}p{orphans:3;widows:3}
details:not([open])>*{display:none}details:not([open])>summary{display:block}}
)CSS";

const char* const kPageScript = R"JS(
"use strict";
for (const table of document.querySelectorAll("table.sorted")) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = row => row.cells[column].dataset.key ?? row.cells[column].textContent;
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)], [m, n] = [parseFloat(x), parseFloat(y)];
        const by = isNaN(m) || isNaN(n) ? x.localeCompare(y) : m - n;
        return up ? by : -by;
      };
      body.append(...[...body.rows].sort(order));
    });
  });
  const filter = document.createElement("p");
  filter.className = "filter";
  const label = document.createElement("label"), field = document.createElement("input"), count = document.createElement("span");
  count.setAttribute("role", "status");
  field.type = "search";
  label.append("Show rows that contain: ", field);
  filter.append(label, count);
  table.parentNode.before(filter);
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(" ").filter(w => w);
    let shown = 0;
    for (const row of body.rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every(w => text.includes(w));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = shown + " of " + body.rows.length + " rows";
  });
}
)JS";

// As people read a list: "epochs 8, images 24".
std::string without_brackets(const nlohmann::json& value) {
  std::string text;
  for (const char c : value.dump())
    if (c == ':' || c == ',')
      text += c == ':' ? " " : ", ";
    else if (!std::strchr("[]{}\"", c))
      text += c;
  return text;
}

}  // namespace advf::tools
