#!/usr/bin/env bash
# Opens a report in headless Chromium and checks what only a browser can tell: nothing sticks out at phone and desktop
# width, all pictures decode, charts have a size, text is not too small, nothing is requested from outside.
# usage: report_browser.sh BUILD_FOLDER SOURCE_FOLDER [REPORT.html]    without a report: the sample of the unit test
set -euo pipefail
build=$1
report=${3:-}

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
if [ -z "$browser" ]; then
    echo "skipped: no Chromium on this machine (package chromium)"
    exit 77
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "$report" ]; then
    report=$work/sample.html
    BNF_REPORT_SAMPLE=$report "$build/tests/test_unit_report_html" > "$work/unit.log" 2>&1 || { cat "$work/unit.log"; exit 1; }
fi
[ -s "$report" ] || { echo "there is no report at '$report'"; exit 1; }

# The page inside frames of 400 and 1200 pixels; a script around it (the page itself has none) measures.
{
    echo '<!DOCTYPE html><html lang="en"><body>'
    for width in 400 1200; do
        printf '<iframe style="border:0;width:%dpx;height:900px" srcdoc="' "$width"
        sed -e 's/&/\&amp;/g' -e 's/"/\&quot;/g' "$report"
        echo '"></iframe>'
    done
    cat << 'SCRIPT'
<pre id="result"></pre>
<script>
addEventListener('load', () => {
    const lines = [];
    const check = (ok, text) => lines.push((ok ? 'pass ' : 'FAIL ') + text);
    for (const frame of document.querySelectorAll('iframe')) {
        const view = frame.contentWindow, page = frame.contentDocument, at = ' at ' + frame.clientWidth;
        check(page.documentElement.scrollWidth <= frame.clientWidth, 'width ' + page.documentElement.scrollWidth + at);
        const images = [...page.images], charts = [...page.querySelectorAll('svg.chart')];
        check(images.every(i => i.complete && i.naturalWidth > 0), images.length + ' images decode' + at);
        check(charts.every(c => c.getBoundingClientRect().width > 250), charts.length + ' charts have a size' + at);
        const texts = [...page.querySelectorAll('svg.chart text')];
        const scale = t => t.ownerSVGElement.getBoundingClientRect().width / 480;
        const size = Math.min(99, ...texts.map(t => parseFloat(view.getComputedStyle(t).fontSize) * scale(t)));
        check(size > 9.5, 'smallest chart text ' + size.toFixed(1) + ' px' + at);
        const lost = charts.filter(c => [...c.querySelectorAll('text')].some(t => {
            const box = t.getBoundingClientRect();
            return box.left < -1 || box.right > frame.clientWidth + 1;
        }));
        check(lost.length === 0, lost.length + ' charts with text outside the page' + at);
        check(view.performance.getEntriesByType('resource').every(e => e.name.startsWith('data:')), 'nothing loaded' + at);
        check(page.querySelectorAll('h1').length === 1 && page.title !== '', 'title and heading' + at);
    }
    document.getElementById('result').textContent = lines.join('\n') + '\ndone\n';
});
</script></body></html>
SCRIPT
} > "$work/frame.html"

sandbox=()
[ "$(id -u)" -eq 0 ] && sandbox=(--no-sandbox)
HOME=$work timeout 120 "$browser" --headless "${sandbox[@]}" --disable-gpu --disable-dev-shm-usage --no-first-run \
    --user-data-dir="$work/profile" --window-size=1700,1900 --virtual-time-budget=20000 --dump-dom \
    "file://$work/frame.html" > "$work/dom.html" 2> "$work/browser.log" || { tail -5 "$work/browser.log"; exit 1; }
sed -n '/<pre id="result">/,/<\/pre>/p' "$work/dom.html" | sed -e 's/<[^>]*>//g' | tee "$work/result"
grep -q '^done' "$work/result" || { echo "the browser did not finish measuring"; tail -5 "$work/browser.log"; exit 1; }
! grep -q '^FAIL' "$work/result"
