"""Face Research Lab London Set: 102 people, photographed neutral and smiling.

Original release: folders ``neutral_front/`` and ``smiling_front/`` with ``001_03.jpg``, ``001_08.jpg`` and
``london_faces_info.csv`` (face_id, face_age, face_gender, face_eth), in one folder or with the folders side by side.
The release has no split, so its rows have none. Development layout: ``images.csv`` and ``images/``, split by person.

Smiling becomes `happy`. The smile was posed: what is known is the face action, not the feeling. That action is the
row's cue: lip corners up, or for the neutral pictures a head and gaze toward the camera, as the set prescribes.
CC BY 4.0; DeBruine L., Jones B. (2017), doi:10.6084/m9.figshare.5047666.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from cuewise.data_recipes.corpora.labels import SAME_STATE
from cuewise.data_recipes.corpora.splits import SPLITS, keep_split
from cuewise.data_recipes.corpora.tables import TableError, read_table
from cuewise.data_recipes.schema import Row
from cuewise.mllm.evidence.claims import phrase
from cuewise.mllm.report import Claim, Cue

LICENCE = "CC BY 4.0"
SOURCE = "Face Research Lab London Set, doi:10.6084/m9.figshare.5047666"
CLAIMS = {
    "happy": (Claim(attribute="lip corners", direction="up"),),
    "neutral": (Claim(attribute="head", direction="toward"), Claim(attribute="gaze", direction="toward")),
}
FOLDERS = {"neutral_front": "neutral", "smiling_front": "happy"}
_IMAGE = re.compile(r"^(\d{3})(?:_.*)?$")


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """Rows of either layout."""
    rows = _table(root) if (root / "images.csv").is_file() else _folders(root)
    yield from keep_split(rows, split, root)


def _table(root: Path) -> Iterator[Row]:
    columns = ("image", "file", "face_id", "expression", "split", "age", "sex", "ethnicity")
    for line in read_table(root / "images.csv", columns):
        person = {"age": line.optional_number("age"), "sex": line["sex"], "ethnicity": line["ethnicity"]}
        label = line.choice("expression", SAME_STATE)
        split = line.choice("split", {name: name for name in SPLITS})
        yield _row(line["image"], split, line["file"], line["face_id"], label, person)


def _folders(root: Path) -> Iterator[Row]:
    people = _people(root)
    for folder, label in FOLDERS.items():
        for path in sorted(root.rglob(f"{folder}/*.jpg")):
            match = _IMAGE.match(path.stem)
            if match is None:
                raise TableError(f"{path}: an image name must begin with the number of the person, like 001_03.jpg")
            face = match.group(1)
            yield _row(f"{face}_{folder.split('_')[0]}", None, path.relative_to(root).as_posix(), face, label,
                       people.get(face, {}))  # fmt: skip


def _people(root: Path) -> dict[str, dict[str, str | float | None]]:
    tables = sorted(root.rglob("london_faces_info.csv"))
    if not tables:
        return {}
    people = {}
    for line in read_table(tables[0], ("face_id", "face_age", "face_gender", "face_eth")):
        digits = re.sub(r"\D", "", line["face_id"])
        if not digits:
            raise line.fail("face_id", f"{line['face_id']!r} has no number")
        people[f"{int(digits):03d}"] = {
            "age": line.optional_number("face_age"), "sex": line["face_gender"], "ethnicity": line["face_eth"],
        }  # fmt: skip
    return people


def _row(key: str, split: str | None, file: str, face: str, label: str, person: dict[str, str | float | None]) -> Row:
    cues = [
        Cue(channel="face", observation=phrase("face", claim), supports=[label], claim=claim) for claim in CLAIMS[label]
    ]
    return Row(id=key, corpus="london_faces", split=split, media={"image": file}, speaker=f"london_{face}",
               demographics=person, labels=[label], cues=cues, licence=LICENCE, source=SOURCE)  # fmt: skip
