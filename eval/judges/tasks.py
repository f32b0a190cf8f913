"""What judges are asked, in our own words, and how their replies are read.

Every reply is one JSON object of a fixed schema. Around it only white space, one code fence and a closed block of
thinking are accepted; anything else, a missing or surplus key, a number that is no integer or lies out of range makes
the reply invalid. Changing a prompt changes the fingerprint of its task, which is part of every result.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

_THINKING = re.compile(r"^\s*<think>.*?</think>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"^```(?:json)?\s*\n(.*)\n\s*```$", re.DOTALL | re.IGNORECASE)
MAX_LABELS, MAX_LABEL_CHARS, MAX_STEPS, MAX_CUES, MAX_CUE_CHARS = 16, 64, 24, 32, 300


class InvalidReplyError(ValueError):
    """A judge's reply that does not follow the schema of its task."""


Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JudgeTask:
    """One kind of question."""

    name: str
    wording: str
    """Prompt with ``{field}`` places."""

    show: Callable[[Fields], dict[str, str]]
    """Fields of an ask -> texts for the places."""

    schema: Callable[[Fields], dict[str, Any]]
    """JSON schema of the reply; local judges are held to it while they write."""

    value: Callable[[dict[str, Any], Fields], Any]
    """A reply of the right keys -> its value. Raises InvalidReplyError."""

    max_tokens: int = 256

    def prompt(self, fields: Fields) -> str:
        """The whole question. Raises KeyError for a missing field."""
        return self.wording.format(**self.show(fields)).encode("utf-8", "replace").decode("utf-8")

    def read(self, text: str, fields: Fields) -> Any:
        """The value of a raw reply. Raises InvalidReplyError."""
        found = one_object(text)
        wanted = set(self.schema(fields)["properties"])
        if set(found) != wanted:
            raise InvalidReplyError(f"keys {sorted(found)} instead of {sorted(wanted)}")
        return self.value(found, fields)

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits of the wording."""
        return hashlib.sha256(self.wording.encode()).hexdigest()[:12]


def one_object(text: str) -> dict[str, Any]:
    """The one JSON object a reply consists of. Raises InvalidReplyError."""
    bare = _THINKING.sub("", text).strip()
    fenced = _FENCE.match(bare)
    try:
        found = json.loads(fenced.group(1) if fenced else bare, object_pairs_hook=_no_doubles, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InvalidReplyError(f"no JSON object ({error})") from None
    if not isinstance(found, dict):
        raise InvalidReplyError(f"JSON of type {type(found).__name__}, not an object")
    return found


def integer(found: Fields, key: str, low: int, high: int) -> int:
    """A whole number in [low, high]; neither rounded nor clipped. Raises InvalidReplyError."""
    value = found[key]
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidReplyError(f"{key} must be a whole number, got {value!r:.60}")
    if not low <= value <= high:
        raise InvalidReplyError(f"{key} must lie in {low}..{high}, got {value}")
    return value


def texts(found: Fields, key: str, most: int, chars: int) -> list[str]:
    """A list of texts, trimmed. Raises InvalidReplyError."""
    value = found[key]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidReplyError(f"{key} must be a list of texts, got {value!r:.60}")
    if len(value) > most:
        raise InvalidReplyError(f"{key} holds {len(value)} texts, allowed are {most}")
    trimmed = [" ".join(item.split()) for item in value]
    if any(not item or len(item) > chars for item in trimmed):
        raise InvalidReplyError(f"{key} holds an empty text or one of more than {chars} characters")
    return trimmed


def text_or_none(found: Fields, key: str, chars: int) -> str | None:
    """A text, or null. Raises InvalidReplyError."""
    value = found[key]
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > chars:
        raise InvalidReplyError(f"{key} must be a text of at most {chars} characters or null, got {value!r:.60}")
    return " ".join(value.split())


def schema_of(**properties: dict[str, Any]) -> dict[str, Any]:
    """An object with exactly these properties."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def text_list(most: int, chars: int) -> dict[str, Any]:
    """Schema of a list of texts."""
    return {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": chars}, "maxItems": most}


def quoted(text: str, limit: int = 6000) -> str:
    """A text between marks that it cannot close itself, cut where it is longer than any answer should be."""
    text = text.replace("<<<", "‹‹‹").replace(">>>", "›››")
    return f"<<<{text if len(text) <= limit else text[:limit] + ' …'}>>>"


def listed(labels: Any) -> str:
    """Labels as one line."""
    return ", ".join(labels) if labels else "(none)"


def task_named(name: str) -> JudgeTask:
    """The task of that name; the error names the nearest one."""
    from importlib import import_module

    tasks: dict[str, JudgeTask] = import_module("cuewise.eval.judges.questions").TASKS
    if name in tasks:
        return tasks[name]
    near = get_close_matches(name, tasks, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"known: {', '.join(tasks)}"
    raise ValueError(f"unknown judge task {name!r}; {hint}")


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")
