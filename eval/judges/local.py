"""A judge that runs here: any causal language model of transformers, through our own engine.

Replies are held to the schema of their task while they are written (guided decoding), so that even a small model is
never malformed; what it says is still its own. `guided=False` leaves it free.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cuewise.eval.judges.base import JudgeAsk, JudgeError, Written
from cuewise.eval.judges.tasks import JudgeTask
from cuewise.mllm.engine.base import Completion, EngineRequest, SamplingParams, collect
from cuewise.mllm.engine.build import build_engine
from cuewise.mllm.systems.facts import model_facts, weights_hash

MAX_LENGTH = 8192
"""Longest question and reply together, in tokens; more would only cost memory."""
TOGETHER = 256
"""Requests handed to the engine at once."""


class LocalWriter:
    """Model and tokenizer of a folder.

    Args:
        guided: hold replies to their schema; the identity of the judge names it.
    """

    looks = False

    def __init__(self, folder: str | Path, *, device: str = "cpu", dtype: str = "auto", guided: bool = True):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.folder, self.guided = Path(folder), guided
        if not (self.folder / "config.json").is_file():
            raise JudgeError(f"judge local:{folder}: there is no model in that folder (no config.json)")
        try:
            self.model, found = AutoModelForCausalLM.from_pretrained(
                self.folder, dtype=dtype, local_files_only=True, output_loading_info=True
            )
            self.tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise JudgeError(f"judge local:{folder} cannot be loaded: {error}") from error
        if found["missing_keys"] or found["mismatched_keys"]:
            raise JudgeError(f"judge local:{folder}: weights are missing or of another shape, e.g. "
                             f"{sorted(map(str, [*found['missing_keys'], *found['mismatched_keys']]))[0]}")  # fmt: skip
        self.model = self.model.eval().to(device)
        self.name = f"local:{self.folder.name}"
        self.identity = f"local:{weights_hash(self.folder)}:{'guided' if guided else 'free'}"
        self.max_length = min(getattr(self.model.config, "max_position_embeddings", None) or 4096, MAX_LENGTH)
        self.engine = build_engine(self.model, self.tokenizer, self._end_ids(), self.max_length)

    def write(self, asks: Sequence[JudgeAsk], prompts: Sequence[str], tasks: Sequence[JudgeTask]) -> list[Written]:
        requests, failed = [], {}
        for number, (ask, prompt, task) in enumerate(zip(asks, prompts, tasks)):
            ids = self._ids(prompt)
            if len(ids) + task.max_tokens > self.max_length:
                failed[number] = (f"a prompt of {len(ids)} tokens and a reply of {task.max_tokens} pass the "
                                  f"{self.max_length} this judge can take")  # fmt: skip
                continue
            requests.append(EngineRequest(
                id=str(number), segments=[ids], grammar=task.schema(ask.fields) if self.guided else None,
                sampling=SamplingParams(temperature=ask.temperature, seed=ask.seed, max_tokens=task.max_tokens),
            ))  # fmt: skip
        done: dict[tuple[str, int], Completion] = {}
        for start in range(0, len(requests), TOGETHER):
            done |= collect(self.engine.generate(requests[start : start + TOGETHER]))
        return [Written(error=failed[n]) if n in failed else _written(done[(str(n), 0)]) for n in range(len(asks))]

    def describe(self) -> dict[str, Any]:
        return {"kind": "local", "model": self.folder.name, "model_type": self.model.config.model_type,
                "guided": self.guided, **model_facts(self.model, self.folder)}  # fmt: skip

    def close(self) -> None:
        self.engine.close()

    def _ids(self, prompt: str) -> list[int]:
        if self.tokenizer.chat_template:
            prompt = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": self._harmless(prompt)}], tokenize=False, add_generation_prompt=True
            )
            return list(self.tokenizer(prompt, add_special_tokens=False)["input_ids"])
        return list(self.tokenizer(self._harmless(prompt) + "\n")["input_ids"])

    def _harmless(self, text: str) -> str:
        """Text of answers under test that can spell no special token of the judge."""
        for token in self.tokenizer.added_tokens_decoder.values():
            if token.special and len(token.content) > 2:
                text = text.replace(token.content, f"{token.content[0]} {token.content[1:]}")
        return text

    def _end_ids(self) -> list[int]:
        ends = self.model.generation_config.eos_token_id
        ends = [] if ends is None else [ends] if isinstance(ends, int) else list(ends)
        own = self.tokenizer.eos_token_id
        return [*ends, *([] if own is None else [own])]


def _written(completion: Completion) -> Written:
    if completion.error or completion.finish_reason not in ("stop", "length"):
        return Written(error=completion.error or f"ended with {completion.finish_reason}")
    return Written(completion.text)
