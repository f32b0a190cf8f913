"""Guided decoding: the answer is held to a JSON schema, or to our own report form, token by token.

A `Grammar` is text; `Grammars` compiles it for one tokenizer with llguidance, and a `Matcher` is its state in one
answer. With `report_grammar` an answer can be neither malformed nor name a time outside its clip; what it says is still
the model's own. docs/engine.md shows both.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

MAX_CUES = 8
MAX_LABELS = 4
MAX_OBSERVATION_CHARS = 120
MAX_REASONING_CHARS = 200
_COMPILED = 64
_CHANNELS = ("face", "voice", "words", "scene")
_OPENINGS = {"explained": "<think>", "direct": "<answer>"}

_LARK = r"""
start: {start}
think: {think} {end_think} "\n" {begin_answer} answer
answer: {labels} {end_answer} confidence?
confidence: "\n" {begin_confidence} CONFIDENCE {end_confidence}
cue: "[" place "] " OBSERVATION " => " labels "\n"
place: {channels}
SPAN: / ({span})/
labels: LABEL (", " LABEL){{0,{more_labels}}}
choices: choice{more_choices}
choice: {choices}
FREE: /[^<]+/
OBSERVATION: /[^\s.<>\p{{C}}\p{{Z}}]([^<>\p{{C}}\p{{Zl}}\p{{Zp}}]{{0,{observation}}}[^<>\p{{C}}\p{{Z}}])?/
REASONING: /[\p{{L}}\p{{N}}"]([^<>\p{{C}}\p{{Zl}}\p{{Zp}}]{{0,{reasoning}}})?\n/
LABEL: /\p{{L}}([\p{{L}}' -]{{0,30}}\p{{L}})?/
CONFIDENCE: /0\.[0-9][0-9]|1\.00/
"""


@dataclass(frozen=True, slots=True)
class Grammar:
    """What an answer must look like, in llguidance's own grammar format."""

    text: str


def json_grammar(schema: dict[str, Any] | str) -> Grammar:
    """Answers that are JSON of this schema, without any white space between the parts.

    Flexible white space is off: with it a weak model writes blanks up to its token limit. Raises ValueError for what is
    no schema; parts of a schema that are not supported are named when it is compiled.
    """
    from llguidance import LLMatcher

    try:
        parsed = json.loads(schema) if isinstance(schema, str) else schema
        if not isinstance(parsed, (dict, bool)):
            raise ValueError(f"a JSON schema is an object, got {type(parsed).__name__}")
        return Grammar(LLMatcher.grammar_from_json_schema(parsed, overrides={"whitespace_flexible": False}))
    except (ValueError, TypeError) as error:
        raise ValueError(f"grammar: no usable JSON schema: {error}") from error


def report_grammar(
    form: Literal["explained", "direct"], duration_s: float | None, channels: Iterable[str], *, opened: bool = True,
    candidates: Sequence[str] = (), free: bool = False,
) -> Grammar:
    """Answers in our own form (docs/answer-format.md), which the parser reads without any problem.

    Args:
        form: explained (cue lines, reasoning, answer) or direct (answer alone).
        duration_s: length of the clip; cues name times inside it. None or 0: cues without times.
        channels: channels that are present; cues name no other. Explained answers need at least one.
        opened: the prompt already ends with the opening tag, ``<think>`` or ``<answer>``.
        candidates: the answer names no other labels than these.
        free: cues and reasoning are not held to their form, the answer alone is.
    """
    present = [name for name in _CHANNELS if name in set(channels)]
    unknown = set(channels) - set(_CHANNELS)
    if form not in _OPENINGS:
        raise ValueError(f"grammar: unknown answer form {form!r}; forms are {', '.join(_OPENINGS)}")
    if unknown:
        raise ValueError(f"grammar: unknown channel {sorted(unknown)[0]!r}; channels are {', '.join(_CHANNELS)}")
    if form == "explained" and not present and not free:
        raise ValueError("grammar: an explained answer needs a channel to name cues of; ask for the direct form")
    last = int((duration_s or 0.0) * 100 + 1e-6)
    spans = "" if free else span_pattern(last)
    places = " | ".join(f'"{name}"' + (" SPAN?" if spans else "") for name in present or _CHANNELS)
    body = "think" if form == "explained" else "answer"
    return Grammar(_LARK.format(
        start=body if opened else f"<{body}> {body}", channels=places, span=spans or "x",
        more_labels=MAX_LABELS - 1, observation=MAX_OBSERVATION_CHARS - 2, reasoning=MAX_REASONING_CHARS - 2,
        end_think="</think>", begin_answer="<answer>", end_answer="</answer>",
        begin_confidence="<confidence>", end_confidence="</confidence>",
        think="FREE" if free else f'"\\n" cue{{1,{MAX_CUES}}} REASONING?', labels="choices" if candidates else "labels",
        choices=" | ".join(json.dumps(label, ensure_ascii=False) for label in candidates or ("x",)),
        more_choices=f' (", " choice){{0,{min(MAX_LABELS, len(candidates)) - 1}}}' if len(candidates) > 1 else "",
    ))  # fmt: skip


def words_grammar(words: Sequence[str]) -> Grammar:
    """Answers that are one of these words, and nothing else."""
    return Grammar("start: " + " | ".join(json.dumps(word, ensure_ascii=False) for word in words))


def span_pattern(last: int) -> str:
    """Regular expression of `start-end` in seconds with two decimals, start < end <= `last` hundredths.

    Start and end differ by a tenth at least where they lie in the same second: shorter spans cannot be measured, and
    the expression stays small.
    """
    found = []
    for second in range(last // 100 + 1):
        if 100 * (second + 1) <= last:
            found.append(rf"{second}\.[0-9][0-9]-{number_pattern(100 * (second + 1), last)}")
        for tenth in range(9):
            low, high = 100 * second + 10 * (tenth + 1), min(100 * second + 99, last)
            if low <= high:
                found.append(rf"{second}\.{tenth}[0-9]-{number_pattern(low, high)}")
    return "|".join(found)


def number_pattern(low: int, high: int) -> str:
    """Regular expression of the numbers `low` to `high`, counted in hundredths and written with two decimals."""
    found = []
    while low <= high:
        size = next(size for size in (1000, 100, 10, 1) if low % size == 0 and low + size - 1 <= high)
        whole, part = divmod(low, 100)
        found.append({
            1000: rf"{whole // 10 or ''}[0-9]\.[0-9][0-9]", 100: rf"{whole}\.[0-9][0-9]",
            10: rf"{whole}\.{part // 10}[0-9]", 1: rf"{whole}\.{part:02d}",
        }[size])  # fmt: skip
        low += size
    return f"({'|'.join(found)})"


class Matcher:
    """State of a grammar in one answer."""

    idle = False
    """Whether any token may follow."""

    def __init__(self, matcher: Any, end_ids: Sequence[int]):
        self._matcher = matcher
        self._end_ids = list(end_ids)

    def constrain(self, logits: Tensor) -> Tensor:
        """Logits [vocabulary] with every token the grammar forbids here at minus infinity.

        Raises ValueError when the grammar has broken down, or no token may follow.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            raise ValueError(f"the grammar cannot go on: {_first_line(self._matcher.get_error())}")
        allowed = np.zeros(len(logits), np.uint8)
        unpacked = np.unpackbits(bits, bitorder="little")[: len(logits)]
        allowed[: len(unpacked)] = unpacked
        if not allowed.any():
            raise ValueError("the grammar allows no token here, not even the end")
        return logits.masked_fill(~torch.from_numpy(allowed).bool(), -torch.inf)

    def accept(self, token: int) -> bool:
        """Go on by a token; True when the answer is complete and nothing may follow."""
        if not self._matcher.consume_token(token):
            raise ValueError(f"the grammar does not take token {token}: {_first_line(self._matcher.get_error())}")
        return self._matcher.is_stopped()


class Grammars:
    """Compiles grammars for one tokenizer and keeps the last ones used. Safe from any thread.

    Args:
        vocabulary: rows of logits, which may be more than the tokenizer has.
        end_ids: tokens that end an answer; allowed where the grammar is complete.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, vocabulary: int, end_ids: Iterable[int]):
        self.tokenizer, self._vocabulary, self._end_ids = tokenizer, vocabulary, sorted(end_ids)
        self._bridge: Any = None
        self._known: OrderedDict[str, Any] = OrderedDict()
        self._lock = threading.Lock()

    def matcher(self, grammar: Grammar | dict[str, Any] | str) -> Matcher:
        """A fresh state. Raises ValueError that names the part of a schema that is not supported."""
        text = (grammar if isinstance(grammar, Grammar) else json_grammar(grammar)).text
        with self._lock:
            if text not in self._known:
                self._known[text] = self._compile(text)
                while len(self._known) > _COMPILED:
                    self._known.popitem(last=False)
            self._known.move_to_end(text)
            return Matcher(self._known[text].deep_copy(), self._end_ids)

    def _compile(self, text: str) -> Any:
        from llguidance import LLMatcher
        from llguidance.hf import from_tokenizer

        if self._bridge is None:
            size = max(self._vocabulary, len(self.tokenizer))
            self._bridge = from_tokenizer(self.tokenizer, n_vocab=size, eos_token=self._end_ids or None)
        matcher = LLMatcher(self._bridge, text, log_level=0)
        if matcher.is_error():
            raise ValueError(f"grammar: cannot be used: {_first_line(matcher.get_error())}")
        return matcher


def _first_line(message: str) -> str:
    return message.strip().splitlines()[0] if message.strip() else "no reason given"
