import numpy as np
import pytest
import yaml
from shared_data import shared_dir

from cuewise.data_recipes.voice_population import TARGET, as_markdown, as_yaml, quantiles, read_folder, synthetic_voices
from cuewise.mllm.evidence.voice import UNITS


def test_table_can_be_read_back_and_shown():
    table = quantiles(synthetic_voices(6))
    assert yaml.safe_load(as_yaml(table)) == table
    assert table["low"]["clips"] + table["high"]["clips"] == 6
    assert as_markdown(table).count("\n") == 2 + 2 * len(UNITS)


def test_shipped_numbers_are_those_of_the_corpus():
    pytest.importorskip("soundfile")
    voices = [voice for _, voice in read_folder(shared_dir("data", "emodb"), "neutral")]
    shipped = yaml.safe_load(TARGET.read_text(encoding="utf-8"))
    for register, rows in quantiles(voices).items():
        for quantity, values in rows.items():
            # Decoders of another version round samples differently.
            np.testing.assert_allclose(values, shipped[register][quantity], rtol=0.02, atol=0.02)
