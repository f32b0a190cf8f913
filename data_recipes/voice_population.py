"""How ordinary voices measure: quantiles of every voice quantity, written to mllm/evidence/voice_population.yaml.

    python -m cuewise.data_recipes.voice_population PATH_TO_EMODB

The folder holds `clips.csv` with the columns file, emotion and split. Only a corpus whose licence lets the numbers be
shipped belongs here. The synthetic voice is measured beside it, to show where it differs from people.
"""

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from cuewise.data_recipes.synthetic.voice import VoiceProgram, synthesize
from cuewise.mllm.evidence.voice import UNITS, VoiceMeasures, voice_register

LEVELS_PCT = (5, 25, 50, 75, 95)
TARGET = Path(__file__).resolve().parents[1] / "mllm" / "evidence" / "voice_population.yaml"
SYNTHETIC_TEXT = "We have to leave the house right now because the water keeps rising, and nobody answers the phone."
HEAD = """\
# Quantiles of the voice measures of mllm/evidence/voice.py by pitch register (is the clip's median pitch below or above
# 165 Hz): [5, 25, 50, 75, 95] per cent. `low` and `high` are neutral speech of EMO-DB (Burkhardt et al. 2005, CC0 1.0,
# train speakers 3 8 9 10), `all_emotions` all its clips of those speakers, `synthetic` the voice of
# data_recipes/synthetic.
# Loudness is dB of full scale and depends on the recording: it says nothing about another microphone.
# Made by: python -m cuewise.data_recipes.voice_population ../shared/data/emodb
"""


def read_folder(folder: Path, only: str | None = None) -> Iterable[tuple[str, VoiceMeasures]]:
    """(emotion, measures) of each clip of the train split, or of those with one emotion."""
    with (folder / "clips.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            if row["split"] == "train" and only in (None, row["emotion"]):
                samples, rate = soundfile.read(folder / row["file"], dtype="float32")
                yield row["emotion"], VoiceMeasures(samples, rate)


def synthetic_voices(count: int = 60) -> list[VoiceMeasures]:
    """Ordinary synthetic voices of `count` speakers from 90 to 260 Hz."""
    pitches = np.geomspace(90, 260, count)
    programs = (
        VoiceProgram(transcript=SYNTHETIC_TEXT, duration_s=5.0, base_f0_hz=float(f0), base_rate=4.6, seed=seed)
        for seed, f0 in enumerate(pitches)
    )
    return [VoiceMeasures(synthesize(program)[0]) for program in programs]


def quantiles(voices: Iterable[VoiceMeasures]) -> dict[str, dict[str, list[float] | int]]:
    """register -> {clips, quantity: quantiles at `LEVELS_PCT`}; clips without enough voice are left out."""
    groups: dict[str, list[VoiceMeasures]] = {"low": [], "high": []}
    for voice in voices:
        pitch = voice.read("pitch").value
        if pitch is not None:
            groups[voice_register(pitch)].append(voice)
    table: dict[str, dict[str, list[float] | int]] = {}
    for register, members in groups.items():
        table[register] = {"clips": len(members)}
        for quantity in UNITS:
            values = [v.value for v in (voice.read(quantity) for voice in members) if v.value is not None]
            if values:
                table[register][quantity] = [round(float(q), 3) for q in np.percentile(values, LEVELS_PCT)]
    return table


def as_yaml(table: dict[str, dict[str, list[float] | int]], indent: str = "") -> str:
    """The table as YAML, one quantity a line."""
    lines = []
    for register, rows in table.items():
        lines.append(f"{indent}{register}:")
        lines += [f"{indent}  {quantity}: {values}" for quantity, values in rows.items()]
    return "\n".join(lines) + "\n"


def as_markdown(table: dict[str, dict[str, list[float] | int]]) -> str:
    """The table for docs/voice.md."""
    lines = ["| register | quantity | unit | " + " | ".join(f"{level} %" for level in LEVELS_PCT) + " |",
             "| --- | --- | --- |" + " ---: |" * len(LEVELS_PCT)]  # fmt: skip
    for register, rows in table.items():
        for quantity, unit in UNITS.items():
            values = rows.get(quantity, [])
            lines.append(f"| {register} | {quantity} | {unit} | " + " | ".join(f"{v:.2f}" for v in values) + " |")
    return "\n".join(lines) + "\n"


def main(folder: Path) -> None:
    """Measure everything, write the YAML, print the tables."""
    clips = list(read_folder(folder))
    neutral = quantiles(voice for emotion, voice in clips if emotion == "neutral")
    everyone = quantiles(voice for _, voice in clips)
    synthetic = quantiles(synthetic_voices())
    text = HEAD + as_yaml(neutral)
    text += "all_emotions:\n" + as_yaml(everyone, "  ") + "synthetic:\n" + as_yaml(synthetic, "  ")
    TARGET.write_text(text, encoding="utf-8")
    for name, table in (("EMO-DB neutral", neutral), ("EMO-DB all", everyone), ("synthetic", synthetic)):
        counts = ", ".join(f"{rows['clips']} clips {register}" for register, rows in table.items())
        print(f"\n{name}: {counts}\n\n{as_markdown(table)}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m cuewise.data_recipes.voice_population PATH_TO_EMODB")
    main(Path(sys.argv[1]))
