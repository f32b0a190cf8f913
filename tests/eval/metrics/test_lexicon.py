"""Words of explanations against true values, by numbers worked out by hand."""

import math

import pytest

from cuewise.eval.metrics.base import MetricInputError
from cuewise.eval.metrics.lexicon import lexicon_check, text_place
from cuewise.mllm.taxonomy.lexicon import Lexicon

LEXICON = Lexicon({"joy": (1.0, 0.5, 0.0), "tears": (-0.5, 0.25, -1.0), "calm": (0.5, -0.5, 0.5)})


def test_the_place_of_a_text_is_the_mean_of_its_known_words():
    assert text_place("Joy and tears, table", LEXICON) == (0.25, 0.375, -0.5)
    assert text_place("a table", LEXICON) is None


def test_the_correlation_is_exact_and_texts_without_known_words_are_counted():
    gt, texts = [1.0, -0.5, 0.5, 0.9], ["joy", "tears", "calm", "nothing here"]
    found = lexicon_check(gt, texts, LEXICON)
    assert found == {"n": 4, "covered": 0.75, "pearson": pytest.approx(1.0), "axis": "valence"}
    backwards = lexicon_check([-1.0, 0.5, -0.5], texts[:3], LEXICON)
    assert backwards["pearson"] == pytest.approx(-1.0)
    arousal = lexicon_check([0.0, 1.0, 0.5], texts[:3], LEXICON, "arousal")
    x, y = [0.0, 1.0, 0.5], [0.5, 0.25, -0.5]
    mx, my = sum(x) / 3, sum(y) / 3
    wanted = sum((a - mx) * (b - my) for a, b in zip(x, y)) / math.sqrt(
        sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y)
    )
    assert arousal["pearson"] == pytest.approx(wanted)
    assert math.isnan(lexicon_check([1.0, 2.0], ["joy", "x"], LEXICON)["pearson"])
    with pytest.raises(MetricInputError, match="axis must be one of"):
        lexicon_check([1.0], ["joy"], LEXICON, "mood")
