"""CPED: Chinese television dialogues with emotion, sentiment, dialogue act, and personality of the speaker.

``{train,valid,test}_split.csv``, in the folder or in ``CPED/``: one line an utterance, with the columns `TV_ID,
Dialogue_ID, Utterance_ID, Speaker, Gender, Age, Neuroticism, Extraversion, Openness, Agreeableness, Conscientiousness,
Scene, FacePosition_LU, FacePosition_RD, Sentiment, Emotion, DA, Utterance`. Emotions of more than one word keep the
part that the taxonomy knows; ``positive-other`` and ``negative-other`` have no label, only a sentiment. `person_box` is
the published face box in pixels. Text only, Apache-style licence; Chen Y. et al. (2022), arXiv:2205.14727.
"""

from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.splits import keep_split
from cuewise.data_recipes.corpora.tables import Line, TableError, read_table
from cuewise.data_recipes.schema import Dialogue, Row

LICENCE = "Apache-2.0"
SOURCE = "CPED, Chen et al. (2022)"
FILES = {"train": "train_split.csv", "dev": "valid_split.csv", "test": "test_split.csv"}
EMOTIONS = {
    "happy": "happy", "grateful": "grateful", "relaxed": "relaxed", "positive-other": "", "neutral": "neutral",
    "anger": "angry", "angry": "angry", "sadness": "sad", "sad": "sad", "fear": "fearful", "feared": "fearful",
    "depress": "depressed", "depressed": "depressed", "disgust": "disgust", "disgusted": "disgust",
    "astonished": "surprised", "worried": "worried", "negative-other": "",
}  # fmt: skip
SENTIMENTS = {"negative": "-1", "neutral": "0", "positive": "1"}
TRAITS = ("Neuroticism", "Extraversion", "Openness", "Agreeableness", "Conscientiousness")
COLUMNS = ("TV_ID", "Dialogue_ID", "Utterance_ID", "Speaker", "Gender", "Age", *TRAITS, "Scene", "FacePosition_LU",
           "FacePosition_RD", "Sentiment", "Emotion", "DA", "Utterance")  # fmt: skip


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Rows of the tables that are there, in order; turns count within their dialogue."""
    folder = next((place for place in (root, root / "CPED") if (place / FILES["train"]).is_file()), root)
    there = {name: folder / file for name, file in FILES.items() if (folder / file).is_file()}
    if not there:
        raise TableError(f"{root}: none of {', '.join(FILES.values())} is there")
    rows = (row for name, path in there.items() if split in (None, name) for row in _rows(path, name))
    yield from keep_split(rows, split, root)


def _rows(path: Path, split: str) -> Iterator[Row]:
    turns: dict[str, int] = {}
    for line in read_table(path, COLUMNS):
        dialogue = line["Dialogue_ID"].strip()
        turn = turns[dialogue] = turns.get(dialogue, -1) + 1
        label = line.choice("Emotion", EMOTIONS)
        traits = {name.lower(): line[name].strip() for name in TRAITS if line[name].strip() not in ("", "unknown")}
        yield Row(
            id=line["Utterance_ID"].strip(), corpus="cped", split=split, transcript=line["Utterance"].strip(),
            language="zh", speaker=f"cped_{line['TV_ID'].strip()}_{line['Speaker'].strip()}",
            demographics={"sex": line["Gender"].strip() or None, "age": line["Age"].strip() or None, **traits},
            dialogue=Dialogue(id=dialogue, turn=turn), person_box=_box(line), labels=[label] if label else [],
            sentiment=float(line.choice("Sentiment", SENTIMENTS)), tier=line["DA"].strip() or None,
            context=f"Scene: {line['Scene'].strip()}." if line["Scene"].strip() else None,
            licence=LICENCE, source=SOURCE,
        )  # fmt: skip


def _box(line: Line) -> tuple[float, float, float, float] | None:
    """Corners written as ``488_14`` and ``654_204``; None where no face was found."""
    corners = [line[column].strip() for column in ("FacePosition_LU", "FacePosition_RD")]
    if any(text in ("", "-1", "-1_-1", "0_0", "unknown") for text in corners):
        return None
    try:
        (left, top), (right, bottom) = (tuple(map(float, text.split("_"))) for text in corners)
    except ValueError:
        raise line.fail("FacePosition_LU", f"{' '.join(corners)!r} are no corners like 488_14") from None
    return (left, top, right, bottom) if right > left and bottom > top else None
