"""What all off-the-shelf multimodal families of transformers share: load, look, prompt, generate in batches, reply.

A family is a small subclass that says which senses it has, how its chat marks media, and how many tokens its media
must become. These models write with `generate` of transformers, not with our engine, because their position schemes
and caches are their own.
"""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from cuewise.mllm.media import MediaConfig, MediaWorker
from cuewise.mllm.systems.base import SHOWN_MEDIA, Ask, Reply, ReplyError, SystemLoadError
from cuewise.mllm.systems.draws import RowDraws, RowLimits
from cuewise.mllm.systems.facts import model_facts
from cuewise.mllm.systems.reporting import report_on_text
from cuewise.mllm.systems.seen import Seen, Shown, look
from cuewise.mllm.systems.wording import ask_text

_SPECIAL = re.compile(r"<(\|[^<>]*\|)>")


class MediaLostError(RuntimeError):
    """Media that should reach the model did not; the message has both counts."""


class Batch(NamedTuple):
    """Everything about a few asks that are answered together."""

    asks: list[Ask]
    seen: list[Seen]
    prompts: list[str]
    inputs: dict[str, Tensor]
    media_tokens: list[dict[str, int]]
    """Per ask: kind of media -> tokens, as counted in the prompt."""


class MultimodalSystem:
    """A model with its own processor. Subclasses are the families.

    Args:
        batch_size: asks answered together; less when memory is short.
        max_tokens: longest answer of asks that name none.
        reports: make an `EmotionReport` of each answer, its cues checked against measurements (slower).
    """

    model_types: ClassVar[tuple[str, ...]] = ()
    sees: ClassVar[bool] = True
    hears: ClassVar[bool] = False
    not_needed: ClassVar[tuple[str, ...]] = ()
    """Beginnings of weight names that the answering part does not use."""

    def __init__(
        self, model: nn.Module, processor: Any, *, name: str, folder: Path | None = None,
        media: MediaConfig | None = None, batch_size: int = 4, max_tokens: int = 512, reports: bool = False,
    ):  # fmt: skip
        self.model, self.processor, self.name, self.folder = model.eval(), processor, name, folder
        self.worker = MediaWorker(media or SHOWN_MEDIA)
        self.batch_size, self.max_tokens, self.reports = batch_size, max_tokens, reports
        self.tokenizer = processor.tokenizer
        self.tokenizer.padding_side = "left"
        config = model.config.get_text_config()
        self.max_length = getattr(config, "max_position_embeddings", None) or 1 << 20
        special = {token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        self._special = sorted(token for token in special if len(token) > 2)
        self.check()

    def check(self) -> None:
        """Raise SystemLoadError for a processor that this family cannot work with."""

    def token_id(self, token: str) -> int:
        """Id of a placeholder token."""
        return self.tokenizer.convert_tokens_to_ids(token)

    # Loading

    @classmethod
    def load(cls, folder: Path, *, device: str = "cpu", dtype: str = "auto", attention: str | None = None,
             **options: Any) -> "MultimodalSystem":  # fmt: skip
        """From a folder written by `save_pretrained` or downloaded from a hub. Raises SystemLoadError."""
        from transformers import AutoProcessor

        extra = {} if attention is None else {"attn_implementation": attention}
        try:
            model, found = cls.model_class(folder).from_pretrained(
                folder, dtype=dtype, output_loading_info=True, local_files_only=True, **extra
            )
            processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, ImportError, KeyError) as error:
            raise SystemLoadError(f"model {str(folder)!r} cannot be loaded: {error}") from error
        unknown = [key for key in found["unexpected_keys"] if not key.startswith(cls.not_needed)]
        for what, keys in (("are missing", found["missing_keys"]), ("are of another shape", found["mismatched_keys"]),
                           ("belong to nothing", unknown)):  # fmt: skip
            if keys:
                raise SystemLoadError(
                    f"model {str(folder)!r}: {len(keys)} weights {what}, e.g. {sorted(map(str, keys))[0]}; "
                    "the folder and the installed transformers do not fit together"
                )
        return cls(model.to(device), processor, name=folder.name, folder=folder, **options)

    @classmethod
    def model_class(cls, folder: Path) -> Any:
        """The class of transformers that answers for this family."""
        from transformers import AutoModelForImageTextToText

        return AutoModelForImageTextToText

    # The system

    def describe(self) -> dict[str, Any]:
        media = self.worker.config
        return {
            "kind": "transformers", "model": self.name, "model_type": self.model.config.model_type,
            **model_facts(self.model, self.folder),
            "senses": [sense for sense, has in (("sees", self.sees), ("hears", self.hears)) if has],
            "frames": media.num_frames, "frame_size": media.frame_size, "sampler": media.sampler,
            "max_tokens": self.max_tokens, "repetition_penalty": self.model.generation_config.repetition_penalty,
        }  # fmt: skip

    def answer(self, asks: Iterable[Ask]) -> Iterator[Reply]:
        """Replies in order, `batch_size` at a time; what cannot be shown or asked is an error of that ask."""
        waiting = iter(asks)
        while some := list(islice(waiting, self.batch_size)):
            shown = list(look(self.worker, some, sees=self.sees, hears=self.hears))
            good = [item for item in shown if isinstance(item.seen, Seen)]
            replies = iter(self._answer_together(good))
            for ask, seen in shown:
                yield next(replies) if isinstance(seen, Seen) else Reply(id=ask.id, error=seen)

    def close(self) -> None:
        self.worker.close()

    def __enter__(self) -> "MultimodalSystem":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer_together(self, shown: Sequence[Shown]) -> list[Reply]:
        """Replies to a batch; where the batch fails, each alone, so that one bad ask spoils no other."""
        if not shown:
            return []
        try:
            return self._generate(self._batch(shown))
        except (RuntimeError, ValueError, TypeError, IndexError, KeyError) as error:
            if len(shown) == 1:
                code = "media_lost" if isinstance(error, MediaLostError) else "generation_failed"
                message = " ".join(f"{type(error).__name__}: {error}".split())[:500]
                return [Reply(id=shown[0].ask.id, error=ReplyError(code, message))]
        return [reply for item in shown for reply in self._answer_together([item])]

    # Prompts

    def _batch(self, shown: Sequence[Shown]) -> Batch:
        asks, seen = [item.ask for item in shown], [item.seen for item in shown]
        texts = [ask_text(ask, one, self.clean) for ask, one in zip(asks, seen)]
        prompts = [self.chat(self.kinds(one), text) for one, text in zip(seen, texts)]
        inputs = dict(self.inputs(seen, prompts))
        counts = self._check_media(seen, inputs)
        named = [f"{one.media_text()} {text}".strip() for one, text in zip(seen, texts)]
        for ask, length in zip(asks, inputs["attention_mask"].sum(1).tolist()):
            limit = ask.max_tokens or self.max_tokens
            if length + limit > self.max_length:
                raise ValueError(f"a prompt of {length} tokens and an answer of {limit} pass the {self.max_length} "
                                 "the model can take; show fewer or smaller frames")  # fmt: skip
        return Batch(asks, seen, named, inputs, counts)

    def clean(self, text: str) -> str:
        """User text that can spell no special token."""
        text = _SPECIAL.sub(r"‹\1›", text)
        for token in self._special:
            text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def kinds(self, seen: Seen) -> list[str]:
        """Media items of one chat, in order: a single frame is an image, several are a video."""
        pictures = [] if seen.frames is None else ["image" if len(seen.frames) == 1 else "video"]
        return pictures + (["audio"] if seen.samples is not None else [])

    def chat(self, kinds: Sequence[str], text: str) -> str:
        """The whole prompt as text: the folder's own chat template, or plain ChatML where it has none."""
        if getattr(self.processor, "chat_template", None):
            content = [*({"type": kind} for kind in kinds), {"type": "text", "text": text}]
            return self.processor.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
            )
        media = "".join(self.mark(kind) for kind in kinds)
        return f"<|im_start|>user\n{media}{text}<|im_end|>\n<|im_start|>assistant\n"

    def mark(self, kind: str) -> str:
        """How a chat shows one image, video or audio, for folders without a chat template."""
        raise NotImplementedError

    def inputs(self, seen: Sequence[Seen], prompts: list[str]) -> dict[str, Tensor]:
        """The processor's tensors for a batch; only kinds of media that are there are passed."""
        raise NotImplementedError

    # Media tokens

    def media_ids(self) -> dict[str, int]:
        """Kind of media -> id of its placeholder token."""
        raise NotImplementedError

    def expected_tokens(self, inputs: dict[str, Tensor]) -> dict[str, list[int]]:
        """Kind of media -> tokens of each item of the batch, as the model will produce them."""
        raise NotImplementedError

    def _check_media(self, seen: Sequence[Seen], inputs: dict[str, Tensor]) -> list[dict[str, int]]:
        """Tokens per ask and kind. Raises MediaLostError unless all media given are in the prompt, to the token."""
        ids = self.media_ids()
        expected = {kind: iter(counts) for kind, counts in self.expected_tokens(inputs).items()}
        found = []
        for row, one in zip(inputs["input_ids"], seen):
            given = self.kinds(one)
            counts = {kind: int((row == token).sum()) for kind, token in ids.items()}
            for kind, count in counts.items():
                wanted = sum(next(expected[kind], 0) for _ in range(given.count(kind))) if kind in expected else count
                if count != wanted or (kind in given) != (count > 0):
                    raise MediaLostError(f"{given.count(kind)} {kind} given, {wanted} tokens expected, {count} in the "
                                         "prompt")  # fmt: skip
            found.append({kind: count for kind, count in counts.items() if count})
        left = {kind: sum(1 for _ in rest) for kind, rest in expected.items()}
        if any(left.values()):
            raise MediaLostError(f"media without a place in any prompt: {left}")
        return found

    # Generation

    @torch.inference_mode()
    def _generate(self, batch: Batch) -> list[Reply]:
        began = time.perf_counter()
        limits = [ask.max_tokens or self.max_tokens for ask in batch.asks]
        inputs = {key: self._placed(value) for key, value in batch.inputs.items()}
        length = inputs["input_ids"].shape[1]
        written = self.model.generate(
            **inputs, do_sample=False, num_beams=1, temperature=None, top_p=None, top_k=None,
            max_new_tokens=max(limits), pad_token_id=self.tokenizer.pad_token_id,
            logits_processor=[RowDraws([ask.temperature for ask in batch.asks], [ask.seed for ask in batch.asks])],
            stopping_criteria=[RowLimits(length, limits)],
        )[:, length:].tolist()  # fmt: skip
        share = (time.perf_counter() - began) * 1000 / len(batch.asks)
        return [self._reply(batch, row, ids[: limits[row]], share) for row, ids in enumerate(written)]

    def _placed(self, value: Tensor) -> Tensor:
        """On the model's device; pictures and sound in its number format."""
        value = value.to(self.model.device)
        return value.to(self.model.dtype) if value.is_floating_point() and value.ndim > 1 else value

    def _reply(self, batch: Batch, row: int, ids: list[int], generate_ms: float) -> Reply:
        ask, seen = batch.asks[row], batch.seen[row]
        ends = self._end_ids()
        at = next((i for i, token in enumerate(ids) if token in ends), None)
        ids = ids if at is None else ids[:at]
        text = self.tokenizer.decode(ids, skip_special_tokens=True).strip()
        tokens = batch.media_tokens[row]
        report = None
        if self.reports and seen.media is not None:
            channels = {"voice": tokens.get("audio"), "scene": tokens.get("video", tokens.get("image"))}
            report = report_on_text(
                ask.clip.name, self.name, text, seen.media, {k: v for k, v in channels.items() if v},
                {"decode": seen.media.timing_ms.get("decode", 0.0), "generate": round(generate_ms, 2)},
            )  # fmt: skip
        return Reply(
            id=ask.id, text=text, prompt=batch.prompts[row], report=report,
            finish_reason="length" if at is None else "stop",
            usage={"prompt_tokens": int(batch.inputs["attention_mask"][row].sum()), "completion_tokens": len(ids),
                   "media_tokens": sum(tokens.values())},
        )  # fmt: skip

    def _end_ids(self) -> set[int]:
        ends = self.model.generation_config.eos_token_id
        ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
        return {*ends, self.tokenizer.eos_token_id}
