"""IEMOCAP: acted dyads in five sessions, categorical labels and valence, activation, dominance from 1 to 5.

Original release: ``SessionN/dialog/EmoEvaluation/<dialogue>.txt`` with lines ``[start - end]<tab>utterance<tab>emotion
<tab>[V, A, D]``, ``SessionN/dialog/transcriptions/<dialogue>.txt`` with ``utterance [start-end]: text``, and sound in
``SessionN/sentences/wav/<dialogue>/<utterance>.wav``. `split` is the session (`session 5`); papers on four classes
leave one session out. The picture is a split screen and is not used here. Licence form; Busso C. et al. (2008).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.tables import TableError, decode
from cuewise.data_recipes.schema import Dialogue, Row

LICENCE = "licence form"
SOURCE = "IEMOCAP, Busso et al. (2008)"
EMOTIONS = {"neu": "neutral", "hap": "happy", "sad": "sad", "ang": "angry", "exc": "excited", "fru": "frustrated",
            "sur": "surprised", "fea": "fearful", "dis": "disgust"}  # fmt: skip
"""`xxx` (no agreement) and `oth` (other) have no label."""

_LABEL = re.compile(r"^\[(\d+\.?\d*) - (\d+\.?\d*)\]\t(\S+)\t(\w{3})\t\[(.+)\]")
_TEXT = re.compile(r"^(\S+)\s+\[[^\]]+\]:\s*(.*)$")


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Utterances with a label; `split` may be one session (`session 5`)."""
    sessions = [path for path in sorted(root.glob("Session[1-5]")) if split in (None, f"session {path.name[-1]}")]
    if not sessions:
        raise TableError(f"{root}: no folder Session1 ... Session5 for split `{split or 'any'}`")
    for session in sessions:
        tables = sorted((session / "dialog" / "EmoEvaluation").glob("*.txt"))
        if not tables:
            raise TableError(f"{session}: dialog/EmoEvaluation holds no tables")
        for table in tables:
            yield from _dialogue(root, session, table)


def _dialogue(root: Path, session: Path, table: Path) -> Iterator[Row]:
    texts = _texts(session / "dialog" / "transcriptions" / table.name)
    turn = 0
    for number, line in enumerate(decode(table.read_bytes()).splitlines(), 1):
        found = _LABEL.match(line)
        if found is None:
            continue
        turn += 1
        utterance, code = found.group(3), found.group(4)
        if code not in EMOTIONS:
            continue
        try:
            valence, arousal, dominance = ((float(v) - 3) / 2 for v in found.group(5).split(","))
        except ValueError:
            raise TableError(f"{table}, line {number}: {found.group(5)!r} is not three numbers from 1 to 5") from None
        sound = f"{session.name}/sentences/wav/{table.stem}/{utterance}.wav"
        yield Row(
            id=utterance, corpus="iemocap", split=f"session {session.name[-1]}",
            media={"audio": sound} if (root / sound).is_file() else {}, transcript=texts.get(utterance), language="en",
            speaker=f"iemocap_{session.name[-1]}{utterance.rsplit('_', 1)[-1][0]}",
            dialogue=Dialogue(id=table.stem, turn=turn), labels=[EMOTIONS[code]], valence=_inside(valence),
            arousal=_inside(arousal), dominance=_inside(dominance), licence=LICENCE, source=SOURCE,
        )  # fmt: skip


def _texts(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    found = (_TEXT.match(line) for line in decode(path.read_bytes()).splitlines())
    return {match.group(1): match.group(2).strip() for match in found if match}


def _inside(value: float) -> float:
    return max(-1.0, min(1.0, value))
