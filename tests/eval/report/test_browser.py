"""What the report does in a real browser; skipped where no Chromium is installed."""

import pytest

from cuewise.eval.report import Results, SampleRecord, write_report

opened = pytest.importorskip("opened", reason="driving a browser needs aiohttp, which comes with the dev extra")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(opened.find() is None, reason="no Chromium here; a report does not need one to be made"),
]
WIDTH = "document.documentElement.scrollWidth"
HEADINGS = "Array.from(document.querySelectorAll('h1, h2')).map(h => h.textContent)"
TABLES = "document.querySelectorAll('table').length"
CUT = """Array.from(document.querySelectorAll('svg text')).filter(t => {
  const b = t.getBoundingClientRect(), s = t.ownerSVGElement.getBoundingClientRect();
  return b.width && s.width && (b.left < s.left - 1 || b.right > s.right + 1 || b.top < s.top - 1 ||
    b.bottom > s.bottom + 1); }).map(t => t.textContent)"""
CONTRAST = """Array.from(document.querySelectorAll('p, td, th, dd, dt, figcaption, summary, a')).map(e => {
  const rgb = c => (c.match(/[\\d.]+/g) || []).map(Number), style = e => getComputedStyle(e);
  let ground = e;
  while (ground && rgb(style(ground).backgroundColor)[3] === 0) ground = ground.parentElement;
  const bend = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => { const [r, g, b] = rgb(c).map(v => bend(v / 255)); return .2126 * r + .7152 * g + .0722 * b; };
  const back = ground ? style(ground).backgroundColor : 'rgb(255, 255, 255)';
  if (!back.startsWith('rgb(')) return 21;
  const [a, b] = [light(style(e).color), light(back)].sort((x, y) => y - x);
  return (a + .05) / (b + .05); }).reduce((a, b) => Math.min(a, b), 21)"""
SHOWN = "document.querySelector('details.sample:not([open])') && 1"
OPEN_BY_KEY = """(() => { const s = document.querySelector('details.sample:not([open]) > summary'); s.focus();
  const was = s.parentElement.open; s.click(); return [document.activeElement === s, was, s.parentElement.open]; })()"""


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_report(folder, *run)
    return folder / "report.html"


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1200, "dark")])
def test_the_page_is_whole_quiet_and_readable(page, width, scheme):
    steps = [WIDTH, HEADINGS, TABLES, CUT, CONTRAST, SHOWN, OPEN_BY_KEY]
    seen = opened.open_page(page, steps, width, scheme)
    scrolled, headings, tables, cut, contrast, closed, by_key = seen.values
    assert scrolled <= width, f"the page scrolls sideways: {scrolled} px"
    assert headings[0] == "model-3 on made-up" and "Worst samples" in headings and tables >= 10
    assert cut == [], f"text is cut off in drawings: {cut}"
    assert contrast >= 4.5, f"text with a contrast of only {contrast:.2f}"
    assert closed and by_key == [True, False, True]
    assert seen.requests == [page.as_uri()] and seen.complaints == []


@pytest.mark.parametrize("width", [390, 1200])
def test_words_without_end_do_not_push_the_page_sideways(run, tmp_path, width):
    results, records = run
    long = "emotion" * 120
    values = results.model_dump(by_alias=True) | {"notes": [long], "errors": {long: 1}, "selection_rule": long}
    values["system"]["name"] = values["baselines"][0]["system"] = values["baselines"][1]["note"] = long
    odd = SampleRecord(id=long, dataset="acted", gt=long, text=long, error=f"{long}: {long}", prompt=long,
                       scores={"ew_level1": -1.0}, parsed={"labels": [long]}, groups={"speaker": long})  # fmt: skip
    write_report(tmp_path, Results.model_validate(values), [*records, odd])
    (scrolled,) = opened.open_page(tmp_path / "report.html", [WIDTH], width).values
    assert scrolled <= width


def test_the_policy_of_the_page_stops_foreign_script(page, tmp_path):
    text = page.read_text(encoding="utf-8").replace("</main>", "<script>window.owned = 1</script></main>")
    (tmp_path / "owned.html").write_text(text, encoding="utf-8")
    seen = opened.open_page(tmp_path / "owned.html", ["typeof window.owned"])
    assert seen.values == ["undefined"] and any("Content Security Policy" in words for words in seen.complaints)
