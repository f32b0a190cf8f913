"""What a synthetic person looks like, drawn from a seed: proportions, skin, hair, beard, glasses, age.

Lengths are face units: 1 is half the height of the head, the eyes lie at height 0, y points down, x to the image right.
Colours are RGB in [0, 255].
"""

from dataclasses import dataclass, field

import numpy as np

SKIN_TONES = np.array([
    (246, 220, 203), (236, 198, 174), (218, 172, 141), (192, 142, 106), (158, 110, 78), (118, 79, 56), (82, 55, 42),
], np.float32)  # fmt: skip
"""Light to dark along the whole human range; a person's tone is interpolated between neighbours."""

HAIR_COLOURS = {
    "black": (24, 20, 20), "dark brown": (52, 36, 27), "brown": (88, 60, 40), "blond": (186, 150, 96),
    "red": (134, 66, 36), "grey": (140, 138, 136), "white": (205, 203, 200),
}  # fmt: skip
EYE_COLOURS = {
    "brown": (84, 54, 34), "dark": (48, 32, 24), "hazel": (118, 92, 52), "green": (92, 116, 84), "blue": (98, 128, 158),
}  # fmt: skip
HAIR_STYLES = ("bald", "buzz", "short", "parted", "long", "curly", "fringe", "tied")
BEARDS = ("none", "stubble", "moustache", "goatee", "full")


@dataclass(frozen=True, slots=True)
class Proportions:
    """Geometry of one face in face units; every value is a neutral, expressionless face."""

    half_width: float
    jaw: float
    """Width of the jaw relative to the cheekbones."""
    chin: float
    """Width of the chin relative to the cheekbones."""
    eye_x: float
    eye_half_width: float
    eye_open: float
    """Height of the open eye."""
    eye_tilt: float
    """Rise of the outer eye corner over the inner one."""
    brow_y: float
    brow_arch: float
    brow_thickness: float
    nose_length: float
    nose_half_width: float
    mouth_y: float
    mouth_half_width: float
    upper_lip: float
    lower_lip: float
    corner_rest: float
    """Resting height of the lip corners below the middle of the mouth."""
    asymmetry: float
    """Left and right side move by factors 1 + asymmetry and 1 - asymmetry."""


@dataclass(frozen=True, slots=True)
class Appearance:
    """One person. `Appearance.from_seed(seed)` always draws the same one."""

    seed: int
    shape: Proportions
    skin: tuple[float, float, float]
    tone: float
    """0 lightest to 1 darkest skin."""
    hair_style: str
    hair_colour: tuple[float, float, float]
    beard: str
    eye_colour: tuple[float, float, float]
    lip_colour: tuple[float, float, float]
    glasses: str | None
    """None, `round` or `square`."""
    age: float
    """Years; lines and grey hair follow it."""
    freckles: float
    clothes: tuple[float, float, float]
    hair_volume: float = field(default=0.05)

    @classmethod
    def from_seed(cls, seed: int) -> "Appearance":
        """Draw a person; different seeds are different people."""
        rng = np.random.default_rng([seed, 0xFACE])
        tone = float(rng.uniform(0, 1))
        skin = _skin(tone, rng)
        age = float(np.clip(rng.gamma(6.0, 6.5), 18, 85))
        style = str(rng.choice(HAIR_STYLES, p=(0.06, 0.1, 0.22, 0.16, 0.18, 0.1, 0.08, 0.1)))
        hair = _hair(tone, age, rng)
        can_beard = style not in ("long", "tied", "fringe")
        beard = str(rng.choice(BEARDS, p=(0.5, 0.2, 0.08, 0.08, 0.14))) if can_beard else "none"
        eyes = ("dark", "brown") if tone > 0.5 else tuple(EYE_COLOURS)
        red = np.array((178, 84, 84), np.float32) if rng.uniform() < 0.75 else np.array((170, 50, 62), np.float32)
        lips = 0.56 * np.array(skin) * (0.94, 0.8, 0.8) + 0.44 * red * (1 - 0.5 * tone)
        return cls(
            seed=seed, shape=_proportions(rng), skin=skin, tone=tone, hair_style=style, hair_colour=hair, beard=beard,
            eye_colour=EYE_COLOURS[str(rng.choice(eyes))], lip_colour=_rgb(lips),
            glasses=str(rng.choice(("round", "square"))) if rng.uniform() < 0.18 else None,
            age=age, freckles=float(rng.uniform(0, 1) ** 6 if tone < 0.5 else 0.0),
            clothes=_rgb(rng.uniform(25, 215, 3)),
            hair_volume={"bald": 0.0, "buzz": 0.01, "curly": 0.14}.get(style, 0.05) + float(rng.uniform(0, 0.02)),
        )  # fmt: skip


def _proportions(rng: np.random.Generator) -> Proportions:
    width = rng.uniform(0.68, 0.79)
    return Proportions(
        half_width=width, jaw=rng.uniform(0.8, 0.93), chin=rng.uniform(0.44, 0.58),
        eye_x=width * rng.uniform(0.405, 0.445), eye_half_width=rng.uniform(0.125, 0.152),
        eye_open=rng.uniform(0.098, 0.116), eye_tilt=rng.uniform(-0.012, 0.03),
        brow_y=rng.uniform(-0.215, -0.175), brow_arch=rng.uniform(0.02, 0.06), brow_thickness=rng.uniform(0.036, 0.066),
        nose_length=rng.uniform(0.36, 0.44), nose_half_width=rng.uniform(0.115, 0.17),
        mouth_y=rng.uniform(0.59, 0.625), mouth_half_width=rng.uniform(0.215, 0.275),
        upper_lip=rng.uniform(0.04, 0.06), lower_lip=rng.uniform(0.056, 0.08),
        corner_rest=rng.uniform(-0.012, 0.014), asymmetry=rng.uniform(-0.1, 0.1),
    )  # fmt: skip


def _skin(tone: float, rng: np.random.Generator) -> tuple[float, float, float]:
    at = tone * (len(SKIN_TONES) - 1)
    low = min(int(at), len(SKIN_TONES) - 2)
    colour = SKIN_TONES[low] + (at - low) * (SKIN_TONES[low + 1] - SKIN_TONES[low])
    return _rgb(colour * rng.uniform(0.96, 1.04, 3))


def _hair(tone: float, age: float, rng: np.random.Generator) -> tuple[float, float, float]:
    if age > 60 or (age > 42 and rng.uniform() < 0.35):
        name = "white" if age > 70 else "grey"
    elif tone > 0.45:
        name = str(rng.choice(("black", "dark brown"), p=(0.7, 0.3)))
    else:
        name = str(rng.choice(("black", "dark brown", "brown", "blond", "red"), p=(0.2, 0.25, 0.25, 0.2, 0.1)))
    return _rgb(np.array(HAIR_COLOURS[name]) * rng.uniform(0.85, 1.15))


def _rgb(colour: np.ndarray) -> tuple[float, float, float]:
    red, green, blue = np.clip(colour, 0, 255)
    return float(red), float(green), float(blue)
