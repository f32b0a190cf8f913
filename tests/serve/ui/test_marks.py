"""What the page marks, refuses and brings into view, in a real browser over a recorded answer."""

import pytest
from driving import count, finish, send, text

pytestmark = pytest.mark.slow


def test_a_confident_answer_that_is_not_what_is_read_and_prose_against_it_are_marked(page, sound):
    send(page, sound("astray-1.wav"))
    assert finish(page) == "done"
    card = text(page, ".answer")
    assert "Unsure. The answer says angry (0.08), but the streams read happy (0.72)" in card
    assert "1.00 unsure" in card and count(page, ".meter.doubtful") == 1
    assert "Read alone they say: face angry, voice happy." in text(page, ".reasoning .conflict")
    inside = "[...document.querySelectorAll('.plane .channel-dot')].map(d => Math.hypot(d.cx.baseVal.value,"
    assert max(page.ask(f"{inside} d.cy.baseVal.value))")) <= 100.5, "no reading is drawn outside the circle"


def test_options_that_cannot_be_sent_are_told_beside_the_button(page, sound):
    page.choose("#file", sound())
    page.until("!document.querySelector('#analyze').disabled")
    box = "document.querySelectorAll('input[name=channels]').forEach(b => b.click())"
    page.ask(box)
    assert page.ask("document.querySelector('#analyze').disabled")
    assert text(page, "#form-note") == "Choose at least one channel."
    page.ask(box)
    assert not page.ask("document.querySelector('#analyze').disabled")
    assert not page.ask("document.querySelector('#form-note').checkVisibility()")
    for name, value in (("start", 3), ("end", 2)):
        page.ask(f"document.querySelector('input[name={name}]').value = {value}")
    page.ask("document.querySelector('#options').dispatchEvent(new Event('input'))")
    assert text(page, "#form-note") == "To (2 s) must lie after From (3 s)."


def test_of_several_files_one_is_taken_and_the_others_are_named(page, sound):
    page.choose("#file", sound("one.wav"), sound("two.wav"), sound("three.wav"))
    page.until("document.querySelector('#form-note').checkVisibility()")
    assert text(page, "#form-note") == "One clip is read at a time. one.wav was taken; left out: two.wav, three.wav."
    assert "one.wav" in text(page, "#chosen")


def test_a_cue_that_is_played_brings_the_clip_into_view(page, sound):
    send(page, sound())
    finish(page)
    page.ask("document.querySelector('.evidence li:last-child').scrollIntoView()")
    away = "(() => { const b = document.querySelector('.screen').getBoundingClientRect(); return b.bottom < 0; })()"
    assert page.ask(away), "the test needs a window that is too short for both"
    page.click("button.span")
    page.until("(() => { const b = document.querySelector('.screen').getBoundingClientRect();"
               " return b.top >= -1 && b.bottom <= innerHeight + 1; })()")  # fmt: skip


def test_on_a_phone_the_timeline_fits_its_lanes_have_names_and_help_opens_at_its_top(page, sound):
    page.resize(390, 844)
    send(page, sound())
    finish(page)
    assert page.ask("(e => e.scrollWidth - e.clientWidth)(document.querySelector('.scroll'))") <= 1
    names = page.ask("[...document.querySelectorAll('.lane-name span')].map(e => [e.innerText, e.offsetWidth])")
    assert {name for name, width in names if width > 20} >= {"face", "voice", "words", "scene", "disagree"}
    page.click("#open-help")
    assert page.ask("document.querySelector('#help').scrollTop") == 0


def test_a_file_that_cannot_be_played_has_no_box_and_no_stale_note(page, tmp_path):
    for name, said in (("media_undecodable-2.mp4", "This browser cannot play the file."),
                       ("fine.mp4", "This browser cannot play the file. The server could read it.")):  # fmt: skip
        (tmp_path / name).write_bytes(b"no film at all")
        send(page, tmp_path / name)
        finish(page)
        page.until("document.querySelector('.player-note').checkVisibility()")
        assert text(page, ".player-note") == said and count(page, ".overlay rect") == 0
