"""The transcript network is given the numbers of a text by their value."""

import pytest
import torch

from cuewise.mllm.encoders.text import TextConfig, TextEncoder, numbers_so_far
from cuewise.mllm.encoders.vad_text import VadTextConfig, VadTextEncoder
from cuewise.mllm.tokenizer import number_ids, train_tokenizer

NUMBERS = [*range(20, 31)]
"""Ids of 0 to 9 and of the point in these tests."""


def ids_of(text: str) -> torch.Tensor:
    """Signs as ids: those of a number by `NUMBERS`, all others 1."""
    return torch.tensor([[NUMBERS["0123456789.".index(sign)] if sign in "0123456789." else 1 for sign in text]])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("2.31", [2, 2, 2.3, 2.31]), ("a12 0.07", [None, 1, 12, None, 0, 0, 0, 0.07]), ("7.", [7, 7]),
        (".5", [None, 5]), ("1.2.3", [1, 1, 1.2, None, 3]), ("10,4", [1, 10, None, 4]),
    ],
)  # fmt: skip
def test_each_token_of_a_number_has_its_value_so_far(text, values):
    (found,) = numbers_so_far(ids_of(text), NUMBERS)
    assert found[:, 0].tolist() == [float(value is not None) for value in values]
    wanted = torch.tensor([value or 0.0 for value in values]).log1p()
    torch.testing.assert_close(found[:, 1], wanted)
    torch.testing.assert_close(found[:, 2], wanted.expm1().clamp(max=25).sqrt())


def test_numbers_are_given_beside_the_places_of_words():
    """With a lexicon an encoder gets [B, T, 4]: id and place."""
    encoder = VadTextEncoder(VadTextConfig(vocab_size=40, width=16, vad_width=4, numbers=NUMBERS)).eval()
    ids = ids_of("2.31 0.4")
    mask = torch.ones(ids.shape, dtype=torch.bool)
    placed = torch.cat([ids.unsqueeze(-1).float(), torch.full((*ids.shape, 3), torch.nan)], -1)
    with torch.no_grad():
        torch.testing.assert_close(encoder(placed, mask).states, encoder(ids, mask).states)


def test_numbers_without_end_stay_finite():
    assert numbers_so_far(ids_of("9" * 400), NUMBERS).isfinite().all()


def test_the_ids_are_those_of_every_tokenizer_trained_here():
    tokenizer = train_tokenizer(["one 12.5 two"] * 3, 400)
    assert tokenizer.convert_ids_to_tokens(number_ids()) == [*"0123456789."]


def test_values_reach_the_states_and_older_configs_have_no_weights_for_them():
    torch.manual_seed(0)
    encoder = TextEncoder(TextConfig(vocab_size=40, width=16, numbers=NUMBERS)).eval()
    plain = TextEncoder(TextConfig(vocab_size=40, width=16)).eval()
    assert {*encoder.state_dict()} - {*plain.state_dict()} == {"number.weight"}
    mask = torch.ones(1, 4, dtype=torch.bool)
    before = encoder(ids_of("2.31"), mask).states
    plain.load_state_dict(encoder.state_dict(), strict=False)
    assert not torch.allclose(before, plain(ids_of("2.31"), mask).states)
    torch.testing.assert_close(encoder(ids_of("abc "), mask).states, plain(ids_of("abc "), mask).states)
    with pytest.raises(ValueError, match="ten digits and the point, got 3 ids"):
        TextConfig(vocab_size=40, numbers=[1, 2, 3])
