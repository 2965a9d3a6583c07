#!/usr/bin/env bash
# page_print.sh PAGE: looks at a report as it is on paper: no table is wider than it and cut off, the head of a long table stands on
# each of its pages, and what a script needs is not printed. Skips where there is no Chromium, or no pdftotext.
set -euo pipefail
page=$(realpath "$1")
browser=$(command -v chromium || command -v google-chrome || command -v chromium-browser || true)
[[ $browser ]] || { echo "SKIPPED: no Chromium on this machine"; exit 0; }
command -v pdftotext >/dev/null || { echo "SKIPPED: no pdftotext on this machine"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
run() { timeout 120 "$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$folder/profile" "$@" 2>"$folder/log"; }

# too_wide PAGE: the tables that are wider than A4 between the page's margins, with the rules of print at work. Its own policy
# would not let the script in.
too_wide() {
  sed 's/<meta http-equiv="Content-Security-Policy"[^>]*>//; s/@media print{/@media all{/' "$1" >"$folder/page.html"
  cat >>"$folder/page.html" <<'SCRIPT'
<script>
document.body.style.width = "186mm";
const said = ["PAPER"];
for (const e of document.querySelectorAll("table, svg, pre"))
  if (e.getBoundingClientRect().right > document.body.getBoundingClientRect().right + 1)
    said.push("WIDE " + (e.caption ? e.caption.textContent : e.tagName));
const pre = document.createElement("pre");
pre.id = "said";
pre.textContent = said.join("\n");
document.body.append(pre);
</script>
SCRIPT
  run --window-size=1280,900 --dump-dom "file://$folder/page.html" |
    sed -n "/<pre id=\"said\">/,/<\\/pre>/p" | sed "s/.*<pre id=\"said\">//; s/<\\/pre>.*//; /^<\\/body>/d"
}

failed=0
said=$(too_wide "$page")
[[ $said == PAPER ]] || { echo "cut off on paper: $said"; failed=1; }
run --no-pdf-header-footer --print-to-pdf="$folder/page.pdf" "file://$page"
pdftotext "$folder/page.pdf" "$folder/page.txt"
# Pages on which rows of the long table begin or go on, and those with its head.
with() { awk -v words="$1" 'BEGIN { RS = "\f" } $0 ~ words { n++ } END { print n + 0 }' "$folder/page.txt"; }
rows=$(with 'cosine|psnr') heads=$(with 'Counts')
((rows >= 3 && heads >= rows)) || { echo "of $rows pages of the long table $heads have its head"; failed=1; }
[[ $(with 'Show rows that contain') == 0 ]] || { echo "the filter is printed"; failed=1; }
# The check itself can fail.
sed 's/@page{/.stack{min-width:200mm}@page{/' "$page" >"$folder/broken.html"
[[ $(too_wide "$folder/broken.html") == *WIDE* ]] || { echo "a table that is too wide is not found"; failed=1; }
exit $failed
