"""Two hundred and more inputs that are no proper media, written on the spot, for robustness tests.

Each comes with the error codes that are allowed for it; None means that reading a part of it is fine too, as long as
the damage is reported or does not show.
"""

import os
import random
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from media_samples import audio_file, float_wav, pattern, sample_video, tone, write_audio, write_video
from PIL import Image

UNREADABLE = ("undecodable", "no_streams")
ANY_LOSS = (*UNREADABLE, "too_long", "too_many_pixels", "too_many_streams", "timeout", "out_of_memory")


@dataclass(frozen=True)
class Broken:
    """One broken input. `codes` are the allowed error codes; `readable` says whether a result is allowed as well."""

    path: Path
    kind: str
    codes: tuple[str, ...]
    readable: bool = False
    damaged: bool = False
    """A result must list the damage in its problems."""


def whole_files(folder: Path) -> list[Path]:
    """Proper small files of every family, from which broken ones are made."""
    folder.mkdir(parents=True, exist_ok=True)
    stills = [Image.fromarray(frame) for frame in pattern(12)]
    files = [
        sample_video(folder, name="end.mp4"),
        sample_video(folder, name="front.mp4", options={"movflags": "faststart"}),
        sample_video(folder, name="h265.mp4", codec="h265", options={"movflags": "faststart"}),
        sample_video(folder, name="h264.mkv"),
        write_video(folder / "vp9.webm", pattern(50), codec="vp9", samples=tone(2, 48_000), rate=48_000,
                    audio_codec="libopus"),
        sample_video(folder, name="silent.mp4", sound=False),
    ]  # fmt: skip
    files += [audio_file(folder, kind, seconds=2.0) for kind in ("wav", "flac", "mp3", "opus", "m4a")]
    for name, options in (("still.png", {}), ("still.jpg", {"quality": 90})):
        stills[5].resize((320, 240)).save(folder / name, **options)
        files.append(folder / name)
    for name in ("moving.gif", "moving.webp"):
        stills[0].save(folder / name, save_all=True, append_images=stills[1:], duration=80)
        files.append(folder / name)
    return files


def broken_inputs(folder: Path, seed: int = 0) -> list[Broken]:
    """All of them, in a fixed order."""
    random_ = random.Random(seed)
    files = whole_files(folder / "whole")
    (folder / "broken").mkdir(exist_ok=True)
    return [
        *_cut(files, folder / "broken"),
        *_flipped(files, folder / "broken", random_),
        *_nothing(files, folder / "broken", random_),
        *_misnamed(files, folder / "broken"),
        *_too_much(folder / "broken"),
        *_bad_sound(folder / "broken"),
    ]


def _cut(files: list[Path], folder: Path) -> list[Broken]:
    cases = []
    for path in files:
        data = path.read_bytes()
        for share in (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99):
            out = folder / f"cut{int(share * 100):02d}_{path.name}"
            out.write_bytes(data[: int(len(data) * share)])
            # Formats without a length in the header (mp3, opus, webm) look like shorter whole files when cut.
            damaged = path.name in ("front.mp4", "h265.mp4", "still.jpg", "still.png") and share <= 0.75
            cases.append(Broken(out, "cut", ANY_LOSS, readable=True, damaged=damaged))
    return cases


def _flipped(files: list[Path], folder: Path, random_: random.Random) -> list[Broken]:
    cases = []
    for path in files:
        for flips in (1, 10, 100, 1000):
            data = bytearray(path.read_bytes())
            for _ in range(flips):
                data[random_.randrange(len(data))] ^= 1 << random_.randrange(8)
            out = folder / f"flip{flips}_{path.name}"
            out.write_bytes(data)
            cases.append(Broken(out, "flipped", ANY_LOSS, readable=True))
    return cases


def _nothing(files: list[Path], folder: Path, random_: random.Random) -> list[Broken]:
    """Files and paths without any media in them."""
    cases = []
    for extension in ("mp4", "webm", "wav", "mp3", "jpg", "gif"):
        empty, text, noise = (folder / f"{name}.{extension}" for name in ("empty", "text", "noise"))
        empty.write_bytes(b"")
        text.write_text("The quick brown fox jumps over the lazy dog.\n" * 200)
        noise.write_bytes(random_.randbytes(30_000))
        cases += [
            Broken(empty, "empty", ("empty_file",)),
            Broken(text, "text", ("undecodable",)),
            Broken(noise, "noise", ("undecodable",)),
        ]
    playlist = folder / "list.mp4"
    playlist.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n")
    cases.append(Broken(playlist, "text", ("undecodable",)))
    for name, size in (("front.mp4", 48), ("h264.mkv", 64), ("tone.wav", 44), ("tone.flac", 42), ("still.png", 33),
                       ("still.jpg", 20), ("moving.gif", 13), ("vp9.webm", 200)):  # fmt: skip
        whole = next(path for path in files if path.name == name)
        head = folder / f"head_{name}"
        head.write_bytes(whole.read_bytes()[:size])
        cases.append(Broken(head, "header only", UNREADABLE))
    (folder / "folder.mp4").mkdir()
    os.mkfifo(folder / "pipe.mp4")
    cases += [
        Broken(folder / "folder.mp4", "directory", ("is_directory",)),
        Broken(folder, "directory", ("is_directory",)),
        Broken(folder / "missing.mp4", "missing", ("not_found",)),
        Broken(folder / "missing" / "clip.wav", "missing", ("not_found",)),
        Broken(folder / "front.mp4|concat:x", "missing", ("not_found",)),
        Broken(folder / "pipe.mp4", "pipe", ("not_a_file",)),
        Broken(_no_streams(folder / "subtitles.mkv"), "no streams", ("no_streams",)),
        Broken(_no_streams(folder / "subtitles.mp4"), "no streams", ("no_streams", "undecodable")),
    ]
    return cases


def _no_streams(path: Path) -> Path:
    """A container that holds subtitles only, or nothing."""
    codec = "mov_text" if path.suffix == ".mp4" else "subrip"
    try:
        with av.open(str(path), "w") as out:
            stream = out.add_stream(codec)
            packet = av.Packet(b"hello")
            packet.stream, packet.pts, packet.dts, packet.duration = stream, 0, 0, 1000
            packet.time_base = stream.time_base
            out.mux(packet)
    except Exception:  # builds without this subtitle encoder: an mp4 whose header lists no stream
        box = b"\0\0\0\x14ftypisom\0\0\0\0isom" + b"\0\0\0\x74moov" + b"\0\0\0\x6cmvhd" + bytes(100)
        path.write_bytes(box)
    return path


def _misnamed(files: list[Path], folder: Path) -> list[Broken]:
    cases = []
    for name, other in (("front.mp4", "named.wav"), ("tone.wav", "named.mp4"), ("still.png", "named.mp3"),
                        ("tone.mp3", "named.jpg"), ("moving.gif", "named.webm")):  # fmt: skip
        whole = next(path for path in files if path.name == name)
        out = folder / other
        out.write_bytes(whole.read_bytes())
        cases.append(Broken(out, "wrong extension", (), readable=True, damaged=True))
    return cases


def _too_much(folder: Path) -> list[Broken]:
    """Small files that would unfold to a lot."""
    _claims(folder / "bomb.png", 7680, 4320)
    _claims(folder / "bomb.jpg", 7680, 4320)
    _claims(folder / "bomb.gif", 40_000, 30_000)
    write_video(folder / "bomb.mp4", np.zeros((1, 4320, 7680, 3), np.uint8))
    write_video(folder / "long.mp4", np.repeat(pattern(2, (64, 48)), 600, axis=0), fps=1, codec="mpeg4", gop=100)
    write_audio(folder / "long.flac", np.zeros(8000 * 1200, np.float32), rate=8000, codec="flac")
    return [
        Broken(folder / "bomb.png", "bomb", ("too_many_pixels",)),
        Broken(folder / "bomb.jpg", "bomb", ("too_many_pixels",)),
        Broken(folder / "bomb.gif", "bomb", ("too_many_pixels",)),
        Broken(folder / "bomb.mp4", "bomb", ("too_many_pixels",)),
        Broken(folder / "long.mp4", "long", ("too_long",)),
        Broken(folder / "long.flac", "long", ("too_long",)),
    ]


def _claims(path: Path, width: int, height: int) -> None:
    """A small image whose header claims to be huge."""
    Image.fromarray(pattern(1)[0]).save(path)
    data = bytearray(path.read_bytes())
    if path.suffix == ".png":
        data[16:24] = struct.pack(">II", width, height)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif path.suffix == ".gif":
        data[6:10] = struct.pack("<HH", width, height)
    else:
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    path.write_bytes(data)


def _bad_sound(folder: Path) -> list[Broken]:
    some_nan, some_infinite = tone(1.0), tone(1.0)
    some_nan[4000:4100] = np.nan
    some_infinite[5000:5010] = np.inf
    sounds = {"nan": some_nan, "infinite": some_infinite, "nan_only": np.full(16_000, np.nan)}
    sounds["silence"] = np.zeros(16_000)
    files = [float_wav(folder / f"{name}.wav", sound) for name, sound in sounds.items()]
    return [Broken(path, "bad sound", (), readable=True, damaged=True) for path in files]
