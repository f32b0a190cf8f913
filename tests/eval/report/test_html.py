"""report.html: complete, self-contained, small, and immune to what models write."""

import re
from dataclasses import replace
from html.parser import HTMLParser

from cuewise.eval.report import read_samples, remake_report, render_html, write_report
from cuewise.eval.report.results import Results
from cuewise.eval.report.samples import SampleRecord

HOSTILE = (
    "</pre></style><script>window.owned=1</script><img src=x onerror='window.owned=1'>\u202e\x1b[31m\ud83d"
    "'\">${style}&amp;"
)


class Page(HTMLParser):
    """Elements with their attributes, and whether each closing tag closes what was open."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, name, attributes):
        self.elements.append((name, dict(attributes)))
        if name not in ("meta", "br", "hr", "wbr"):
            self.open.append(name)

    def handle_endtag(self, name):
        assert self.open.pop() == name


def test_every_part_is_there_and_every_element_is_closed(run):
    page = Page(render_html(*run))
    assert page.open == []
    idents = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(set(idents)) == len(idents)
    parts = {"overview", "results", "figures", "slices", "worst", "outcomes", "notes", "wheel-confusion", "reliability",
             "coverage", "conflict"}  # fmt: skip
    assert parts <= set(idents)
    links = {attributes["href"][1:] for name, attributes in page.elements if name == "a"}
    assert links <= set(idents)


def test_headline_carries_what_makes_a_number_believable(run):
    top = render_html(*run).split('id="overview"')[0]
    metric = run[0].primary_metric
    for words in (f"{100 * metric.value:.2f}", f"n {metric.n}", metric.averaging, metric.direction, metric.interval,
                  run[0].config_hash, run[0].selection_rule, f"{100 * run[0].parse_rate:.1f} %",
                  "cuewise2026"):  # fmt: skip
        assert words in top, words


def test_every_figure_has_a_caption_with_n_and_averaging(run):
    figures = re.findall(r"<figure.*?</figure>", render_html(*run), re.S)
    assert len(figures) == 4 + len(run[0].figures.slices)
    for figure in figures:
        caption = re.search(r"<figcaption>(.*?)</figcaption>", figure, re.S).group(1)
        assert re.search(r"\bn [\d,]+", caption) and ("averag" in caption.lower() or "mean over" in caption), caption


def test_tables_have_headers_with_scope(run):
    for table in re.findall(r"<table.*?</table>", render_html(*run), re.S):
        assert 'scope="col"' in table and 'scope="row"' in table


def test_a_figure_without_data_says_why_and_draws_nothing(run):
    none = {"not_applicable": "no answer states a confidence"}
    figures = dict.fromkeys(("wheel_confusion", "reliability", "coverage", "conflict_gap"), none) | {"slices": []}
    results = Results.model_validate(run[0].model_dump(by_alias=True) | {"figures": figures})
    page = render_html(results, run[1])
    for figure in re.findall(r"<figure.*?</figure>", page, re.S):
        assert "not applicable: no answer states a confidence" in figure and "<svg" not in figure
    assert page.count("not applicable: ") == 5


def test_nothing_that_a_model_writes_becomes_markup(run):
    hostile = SampleRecord(
        id=HOSTILE, dataset="acted", gt=HOSTILE, prompt=HOSTILE, text=HOSTILE, error=f"bad: {HOSTILE}",
        finish_reason=HOSTILE,
        parsed={"labels": [HOSTILE], "confidence": 1.0, "problems": [HOSTILE], "cues": [
            {"channel": HOSTILE, "observation": HOSTILE, "check": {"verdict": HOSTILE, "why": HOSTILE}}, 7]},
        scores={"ew_level1": -1.0}, groups={"speaker": HOSTILE},
    )  # fmt: skip
    values, words = run[0].model_dump(by_alias=True), HOSTILE.replace("\ud83d", "")
    values |= {"system": {"name": HOSTILE, "nested": {HOSTILE: HOSTILE}}, "notes": [words], "problems": {words: 3},
               "errors": {words: 1}, "suite": words, "selection_rule": words}  # fmt: skip
    values["baselines"][0] |= {"system": words, "source": words, "note": words}
    values["figures"]["finish_reasons"] = {words: 4}
    page = Page(render_html(Results.model_validate(values), [hostile, *run[1]]))
    names = {name for name, _ in page.elements}
    assert page.open == [] and not names & {"script", "img", "iframe", "object", "link"}
    assert not any(key.startswith("on") for _, attributes in page.elements for key in attributes)


def test_the_page_asks_for_nothing_and_runs_nothing(run):
    text = render_html(*run)
    assert "default-src 'none'" in text and "<script" not in text
    assert not re.search(r"""(?:src|href)=["'](?!#)|url\(|@import|https?:""", text)


def test_ten_thousand_samples_stay_a_small_page(run, tmp_path):
    results, records = run
    long = " and then some" * 400
    many = [replace(r, id=f"{r.id}-{copy}", text=r.text + long) for copy in range(80) for r in records]
    assert len(many) > 10_000
    write_report(tmp_path, results, many)
    assert (tmp_path / "report.html").stat().st_size < 2_000_000
    assert (tmp_path / "report.md").stat().st_size < 500_000
    assert len(read_samples(tmp_path)) == len(many)


def test_a_report_is_remade_from_its_folder(run, tmp_path):
    write_report(tmp_path, *run)
    assert {file.name for file in tmp_path.iterdir()} == {"results.json", "samples.parquet", "report.md", "report.html"}
    before = (tmp_path / "report.html").read_bytes(), (tmp_path / "report.md").read_bytes()
    for name in ("report.html", "report.md"):
        (tmp_path / name).unlink()
    remake_report(tmp_path)
    assert ((tmp_path / "report.html").read_bytes(), (tmp_path / "report.md").read_bytes()) == before
