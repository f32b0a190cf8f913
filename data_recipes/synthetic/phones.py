"""Letters -> speech sounds: a small spelling-to-sound table and the acoustic targets of each sound.

It is meant to sound like speech of the right length and rhythm, not to be understood: spelling rules are few, and
letters of other scripts become made-up syllables, always the same one for the same letter. Formant targets follow
Peterson and Barney (1952) for the vowels of men and Klatt (1980) for consonants.
"""

import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phone:
    """One stationary piece of a speech sound."""

    duration: float
    """Seconds at normal speed."""

    formants_hz: tuple[float, float, float]
    voicing_db: float | None = None
    """Level of the voiced sound; 0 is a vowel, None is none."""

    hiss_db: float | None = None
    """Level of the friction noise; 0 is as loud as a vowel, None is none."""

    hiss_hz: tuple[float, float] = (5000.0, 2500.0)
    """Centre and half width of the friction noise."""

    breath_db: float | None = None
    """Level of breath passing through the formants, as in h."""

    is_nucleus: bool = False
    """True for the vowel that makes a syllable."""


def _vowel(first: float, second: float, third: float, duration: float = 0.11) -> list[Phone]:
    return [Phone(duration, (first, second, third), voicing_db=0.0, is_nucleus=True)]


def _glide(start: tuple[float, float, float], end: tuple[float, float, float]) -> list[Phone]:
    return [Phone(0.08, start, voicing_db=0.0, is_nucleus=True), Phone(0.06, end, voicing_db=-1.0)]


def _sonorant(first: float, second: float, third: float, level_db: float = -6.0, duration: float = 0.06) -> list[Phone]:
    return [Phone(duration, (first, second, third), voicing_db=level_db)]


def _hiss(
    level_db: float, centre_hz: float, width_hz: float, duration: float, voicing_db: float | None = None
) -> list[Phone]:
    return [Phone(duration, (350, 1600, 2600), voicing_db, level_db, (centre_hz, width_hz))]


def _stop(locus_hz: float, burst_hz: float, is_voiced: bool) -> list[Phone]:
    place = (250.0, locus_hz, 2500.0)
    if is_voiced:
        return [Phone(0.045, place, voicing_db=-20.0), Phone(0.012, place, -12.0, -16.0, (burst_hz, 1200.0))]
    burst = Phone(0.014, place, hiss_db=-12.0, hiss_hz=(burst_hz, 1200.0))
    return [Phone(0.06, place), burst, Phone(0.022, place, breath_db=-16.0)]


PHONES: dict[str, list[Phone]] = {
    "iy": _vowel(270, 2290, 3010), "ih": _vowel(390, 1990, 2550, 0.085), "eh": _vowel(530, 1840, 2480),
    "ae": _vowel(660, 1720, 2410, 0.13), "aa": _vowel(730, 1090, 2440, 0.13), "ao": _vowel(570, 840, 2410, 0.12),
    "uw": _vowel(300, 870, 2240), "ah": _vowel(640, 1190, 2390, 0.09), "er": _vowel(490, 1350, 1690),
    "ue": _vowel(290, 1750, 2200), "oe": _vowel(430, 1550, 2300), "ax": _vowel(500, 1450, 2450, 0.065),
    "ey": _glide((500, 1950, 2550), (320, 2250, 2900)), "ay": _glide((730, 1200, 2450), (380, 2050, 2650)),
    "aw": _glide((720, 1150, 2450), (380, 900, 2300)), "ow": _glide((540, 950, 2400), (360, 800, 2300)),
    "oy": _glide((560, 860, 2400), (380, 2000, 2600)),
    "w": _sonorant(300, 640, 2200), "y": _sonorant(280, 2250, 3000), "r": _sonorant(340, 1100, 1450),
    "l": _sonorant(360, 1000, 2600), "m": _sonorant(250, 1050, 2200, -9), "n": _sonorant(250, 1550, 2500, -9),
    "ng": _sonorant(250, 1900, 2600, -10, 0.07),
    "s": _hiss(-11, 6300, 1400, 0.1), "sh": _hiss(-9, 3300, 1100, 0.1), "f": _hiss(-22, 5000, 3500, 0.085),
    "th": _hiss(-24, 5500, 3000, 0.08),
    "z": _hiss(-17, 6300, 1400, 0.075, -12), "zh": _hiss(-15, 3300, 1100, 0.075, -12),
    "v": _hiss(-28, 4500, 3000, 0.055, -10), "dh": _hiss(-30, 5000, 3000, 0.045, -9),
    "h": [Phone(0.055, (500, 1450, 2450), breath_db=-12.0)],
    "p": _stop(800, 1200, False), "t": _stop(1750, 4200, False), "k": _stop(1900, 2200, False),
    "b": _stop(800, 900, True), "d": _stop(1750, 3800, True), "g": _stop(1900, 2100, True),
}  # fmt: skip
PHONES["ch"] = [*PHONES["t"][:1], *_hiss(-10, 3500, 1200, 0.075)]
PHONES["jh"] = [*PHONES["d"][:1], *_hiss(-14, 3500, 1200, 0.06, -12)]
PHONES["ts"] = [*PHONES["t"][:1], *_hiss(-12, 6300, 1400, 0.08)]

_COMMON = {
    "a": "aa", "e": "eh", "i": "iy", "o": "ao", "u": "uw", "y": "iy", "b": "b", "c": "k", "d": "d", "f": "f", "g": "g",
    "h": "h", "j": "y", "k": "k", "l": "l", "m": "m", "n": "n", "p": "p", "q": "k", "r": "r", "s": "s", "t": "t",
    "v": "v", "w": "w", "x": "k s", "z": "z", "ch": "ch", "sh": "sh", "ng": "ng", "ß": "s", "ø": "oe", "æ": "ae",
}  # fmt: skip
SPELLING: dict[str, dict[str, str]] = {
    "en": _COMMON | {
        "a": "ae", "i": "ih", "o": "ao", "u": "ah", "j": "jh", "th": "th", "the": "dh ax", "ph": "f", "wh": "w",
        "ck": "k", "qu": "k w", "igh": "ay", "ee": "iy", "ea": "iy", "oo": "uw", "ou": "aw", "ow": "ow", "oa": "ow",
        "ai": "ey", "ay": "ey", "oi": "oy", "oy": "oy", "er": "er", "ir": "er", "ur": "er", "ar": "aa r", "or": "ao r",
        "ce": "s eh", "ci": "s ih", "cy": "s iy", "all": "ao l", "tion": "sh ax n", "kn": "n", "wr": "r", "ew": "y uw",
        "gh": "",
    },
    "de": _COMMON | {
        "sch": "sh", "sp": "sh p", "st": "s t", "ei": "ay", "ai": "ay", "ie": "iy", "eu": "oy", "äu": "oy", "au": "aw",
        "ü": "ue", "ö": "oe", "ä": "eh", "ch": "h", "ck": "k", "v": "f", "w": "v", "z": "ts", "qu": "k v", "ph": "f",
        "th": "t",
    },
    "pl": _COMMON | {
        "sz": "sh", "cz": "ch", "rz": "zh", "ż": "zh", "ź": "zh", "dz": "d z", "dź": "jh", "ch": "h", "ł": "w",
        "w": "v", "ó": "uw", "y": "ih", "ą": "ao n", "ę": "eh n", "ś": "sh", "ć": "ch", "ń": "n", "c": "ts",
    },
}  # fmt: skip
"""Language -> spelling -> sounds. Other languages written in Latin letters use the bare alphabet."""

_DIGITS = {
    "en": "zero one two three four five six seven eight nine",
    "de": "null eins zwei drei vier fünf sechs sieben acht neun",
    "pl": "zero jeden dwa trzy cztery pięć sześć siedem osiem dziewięć",
}
_WHOLE_WORDS = {
    "en": {
        "i": "ay", "a": "ax", "we": "w iy", "he": "h iy", "she": "sh iy", "me": "m iy", "be": "b iy", "so": "s ow",
        "no": "n ow", "go": "g ow", "to": "t uw", "do": "d uw", "you": "y uw", "are": "aa r", "was": "w ah z",
        "won": "w ah n", "one": "w ah n", "two": "t uw", "my": "m ay", "by": "b ay", "why": "w ay", "of": "ah v",
        "door": "d ao r", "they": "dh ey", "this": "dh ih s", "that": "dh ae t", "what": "w ah t", "have": "h ae v",
        "is": "ih z", "his": "h ih z", "here": "h iy r", "time": "t ay m", "like": "l ay k", "right": "r ay t",
    },
}  # fmt: skip
"""Frequent words whose spelling misleads."""

_MADE_UP = ("m aa", "n iy", "l ao", "t uw", "s eh", "k aa", "sh iy", "d ao", "y uw", "h eh", "g ey", "b ay", "z ow")


def sounds(word: str, language: str = "en") -> list[str]:
    """Names of the sounds of one word, keys of `PHONES`; empty when the word holds nothing to say.

    >>> sounds("keep")
    ['k', 'iy', 'p']
    """
    language = language.split("-")[0].lower()
    rules = SPELLING.get(language, _COMMON)
    word = unicodedata.normalize("NFC", word.lower())
    if word in _WHOLE_WORDS.get(language, {}):
        return _WHOLE_WORDS[language][word].split()
    digits = _DIGITS.get(language, _DIGITS["en"]).split()
    word = "".join(digits[int(c)] if c.isdecimal() else c for c in word)
    word = "".join(c for c in word if c.isalpha())
    if language == "en" and len(word) > 3 and word.endswith("e") and not word.endswith(("ee", "the")):
        word = word[:-1]
    named: list[str] = []
    place = 0
    while place < len(word):
        size = next((n for n in (4, 3, 2, 1) if word[place : place + n] in rules), 0)
        spelled = rules[word[place : place + size]].split() if size else _stranger(word[place], rules)
        named += [name for name in spelled if not named or name != named[-1]]
        place += max(size, 1)
    if named and not any(phone.is_nucleus for name in named for phone in PHONES[name]):
        named.append("ax")
    return named


def _stranger(letter: str, rules: dict[str, str]) -> list[str]:
    """Sounds of a letter the table lacks: its base letter, else a made-up syllable."""
    base = unicodedata.normalize("NFD", letter)[0]
    return rules[base].split() if base in rules else _MADE_UP[ord(letter) % len(_MADE_UP)].split()
