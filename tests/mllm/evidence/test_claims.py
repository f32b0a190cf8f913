"""Words <-> claims."""

import subprocess
import sys

import pytest

from cuewise.mllm.evidence.claims import degrees, direction, load, opposite, phrase, read_claim, vocabulary
from cuewise.mllm.report import CHANNELS, Claim

EVERY = [
    (channel, Claim(attribute=attribute, direction=name, degree=degree))
    for channel in CHANNELS
    for attribute, name in vocabulary(channel)
    for degree in degrees(channel, attribute, name)
]


def worded(channel, claim):
    return phrase(channel, claim, quote="we won" if channel == "words" else None)


def test_every_claim_reads_back_from_its_own_wording():
    assert len(EVERY) > 150
    wrong = [(worded(c, claim), read_claim(c, worded(c, claim))) for c, claim in EVERY
             if read_claim(c, worded(c, claim)) != claim]  # fmt: skip
    assert wrong == []


def test_every_claim_reads_back_among_free_words():
    for channel, claim in EVERY:
        text = f"once more; {worded(channel, claim).capitalize()}, as if to himself"
        assert read_claim(channel, text) == claim, text


def test_no_two_claims_share_a_wording():
    for channel in CHANNELS:
        texts = [worded(c, claim) for c, claim in EVERY if c == channel]
        assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    ("attribute", "directions"),
    [(a, {"higher", "lower", "steady", "rising", "falling"})
     for a in ("pitch", "loudness", "rate", "pitch range", "tremor", "breathiness")] + [("pauses", {"more", "fewer"})],
)  # fmt: skip
def test_voice_covers_the_table(attribute, directions):
    assert {d for a, d in vocabulary("voice") if a == attribute} == directions


def test_face_and_scene_cover_the_table():
    face = {}
    for attribute, name in vocabulary("face"):
        face.setdefault(attribute, set()).add(name)
    assert face == {
        "lip corners": {"up", "down"}, "lips": {"pressed", "parted"}, "jaw": {"dropped"}, "cheeks": {"raised"},
        "brows": {"raised", "lowered"}, "eyes": {"widened", "narrowed", "closed"}, "nose": {"wrinkled"},
        "chin": {"raised"}, "upper lip": {"raised"},
        "head": {"up", "down", "away", "toward", "tilted", "shaking", "nodding"},
        "gaze": {"up", "down", "away", "toward"},
    }  # fmt: skip
    actions = {q for d in load("face").directions.values() for q in d.quantities if q.startswith("AU")}
    assert actions == {f"AU{n}" for n in (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 17, 24, 25, 26, 43)}
    scene = set(vocabulary("scene"))
    assert {("brightness", "lower"), ("colourfulness", "higher"), ("people", "one"), ("people", "several"),
            ("motion", "higher")} <= scene  # fmt: skip
    assert vocabulary("words") == [("quote", "present")]


@pytest.mark.parametrize(
    ("channel", "observation", "expected"),
    [
        ("voice", "loudness clearly lower; almost a whisper", ("loudness", "lower", "clearly")),
        ("voice", "almost a whisper; loudness clearly lower", ("loudness", "lower", "clearly")),
        ("voice", "rate clearly faster", ("rate", "higher", "clearly")),
        ("voice", "speaks a little slower", ("rate", "lower", "slightly")),
        ("voice", "voice loudness slightly lower", ("loudness", "lower", "slightly")),
        ("voice", "his voice is shaking", ("tremor", "higher", "clearly")),
        ("voice", "very high pitch", ("pitch", "higher", "strongly")),
        ("voice", "pitch range slightly narrower", ("pitch range", "lower", "slightly")),
        ("voice", "Pitch Clearly Higher.", ("pitch", "higher", "clearly")),
        ("face", "lip corners up", ("lip corners", "up", "clearly")),
        ("face", "the corners of the mouth are pulled strongly down", ("lip corners", "down", "strongly")),
        ("face", "brows raised, eyes widened", ("brows", "raised", "clearly")),
        ("face", "furrowed eyebrows (AU4)", ("brows", "lowered", "clearly")),
        ("face", "looking slightly away", ("gaze", "away", "slightly")),
        ("scene", "dim room", ("brightness", "lower", "clearly")),
        ("scene", "two people at a table", ("people", "several", "clearly")),
        ("words", 'the word "sorry"', ("quote", "present", "clearly")),
        ("words", "she says 'it's over'", ("quote", "present", "clearly")),
    ],
)
def test_free_wording(channel, observation, expected):
    claim = read_claim(channel, observation)
    assert (claim.attribute, claim.direction, claim.degree) == expected


@pytest.mark.parametrize(
    ("channel", "observation"),
    [
        ("face", "a big smile"), ("face", "x"), ("face", ""), ("voice", "higher"), ("voice", "pitch"),
        ("voice", "no higher pitch"), ("voice", "the pitch is not higher"), ("face", "brows never lowered"),
        ("face", "eyes, widened"), ("words", "sorry"), ("words", 'nothing is quoted: ""'),
        ("words", "don't say it's so"),
        ("voice", "lip corners clearly up"),
    ],
)  # fmt: skip
def test_no_claim(channel, observation):
    assert read_claim(channel, observation) is None


def test_the_opposite_of_the_opposite_is_the_claim_itself():
    flipped = 0
    for channel, claim in EVERY:
        other = opposite(channel, claim)
        if other is not None and claim.direction != "closed":
            flipped += 1
            assert opposite(channel, other) == claim
            assert other.attribute == claim.attribute and other.direction != claim.direction
    assert flipped > 100
    assert opposite("face", Claim(attribute="nose", direction="wrinkled")) is None


def test_degrees_have_rising_thresholds():
    for channel in CHANNELS:
        for meaning in load(channel).directions.values():
            assert list(meaning.thresholds) == sorted(meaning.thresholds), meaning
            if meaning.against is not None:
                assert meaning.against <= meaning.thresholds[0], meaning


def test_a_claim_outside_the_vocabulary_is_refused_with_what_exists():
    with pytest.raises(ValueError, match=r"face has no attribute 'ears'; it has lip corners"):
        phrase("face", Claim(attribute="ears", direction="up"))
    with pytest.raises(ValueError, match=r"voice pauses cannot be 'higher'; it can be more, fewer"):
        direction("voice", Claim(attribute="pauses", direction="higher"))
    with pytest.raises(ValueError, match=r"has no degrees, got 'strongly'"):
        phrase("scene", Claim(attribute="people", direction="one", degree="strongly"))
    with pytest.raises(ValueError, match="needs the quote"):
        phrase("words", Claim(attribute="quote", direction="present"))
    with pytest.raises(ValueError, match="no channel 'smell'"):
        vocabulary("smell")


def test_the_vocabulary_loads_fast_and_without_torch():
    code = (
        "import sys, time, cuewise.mllm.report\n"
        "from cuewise.mllm.evidence import claims\n"
        "t = time.process_time()\n"
        "[claims.load(c) for c in ('voice', 'face', 'words', 'scene')]\n"
        "print(time.process_time() - t, 'torch' in sys.modules, 'scipy' in sys.modules)"
    )
    seconds, torch_in, scipy_in = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert (torch_in, scipy_in) == ("False", "False")
    assert float(seconds) < 0.03
