"""CREMA-D: 7,442 acted clips, 91 actors, twelve sentences, and votes of a crowd for voice, face and both.

Original release: ``processedResults/tabulatedVotes.csv`` (22,326 rows; the row id starts with 1 voice, 2 face,
3 audio-visual; columns A D F H N S are counts), or, without it, ``processedResults/summaryTable.csv`` (winners only,
ties joined by a colon); ``VideoDemographics.csv``; media in ``AudioWAV/`` and ``VideoFlash/`` where present.
Development layout: ``votes.csv``, ``actors.csv``, ``sentences.csv``, no media.

`labels` is the emotion the actor was asked for; what people heard and saw stands in `votes` (voice, face, all), and
the two often differ. Nobody voted for the words; they are neutral by design and have one such vote. `tier` is the
level asked for (LO MD HI XX). Split by actor: 56 train, 18 dev, 17 test.
Open Database Licence 1.0; Cao H. et al. (2014), IEEE Transactions on Affective Computing 5(4).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cuewise.data_recipes.corpora.labels import NEUTRAL_WORDS, SAME_STATE, nearest
from cuewise.data_recipes.corpora.splits import keep_split, same_speaker_split
from cuewise.data_recipes.corpora.tables import Line, TableError, read_table
from cuewise.data_recipes.schema import Row

LICENCE = "ODbL-1.0"
SOURCE = "CREMA-D, Cao et al. (2014)"
LETTERS = {"A": "angry", "D": "disgust", "F": "fearful", "H": "happy", "N": "neutral", "S": "sad"}
INTENDED = {"ANG": "angry", "DIS": "disgust", "FEA": "fearful", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
LEVELS = ("LO", "MD", "HI", "XX")
MODALITIES = {"voice": "voice", "face": "face", "audiovisual": "all"}
ROW_ID_MODALITY = {"1": "voice", "2": "face", "3": "all"}
SENTENCES = {
    "IEO": "It's eleven o'clock.", "TIE": "That is exactly what happened.", "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.", "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.", "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.", "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.", "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}  # fmt: skip
DEV_ACTORS = frozenset((1049, 1053, 1054, 1055, 1058, 1059, 1061, 1062, 1063, 1064, 1065, 1066, 1067, 1068, 1070, 1075,
                        1080, 1085))  # fmt: skip
TEST_ACTORS = frozenset((1048, 1069, 1071, 1074, 1076, 1077, 1078, 1079, 1082, 1083, 1084, 1086, 1087, 1088, 1089, 1090,
                         1091))  # fmt: skip

ConflictSubset = Literal["consistent", "video-aligned", "audio-aligned", "emergent", "all different"]
Votes = dict[str, dict[str, float]]


def split_of(actor: int) -> str:
    """Split of an actor, 1001-1091."""
    if not 1001 <= actor <= 1091:
        raise TableError(f"CREMA-D has the actors 1001 to 1091, got {actor}")
    return "test" if actor in TEST_ACTORS else "dev" if actor in DEV_ACTORS else "train"


def winner(votes: dict[str, float]) -> str | None:
    """The label with the most votes; None without votes or on a tie."""
    best = max(votes.values(), default=0)
    leaders = [label for label, count in votes.items() if count == best and count > 0]
    return leaders[0] if len(leaders) == 1 else None


def conflict_subset(row: Row) -> ConflictSubset | None:
    """How the crowd's votes for voice, face and both relate; None when any is missing or tied.

    ``consistent``: all three agree. ``video-aligned``: both = face, voice differs. ``audio-aligned``: both = voice,
    face differs. ``emergent``: voice = face, both differs. ``all different``: three labels.
    """
    voice, face, both = (winner(row.votes.get(channel, {})) for channel in ("voice", "face", "all"))
    if voice is None or face is None or both is None:
        return None
    if voice == face:
        return "consistent" if both == voice else "emergent"
    return "video-aligned" if both == face else "audio-aligned" if both == voice else "all different"


def read(root: Path, split: str | None = None) -> Iterator[Row]:
    """One row a clip, of either layout."""
    if (root / "votes.csv").is_file():
        votes, people = _development_votes(root / "votes.csv"), _people(root / "actors.csv")
    elif (root / "processedResults" / "tabulatedVotes.csv").is_file():
        votes, people = (
            _tabulated(root / "processedResults" / "tabulatedVotes.csv"),
            _people(root / "VideoDemographics.csv"),
        )
    else:
        votes, people = (
            _summary(root / "processedResults" / "summaryTable.csv"),
            _people(root / "VideoDemographics.csv"),
        )
    rows = (_row(root, clip, votes[clip], people) for clip in sorted(votes))
    yield from keep_split(rows, split, root)


def read_name(clip: str) -> tuple[int, str, str, str]:
    """Actor, sentence, label and level of ``1001_IEO_ANG_HI``."""
    parts = clip.split("_")
    if len(parts) != 4 or not parts[0].isdigit():
        raise TableError(
            f"`{clip}` is no CREMA-D name: it must look like 1001_IEO_ANG_HI (actor, sentence, emotion, level)"
        )
    for part, value, known in (("sentence", parts[1], tuple(SENTENCES)), ("emotion", parts[2], tuple(INTENDED)),
                               ("level", parts[3], LEVELS)):  # fmt: skip
        if value not in known:
            raise TableError(f"`{clip}` is no CREMA-D name: {part} {value!r}; {nearest(value, known)}")
    return int(parts[0]), SENTENCES[parts[1]], INTENDED[parts[2]], parts[3]


def _row(root: Path, clip: str, votes: Votes, people: dict[int, dict[str, str | int | None]]) -> Row:
    actor, transcript, label, level = read_name(clip)
    media = {}
    for kind, file in (("audio", f"AudioWAV/{clip}.wav"), ("video", f"VideoFlash/{clip}.flv")):
        if (root / file).is_file():
            media[kind] = file
    return Row(
        id=clip, corpus="crema_d", split=split_of(actor), media=media, transcript=transcript, language="en",
        speaker=f"crema_d_{actor}", demographics=people.get(actor, {}), labels=[label],
        votes={**votes, "words": dict(NEUTRAL_WORDS)}, tier=level,
        licence=LICENCE, source=SOURCE,
    )  # fmt: skip


def _development_votes(path: Path) -> dict[str, Votes]:
    words = ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
    votes: dict[str, Votes] = {}
    for line in read_table(path, ("clip", "actor", "split", "modality", *words)):
        actor = _checked_name(line, "clip")
        same_speaker_split(line["split"], split_of(actor), f"{path}, line {line.number}, column `split`")
        counts = {SAME_STATE[word]: line.number_in(word, 0, 1000) for word in words}
        _put(votes, line, line["clip"], line.choice("modality", MODALITIES), counts)
    return votes


def _tabulated(path: Path) -> dict[str, Votes]:
    votes: dict[str, Votes] = {}
    for line in read_table(path, ("", *LETTERS, "fileName")):
        _checked_name(line, "fileName")
        modality = ROW_ID_MODALITY.get(line[""].strip()[:1])
        if modality is None:
            raise line.fail("", f"row id {line['']!r} must start with 1 (voice), 2 (face) or 3 (both)")
        counts = {label: line.number_in(letter, 0, 1000) for letter, label in LETTERS.items()}
        _put(votes, line, line["fileName"], modality, counts)
    return votes


def _summary(path: Path) -> dict[str, Votes]:
    votes: dict[str, Votes] = {}
    for line in read_table(path, ("FileName", "VoiceVote", "FaceVote", "MultiModalVote")):
        _checked_name(line, "FileName")
        for column, modality in (("VoiceVote", "voice"), ("FaceVote", "face"), ("MultiModalVote", "all")):
            winners = {}
            for letter in line[column].split(":"):
                if letter not in LETTERS:
                    raise line.fail(column, f"unknown vote {letter!r}; {nearest(letter, tuple(LETTERS))}")
                winners[LETTERS[letter]] = 1.0
            _put(votes, line, line["FileName"], modality, winners)
    return votes


def _put(votes: dict[str, Votes], line: Line, clip: str, modality: str, counts: dict[str, float]) -> None:
    entry = votes.setdefault(clip, {})
    if modality in entry:
        raise TableError(f"{line.path}, line {line.number}: a second row of {clip} for {modality}")
    entry[modality] = {label: count for label, count in counts.items() if count}


def _checked_name(line: Line, column: str) -> int:
    try:
        return read_name(line[column])[0]
    except TableError as error:
        raise line.fail(column, str(error)) from None


def _people(path: Path) -> dict[int, dict[str, str | int | None]]:
    people = {}
    for line in read_table(path, ("ActorID", "Age", "Sex", "Race", "Ethnicity")):
        age = line.optional_number("Age")
        people[int(line.number_in("ActorID", 1001, 1091))] = {
            "age": None if age is None else int(age), "sex": line["Sex"].lower(), "race": line["Race"],
            "ethnicity": line["Ethnicity"],
        }  # fmt: skip
    return people
