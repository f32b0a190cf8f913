"""Which words of a text tell its emotion: weighted log-odds over a labelled corpus, and the cues they give.

A text that is labelled as a whole says nothing about where its emotion stands. The log-odds ratio of a word in the
texts of one label against all others, divided by its standard error (Monroe et al. 2008, "Fightin' Words", with an
uninformative prior), finds the words that do; each text's strongest one becomes a `words` cue that quotes it.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable

from cuewise.data_recipes.corpora import common_label
from cuewise.data_recipes.schema import Row
from cuewise.mllm.report import Cue

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
MIN_COUNT = 15
PRIOR = 1.0
MIN_CHARS = 3
TELLING = 3.5
"""Standard errors above which a word counts as telling."""


def words_of(text: str) -> list[str]:
    """Lower-case words of a text; placeholders in brackets such as [NAME] are no words."""
    return [word.lower().replace("’", "'") for word in _WORD.findall(re.sub(r"\[[A-Z]+\]", " ", text))]


def telling_words(rows: Iterable[Row]) -> dict[str, dict[str, float]]:
    """{common label: {word: z-score}} of the words that tell the label; `neutral` tells nothing and is left out."""
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        label = common_label(row.labels[0]) if row.labels else None
        if label and row.transcript:
            counts.setdefault(label, Counter()).update(set(words_of(row.transcript)))
    total: Counter[str] = sum(counts.values(), Counter())
    size = sum(total.values())
    found: dict[str, dict[str, float]] = {}
    for label, own in counts.items():
        if label == "neutral":
            continue
        own_size = sum(own.values())
        scores = {
            word: _z(count, own_size, total[word] - count, size - own_size)
            for word, count in own.items() if total[word] >= MIN_COUNT and len(word) >= MIN_CHARS
        }  # fmt: skip
        found[label] = {word: score for word, score in scores.items() if score > TELLING}
    return found


def _z(count: int, size: int, other: int, other_size: int) -> float:
    a, b = count + PRIOR, other + PRIOR
    odds = math.log(a / (size + 1 - a)) - math.log(b / (other_size + 1 - b))
    return odds / math.sqrt(1 / a + 1 / b)


def add_word_cues(rows: list[Row]) -> list[Row]:
    """Give each text with a label and no cues the cue that quotes its most telling word, if it has one."""
    scores = telling_words(rows)
    for row in rows:
        label = common_label(row.labels[0]) if row.labels else None
        if row.cues or not row.transcript or label not in scores:
            continue
        telling = [word for word in words_of(row.transcript) if word in scores[label]]
        if telling:
            best = max(telling, key=scores[label].__getitem__)
            row.cues = [Cue(channel="words", observation=f'"{best}"', supports=row.labels[:2])]
    return rows
