"""What the page does in a real browser, against the real routes over a recorded answer."""

import csv
import hashlib
import io
import json
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from driving import count, finish, send, text
from live_server import serving

from cuewise.mllm.report import EmotionReport
from cuewise.serve.app import create_app
from cuewise.serve.settings import Key, Settings

pytestmark = pytest.mark.slow

TIME = "document.querySelector('article.report audio, article.report video').currentTime"


def test_an_uploaded_clip_is_read_and_everything_of_the_report_is_shown(page, sound, backend):
    page.ask("document.querySelector('textarea').value = 'good morning'")
    send(page, sound())
    assert finish(page) == "done"
    assert backend.jobs[-1].clip.transcript == "good morning" and backend.jobs[-1].clip.name == "clip.wav"
    card = text(page, ".answer")
    assert "angry" in card and "Unsure." in card and "0.41" in card
    assert "Withheld by policy: substance" in card and "intoxicated" not in page.ask("document.body.innerText")
    assert "The channels disagree: face (angry) and voice (happy); the answer follows the face." in card
    cards = page.ask("[...document.querySelectorAll('.cue-card')].map(c => c.innerText)")
    assert len(cards) == 4
    assert any("supported" in c and "measured 2.40 of 5, rest of the clip 0.50 of 5" in c for c in cards)
    assert any("contradicted" in c and "measured 180 Hz, rest of the clip 231 Hz" in c for c in cards)
    assert any("not measurable" in c and "only 0.18 s of voice there" in c for c in cards)
    lanes = {lane: text(page, f".lane-{lane}") for lane in ("face", "voice", "words", "scene", "conflict")}
    assert "AU4, intensity 0-5" in lanes["face"] and "pitch, Hz" in lanes["voice"] and "morning" in lanes["words"]
    assert "absent: the clip is a tight face crop" in lanes["scene"] and "face against voice" in lanes["conflict"]
    assert count(page, ".plane .channel-dot") == 2 and count(page, ".overlay rect") == 1


def test_text_of_the_model_is_never_read_as_html(page, sound):
    send(page, sound())
    finish(page)
    assert 'onerror="window.owned=1"' in page.ask("document.body.innerText")
    assert page.ask("typeof window.owned") == "undefined" and count(page, "article img") == 0


def test_the_answer_streams_and_its_claims_lead_to_their_evidence(page, sound, backend):
    backend.pause_s = 0.12
    try:
        send(page, sound())
        page.until("document.querySelectorAll('.claim.pending').length >= 1 && document.querySelector('.typing')")
        first = page.ask("[document.querySelectorAll('.claim').length, document.querySelector('.badge').innerText]")
        assert first[0] < 4 and first[1] == "not checked yet"
        assert finish(page) == "done"
    finally:
        backend.pause_s = 0.01
    assert count(page, ".claim") == 4 and count(page, ".claim.pending") == 0
    page.click(".claim:nth-child(2) .claim-link")
    assert page.ask("document.activeElement.innerText").startswith("voice")
    assert page.ask("document.activeElement.classList.contains('playing')")
    page.click(".inline-link")
    assert "brows clearly lowered" in page.ask("document.activeElement.innerText")


def test_clicking_a_cue_loops_its_span_and_escape_ends_it(page, sound):
    send(page, sound())
    finish(page)
    page.click(".cue.contradicted")
    assert count(page, ".playing") == 2, "the segment in the lane and the card"
    assert "1.00 s–2.00 s" in text(page, ".loop-chip")
    heard = []
    for _ in range(7):
        page.ask("new Promise(r => setTimeout(r, 350))")
        heard.append(page.ask(TIME))
    assert all(0.9 <= time <= 2.3 for time in heard), heard
    assert any(after < before for before, after in pairwise(heard)), f"playing on must start over: {heard}"
    page.press("Escape")
    assert page.ask("document.querySelector('article audio').paused") and count(page, ".playing") == 0


def test_the_keyboard_moves_plays_and_shows_its_help(page, sound):
    send(page, sound())
    finish(page)
    page.ask("document.querySelector('.ruler').focus()")
    told = "document.querySelector('.ruler').getAttribute('aria-valuetext')"
    seen = []
    for key in ("ArrowRight", "shift ArrowRight", "l", "j", "End", "Home"):
        page.press(key.split()[-1], shift=key.startswith("shift"))
        seen.append(page.ask(told))
    assert seen == [f"{time:.2f} seconds" for time in (0.1, 1.1, 3.0, 1.0, 3.0, 0.0)]
    page.press("n")
    assert page.ask("document.activeElement.innerText").startswith("words") or count(page, ".playing") >= 1
    page.press("k")
    assert page.ask("document.querySelector('article audio').paused")
    page.press("+")
    assert text(page, ".zoom-text") == "2×"
    page.press("?")
    assert page.ask("document.querySelector('#help').open") and "play, pause" in text(page, "#key-list")
    page.press("Escape")
    page.ask("document.querySelector('textarea').focus()")
    page.press("k")
    assert page.ask("document.querySelector('textarea').value") == "k", "keys are for typing in a text field"


def test_the_playhead_and_the_face_box_follow_the_time(page, sound):
    send(page, sound())
    finish(page)
    left = []
    for share in (0.0, 1 / 6, 1 / 3):
        page.ask(
            "(() => { const r = document.querySelector('.ruler'), b = r.getBoundingClientRect();"
            " r.setPointerCapture = () => {}; r.dispatchEvent(new PointerEvent('pointerdown',"
            f" {{clientX: b.x + b.width * {share}, pointerId: 1}})); }})()"
        )
        left.append(page.ask("Number(document.querySelector('.overlay rect').getAttribute('x'))"))
    assert left == pytest.approx([20, 30, 40], abs=0.5), "between two samples the box moves evenly"
    place = page.ask("parseFloat(document.querySelector('.playhead').style.left)")
    assert place == pytest.approx(100 / 3, abs=0.5)
    assert text(page, ".word.now") == "good" and count(page, ".word") == 2


def exported(page, ending: str, name: str = "clip") -> str:
    page.click(f"button[data-export={ending}]")
    return page.download(f"{name}.{ending}").decode("utf-8")


def test_the_four_exports_hold_the_report(page, sound):
    send(page, sound("export.wav"))
    finish(page)
    report = EmotionReport.model_validate_json(exported(page, "json", "export"))
    assert report.clip == "export.wav" and len(report.cues) == 4 and report.withheld == ["substance"]

    rows = list(csv.DictReader(io.StringIO(exported(page, "csv", "export"), newline="")))
    assert [row["kind"] for row in rows] == ["emotion", "face", "voice", "voice", "words", "transcript", "transcript",
                                             "disagreement"]  # fmt: skip
    assert rows[0]["valence"] == "-0.4" and rows[0]["unsure"] == "true"
    assert (rows[1]["start_s"], rows[1]["verdict"], float(rows[1]["measured"])) == ("0.400", "supported", 2.4)
    assert rows[3]["why"] == "only 0.18 s of voice there; 0.3 s are needed"
    assert rows[4]["text"].startswith("a smile <img")

    vtt = exported(page, "vtt", "export")
    blocks = vtt.split("\n\n")
    assert blocks[0] == "WEBVTT" and blocks[1].startswith("NOTE Scores say")
    timed = [block for block in blocks[2:] if block.strip()]
    assert len(timed) == len(rows)
    for block in timed:
        assert re.fullmatch(r"\d+\n(\d\d:){2}\d\d\.\d{3} --> (\d\d:){2}\d\d\.\d{3}\n<v \w+>[^<\n]*</v>", block.strip())
        assert "-->" not in block.split("\n")[2]

    root = ET.fromstring(exported(page, "eaf", "export"))
    slots = {slot.get("TIME_SLOT_ID"): int(slot.get("TIME_VALUE")) for slot in root.find("TIME_ORDER")}
    assert list(slots.values()) == sorted(slots.values())
    tiers = {tier.get("TIER_ID"): [
        (slots[a.get("TIME_SLOT_REF1")], slots[a.get("TIME_SLOT_REF2")], a.find("ANNOTATION_VALUE").text)
        for a in tier.iter("ALIGNABLE_ANNOTATION")
    ] for tier in root.iter("TIER")}  # fmt: skip
    assert set(tiers) == {"emotion", "face", "voice", "voice-2", "words", "transcript", "disagreement"}
    assert tiers["face"] == [(400, 1200, "brows clearly lowered (AU4) => angry [supported]")]
    for annotations in tiers.values():
        assert all(start < end for start, end, _ in annotations)
        assert all(a[1] <= b[0] for a, b in pairwise(sorted(annotations))), "ELAN wants no overlap within a tier"
    assert 'onerror="window.owned=1"' in tiers["words"][0][2]
    ids = [a.get("ANNOTATION_ID") for a in root.iter("ALIGNABLE_ANNOTATION")]
    assert len(set(ids)) == len(ids) == len(rows)
    kinds = {tier.get("LINGUISTIC_TYPE_REF") for tier in root.iter("TIER")}
    assert kinds == {kind.get("LINGUISTIC_TYPE_ID") for kind in root.iter("LINGUISTIC_TYPE")}


def test_a_long_clip_is_read_in_windows_with_curves_and_their_band(page, sound, backend):
    backend.clip_s = 24.0
    try:
        send(page, sound("long.wav", 24.0))
        assert finish(page) == "done"
    finally:
        backend.clip_s = 3.0
    assert count(page, ".ribbon") == 24 and count(page, ".affect-row .spread") == 2
    assert "1.00 s to 2.00 s" not in text(page, ".kicker")
    page.click(".ribbon:nth-child(2)")
    page.press("Escape")
    assert "expressed at 1.00 s to 2.00 s" in text(page, ".kicker").lower() and count(page, ".trail-dot") == 2
    assert count(page, ".clash") >= 20, "each segment in which the channels disagree is marked"
    words = "[...document.querySelectorAll('.word')].map(w => w.title)"
    assert page.ask(words) == ["good morning (1.00 s–2.00 s)", "sunshine (3.60 s–4.40 s)"], "narrow ones are joined"
    page.press("+"), page.press("+")
    assert page.ask(words) == ["good (1.00 s–1.40 s)", "morning (1.40 s–2.00 s)", "sunshine (3.60 s–4.40 s)"]
    assert count(page, ".cue-card") < page.ask("document.querySelectorAll('.cue').length")
    rows = list(csv.DictReader(io.StringIO(exported(page, "csv", "long"), newline="")))
    segments = [row for row in rows if row["kind"] == "emotion"]
    assert len(segments) == 24 and segments[5]["start_s"] == "5.000"
    assert len(json.loads(exported(page, "json", "long"))["windows"]) == 24


def test_two_runs_stand_side_by_side_with_their_differences(page, sound):
    send(page, sound("first.wav"))
    finish(page)
    page.ask("document.querySelector('select[name=form]').value = 'direct'")
    send(page, sound("second.wav"))
    page.until("document.querySelector('#compare')")
    page.ask("document.querySelector('#compare').click()")  # the page may still be scrolling under a pointer
    page.until("document.querySelectorAll('article.report').length == 2")
    table = text(page, ".comparison table")
    assert "first.wav" in table and "second.wav" in table and "labels only" in table
    assert count(page, ".comparison .dot-letter") == 2 and "same" in table
    fills = "[...document.querySelectorAll('.comparison .plane .dot')].map(d => getComputedStyle(d).fill)"
    assert len(set(page.ask(fills))) == 2, "two runs have two colours"


@pytest.mark.parametrize(("name", "said"), [
    ("media_undecodable-1.wav", "The file cannot be read as video, sound or picture"),
    ("engine_dead-1.wav", "The model does not answer"), ("deadline-1.wav", "It took too long"),
    ("cut-1.wav", "The model failed on this clip"),
])  # fmt: skip
def test_a_refusal_is_told_with_its_reason_and_request(page, sound, name, said):
    send(page, sound(name))
    assert finish(page) == "failed"
    card = text(page, "[role=alert]")
    assert said in card and name in card and re.search(r"req-[0-9a-f]+", card)


def test_what_was_written_before_a_break_stays(page, sound):
    send(page, sound("cut-2.wav"))
    finish(page)
    assert count(page, ".claim.pending") >= 1


def test_a_busy_server_says_when_to_try_again_and_trying_again_works(page, sound):
    send(page, sound("busy-1.wav"))
    assert finish(page) == "failed"
    assert text(page, "[role=alert] button") == "Try again in 1 s"
    assert page.ask("document.querySelector('[role=alert] button').disabled")
    page.until("!document.querySelector('[role=alert] button').disabled")
    page.click("[role=alert] button")
    page.until("document.querySelector('.answer')")
    assert count(page, "[role=alert]") == 0 and count(page, ".run-tab") == 1


def test_a_clip_too_long_for_one_piece_can_be_read_in_windows(page, sound):
    send(page, sound("media_too_long-1.wav"))
    assert finish(page) == "failed"
    page.click("[role=alert] .primary")
    assert finish(page) == "done" and count(page, ".ribbon") == 3


def test_a_clip_above_the_limit_is_told_apart_before_and_by_the_server(page, sound):
    send(page, sound("large.wav", 60))
    assert finish(page) == "failed" and "The clip is too large" in text(page, "[role=alert]")
    assert "payload_too_large" in text(page, "[role=alert]")
    refused = page.ask(
        "fetch('v1/files', {method: 'POST', body: new Blob([new Uint8Array(700000)])})"
        ".then(r => r.status).catch(() => 0)"
    )
    assert refused in (413, 0)


def test_words_alone_are_read_too(page, backend):
    page.ask("document.querySelector('textarea').focus()")
    for letter in "we won":
        page.press("Space" if letter == " " else letter)
    page.click("#analyze")
    assert finish(page) == "done" and text(page, ".quote") == "we won"
    assert backend.jobs[-1].clip.path is None and backend.jobs[-1].clip.transcript == "we won"


def test_subtitles_give_each_word_its_time(page, sound, backend):
    given = "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n<v Ann>good morning"
    page.ask(f"document.querySelector('textarea').value = {json.dumps(given)}")
    send(page, sound())
    finish(page)
    words = backend.jobs[-1].clip.words
    assert [word.text for word in words] == ["good", "morning"]
    assert words[0].start == 1.0 and words[-1].end == 2.0 and backend.jobs[-1].clip.transcript is None


@pytest.mark.parametrize(("button", "kind"), [("#record-camera", "camera"), ("#record-microphone", "microphone")])
def test_a_recording_is_sent_like_a_file(page, button, kind):
    page.click(button)
    page.until("document.querySelector('#record-state').textContent.includes('Recording, 1 s')")
    page.click("#stop-recording")
    page.until(f"document.querySelector('#chosen').textContent.includes('{kind}-')")
    page.click("#analyze")
    assert finish(page) == "done"
    element = "video" if kind == "camera" else "audio"
    assert page.until(f"document.querySelector('article {element}').readyState > 0")


def test_a_run_can_be_stopped(page, sound, backend):
    backend.pause_s = 0.2
    try:
        send(page, sound())
        page.until("document.querySelector('.claim.pending')")
        page.click(".waiting button")
        assert finish(page) == "stopped" and "Stopped" in text(page, ".callout")
    finally:
        backend.pause_s = 0.01


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_is_wider_than_the_window(page, sound, width):
    page.resize(width, 844)
    assert page.ask("document.documentElement.scrollWidth") <= width
    send(page, sound("a-rather-long-name-for-a-clip-that-has-no-place-to-break-in-it.wav"))
    finish(page)
    assert page.ask("document.documentElement.scrollWidth") <= width
    wide = page.ask(
        "[...document.querySelectorAll('article *')].filter(e => !e.closest('.scroll, svg, .table-scroll')"
        f" && e.checkVisibility() && e.getBoundingClientRect().right > {width} + 1).map(e => e.className)"
    )
    assert wide == []


def test_every_control_has_a_name_and_the_focus_can_be_seen(page, sound):
    send(page, sound())
    finish(page)
    nameless = page.ask(
        "[...document.querySelectorAll('button, select, input, textarea, [role=slider]')]"
        ".filter(e => e.checkVisibility() && !(e.innerText || e.getAttribute('aria-label') || e.title"
        " || e.labels?.length)).map(e => e.outerHTML)"
    )
    assert nameless == []
    page.ask("document.querySelector('#theme').focus()")
    page.press("Tab")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.ask("document.activeElement.id") == "open-help" and page.ask(outline) == "solid"


def test_dark_and_light_follow_the_system_and_the_button(page):
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.ask(paper)
    page.click("#theme"), page.click("#theme")
    assert text(page, "#theme") == "Theme: dark"
    dark = page.ask(paper)
    page.click("#theme")
    page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    system = page.ask(paper)
    page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    assert light != dark == system


def test_a_server_with_keys_asks_for_one_and_takes_it(browser, backend, sound):
    key = Key(name="ui", sha256=hashlib.sha256(b"cw-right").hexdigest())
    with serving(create_app(Settings(model="recorded", keys=[key]), backend)) as address:
        browser.open(address + "/")
        send(browser, sound("keyed.wav"))
        assert finish(browser) == "failed" and "This server asks for a key" in text(browser, "[role=alert]")
        for given in ("cw-wrong", "cw-right"):
            browser.ask(f"document.querySelector('.key-form input').value = {json.dumps(given)}")
            browser.click(".key-form button")
            browser.until("document.querySelector('.answer, [role=alert][data-code=invalid_key]')")
        assert finish(browser) == "done" and count(browser, "[role=alert]") == 0
        assert "cw-right" not in browser.ask("document.body.innerHTML + location.href")


def test_a_server_that_went_away_is_told_apart_from_one_that_refuses(browser, backend, sound):
    with serving(create_app(Settings(model="recorded"), backend)) as address:
        browser.open(address + "/")
        browser.until("document.querySelector('#server').dataset.state === 'ready'")
    send(browser, sound("away.wav"))
    assert finish(browser) == "failed" and "The server is away" in text(browser, "[role=alert]")
    browser.until("document.querySelector('#server').dataset.state === 'away'")
