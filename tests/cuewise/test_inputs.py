from pathlib import Path

import pytest

from cuewise.__main__ import build_parser
from cuewise.errors import UserError
from cuewise.inputs import clips_from_args, expand


def clips(*args: str):
    return clips_from_args(build_parser("analyze").parse_args(["analyze", *args]))


def test_files_stay_in_order_and_folders_are_sorted_by_name(tmp_path):
    for name in ("b.MP4", "a.wav", "notes.txt", "c.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "inner.mp4").mkdir()
    assert [p.name for p in expand(["z.mp4", str(tmp_path), "y.mp4"])] == ["z.mp4", "a.wav", "b.MP4", "c.png", "y.mp4"]


def test_a_folder_without_media_is_an_error(tmp_path):
    with pytest.raises(UserError, match="holds no media file"):
        expand([str(tmp_path)])


def test_words_alone():
    (clip,) = clips("--text", " We \n won! ", "--context", "a final")
    assert (clip.transcript, clip.name, clip.path, clip.context) == ("We won!", "text", None, "a final")


def test_sound_alone():
    (clip,) = clips("--audio", "a.wav")
    assert (clip.audio, clip.path, clip.name) == ("a.wav", None, "a.wav")


def test_everything_known_about_a_clip_reaches_it(tmp_path):
    said = tmp_path / "said.txt"
    said.write_text("We won!\n")
    (clip,) = clips(
        "v.mp4", "--audio", "a.wav", "--start", "1", "--end", "2.5", "--person", "1", "--transcript", f"@{said}"
    )
    assert (clip.path, clip.audio, clip.start, clip.end, clip.person) == (Path("v.mp4"), "a.wav", 1.0, 2.5, 1)
    assert clip.transcript == "We won!"


def test_subtitles_become_timed_words(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\nWe won!\n")
    (clip,) = clips("v.mp4", "--subtitles", str(path))
    assert [w.text for w in clip.words] == ["We", "won!"] and clip.transcript == "We won!"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "nothing to analyze"),
        (["a.mp4", "--text", "x"], "--text is for words alone"),
        (["a.mp4", "b.mp4", "--audio", "c.wav"], "--audio belong to one clip, but 2 clips"),
        (["a.mp4", "--transcript", "x", "--subtitles", "y.srt"], "give one of them"),
        (["a.mp4", "--transcript", "  "], "--transcript is blank"),
        (["a.mp4", "--transcript", "@missing.txt"], "missing.txt: cannot be read"),
        (["a.mp4", "--person", "tallest"], "largest, central, active or a number from 0, got `tallest`"),
        (["a.mp4", "--person", "-1"], None),
        (["a.mp4", "--start", "-1"], "--start must be a number of seconds from 0, got -1"),
        (["a.mp4", "--start", "nan"], "--start must be a number of seconds from 0, got nan"),
        (["a.mp4", "--end", "inf"], "--end must be a number of seconds from 0, got inf"),
        (["a.mp4", "--start", "3", "--end", "2"], "--end must lie after --start, got --start 3 --end 2"),
    ],
)
def test_what_does_not_fit_together_is_refused(args, message):
    with pytest.raises(UserError, match=message):
        clips(*args)
