"""EmoNet-Voice: how strongly one of 40 categories is heard, by several annotators (0 absent, 1 weak, 2 strong).

``bench.jsonl``, a layout of ours to convert the published tables to: `audio` (file), `emotion` (category), `ratings`
(list of 0, 1, 2), optionally `speaker`, `language`, `text`. The intensity is the mean rating on 0-10 (absent 0, weak 5,
strong 10); a row is labelled when most annotators hear its category at all. `tier` is the policy flag of a
sensitive category, which a served model shows only when it is allowed. CC BY 4.0; Schuhmann C. et al. (2025).
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from cuewise.data_recipes.corpora.labels import nearest
from cuewise.data_recipes.corpora.splits import keep_split
from cuewise.data_recipes.corpora.tables import TableError
from cuewise.data_recipes.numbers import SCALES, write_number
from cuewise.data_recipes.schema import Row
from cuewise.mllm.taxonomy import policy_flag, voice_categories, voice_category

LICENCE = "CC BY 4.0"
SOURCE = "EmoNet-Voice, Schuhmann et al. (2025)"
STEP = 5.0
"""What one step of the rating is worth on 0-10."""


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """One row a rated clip."""
    path = root / "bench.jsonl"
    if not path.is_file():
        raise TableError(f"{root}: no bench.jsonl is there")
    lines = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
    yield from keep_split((_row(path, number, line) for number, line in lines if line.strip()), split, root)


def intensity(ratings: Sequence[int]) -> float:
    """Mean rating on 0-10.

    >>> intensity([0, 1, 2]), intensity([2, 2])
    (5.0, 10.0)
    """
    if not ratings or any(rating not in (0, 1, 2) for rating in ratings):
        raise ValueError(f"ratings must be 0 (absent), 1 (weak) or 2 (strong), got {list(ratings)}")
    return STEP * sum(ratings) / len(ratings)


def _row(path: Path, number: int, line: str) -> Row:
    try:
        entry = json.loads(line)
        category = voice_category(str(entry["emotion"]))
        value = intensity(entry["ratings"])
    except (ValueError, KeyError, TypeError) as error:
        raise TableError(f"{path}, line {number}: {error}") from None
    if category is None:
        known = tuple(voice_categories())
        raise TableError(f"{path}, line {number}: unknown category {entry['emotion']!r}; "
                         f"{nearest(str(entry['emotion']), known)}")  # fmt: skip
    heard = 2 * sum(rating > 0 for rating in entry["ratings"]) > len(entry["ratings"])
    audio = str(entry.get("audio") or "")
    return Row(
        id=f"{Path(audio).stem}_{number}", corpus="emonet_voice", split=entry.get("split", "test"),
        media={"audio": audio} if audio else {}, transcript=entry.get("text"), language=entry.get("language"),
        speaker=entry.get("speaker"), labels=[category.lower()] if heard else [], task="voice_intensity",
        instruction=f"How strongly is {category.lower()} heard, from 0 to 10?",
        chosen=write_number(value, SCALES["voice_intensity"]), tier=policy_flag(category), licence=LICENCE,
        source=SOURCE,
    )  # fmt: skip
