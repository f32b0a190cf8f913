import pytest

from cuewise.errors import UserError
from cuewise.subtitles import parse_subtitles, read_subtitles

SRT = """1
00:00:01,000 --> 00:00:02,000
<i>We</i> won!

2
00:00:03,500 --> 00:00:05,500 X1:10 X2:20
{\\an8}I cannot
believe it.
"""


def test_words_share_their_span_by_length():
    words = parse_subtitles(SRT)
    assert [w.text for w in words] == ["We", "won!", "I", "cannot", "believe", "it."]
    assert (words[0].start, words[0].end) == (1.0, 1.333)
    assert (words[1].start, words[1].end) == (1.333, 2.0)
    assert words[2].start == 3.5 and words[-1].end == 5.5


def test_vtt_with_header_cue_names_entities_and_word_times():
    text = """\ufeffWEBVTT - a title

NOTE a comment

intro
00:01.000 --> 00:04.000 align:start
<v Ann>one &amp; <00:00:02.000>two <00:00:03.000><c.loud>three</c>
"""
    words = parse_subtitles(text)
    assert [(w.text, w.start, w.end) for w in words] == [
        ("one", 1.0, 1.75), ("&", 1.75, 2.0), ("two", 2.0, 3.0), ("three", 3.0, 4.0),
    ]  # fmt: skip


def test_hours_and_short_fractions_are_read():
    (word,) = parse_subtitles("01:00:00.5 --> 01:00:01.25\nhi")
    assert (word.start, word.end) == (3600.5, 3601.25)


def test_blocks_without_a_blank_line_between_them_stay_apart():
    words = parse_subtitles("00:01.0 --> 00:02.0\none\n00:02.0 --> 00:03.0\ntwo")
    assert [(w.text, w.start) for w in words] == [("one", 1.0), ("two", 2.0)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_common_encodings_are_read(tmp_path, encoding):
    path = tmp_path / "a.srt"
    path.write_bytes("1\r\n00:00:01,000 --> 00:00:02,000\r\nschön\r\n".encode(encoding))
    assert [w.text for w in read_subtitles(path)] == ["schön"]


def test_a_subtitle_that_ends_before_it_begins_names_file_and_line():
    with pytest.raises(UserError, match=r"film\.srt, line 2: subtitle from 3 s to 2 s"):
        parse_subtitles("1\n00:00:03,000 --> 00:00:02,000\nx", "film.srt")


def test_files_that_hold_no_subtitle_say_so(tmp_path):
    path = tmp_path / "a.vtt"
    path.write_text("just some text")
    with pytest.raises(UserError, match="no subtitle found"):
        read_subtitles(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_subtitles(tmp_path / "missing.srt")


def test_random_text_never_fails_otherwise():
    import random

    pieces = ["00:00:01,000", " --> ", "00:00:02,000", "\n", "<", ">", "{\\", "}", "word", "-->", "\x00", "&amp;", "é"]
    for _ in range(300):
        text = "".join(random.choices(pieces, k=random.randint(0, 40)))
        try:
            words = parse_subtitles(text)
        except UserError:
            continue
        assert all(w.start is None or w.end > w.start for w in words)
