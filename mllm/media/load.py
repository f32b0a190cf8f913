"""`load_media`: one clip, decoded, sampled and cropped. The only way in which media enters cuewise.

Every part that is not there is None and `Media.absent` says why; damage that could be passed over is in `problems`.
A clip of which nothing can be read raises `MediaError`.
"""

import time
from dataclasses import dataclass, field

import numpy as np

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import sampling
from cuewise.mllm.media.audio import Sound, read_sound, sound_from_array
from cuewise.mllm.media.config import MediaConfig
from cuewise.mllm.media.decode import Picture, scaled_size, use_video
from cuewise.mllm.media.errors import MediaError, MediaUnreadable
from cuewise.mllm.media.faces import DetectorError, make_detector
from cuewise.mllm.media.images import ArrayFrames, open_image_file, resize_all
from cuewise.mllm.media.probe import Header, check_length, inspect
from cuewise.mllm.media.structure import missing_bytes
from cuewise.mllm.media.tracking import track_face
from cuewise.mllm.media.types import Media
from cuewise.mllm.report import Problem, Word

NO_WORDS = "no transcript was given and no speech-to-text model is configured"
_CUT_SHORT_S = 0.3
"""A file that ends this much before its header says is reported as cut short; containers round by a frame or two."""


@dataclass(slots=True)
class _Seen:
    """Sampled frames at decoding size, with their times from the begin of the file."""

    frames: np.ndarray
    times_s: np.ndarray
    size: tuple[int, int]
    end_s: float
    problems: list[Problem] = field(default_factory=list)


def load_media(clip: Clip, config: MediaConfig) -> Media:
    """Decode `clip` in this process; `MediaError` when nothing of it can be read.

    `MediaWorker` does the same in a process that can be stopped.
    """
    try:
        return _load(clip, config)
    except (MediaError, DetectorError, MemoryError):
        raise
    except Exception as error:  # the boundary to decoders that are fed with anything
        name = clip.name if clip.path is None else str(clip.path)
        raise MediaUnreadable(f"{name}: the file cannot be decoded ({type(error).__name__}: {error})") from error


def _load(clip: Clip, config: MediaConfig) -> Media:
    begun = time.perf_counter()
    start = clip.start or 0.0
    source = clip.path if clip.path is not None else clip.data
    header = None if source is None else inspect(source, config)
    _check_span(clip, header, config)
    media = Media(duration_s=0.0, start_s=start, transcript=clip.transcript, context=clip.context,
                  person_box=clip.person_box, language=clip.language)  # fmt: skip
    if header is not None and header.wrong_extension:
        message = f"the file is named .{header.wrong_extension} but holds {header.kind} ({header.container})"
        media.problems.append(Problem(code="wrong_extension", message=message))
    missing = "" if source is None else missing_bytes(source)
    if missing:
        media.problems.append(Problem(code="cut_short", message=f"the end of the file is missing: {missing}"))
    seen = _picture(clip, source, header, config, media)
    sound = _sound(clip, source, header, config, media)
    _check_something(clip, header, seen, sound, media)
    if seen is not None:
        _show(seen, media, config)
        _find_face(seen, clip, make_detector(config), config, media)
    if sound is not None:
        media.samples = sound.samples
        media.problems += sound.problems
    _set_length(clip, header, seen, sound, media)
    _set_words(clip, media)
    media.timing_ms["decode"] = (time.perf_counter() - begun) * 1000
    return media


def _check_span(clip: Clip, header: Header | None, config: MediaConfig) -> None:
    """Refuse a span that the header, or the caller, says is too long."""
    ends = [clip.end, None if header is None else header.duration_s]
    end = min((value for value in ends if value is not None), default=None)
    if end is not None:
        name = clip.name if header is None else header.name
        check_length(name, end - (clip.start or 0.0), config, clip.start is not None or clip.end is not None)


def _picture(clip: Clip, source, header: Header | None, config: MediaConfig, media: Media) -> _Seen | None:
    """The sampled frames, or None with the reason noted in `media.absent`."""
    if clip.frames is None and (header is None or header.kind == "audio"):
        why = "no picture was given" if header is None else "the file has no picture"
        media.absent |= {"face": why, "scene": why}
        return None

    def look(picture: Picture) -> tuple[np.ndarray, np.ndarray]:
        return _sample(picture, clip, config)

    if clip.frames is not None:
        picture: Picture = ArrayFrames(clip.frames, clip.fps, clip.name, config)
        frames, indices = look(picture)
    elif header.kind == "video":
        try:
            (frames, indices), picture = use_video(source, header, look)
        except MediaUnreadable as error:
            # The sound of a file may be whole when its picture is not; without sound nothing is left of it.
            if header.audio_stream is None or error.code != "undecodable":
                raise
            why = "the picture of the file cannot be decoded"
            media.absent |= {"face": why, "scene": why}
            media.problems.append(Problem(code="damaged_video", message=_without_name(error, header.name)))
            return None
    else:
        picture = open_image_file(source, header, config)
        frames, indices = look(picture)
    media.problems += picture.problems
    if not len(indices):
        why = "the file has no picture in this span" if not picture.problems else "no sampled frame could be decoded"
        media.absent |= {"face": why, "scene": why}
        return None
    return _Seen(frames, picture.times_s[indices], picture.size, picture.end_s)


def _sample(picture: Picture, clip: Clip, config: MediaConfig) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the sampled frames of the span, at decoding size, and their indices."""
    start, end = clip.start or 0.0, clip.end
    if end is None:
        check_length(clip.name, picture.end_s - start, config, selected=clip.start is not None)
    # A frame belongs to the span when it is on screen in it: the frame shown at `start` began before it.
    first = max(0, int(np.searchsorted(picture.times_s, start + 1e-4, side="right")) - 1)
    after = len(picture.times_s) if end is None else int(np.searchsorted(picture.times_s, end - 1e-4))
    if after <= first or start >= picture.end_s > 0:
        return np.zeros((0, 1, 1, 3), np.uint8), np.zeros(0, np.int64)
    count = after - first
    stride = max(1, -(-count // config.scan_frames))

    def scan() -> tuple[np.ndarray, np.ndarray]:
        frames, scanned = picture.read(first + np.arange(0, count, stride), config.scan_size)
        box = _face_region(frames, config) if config.sampler == "peak" else None
        motion = sampling.change_motion(frames, box) if config.sampler == "peak" else sampling.flow_motion(frames)
        return motion, scanned - first

    indices = first + sampling.choose(config.sampler, count, config.num_frames, scan, stride)
    side = config.frame_size if config.detector == "none" else max(config.decode_size, config.frame_size)
    return picture.read(indices, side)


def _face_region(frames: np.ndarray, config: MediaConfig) -> np.ndarray | None:
    """Box around all faces in five of the frames; None (the whole picture) when no face is found."""
    detector = make_detector(config)
    if detector is None:
        return None
    found = [detector.detect(frames[i]) for i in sampling.uniform(len(frames), 5)]
    boxes = np.concatenate(found)
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:4].max(axis=0)]) if len(boxes) else None


def _sound(clip: Clip, source, header: Header | None, config: MediaConfig, media: Media) -> Sound | None:
    """The sound of the span, or None with the reason noted in `media.absent`."""
    start, end = clip.start or 0.0, clip.end
    if clip.samples is not None:
        sound = sound_from_array(clip.samples, clip.sample_rate, clip.name, start, end)
        if end is None:
            check_length(clip.name, sound.end_s - start, config, selected=clip.start is not None)
    else:
        if clip.audio is not None:
            source, header = clip.audio, inspect(clip.audio, config)
        if header is None or header.audio_stream is None:
            media.absent["voice"] = _why_no_sound(clip, header)
            return None
        try:
            sound = read_sound(source, header, start, end, config)
        except MediaUnreadable as error:
            if header.kind == "audio" or error.code != "undecodable":
                raise
            media.absent["voice"] = "the sound of the file cannot be decoded"
            media.problems.append(Problem(code="damaged_sound", message=_without_name(error, header.name)))
            return None
    if not len(sound.samples):
        media.absent["voice"] = "the file has no sound in this span"
        return None
    return sound


def _why_no_sound(clip: Clip, header: Header | None) -> str:
    if clip.audio is not None:
        return "the separate audio file has no sound"
    if header is None:
        return "no sound was given"
    return {"image": "an image has no sound", "animation": "an animated image has no sound"}.get(
        header.kind, "the file has no sound"
    )


def _check_something(clip: Clip, header: Header | None, seen: _Seen | None, sound: Sound | None, media: Media) -> None:
    """Raise when media was given and nothing of it could be read."""
    if seen is not None or sound is not None or (header is None and clip.audio is None and clip.frames is None):
        return
    name = clip.name if header is None else header.name
    if clip.start is not None or clip.end is not None:
        span = f"{clip.start or 0:g} s to {'the end' if clip.end is None else f'{clip.end:g} s'}"
        length = "" if header is None or header.duration_s is None else f"; the file is {header.duration_s:.2f} s long"
        raise MediaUnreadable(f"{name}: there is nothing in the span {span}{length}", "bad_span")
    detail = "; ".join(problem.message for problem in media.problems) or media.absent.get("scene", "")
    raise MediaUnreadable(f"{name}: nothing of the file can be decoded ({detail})")


def _show(seen: _Seen, media: Media, config: MediaConfig) -> None:
    media.frame_size = seen.size
    media.frames = resize_all(seen.frames, scaled_size(seen.size, config.frame_size))
    media.frame_times_s = np.maximum(seen.times_s - media.start_s, 0).astype(np.float32)


def _find_face(seen: _Seen, clip: Clip, detector, config: MediaConfig, media: Media) -> None:
    if detector is None:
        media.absent["face"] = "the face detector is off (media.detector is 'none')"
        return
    track = track_face(seen.frames, detector, clip.person, config, seen.size[0] / seen.frames.shape[2])
    if isinstance(track, str):
        media.absent["face"] = track
    else:
        media.face = track


def _set_length(clip: Clip, header: Header | None, seen: _Seen | None, sound: Sound | None, media: Media) -> None:
    """Length of what was read, and a note when the file ends before its header says."""
    reached = max([0.0, *([seen.end_s] if seen else []), *([sound.end_s] if sound else [])])
    stop = reached if clip.end is None else min(reached, clip.end)
    media.duration_s = float(max(0.0, stop - media.start_s))
    promised = None if header is None or header.kind not in ("video", "audio") else header.duration_s
    if promised is not None and clip.end is not None:
        promised = min(promised, clip.end)
    if promised is not None and promised - reached > _CUT_SHORT_S:
        message = f"the header promises {promised:.2f} s, the data end at {reached:.2f} s"
        media.problems.append(Problem(code="cut_short", message=message))
    elif clip.end is not None and clip.end - reached > _CUT_SHORT_S and reached > 0:
        message = f"the span ends at {clip.end:.2f} s, the file at {reached:.2f} s"
        media.problems.append(Problem(code="span_cut", message=message))


def _set_words(clip: Clip, media: Media) -> None:
    """Words of the span, their times from its begin; the transcript is made from them if it was not given."""
    end = clip.end if clip.end is not None else float("inf")
    for word in clip.words:
        if word.start is None or word.end is None:
            media.words.append(Word(text=word.text))
        elif word.end > media.start_s and word.start < end:
            begin, stop = max(0.0, word.start - media.start_s), min(word.end, end) - media.start_s
            media.words.append(Word(text=word.text, start=begin, end=stop))
    if media.transcript is None and media.words:
        media.transcript = " ".join(word.text for word in media.words)
    if not (media.transcript or "").strip():
        media.transcript = None
        media.absent["words"] = NO_WORDS


def _without_name(error: MediaError, name: str) -> str:
    return str(error).removeprefix(f"{name}: ")
