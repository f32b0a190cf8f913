import hashlib
import re
from base64 import b64encode
from html.parser import HTMLParser

import pytest

from cuewise.mllm.clip import Clip
from cuewise.mllm.report import Cue, EmotionReport, Problem, Word
from cuewise.page import render_page

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`{{x}}$x"


class Unread:
    """What the pipeline yields for a clip that could not be read."""

    clip, code, message = EVIL, "undecodable", EVIL


class Elements(HTMLParser):
    """Every element of a page with its attributes, and that what opens also closes."""

    def __init__(self, text: str):
        super().__init__()
        self.seen: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, name: str, attributes: list) -> None:
        self.seen.append((name, dict(attributes)))
        if name not in ("meta", "img", "br", "input", "link"):
            self.open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self.open and self.open[-1] == name, f"</{name}> closes <{self.open[-1:]}>"
        self.open.pop()


def page_of(tmp_path, *pairs) -> str:
    out = tmp_path / "page.html"
    render_page(list(pairs), out)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == [], "no part files are left"
    return out.read_text(encoding="utf-8")


@pytest.fixture
def words_only(report) -> EmotionReport:
    return report.model_copy(update={"streams": {}, "tracks": []})


def test_a_confident_answer_that_is_not_what_is_read_and_prose_against_it_are_marked(tmp_path, words_only):
    problems = [Problem(code="not_what_is_read", message="the answer says angry, but the streams read happy"),
                Problem(code="prose_disagrees", message="read alone they say: face angry")]  # fmt: skip
    report = words_only.model_copy(update={"confidence": 1.0, "unsure": True, "problems": problems})
    page = page_of(tmp_path, (report, Clip(transcript="hi")))
    assert "Unsure: the answer says angry, but the streams read happy. Take the answer as a guess." in page
    assert re.search(r'class="agreement conflict">.{0,200}</svg>read alone they say: face angry</p>', page, re.DOTALL)
    unsure = report.model_copy(update={"emotions": [], "confidence": None, "problems": []})
    assert "no emotion was named" in page_of(tmp_path, (unsure, Clip(transcript="hi")))


def test_the_page_is_whole_and_well_formed(tmp_path, words_only):
    page = Elements(page_of(tmp_path, (words_only, Clip(transcript="hi"))))
    assert page.open == []
    names = [name for name, _ in page.seen]
    assert {"main", "article", "svg", "button", "footer"} <= set(names)
    ids = [a["id"] for _, a in page.seen if "id" in a]
    assert len(ids) == len(set(ids))


def test_nothing_is_loaded_from_elsewhere(tmp_path, words_only):
    text = page_of(tmp_path, (words_only, Clip(transcript="hi")))
    for _, attributes in Elements(text).seen:
        for key in ("src", "href", "action", "poster", "data"):
            assert attributes.get(key, "#").startswith(("#", "data:")), attributes
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", text)


def test_only_our_script_may_run(tmp_path, words_only):
    text = page_of(tmp_path, (words_only, Clip(transcript="hi")))
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert len(scripts) == 1
    digest = b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = next(a["content"] for n, a in Elements(text).seen if a.get("http-equiv") == "Content-Security-Policy")
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy


def test_text_of_a_report_cannot_become_part_of_the_page(tmp_path, words_only):
    """Every text field of a report is replaced by an attack; no element and no attribute may come of it."""
    clean = Elements(page_of(tmp_path, (words_only, Clip(transcript="hi")), (Unread, Clip(path="x.mp4"))))
    evil = words_only.model_copy(deep=True)
    evil.clip = evil.model = evil.reasoning = evil.text = EVIL
    evil.emotions[0].label = evil.emotions[1].label = EVIL
    evil.distribution = {f"{EVIL}{i}": share for i, share in enumerate(evil.distribution.values())}
    for cue in evil.cues:
        cue.observation, cue.supports = EVIL, [EVIL] if cue.supports else []
        if cue.check:
            cue.check.why, cue.check.unit = EVIL if cue.check.why else "", EVIL
    evil.words = [Word(text=EVIL, start=w.start, end=w.end) for w in evil.words]
    evil.problems = [Problem(code=EVIL, message=EVIL)]
    for reading in evil.agreement.channels.values():
        reading.label = EVIL
    text = page_of(tmp_path, (evil, Clip(transcript="hi")), (Unread, Clip(path="x.mp4")))
    attacked = Elements(text)
    assert [n for n, _ in attacked.seen].count("script") == 1
    assert [n for n, _ in attacked.seen].count("img") == [n for n, _ in clean.seen].count("img")
    assert not [a for _, a in attacked.seen for key in a if key.startswith("on")]
    assert attacked.open == []


def test_a_clip_that_was_not_read_is_shown_as_such_and_listed(tmp_path, words_only):
    class Missing:
        clip, code, message = "gone.mp4", "not_found", "gone.mp4: there is no such file"

    text = page_of(tmp_path, (words_only, Clip(transcript="hi")), (Missing, Clip(path="gone.mp4")))
    assert "gone.mp4: there is no such file" in text
    assert 'href="#r0"' in text and 'href="#r1"' in text and 'id="r1"' in text


def test_the_clip_and_its_frames_are_inside(tmp_path, report):
    av = pytest.importorskip("av")
    import numpy as np

    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), i * 8, np.uint8), format="rgb24")
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    text = page_of(tmp_path, (report, Clip(path=path)))
    assert "data:video/mp4;base64," in text and text.count("data:image/jpeg;base64,") >= 10
    assert 'data-track="[[0.0,100.0,40.0,200.0,160.0],[1.5]]"' in text and 'data-frame="320 240"' in text


def test_words_alone_are_quoted(tmp_path, report):
    alone = EmotionReport(
        model="nano", clip="text", form="direct", words=[Word(text="We"), Word(text="won!")],
        cues=[Cue(channel="words", observation='"we won"')],
    )  # fmt: skip
    text = page_of(tmp_path, (alone, Clip(transcript="We won!")))
    assert '<blockquote class="card quote">We won!</blockquote>' in text


def test_a_failed_write_leaves_the_old_page(tmp_path, words_only, monkeypatch):
    out = tmp_path / "page.html"
    out.write_text("old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        render_page([(words_only, Clip(transcript="hi"))], out)
    assert out.read_text() == "old" and list(tmp_path.iterdir()) == [out]
