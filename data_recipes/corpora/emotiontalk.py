"""EmotionTalk: Chinese dialogues of 19 actors, rated for text, sound, picture and all together.

``{Text,Audio,Video,Multimodal}/json/**/<id>.json``, one file an utterance and modality: `data` (one entry an annotator
with `emotion`), `emotion_result`, `speaker_id`, `file_name`, and for text and sound `content`. An utterance without a
modality keeps its row without that vote. Ids look like ``G00001_02_01_001`` (group, session, turn). The published test
groups are G00003 and G00015. CC BY-NC-SA 4.0; Sun H. et al. (2025), arXiv:2505.23018.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cuewise.data_recipes.corpora.labels import nearest
from cuewise.data_recipes.corpora.splits import keep_split
from cuewise.data_recipes.corpora.tables import TableError
from cuewise.data_recipes.schema import Dialogue, Row

LICENCE = "CC BY-NC-SA 4.0"
SOURCE = "EmotionTalk, Sun et al. (2025)"
FOLDERS = {"words": "Text", "voice": "Audio", "face": "Video", "all": "Multimodal"}
EMOTIONS = {
    "happy": "happy", "surprise": "surprised", "surprised": "surprised", "sad": "sad", "disgust": "disgust",
    "disgusted": "disgust", "anger": "angry", "angry": "angry", "fear": "fearful", "neutral": "neutral",
}  # fmt: skip
TEST_GROUPS = frozenset(("G00003", "G00015"))
MEDIA = (("audio", "Audio/wav", ".wav"), ("video", "Video/mp4", ".mp4"))


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """One row an utterance, of all modalities that are there."""
    found: dict[str, dict[str, Path]] = {}
    for channel, folder in FOLDERS.items():
        for path in sorted((root / folder / "json").rglob("*.json")):
            found.setdefault(path.stem, {})[channel] = path
    if not found:
        raise TableError(f"{root}: no <modality>/json/**/*.json is there; modalities are {', '.join(FOLDERS.values())}")
    media = {kind: {p.stem: p.relative_to(root).as_posix() for p in (root / folder).rglob(f"*{ending}")}
             for kind, folder, ending in MEDIA}  # fmt: skip
    yield from keep_split((_row(name, files, media) for name, files in sorted(found.items())), split, root)


def _row(name: str, files: dict[str, Path], media: dict[str, dict[str, str]]) -> Row:
    data = {channel: json.loads(path.read_text(encoding="utf-8")) for channel, path in files.items()}
    votes = {channel: counts for channel, one in data.items() if (counts := _votes(files[channel], one))}
    main = next(channel for channel in ("all", "words", "voice", "face") if channel in data)
    dialogue, _, turn = name.rpartition("_")
    spoken = next((one["content"] for one in data.values() if one.get("content")), None)
    return Row(
        id=name, corpus="emotiontalk", split="test" if name.split("_")[0] in TEST_GROUPS else "train",
        media={kind: found[name] for kind, found in media.items() if name in found},
        transcript=spoken, language="zh", speaker=f"emotiontalk_{data[main].get('speaker_id', 'unknown')}",
        dialogue=Dialogue(id=dialogue, turn=int(turn)) if turn.isdigit() else None,
        labels=[_label(files[main], data[main].get("emotion_result"))], votes=votes, licence=LICENCE, source=SOURCE,
    )  # fmt: skip


def _votes(path: Path, data: dict[str, Any]) -> dict[str, float]:
    entries = [one for one in data.get("data") or [] if isinstance(one, dict) and one.get("emotion")]
    return {label: float(n) for label, n in Counter(_label(path, one["emotion"]) for one in entries).items()}


def _label(path: Path, word: Any) -> str:
    key = str(word).strip().lower()
    if key not in EMOTIONS:
        raise TableError(f"{path}: unknown emotion {word!r}; {nearest(key, tuple(EMOTIONS))}")
    return EMOTIONS[key]
