#!/usr/bin/env bash
# page_access.sh PAGE: looks at a report in a real browser, wide and as on a phone: no rule of WCAG 2.1 A and AA that axe
# checks is broken, the page does not scroll sideways on a phone, and neither does the table of verdicts. Skips where there
# is no Chromium, or no axe.min.js (ADVF_AXE names it, else build/axe/axe.min.js).
set -euo pipefail
page=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
axe=${ADVF_AXE:-build/axe/axe.min.js}
browser=$(command -v chromium || command -v google-chrome || command -v chromium-browser || true)
[[ $browser ]] || { echo "SKIPPED: no Chromium on this machine"; exit 0; }
[[ -f $axe ]] || { echo "SKIPPED: no $axe (ADVF_AXE names another place)"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# with_axe PAGE: the same page, which then says what axe finds. Its own policy would not let axe in.
with_axe() {
  sed 's/<meta http-equiv="Content-Security-Policy"[^>]*>//' "$1"
  echo '<script>'
  cat "$axe"
  cat <<'SCRIPT'
</script><script>
axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}).then(found => {
  const said = [`RULES ${found.passes.length} hold, ${found.violations.length} broken`];
  for (const v of found.violations) for (const n of v.nodes) said.push(`BROKEN ${v.id}: ${v.help}: ${n.target}`);
  const verdicts = document.querySelector("table.stack");
  const wide = e => e.scrollWidth > e.clientWidth + 1;
  said.push(`WIDTH ${innerWidth}: page ${wide(document.documentElement) ? "scrolls" : "fits"}, verdicts ` +
    `${verdicts && wide(verdicts.parentNode) ? "scroll" : "fit"}`);
  const pre = document.createElement("pre");
  pre.id = "said";
  pre.textContent = said.join("\n");
  document.body.append(pre);
  if (parent !== window) parent.document.body.append(pre.cloneNode(true));
});
</script>
SCRIPT
}
# look WIDTH FILE: what the page says at that width. A frame, as the browser makes no window as narrow as a phone's.
look() {
  echo "<!DOCTYPE html><html lang=en><title>frame</title><body><iframe src=\"$2\" style=\"width:$1px;height:800px;border:0\"></iframe>" \
    >"$folder/frame.html"
  timeout 120 "$browser" --headless --no-sandbox --disable-gpu --allow-file-access-from-files --virtual-time-budget=60000 \
    --user-data-dir="$folder/profile" --window-size=1400,900 --dump-dom "$folder/frame.html" 2>"$folder/log" |
    sed -n '/^.*<pre id="said">/,/<\/pre>/p' | sed 's/.*<pre id="said">//; s/<\/pre>.*//'
}

with_axe "$page" >"$folder/page.html"
failed=0
for width in 1280 375; do
  said=$(look "$width" page.html)
  echo "$said"
  grep -Eq '^RULES [1-9][0-9]* hold, 0 broken$' <<<"$said" || { echo "at $width pixels: rules are broken"; failed=1; }
  grep -q "^WIDTH $width: page fits, verdicts fit$" <<<"$said" || { echo "at $width pixels: does not fit"; failed=1; }
done
# The check itself can fail.
sed 's/alt="[^"]*"//; s/lang="en"//' "$page" >"$folder/broken.html"
with_axe "$folder/broken.html" >"$folder/page.html"
broken=$(look 1280 page.html)
for rule in html-has-lang image-alt; do
  grep -q "^BROKEN $rule" <<<"$broken" || { echo "a page that breaks $rule is not found: $broken"; failed=1; }
done
exit $failed
