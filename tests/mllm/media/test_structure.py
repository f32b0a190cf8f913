"""A file that stops early is recognised without decoding it, in each container."""

import media_samples as samples
import pytest
from PIL import Image

from cuewise.mllm.media.structure import missing_bytes


def files(folder):
    still = folder / "still.png"
    Image.fromarray(samples.pattern(1)[0]).save(still)
    video = [samples.sample_video(folder, name=name, seconds=1) for name in ("a.mp4", "a.mkv")]
    return [*video, *(samples.audio_file(folder, kind) for kind in ("wav", "ogg", "m4a")), still]


def test_whole_files_miss_nothing(tmp_path):
    assert [missing_bytes(path) for path in files(tmp_path)] == [""] * 6


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_cut_files_miss_something(tmp_path, share):
    for path in files(tmp_path):
        data = path.read_bytes()
        assert missing_bytes(data[: int(len(data) * share)]), path.name


STUMPS = [b"", b"RIFF", b"OggS", b"\0\0\0\0ftyp", b"\x1a\x45\xdf\xa3", b"\0\0\0\1mdat1234", b"text"]


@pytest.mark.parametrize("data", STUMPS)
def test_stumps_do_not_trip_it(data):
    assert isinstance(missing_bytes(data), str)
