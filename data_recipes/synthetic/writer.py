"""`cuewise data synth`: synthetic clips as files. MP4 (H.264 and AAC) or WAV, rows.jsonl, manifest.json.

A corpus is written in shards of `SHARD` clips. A run that was stopped goes on where it was; the same seed, count and
config give the same files. Every file appears whole or not at all.
"""

import hashlib
import json
import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from fractions import Fraction
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import numpy as np
from scipy.io import wavfile
from tqdm import tqdm

from cuewise.data_recipes.schema import Row, read_jsonl, write_jsonl
from cuewise.data_recipes.synthetic.corpus import LICENCE, SynthConfig, SyntheticClip, make_clip, split_of_seed
from cuewise.mllm.media.types import SAMPLE_RATE_HZ

SHARD = 20
FORMAT = 1
"""Raised when the files of one config and seed change for another reason than those two."""

H264 = {"crf": "20", "preset": "veryfast", "x264-params": "threads=1:lookahead-threads=1:no-mbtree=1"}
"""Encoder options. With more threads or macroblock trees the same frames do not always become the same bytes."""

AUDIO_BIT_RATE = 64_000


class CorpusFolderError(ValueError):
    """The folder holds another corpus."""


def config_hash(config: SynthConfig) -> str:
    """Name of everything besides the seed that determines the files."""
    content = json.dumps([FORMAT, asdict(config)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def write_corpus(
    out_dir: str | Path, count: int, seed: int = 0, config: SynthConfig | None = None, workers: int = 1
) -> Path:
    """Write the clips of seeds `seed` to `seed + count - 1` below `out_dir`; returns the path of rows.jsonl."""
    config, out = config or SynthConfig(), Path(out_dir)
    if count < 1 or workers < 1:
        raise ValueError(f"write_corpus needs count >= 1 and workers >= 1, got {count} and {workers}")
    split_of_seed(seed), split_of_seed(seed + count - 1)
    _claim_folder(out, config)
    seeds = range(seed, seed + count)
    shards = [seeds[i : i + SHARD] for i in range(0, count, SHARD)]
    todo = [shard for shard in shards if not _is_done(out, shard)]
    with tqdm(total=count, initial=count - sum(map(len, todo)), desc="synthetic clips", unit="clip") as bar:
        for written in _run(partial(_write_shard, out, config), todo, workers):
            bar.update(written)
    rows = out / "rows.jsonl"
    write_jsonl((row for shard in shards for row in read_jsonl(_shard_path(out, shard))), rows)
    _write_manifest(out, config, seeds)
    return rows


def write_clip(clip: SyntheticClip, stem: Path) -> dict[str, str]:
    """Write the media of a clip as `stem`.mp4 or .wav; returns kind of medium -> file name. Words alone have none."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    if clip.frames is not None:
        _atomic(stem.with_suffix(".mp4"), partial(_write_mp4, clip))
        return {"video": stem.name + ".mp4"}
    if clip.samples is not None:
        _atomic(stem.with_suffix(".wav"), partial(_write_wav, clip.samples))
        return {"audio": stem.name + ".wav"}
    return {}


def _run(job: Any, shards: list[range], workers: int) -> Iterator[int]:
    if workers == 1 or len(shards) < 2:
        yield from map(job, shards)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(shards)), mp_context=context) as pool:
        yield from pool.map(job, shards)


def _write_shard(out: Path, config: SynthConfig, seeds: range) -> int:
    rows = []
    for seed in seeds:
        clip = make_clip(seed, config)
        files = write_clip(clip, out / "media" / clip.row.id)
        rows.append(clip.row.model_copy(update={"media": {kind: f"media/{name}" for kind, name in files.items()}}))
    return write_jsonl(rows, _shard_path(out, seeds))


def _shard_path(out: Path, seeds: range) -> Path:
    return out / "rows" / f"{seeds[0]:07d}-{seeds[-1]:07d}.jsonl"


def _is_done(out: Path, seeds: range) -> bool:
    """The shard's rows are written last, so they tell; media that were deleted since are made again."""
    path = _shard_path(out, seeds)
    return path.is_file() and all((out / file).is_file() for row in read_jsonl(path) for file in row.media.values())


def _claim_folder(out: Path, config: SynthConfig) -> None:
    """Say in the folder which config its clips have; refuse a folder that has clips of another."""
    path = out / "config.json"
    if path.is_file():
        there = json.loads(path.read_text(encoding="utf-8")).get("hash")
        if there != config_hash(config):
            mine = config_hash(config)
            raise CorpusFolderError(f"{out} holds synthetic clips of config {there}, not {mine}; choose another folder")
        return
    out.mkdir(parents=True, exist_ok=True)
    _write_json(path, {"hash": config_hash(config), "format": FORMAT, "config": asdict(config)})


def _write_manifest(out: Path, config: SynthConfig, seeds: range) -> None:
    rows: list[Row] = list(read_jsonl(out / "rows.jsonl"))
    _write_json(out / "manifest.json", {
        "corpus": "synthetic", "licence": LICENCE, "made_by": f"cuewise {version('cuewise')}",
        "config_hash": config_hash(config), "config": asdict(config), "first_seed": seeds[0], "clips": len(seeds),
        "splits": dict(Counter(row.split for row in rows)), "labels": dict(Counter(row.labels[0] for row in rows)),
        "media": dict(Counter("+".join(row.media) or "none" for row in rows)),
    })  # fmt: skip


def _write_json(path: Path, content: dict[str, Any]) -> None:
    _atomic(path, lambda part: part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8"))


def _atomic(path: Path, write: Any) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_wav(samples: np.ndarray, path: Path) -> None:
    with path.open("wb") as file:
        wavfile.write(file, SAMPLE_RATE_HZ, np.round(samples * 32767).astype(np.int16))


def _write_mp4(clip: SyntheticClip, path: Path) -> None:
    rate = Fraction(clip.fps).limit_denominator(1001)
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        video = container.add_stream("libx264", rate=rate, options=H264)
        video.height, video.width = clip.frames.shape[1:3]
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=SAMPLE_RATE_HZ, layout="mono") if clip.samples is not None else None
        if sound is not None:
            sound.bit_rate = AUDIO_BIT_RATE
        for picture in clip.frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        if sound is not None:
            frame = av.AudioFrame.from_ndarray(clip.samples[None].astype(np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, 0
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
