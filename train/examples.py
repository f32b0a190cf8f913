"""Rows made ready for training, once: media decoded, measured and turned into encoder inputs, stored on disk.

An `Example` holds everything a training step needs, so that training itself runs without any media library. Sources are
prepared in parallel and cached in shards under a name that covers everything the content depends on.
"""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from cuewise.data_recipes.action_words import in_words
from cuewise.data_recipes.corpora import COMMON_LABELS, common_label
from cuewise.data_recipes.schema import Row
from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig, MediaError, load_media
from cuewise.mllm.media.types import SAMPLE_RATE_HZ, Media
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.tensors import ClipTensors, StreamTensors
from cuewise.train.cache_name import fingerprint
from cuewise.train.row_options import of_split, of_tier, softened, with_demonstrations

log = logging.getLogger(__name__)
SHARD = 100
SHOWN = 5
DAMAGED = ("damaged_video", "damaged_sound", "cut_short")
"""Problems of a clip of which only a part could be read."""

CHANNELS = ("face", "voice", "words")
HEADS = (*CHANNELS, "context")
"""Streams whose reading is trained; what a context tells is measured in the face, or else speaks of the whole clip."""


if TYPE_CHECKING:
    from cuewise.data_recipes.synthetic.corpus import SyntheticClip


class SourceError(ValueError):
    """A source of training data cannot be used; the message names source, row and reason."""


@dataclass(kw_only=True, slots=True)
class SourceConfig:
    """Where examples come from."""

    kind: Literal["corpus", "synthetic", "rows"] = "corpus"
    """A corpus reader, the synthetic corpus, or a JSONL file of rows."""

    corpus: str | None = None
    """Name of the reader."""

    folder: str | None = None
    """Folder (corpus) or file (rows), relative to the recipe's `data_root`."""

    split: str | None = "train"
    """Only rows of this split. In a file of rows that names splits, a row without one is for `train`; in one that names
    none, all rows are used."""

    count: int | None = None
    """Rows used; all by default. For the synthetic corpus the number of clips to make."""

    seed: int = 0
    """First seed of the synthetic clips; the split follows from it."""

    speeds: list[float] = field(default_factory=lambda: [1.0])
    """Each sound is also used this much faster or slower (speed perturbation)."""

    still_seconds: float = 0.0
    """A photograph is shown this long, as still frames with small shifts."""

    face: Literal["drawn", "known", "none"] = "drawn"
    """Faces of synthetic clips: drawn and read from the pictures; or the actions that would be drawn, as a model with
    the encoder `face_actions` would read them at best, at a tenth of the cost; or none."""

    min_seconds: float = 4.0
    """Shortest synthetic clip."""

    fps: float = 15.0
    """Frames a second of synthetic clips; fewer cost less."""

    tier: str | None = None
    """Only rows of this tier, e.g. `reviewed`; two sources of one file share out tiers by their weights."""

    soften: bool = False
    """Rows with valence and arousal but no votes get shares of the common labels from them."""

    demonstrations: int = 0
    """Nearest other rows of the source that stand in each row's context, with their labels."""

    actions: bool = False
    """Each row gets the actions of its face in words (`context`): those that `ravdess_au` measured in the same take, or
    those of a synthetic clip."""


@dataclass(slots=True)
class Example:
    """One clip, ready to be encoded, with what is to be learnt from it."""

    row: Row
    tensors: ClipTensors
    duration_s: float
    source: str

    def shares(self, channel: str) -> Tensor | None:
        """Vote shares over the common labels [8] for one of `HEADS` or `all`; None when nobody voted."""
        if channel == "context" and self.row.context is None:
            return None
        votes = self.row.votes.get("face" if channel == "context" and self.row.aus else channel)
        if votes is None and (channel in ("all", "context") or channel == only_channel(self.row)):
            named = self.row.labels if channel == "words" else self.row.labels[:1]
            votes = self.row.votes.get("all") or dict.fromkeys(named, 1.0)
        shares = torch.zeros(len(COMMON_LABELS))
        for label, number in (votes or {}).items():
            common = common_label(label)
            if common is not None:
                shares[COMMON_LABELS.index(common)] += number
        return shares / shares.sum() if shares.sum() > 0 else None


def only_channel(row: Row) -> str | None:
    """The channel an unlabelled-by-channel row is about: its only medium, or its words."""
    kinds = set(row.media)
    if kinds == {"audio"}:
        return "voice"
    if kinds == {"image"}:
        return "face"
    return "words" if not kinds and row.transcript else None


def load_source(
    name: str, config: SourceConfig, processor: CuewiseProcessor, media: MediaConfig, data_root: Path, cache: Path,
    workers: int = 2,
) -> list[Example]:  # fmt: skip
    """All examples of a source, prepared now or read from the cache; the processor keeps how their media were read."""
    processor.keep_media(media)
    rows = list(_jobs(name, config, data_root))
    folder = cache / f"{name}-{fingerprint(config, processor, media, rows, media_root(config, data_root))}"
    if not rows:
        raise SourceError(f"source {name!r} has no rows in split {config.split!r}")
    shards = [rows[i : i + SHARD] for i in range(0, len(rows), SHARD)]
    missing = [i for i in range(len(shards)) if not (folder / f"{i:05d}.pt").exists()]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        processor_state = _processor_state(processor)
        jobs = [(name, config, shards[i], data_root, media, processor_state, folder / f"{i:05d}.pt") for i in missing]
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            damaged = [line for lines in tqdm(pool.map(_prepare_shard, jobs), total=len(jobs), desc=f"prepare {name}",
                                              unit="shard") for line in lines]  # fmt: skip
        _tell(name, damaged)
    examples = []
    for index in range(len(shards)):
        packed = torch.load(folder / f"{index:05d}.pt", weights_only=True)
        examples += [_unpack(item, name, processor) for item in packed]
    return examples


def media_root(config: SourceConfig, data_root: Path) -> Path:
    """The folder that media paths of a source's rows are relative to."""
    if config.kind == "rows":
        return (data_root / str(config.folder)).parent
    return data_root / (config.folder or str(config.corpus)) if config.kind == "corpus" else data_root


def _jobs(name: str, config: SourceConfig, data_root: Path) -> Iterator[tuple[Row | int, float]]:
    """(row, speed), or (seed, 1) for synthetic clips."""
    if config.kind == "synthetic":
        if not config.count:
            raise SourceError(f"source {name!r}: `count` says how many synthetic clips to make")
        yield from ((seed, 1.0) for seed in islice(_seeds(config), config.count))
        return
    if config.kind == "rows":
        from cuewise.data_recipes.schema import read_jsonl

        rows = of_split(list(read_jsonl(data_root / str(config.folder))), config.split)
    else:
        from cuewise.data_recipes.corpora import read

        rows = list(read(str(config.corpus), data_root / (config.folder or str(config.corpus)), config.split))
    rows = _as_asked(name, config, rows)
    if config.count and config.count < len(rows):
        step = len(rows) / config.count
        rows = [rows[int(i * step)] for i in range(config.count)]
    if config.actions:
        rows = _with_actions(name, rows, data_root / (config.folder or str(config.corpus)))
    yield from ((row, speed) for row in rows for speed in config.speeds)


def _as_asked(name: str, config: SourceConfig, rows: list[Row]) -> list[Row]:
    """Rows by the source's own options."""
    rows = of_tier(rows, config.tier)
    rows = softened(rows) if config.soften else rows
    if config.demonstrations and rows:
        try:
            rows = with_demonstrations(rows, config.demonstrations)
        except ValueError as error:
            raise SourceError(f"source {name!r}: {error}") from error
    return rows


def _seeds(config: SourceConfig) -> Iterator[int]:
    """Seeds from the first on, of clips with a voice, or words where the face is known."""
    from cuewise.data_recipes.synthetic.config import SynthConfig
    from cuewise.data_recipes.synthetic.plan import plan_clip

    plans = SynthConfig(min_seconds=config.min_seconds)
    needed = {"drawn": {"face", "voice", "words"}, "known": {"voice", "words"}, "none": {"voice"}}[config.face]
    return (seed for seed in count(config.seed) if needed & {*plan_clip(seed, plans).present})


def _with_actions(name: str, rows: list[Row], root: Path) -> list[Row]:
    """Rows with the face actions of the same take, as numbers (`aus`) and in words (`context`)."""
    from cuewise.data_recipes.corpora import ravdess_au

    measured = {row.id.removeprefix("au_"): row for row in ravdess_au.read(root)}
    missing = next((row.id for row in rows if row.id not in measured), None)
    if missing is not None:
        raise SourceError(f"source {name!r}, row {missing!r}: no face actions were measured in this take")
    return [row.model_copy(update={"context": measured[row.id].context, "aus": measured[row.id].aus}) for row in rows]


def _tell(name: str, damaged: list[str]) -> None:
    """Warn of clips of which only a part could be read."""
    if damaged:
        more = f" … and {len(damaged) - SHOWN} more" if len(damaged) > SHOWN else ""
        log.warning("source %r: %d clips are damaged and are learnt as far as they can be read: %s%s", name,
                    len(damaged), "; ".join(damaged[:SHOWN]), more)  # fmt: skip


def _prepare_shard(job: tuple[str, SourceConfig, list, Path, MediaConfig, dict, Path]) -> list[str]:
    """Write one shard; what is damaged in its clips."""
    name, config, items, data_root, media, processor_state, path = job
    torch.set_num_threads(1)
    processor = CuewiseProcessor(**processor_state)
    root = media_root(config, data_root)
    packed, damaged = [], []
    for item, speed in items:
        if isinstance(item, int):
            row, decoded, face = _synthesise(item, media, config)
        else:
            (row, decoded), face = _decode(name, item, root, media, speed, config), None
        tensors = _reduced(processor, processor.tensors(decoded))
        if face is not None:
            tensors.streams["face"] = face
        packed.append(_pack(row, tensors, decoded.duration_s))
        damaged += [f"{row.id}: {problem.message}" for problem in decoded.problems if problem.code in DAMAGED]
    part = path.with_suffix(f".{os.getpid()}.part")
    torch.save(packed, part)
    part.replace(path)
    return damaged


def _reduced(processor: CuewiseProcessor, tensors: ClipTensors) -> ClipTensors:
    """Face crops become what a frozen estimator reads from them, where the model has one: 1/600 of the size."""
    if "face" in tensors.streams and processor.plan.streams["face"].encoder.get("family") == "face_actions":
        from cuewise.mllm.encoders.face_actions import read_actions

        face = tensors.streams["face"]
        with torch.inference_mode():
            tensors.streams["face"] = StreamTensors(read_actions(_estimator(), face.values), face.times_s, face.mask)
    return tensors


@lru_cache(maxsize=1)
def _estimator() -> torch.nn.Module:
    from cuewise.mllm.evidence.face_actions import FaceActionEstimator

    return FaceActionEstimator.load().net


def _synthesise(seed: int, media: MediaConfig, config: SourceConfig) -> tuple[Row, Media, StreamTensors | None]:
    from cuewise.data_recipes.synthetic.corpus import SynthConfig, make_clip

    made = make_clip(seed, SynthConfig(min_seconds=config.min_seconds, fps=config.fps), pictures=config.face == "drawn")
    clip = made.clip()
    if config.face == "none":
        return spoken_row(made.row), load_media(clip, media), None
    if config.actions and made.row.aus:
        made.row.context = in_words(made.row.aus)
    known = made.face is not None and config.face == "known"
    return made.row, load_media(clip, media), known_actions(made, media) if known else None


def known_actions(made: "SyntheticClip", media: MediaConfig) -> StreamTensors:
    """The face stream of a clip that was not drawn: the actions at the moments that would be sampled."""
    from cuewise.data_recipes.synthetic.face import action_curves
    from cuewise.mllm.encoders.face_actions import SCALE
    from cuewise.mllm.evidence.face_actions import OUTPUTS

    times = (np.arange(media.num_frames) + 0.5) * made.duration_s / media.num_frames
    curves = torch.from_numpy(action_curves(made.face, times, made.duration_s)).float()
    values = torch.cat([curves, torch.zeros(len(times), len(OUTPUTS) - curves.shape[1])], 1) * SCALE
    return StreamTensors(values, torch.from_numpy(times).float())


def spoken_row(row: Row) -> Row:
    """What a synthetic row says when its face is not there."""
    from cuewise.data_recipes.targets import shown_part

    left = shown_part(row, ("voice", "words"))
    left.votes["all"] = dict.fromkeys(left.labels[:1], 1.0)
    return left


def _decode(
    name: str, row: Row, root: Path, media: MediaConfig, speed: float, config: SourceConfig
) -> tuple[Row, Media]:
    try:
        decoded = load_media(row.clip(root), media)
    except MediaError as error:
        raise SourceError(f"source {name!r}, row {row.id!r}: {error}") from error
    row = row.model_copy()
    if speed != 1.0 and decoded.samples is not None:
        row.cues = [_paced(cue, speed) for cue in row.cues]
        clip = Clip(samples=decoded.samples, sample_rate=round(SAMPLE_RATE_HZ * speed), transcript=row.transcript,
                    words=[_paced(word, speed) for word in decoded.words], id=row.id)  # fmt: skip
        decoded = load_media(clip, media)
    row.words = decoded.words  # their times count from the begin of the span
    if config.still_seconds and decoded.frames is not None and len(decoded.frames) == 1:
        decoded = still(decoded, config.still_seconds, media.num_frames)
    for code, content in (("damaged_video", decoded.frames), ("damaged_sound", decoded.samples)):
        problem = next((problem for problem in decoded.problems if problem.code == code), None)
        if problem is not None and content is None:
            raise SourceError(f"source {name!r}, row {row.id!r}: {problem.message}; repair the file, or leave it out")
    if "voice" in decoded.absent and row.media.get("audio"):
        raise SourceError(f"source {name!r}, row {row.id!r}: no sound was read ({decoded.absent['voice']})")
    return row, _with_observed_cues(row, decoded)


def _paced(item: Any, speed: float) -> Any:
    """A cue or a word where it is heard at `speed` times the pace."""
    times = {name: value / speed for name in ("start", "end") if (value := getattr(item, name)) is not None}
    return item.model_copy(update=times)


def still(media: Media, seconds: float, frames: int) -> Media:
    """A photograph as a clip of `frames` equal frames over `seconds`."""
    times = torch.linspace(0, seconds, frames + 2)[1:-1].numpy().astype("float32")
    media.frames, media.frame_times_s = media.frames.repeat(frames, 0), times
    face = media.face
    if face is not None:
        face.boxes, face.scores = face.boxes.repeat(frames, 0), face.scores.repeat(frames, 0)
        face.crops, face.found = face.crops.repeat(frames, 0), face.found.repeat(frames, 0)
    media.duration_s = seconds
    return media


def _with_observed_cues(row: Row, media: Media) -> Media:
    """Fill `row.cues` of a real clip with what can be measured in it and fits its label."""
    if not row.cues and (media.samples is not None or media.face is not None) and row.labels:
        from cuewise.data_recipes.targets import observed_cues
        from cuewise.mllm.evidence.measure import measure

        row.cues = observed_cues(row, measure(media))
    return media


def _pack(row: Row, tensors: ClipTensors, duration_s: float) -> dict[str, Any]:
    streams = {}
    for name, stream in tensors.streams.items():
        if name in ("words", "context"):  # made again on loading, so that the cache does not depend on the tokenizer
            continue
        values = stream.values.half() if stream.values.is_floating_point() else stream.values
        streams[name] = {"values": values.clone(), "times_s": stream.times_s, "mask": stream.mask}
    return {"row": row.model_dump_json(), "streams": streams, "duration_s": float(duration_s),
            "told": "context" in tensors.streams}  # fmt: skip


def _unpack(packed: dict[str, Any], source: str, processor: CuewiseProcessor) -> Example:
    row = Row.model_validate_json(packed["row"])
    streams = {
        name: StreamTensors(
            item["values"].float() if item["values"].is_floating_point() else item["values"], item["times_s"],
            item["mask"],
        ) for name, item in packed["streams"].items() if name != "context"
    }  # fmt: skip
    told = row.context if packed.get("told", "context" in packed["streams"]) else None
    clip = processor.with_context(ClipTensors(streams), told)
    said = Media(duration_s=0.0, transcript=row.transcript, words=row.words)
    return Example(row, ClipTensors(clip.streams | processor.tensors(said).streams), packed["duration_s"], source)


def _processor_state(processor: CuewiseProcessor) -> dict[str, Any]:
    """What a worker process needs to build the same processor."""
    return {"tokenizer": processor.tokenizer, "streams": processor.streams, "prefusion": processor.prefusion,
            "features": processor.features}  # fmt: skip
