"""The header is read and held against the limits before anything is decoded."""

import os

import media_samples as samples
import pytest
from PIL import Image

from cuewise.mllm.media import MediaConfig, MediaError
from cuewise.mllm.media.probe import inspect


def refused(source, **limits) -> MediaError:
    with pytest.raises(MediaError) as caught:
        inspect(source, MediaConfig(**limits))
    return caught.value


def test_header_of_a_video(tmp_path):
    header = inspect(samples.sample_video(tmp_path), MediaConfig())
    assert (header.kind, header.width, header.height, header.video_codec) == ("video", 160, 120, "h264")
    assert header.duration_s == pytest.approx(2.0, abs=0.1)
    assert header.audio_stream is not None


def test_cover_picture_of_a_song_is_no_video(tmp_path):
    import av

    path = tmp_path / "song.mp3"
    cover = tmp_path / "cover.png"
    Image.fromarray(samples.pattern(1)[0]).save(cover)
    with av.open(str(path), "w") as out, av.open(str(cover)) as picture:
        sound = out.add_stream("libmp3lame", rate=16_000)
        art = out.add_stream_from_template(picture.streams.video[0])
        art.disposition = av.stream.Disposition.attached_pic
        packet = next(p for p in picture.demux() if p.size)
        packet.stream = art
        out.mux(packet)
        samples._encode_sound(out, sound, samples.tone(1.0), 16_000)
    header = inspect(path, MediaConfig())
    assert header.kind == "audio"
    assert header.video_stream is None


@pytest.mark.parametrize(("limit", "code", "words"), [
    ({"max_pixels": 100 * 100}, "too_many_pixels", ("160x120", "media.max_pixels", "10,000")),
    ({"max_streams": 1}, "too_many_streams", ("2 streams", "media.max_streams")),
    ({"max_file_mb": 0.001}, "too_large", ("media.max_file_mb",)),
])  # fmt: skip
def test_limits_are_named(tmp_path, limit, code, words):
    path = samples.sample_video(tmp_path)
    error = refused(path, **limit)
    assert error.code == code
    assert all(word in str(error) for word in (str(path), *words))


def test_image_limit_counts_before_pixels_are_decoded(tmp_path):
    path = tmp_path / "still.png"
    Image.fromarray(samples.pattern(1)[0]).save(path)
    assert refused(path, max_image_pixels=1000).code == "too_many_pixels"


def test_no_permission(tmp_path):
    path = samples.audio_file(tmp_path, "wav")
    path.chmod(0)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.name.startswith("pytest-"):
            parent.chmod(0o755)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything; nobody may not
    try:
        error = refused(path)
    finally:
        os.seteuid(user)
    assert error.code == "no_permission"


def test_a_playlist_is_not_followed(tmp_path):
    secret = samples.sample_video(tmp_path, name="secret.mp4")
    for text in (f"#EXTM3U\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n", f"ffconcat version 1.0\nfile '{secret}'\n"):
        for name in ("list.m3u8", "list.mp4", "list.ffconcat"):
            path = tmp_path / name
            path.write_text(text)
            assert refused(path).code == "undecodable"


@pytest.mark.parametrize("name", ["clip.mp4", "http://localhost/x.mp4", "concat:a|b", "a\0b.mp4", "x" * 300 + ".mp4"])
def test_missing_files(name):
    assert refused(name).code == "not_found"


def test_bytes_are_read_like_files(tmp_path):
    path = samples.sample_video(tmp_path)
    of_path, of_bytes = (inspect(source, MediaConfig()) for source in (path, path.read_bytes()))
    assert (of_path.duration_s, of_path.width, of_path.kind) == (of_bytes.duration_s, of_bytes.width, of_bytes.kind)
    assert refused(b"").code == "empty_file"
