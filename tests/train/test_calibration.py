"""Calibration: the planted temperature and threshold are found, and stored where the report reads them."""

import pytest
import torch
from tiny import tiny_media, tiny_model, tiny_processor

from cuewise.data_recipes.schema import Row
from cuewise.train.calibration import calibrate, fit_abstention, fit_temperature
from cuewise.train.examples import Example


@pytest.mark.parametrize("planted", [0.5, 1.0, 3.0])
def test_the_planted_temperature_is_found(planted):
    logits = 2 * torch.randn(20_000, 5)
    labels = torch.multinomial(logits.softmax(-1), 1).squeeze(1)
    assert fit_temperature(logits * planted, labels) == pytest.approx(planted, rel=0.06)


def test_abstention_begins_where_answers_are_mostly_wrong():
    confidence = torch.linspace(0, 1, 2001)
    correct = torch.rand(2001) < torch.where(confidence < 0.4, 0.1, 0.95)
    threshold = fit_abstention(confidence, correct)
    assert 0.4 < threshold < 0.55
    assert correct[confidence < threshold].float().mean() < 0.26
    assert fit_abstention(confidence, torch.ones(2001, dtype=torch.bool)) == 0.0


def test_calibration_is_stored_in_the_config():
    processor, model = tiny_processor(), tiny_model()
    examples = [Example(Row(id=str(i), corpus="t", labels=["happy" if i % 2 else "sad"]),
                        processor.tensors(tiny_media(i)), 1.0, "t") for i in range(24)]  # fmt: skip
    found = calibrate(model, processor, examples)
    assert found["n"] == 24
    assert model.config.calibration_config.temperature == pytest.approx(found["temperature"], abs=1e-4)


def test_examples_without_labels_are_refused():
    with pytest.raises(ValueError, match="none of them has one"):
        calibrate(tiny_model(), tiny_processor(), [])
