"""`CuewiseProcessor`: media -> tensors, and prompt parts -> token ids with the right number of placeholders.

Text is always encoded with special tokens split, so nothing that a person says or writes can become a placeholder.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from torch import Tensor
from transformers import ProcessorMixin

from cuewise.mllm.config_tools import from_dict
from cuewise.mllm.encoders.base import EncoderConfig, ImageEncoderConfig
from cuewise.mllm.encoders.features import voice_features
from cuewise.mllm.media.config import MediaConfig
from cuewise.mllm.media.person import person_crops
from cuewise.mllm.media.types import SAMPLE_RATE_HZ, Media
from cuewise.mllm.registry import COMPRESSORS, ENCODERS
from cuewise.mllm.streams import FUSED, StreamPlan
from cuewise.mllm.taxonomy.lexicon import Lexicon, Place, lexicon_at
from cuewise.mllm.tensors import ClipTensors, StreamTensors, collate
from cuewise.mllm.tokenizer import token_ids

CUT_SECTIONS = ("context", "transcript")
"""Sections of a prompt that give way, in this order, when it is too long."""

UNNAMED = (FUSED, "words", "context")
"""Slots whose rows stand at the beginning of a prompt, because its text has no place for them."""

HOW_READ = ("num_frames", "sampler", "frame_size", "decode_size", "scan_size", "scan_frames", "detector", "yunet_path",
            "detect_size", "face_size", "face_margin", "max_seconds")  # fmt: skip
"""Media options that decide what a model is shown of a clip; the others are limits of whoever reads it."""

_SECTION = re.compile(rf"(<({'|'.join(CUT_SECTIONS)})>)(.*?)(</\2>)", re.DOTALL)


class Slot(Protocol):
    """The place of one stream in a prompt, e.g. `cuewise.mllm.prompts.StreamSlot`."""

    stream: str


class CuewiseProcessor(ProcessorMixin):
    """The tokenizer and the stream plan of one model.

    Args:
        tokenizer: any fast tokenizer with our structural tokens (`cuewise.mllm.tokenizer`).
        streams, prefusion, features: as in `CuewiseConfig`; take them from there with `from_config`.
        media: options of `HOW_READ` with which the model's training clips were read, where they are not the default.
    """

    def __init__(
        self, tokenizer: Any = None, streams: dict | None = None, prefusion: dict | None = None,
        features: dict | None = None, media: dict | None = None,
    ):  # fmt: skip
        super().__init__(tokenizer)
        self.plan = StreamPlan.build(
            streams or {}, prefusion or {"name": "none"}, features or {}, token_ids(tokenizer)
        )
        self.streams = {
            name: asdict(stream)
            | {"encoder": ENCODERS.resolve(stream.encoder), "compressor": COMPRESSORS.resolve(stream.compressor)}
            for name, stream in self.plan.streams.items()
        }
        self.prefusion = self.plan.prefusion
        self.features = asdict(self.plan.features)
        self.media = dict(media or {})
        from_dict(MediaConfig, self.media, "media.")

    @classmethod
    def from_config(cls, config: Any, tokenizer: Any) -> "CuewiseProcessor":
        """The processor that belongs to a `CuewiseConfig`; raises ValueError where the token ids differ."""
        processor = cls(tokenizer, config.streams, config.prefusion, config.features)
        processor.check(config)
        return processor

    def check(self, config: Any) -> None:
        """Raise ValueError unless this processor writes what a model with `config` reads."""
        for name, mine, model in (
            ("tokens", asdict(self.plan.tokens), asdict(config.plan.tokens)), ("streams", self.streams, config.streams),
            ("prefusion", self.prefusion, config.plan.prefusion), ("features", self.features, config.features),
        ):  # fmt: skip
            if mine != model:
                raise ValueError(
                    f"processor and model disagree on `{name}`: {mine} and {model}; load both from one folder"
                )
        size = getattr(config.text_config, "vocab_size", None)
        if size is not None and len(self.tokenizer) > size:
            raise ValueError(
                f"the tokenizer has {len(self.tokenizer)} ids but the language model {size}; "
                "set text_config.vocab_size or call model.resize_token_embeddings"
            )

    # Media

    def keep_media(self, config: MediaConfig) -> None:
        """Remember how the clips that the model learns from are read."""
        self.media = {name: value for name, value in _changed(config).items() if name in HOW_READ}

    def media_config(self, given: MediaConfig | None = None) -> MediaConfig:
        """How to read clips for this model: as in training, save for what `given` has other than the default."""
        return MediaConfig(**{**self.media, **_changed(given or MediaConfig())})

    def tensors(self, media: Media) -> ClipTensors:
        """What the encoders eat, one entry per stream that is present in `media` and known to the model."""
        make = {"face": self._face, "scene": self._scene, "voice": self._voice, "words": self._words,
                "context": self._context}  # fmt: skip
        built = {name: make[name](media, stream.encoder_config) for name, stream in self.plan.streams.items()}
        return ClipTensors({name: tensors for name, tensors in built.items() if tensors is not None})

    def with_context(self, clip: ClipTensors, context: str | None) -> ClipTensors:
        """The clip with this text about it as a stream, for models that read it so."""
        stream = self.plan.streams.get("context")
        read = None if stream is None else self._text(context, stream.encoder_config)
        others = {name: given for name, given in clip.streams.items() if name != "context"}
        return ClipTensors(others if read is None else others | {"context": read})

    def collate(
        self, clips: Sequence[ClipTensors], device: str | torch.device | None = None
    ) -> dict[str, Tensor]:
        """One padded batch, see `cuewise.mllm.tensors`."""
        return collate(clips, device)

    def num_tokens(self, clip: ClipTensors) -> dict[str, int]:
        """{slot: rows} that the model will make of this clip, `fused` included."""
        return self.plan.num_tokens(clip.lengths)

    def _face(self, media: Media, encoder: EncoderConfig) -> StreamTensors | None:
        """Crops of the frames in which the face was found, with the times of those frames."""
        if media.face is None or not media.face.found.any():
            return None
        found = media.face.found
        return _pictures(media.face.crops[found], media.frame_times_s[found], encoder)

    def _scene(self, media: Media, encoder: EncoderConfig) -> StreamTensors | None:
        if media.frames is None or not len(media.frames):
            return None
        scene = _pictures(media.frames, media.frame_times_s, encoder)
        return _with_person(scene, media, encoder) if getattr(encoder, "with_person", False) else scene

    def _voice(self, media: Media, encoder: EncoderConfig) -> StreamTensors | None:
        if media.samples is None or not len(media.samples):
            return None
        if self.plan.features.sample_rate != SAMPLE_RATE_HZ:
            raise ValueError(
                f"features.sample_rate is {self.plan.features.sample_rate} but media is read at {SAMPLE_RATE_HZ} Hz; "
                f"set it to {SAMPLE_RATE_HZ}"
            )
        if encoder.input_kind == "samples":
            wave = torch.from_numpy(np.ascontiguousarray(media.samples, dtype=np.float32))
            return StreamTensors(wave, torch.arange(len(wave)) / SAMPLE_RATE_HZ)
        return StreamTensors(*voice_features(media.samples, self.plan.features))

    def _words(self, media: Media, encoder: EncoderConfig) -> StreamTensors | None:
        return self._text(media.transcript or " ".join(word.text for word in media.words), encoder)

    def _context(self, media: Media, encoder: EncoderConfig) -> StreamTensors | None:
        return self._text(media.context, encoder)

    def _text(self, text: str | None, encoder: EncoderConfig) -> StreamTensors | None:
        """The last ids of a text; with a lexicon [N, 4], each with the place of its word."""
        said = (text or "").strip()
        ids = self.text_ids(said)[-encoder.max_tokens :]
        if not ids:
            return None
        values = torch.tensor(ids)
        lexicon = lexicon_at(getattr(encoder, "lexicon", None))
        if lexicon is not None:
            places = torch.tensor(self.text_places(said, lexicon)[-encoder.max_tokens :])
            values = torch.cat([values.unsqueeze(1).float(), places], 1)
        return StreamTensors(values)

    # Prompts

    def text_ids(self, text: str) -> list[int]:
        """Ids of plain text; what looks like a special token stays text."""
        if not text:
            return []
        ids = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return list(ids)

    def text_places(self, text: str, lexicon: Lexicon) -> list[Place]:
        """(valence, arousal, dominance) of the word that each token of `text_ids` belongs to; NaN for unknown ones."""
        made = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
        spans = lexicon.spans(text)
        nowhere = (math.nan,) * 3
        return [
            next((place for low, high, place in spans if begin < high and low < end), nowhere)
            for begin, end in made["offset_mapping"]
        ]  # fmt: skip

    def prompt_ids(
        self, parts: Sequence[str | Slot], present: Mapping[str, int] | None = None, max_tokens: int | None = None
    ) -> list[int]:
        """A prompt from `cuewise.mllm.prompts.build` as ids, up to where the answer begins.

        Args:
            parts: strings, and slots with a `stream`. Rows of `UNNAMED` slots, which the text does not mention, come
                first.
            present: {slot: rows} from `num_tokens`. A slot that is not present writes nothing.
            max_tokens: longest prompt; context and then transcript give way, media never does.
        """
        present = {slot: count for slot, count in (present or {}).items() if count}
        named = [part.stream for part in parts if not isinstance(part, str)]
        self._check_slots(named, present)
        whole = self._prompt_pieces(parts, named, present, cut=False)
        if max_tokens is not None and sum(len(ids) for _, ids in whole) > max_tokens:
            whole = _shorten(self._prompt_pieces(parts, named, present, cut=True), max_tokens)
        return [token for _, ids in whole for token in ids]

    def _prompt_pieces(
        self, parts: Sequence[str | Slot], named: list[str], present: Mapping[str, int], cut: bool
    ) -> list[tuple[str, list[int]]]:
        """(section that may be cut or "", ids) in order; with `cut`, strings are taken apart at their sections."""
        ids = self.plan.tokens
        pieces: list[tuple[str, list[int]]] = [("", [ids.user])]
        pieces += [("", self._slot_ids(slot, present)) for slot in UNNAMED if slot not in named]
        for part in parts:
            pieces += self._text_pieces(part, cut) if isinstance(part, str) else [
                ("", self._slot_ids(part.stream, present))
            ]  # fmt: skip
        return [*pieces, ("", [ids.assistant])]

    def answer_ids(self, text: str) -> list[int]:
        """Ids of an answer to learn, with the end token."""
        return [*self.text_ids(text), self.plan.tokens.end]

    def _check_slots(self, named: list[str], present: Mapping[str, int]) -> None:
        twice = [slot for slot in named if named.count(slot) > 1]
        if twice:
            raise ValueError(f"the prompt shows {twice[0]} twice; each stream has one place")
        lost = [slot for slot in present if slot not in named and slot not in UNNAMED]
        if lost:
            raise ValueError(
                f"{lost[0]} has {present[lost[0]]} rows but no place in the prompt; build the prompt with this stream "
                "or leave the stream out of the clip"
            )

    def _slot_ids(self, slot: str, present: Mapping[str, int]) -> list[int]:
        ids = self.plan.tokens
        if slot not in present:
            return []
        return [ids.begins[slot], *[ids.placeholders[slot]] * present[slot], ids.media_end]

    def _text_pieces(self, text: str, max_tokens: int | None) -> list[tuple[str, list[int]]]:
        """(section that may be cut or "", ids); one piece unless there is a limit, because pieces may split words."""
        if max_tokens is None:
            return [("", self.text_ids(text))]
        pieces, last = [], 0
        for match in _SECTION.finditer(text):
            pieces += [("", self.text_ids(text[last : match.end(1)])), (match[2], self.text_ids(match[3]))]
            last = match.end(3)
        return [*pieces, ("", self.text_ids(text[last:]))]


def _changed(config: MediaConfig) -> dict[str, Any]:
    """The options that differ from the default."""
    return {field.name: getattr(config, field.name) for field in fields(config)
            if getattr(config, field.name) != field.default}  # fmt: skip


def _shorten(pieces: list[tuple[str, list[int]]], max_tokens: int) -> list[tuple[str, list[int]]]:
    """Cut context, then transcript, from their beginning until the prompt fits."""
    over = sum(len(ids) for _, ids in pieces) - max_tokens
    for section in CUT_SECTIONS:
        for index, (name, ids) in enumerate(pieces):
            if over > 0 and name == section:
                cut = min(over, len(ids))
                pieces[index], over = (name, ids[cut:]), over - cut
    if over > 0:
        raise ValueError(
            f"the prompt is {over} tokens longer than max_tokens={max_tokens} even without context and transcript; "
            "raise max_tokens or shorten the question (media is never cut)"
        )
    return pieces


def _with_person(scene: StreamTensors, media: Media, encoder: ImageEncoderConfig) -> StreamTensors:
    """Frames [T, S, S, c] -> [T, S, S, 2 c + 1]: with the person of each frame, and 255 where there is one."""
    crops, found = person_crops(media, encoder.image_size)
    person = _pictures(crops, media.frame_times_s, encoder).values
    flag = torch.from_numpy(found)[:, None, None, None].expand(*scene.values.shape[:3], 1).to(torch.uint8) * 255
    return StreamTensors(torch.cat([scene.values, person, flag], -1), scene.times_s)


def _pictures(images: np.ndarray, times_s: np.ndarray, encoder: ImageEncoderConfig) -> StreamTensors:
    """uint8 [T, h, w, 3] RGB -> uint8 [T, S, S, 3 or 1]."""
    size = encoder.image_size
    scaled = []
    for image in images:
        shrinks = image.shape[0] > size or image.shape[1] > size
        part = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        scaled.append(part if encoder.colour else cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)[..., None])
    values = torch.from_numpy(np.ascontiguousarray(np.stack(scaled)))
    return StreamTensors(values, torch.as_tensor(np.asarray(times_s), dtype=torch.float32))
