import base64

import numpy as np
import pytest

from cuewise.mllm.clip import Clip
from cuewise.page.embed import MAX_FILE_BYTES, POSTERS, Budget, player, still_frames


def test_a_small_file_is_in_the_page_byte_for_byte(tmp_path):
    path = tmp_path / "a.webm"
    path.write_bytes(b"not really a film")
    element, why = player(Clip(path=path), Budget(), True)
    assert why == "" and element.startswith('<div class="player"><div class="stage"><video')
    assert base64.b64encode(b"not really a film").decode() in element


def test_separate_sound_gets_its_own_player_and_mutes_the_film(tmp_path):
    film, sound = tmp_path / "a.mp4", tmp_path / "a.wav"
    film.write_bytes(b"film")
    sound.write_bytes(b"sound")
    element, _ = player(Clip(path=film, audio=sound), Budget(), True)
    assert "<video" in element and " muted" in element and "<audio" in element
    alone, _ = player(Clip(audio=sound), Budget(), False)
    assert "<audio" in alone and "<video" not in alone


@pytest.mark.parametrize(("name", "reason"), [("a.avi", "do not play .avi"), ("missing.mp4", "cannot be read")])
def test_what_cannot_be_in_the_page_says_why(tmp_path, name, reason):
    element, why = player(Clip(path=tmp_path / name), Budget(), True)
    assert element is None and reason in why


def test_large_files_and_full_pages_are_left_out(tmp_path):
    path = tmp_path / "a.mp4"
    with path.open("wb") as out:
        out.truncate(MAX_FILE_BYTES + 1)
    assert "limit 20 MB" in player(Clip(path=path), Budget(), True)[1]
    path.write_bytes(b"x" * 100)
    budget = Budget(left=150)
    assert player(Clip(path=path), budget, True)[0] is not None and budget.left == 50
    assert player(Clip(path=path), budget, True)[0] is None


def test_still_frames_come_from_the_media_stage_in_order():
    frames = np.zeros((30, 48, 64, 3), np.uint8)
    frames[:, :, :, 0] = np.arange(30)[:, None, None] * 8
    posters = still_frames(Clip(frames=frames, fps=10.0))
    assert len(posters) == POSTERS
    assert [p.time for p in posters] == sorted(p.time for p in posters)
    assert all(p.uri.startswith("data:image/jpeg;base64,") for p in posters)
    assert posters[0].uri != posters[-1].uri


def test_nothing_to_see_gives_no_frames(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no film at all")
    assert still_frames(Clip(path=path)) == [] and still_frames(Clip(transcript="hi")) == []
