import pytest
import torch

from cuewise.mllm.fusion.attn2 import Attn2, Attn2Config
from cuewise.mllm.fusion.none import NoFusion, NoFusionConfig

WIDTHS = {"face": 6, "scene": 4, "voice": 5}


def fusion() -> Attn2:
    return Attn2(Attn2Config(streams=list(WIDTHS), hidden=8), WIDTHS, 10)


def means(size: int = 3) -> dict[str, torch.Tensor]:
    return {name: torch.randn(size, width) for name, width in WIDTHS.items()}


PRESENT = {
    "face": torch.tensor([True, True, False]), "scene": torch.tensor([True, False, False]),
    "voice": torch.tensor([True, True, True]),
}  # fmt: skip


def test_weights_sum_to_one_and_absent_streams_weigh_exactly_nothing():
    _, weights = fusion()(means(), PRESENT)
    torch.testing.assert_close(weights.sum(1), torch.ones(3))
    assert torch.equal(weights > 0, torch.stack(list(PRESENT.values()), 1))


def test_without_sound_the_token_is_the_visual_token():
    module, given = fusion(), means()
    silent = PRESENT | {"voice": torch.tensor([False, False, True])}
    token, weights = module(given, silent)
    visual, _ = module({"face": given["face"], "scene": given["scene"]}, PRESENT)
    torch.testing.assert_close(token[:2], visual[:2])
    assert not weights[:2, 2].any()


def test_values_of_an_absent_stream_are_never_read():
    module, given = fusion(), means()
    token, _ = module(given, PRESENT)
    given["scene"][1:] = 1e6
    other, _ = module(given, PRESENT)
    torch.testing.assert_close(token, other)


def test_a_single_stream_has_weight_one():
    _, weights = fusion()({"voice": torch.randn(2, 5)}, {"voice": torch.ones(2, dtype=torch.bool)})
    assert weights.tolist() == [[0.0, 0.0, 1.0]] * 2


def test_gradients_reach_every_stream():
    module = fusion()
    token, _ = module(means(), PRESENT)
    token.square().sum().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in module.parameters())


@pytest.mark.parametrize(("present", "count"), [(["face"], 1), (["words"], 0), ([], 0), (["words", "voice"], 1)])
def test_token_count_is_declared(present, count):
    assert Attn2Config(streams=list(WIDTHS)).num_tokens(present) == count
    assert NoFusionConfig().num_tokens(present) == 0


def test_none_of_its_streams_is_an_error():
    with pytest.raises(ValueError, match=r"attn2 got none of its streams \(face, scene, voice\)"):
        fusion()({}, {})


def test_no_fusion_has_no_weights():
    assert not list(NoFusion(NoFusionConfig(), WIDTHS, 10).parameters())
