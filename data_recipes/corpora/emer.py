"""EMER: clips of MER2023 with written explanations, in both published layouts.

v1 ``gt-eng.csv`` (or ``gt-chi.csv``): `names, emotions, subtitles, reasons`, 100 clips with a label. v2
``final-EMER-reason.csv``: `name` (the README says `names`), `chinese, english`, 332 clips without a label column. Clips
``<id>.avi`` become the row's video where they lie in the folder or below it. No split is published.

A v2 description runs from visual over acoustic and textual clues to the inference; `parts` takes it apart.
Explanations are Apache-2.0 with a research notice, clips need the MER2023 licence; Lian Z. et al. (2023),
arXiv:2306.15401.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.splits import keep_split
from cuewise.data_recipes.corpora.tables import Line, TableError, read_table
from cuewise.data_recipes.schema import Row

LICENCE = "research only"
SOURCE = "EMER, Lian et al. (2023)"
EMOTIONS = {"angry": "angry", "happy": "happy", "worried": "worried", "sad": "sad", "surprise": "surprised"}
PARTS = ("visual", "acoustic", "textual", "conclusion")

_SENTENCE = re.compile(r"[^.!?。！？]+[.!?。！？]*\s*")
_CLUES = {
    "conclusion": re.compile(r"\b(therefore|overall|in summary|can infer|be inferred|taken together|thus)\b", re.I),
    "textual": re.compile(r"\b(subtitle|subtitles|text|says|words|sentence|content of)\b", re.I),
    "acoustic": re.compile(r"\b(audio|voice|tone|pitch|speech|speaks|volume|sound|sounds)\b", re.I),
    "visual": re.compile(r"\b(video|picture|scene|face|facial|expression|eyes|brows?|mouth|gesture|screen)\b", re.I),
}  # fmt: skip


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Rows of whichever layout is there; both together where both are."""
    clips = {path.stem: path.relative_to(root).as_posix() for path in sorted(root.rglob("*.avi"))}
    rows: list[Row] = []
    for name, make in (("gt-eng.csv", _first), ("final-EMER-reason.csv", _second)):
        path = next((place for place in (root / name, *sorted(root.rglob(name))) if place.is_file()), None)
        if path is not None:
            rows += make(path, clips)
    if not rows:
        raise TableError(f"{root}: neither gt-eng.csv (v1) nor final-EMER-reason.csv (v2) is there")
    yield from keep_split(rows, split, root)


def parts(description: str) -> dict[str, str]:
    """Visual, acoustic, textual clues and the conclusion of a description, sentence by sentence.

    A sentence belongs to the first kind of clue it speaks of, the conclusion before the others; a sentence that speaks
    of none stays with the one before. The last sentence is the conclusion when no other is.
    """
    found: dict[str, list[str]] = {name: [] for name in PARTS}
    current = "visual"
    sentences = [sentence.strip() for sentence in _SENTENCE.findall(description) if sentence.strip()]
    for sentence in sentences:
        current = next((name for name, pattern in _CLUES.items() if pattern.search(sentence)), current)
        found[current].append(sentence)
    if not found["conclusion"] and len(sentences) > 1:
        last = next(name for name in PARTS if found[name] and found[name][-1] == sentences[-1])
        found["conclusion"].append(found[last].pop())
    return {name: " ".join(texts) for name, texts in found.items()}


def _first(path: Path, clips: dict[str, str]) -> list[Row]:
    return [
        _row(line["names"].strip(), "v1", clips, line["reasons"], line.choice("emotions", EMOTIONS), line["subtitles"])
        for line in read_table(path, ("names", "emotions", "subtitles", "reasons"))
    ]


def _second(path: Path, clips: dict[str, str]) -> list[Row]:
    column = "names" if "names" in path.read_text(encoding="utf-8-sig").split("\n", 1)[0].split(",") else "name"
    lines: Iterator[Line] = read_table(path, (column, "chinese", "english"))
    return [_row(line[column].strip(), "v2", clips, line["english"], None, None) for line in lines]


def _row(
    name: str, tier: str, clips: dict[str, str], reason: str, label: str | None, subtitle: str | None
) -> Row:
    return Row(
        id=f"{name}_{tier}", corpus="emer", media={"video": clips[name]} if name in clips else {},
        transcript=(subtitle or "").strip() or None, language="zh", labels=[label] if label else [],
        reasoning=" ".join(reason.split()), tier=tier, licence=LICENCE, source=SOURCE,
    )  # fmt: skip
