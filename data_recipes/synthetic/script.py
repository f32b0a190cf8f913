"""What is said in synthetic clips: our own sentences, some with a phrase that carries an emotion (transcripts.txt)."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from cuewise.data_recipes.synthetic.phones import PHONES, sounds

BANK = Path(__file__).with_name("transcripts.txt")
HELD_OUT = {7: "dev", 8: "test", 9: "test"}
"""Position in every ten sentences of a list -> the split in which alone it is spoken; the others are for training."""

_HEADING = re.compile(r"^\[(\w\w) (\w+)\]$")
_PHRASE = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence; `phrase` is the part of it that carries `label`, None in neutral wording."""

    text: str
    language: str
    label: str
    phrase: str | None
    split: str


@cache
def bank(path: Path = BANK) -> tuple[Sentence, ...]:
    """All sentences, in the order of the file."""
    sentences: list[Sentence] = []
    language = label = ""
    position = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        heading = _HEADING.match(line)
        if heading:
            language, label, position = heading[1], heading[2], 0
        elif line.strip() and not line.startswith("#"):
            phrase = _PHRASE.search(line)
            split = HELD_OUT.get(position % 10, "train")
            sentences.append(Sentence(_PHRASE.sub(r"\1", line), language, label, phrase and phrase[1], split))
            position += 1
    return tuple(sentences)


@cache
def sentences(split: str, language: str, label: str) -> tuple[Sentence, ...]:
    """Sentences of one split, language and emotion; empty where the bank has none."""
    return tuple(s for s in bank() if (s.split, s.language, s.label) == (split, language, label))


@cache
def syllables(text: str, language: str) -> int:
    """Syllables that the synthetic voice speaks for `text`."""
    words = [word.strip(".,;:!?") for word in text.split()]
    return sum(phone.is_nucleus for word in words for name in sounds(word, language) for phone in PHONES[name])


def pick(rng: np.random.Generator, split: str, language: str, label: str, count: int) -> list[Sentence]:
    """`count` sentences, one of them with the emotion (none where the language has no such sentence), in any order."""
    emotional = sentences(split, language, label) if label != "neutral" else ()
    chosen = [emotional[rng.integers(len(emotional))]] if emotional else []
    plain = sentences(split, language, "neutral")
    chosen += [plain[i] for i in rng.choice(len(plain), count - len(chosen), replace=False)]
    return [chosen[i] for i in rng.permutation(len(chosen))]
