"""What each compressor is for, shown on states where the effect is known."""

import pytest
import torch

from cuewise.mllm import compressors  # noqa: F401
from cuewise.mllm.compressors.experts import HybridCompressor, HybridConfig
from cuewise.mllm.compressors.grids import STCConfig, group4, ungroup4
from cuewise.mllm.compressors.tubes import PerturbedTopK, TubeConfig, TubeTopK, one_hot_top
from cuewise.mllm.registry import COMPRESSORS


def ones(*shape: int) -> torch.Tensor:
    return torch.ones(*shape, dtype=torch.bool)


@pytest.mark.parametrize(("name", "sees_order"), [("mean", False), ("qformer", True), ("bridge_transformer", True)])
def test_shuffled_frames_change_queries_and_bridges_but_not_the_mean(name, sees_order):
    torch.manual_seed(0)
    module = COMPRESSORS.build({"name": name, "tokens": 1}, 8).eval()
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    states = torch.randn(1, 6, 8)
    one, other = (module(s, ones(1, 6), None).tokens for s in (states, states[:, [3, 1, 5, 0, 2, 4]]))
    assert torch.allclose(one, other, atol=1e-4) != sees_order


def test_a_bridge_tells_ordered_from_shuffled_clips_and_the_mean_cannot():
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)

    def clips(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        start, speed = torch.rand(count, 1, 1, generator=generator), torch.rand(count, 1, 8, generator=generator)
        ordered = start + speed * torch.linspace(0, 1, 8)[None, :, None]
        shuffled = torch.stack([clip[torch.randperm(8, generator=generator)] for clip in ordered])
        return torch.cat([ordered, shuffled]), torch.cat([torch.ones(count), torch.zeros(count)])

    def accuracy(name: str) -> float:
        module = COMPRESSORS.build({"name": name, "tokens": 1}, 8)
        head = torch.nn.Linear(8, 1)
        optimizer = torch.optim.Adam([*module.parameters(), *head.parameters()], 3e-3)

        def logits(states: torch.Tensor) -> torch.Tensor:
            return head(module(states, ones(len(states), 8), None).tokens[:, 0]).squeeze(1)

        for _ in range(250):
            states, truth = clips(32)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits(states), truth)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        states, truth = clips(200)
        with torch.no_grad():
            return float(((logits(states) > 0).float() == truth).float().mean())

    assert accuracy("bridge_transformer") > 0.9
    assert accuracy("mean") < 0.6


def test_a_bridge_learns_eight_cues_by_heart():
    """XEmoGPT's cue bridge: eight clips, each with its own cue token, from the two tokens of the bridge alone."""
    torch.manual_seed(0)
    module, head = COMPRESSORS.build({"name": "bridge_transformer", "tokens": 2}, 8), torch.nn.Linear(16, 8)
    states, cues = torch.randn(8, 6, 8), torch.arange(8)
    optimizer = torch.optim.Adam([*module.parameters(), *head.parameters()], 3e-3)
    for _ in range(120):
        loss = torch.nn.functional.cross_entropy(head(module(states, ones(8, 6), None).tokens.flatten(1)), cues)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1


def test_group4_is_reversible_and_keeps_neighbours_in_order():
    states = torch.arange(24.0).view(1, 8, 3)
    assert torch.equal(ungroup4(group4(states)), states)
    assert torch.equal(group4(states)[0, 1], states[0, 4:8].flatten())


def test_adaptive_pool_is_that_of_the_library():
    module = COMPRESSORS.build({"name": "adaptive_pool", "tokens": 5}, 3)
    states = torch.randn(2, 13, 3)
    want = torch.nn.functional.adaptive_avg_pool1d(states.mT, 5).mT
    torch.testing.assert_close(module(states, ones(2, 13), None).tokens, want)


def test_stc_conv_counts_and_refuses_broken_frames():
    config = STCConfig(grid=[4, 4])
    assert config.num_tokens(8 * 16) == 9 * 4
    with pytest.raises(ValueError, match="no whole frames of 4 x 4"):
        config.num_tokens(17)


def test_the_chosen_tubes_are_source_states_and_all_of_them_when_k_is_large():
    torch.manual_seed(0)
    config = TubeConfig(grid=[2, 2], window=[1, 1, 1], stride=[1, 1, 1], tubes=99)
    module = TubeTopK(config, 4).eval()
    states = torch.randn(1, 12, 4)
    out = module(states, ones(1, 12), None).tokens[0]
    assert torch.equal(out[3:], states[0]) and torch.allclose(out[:3], states[0].view(3, 4, 4).mean(1))


def test_planted_motion_is_kept_after_training_the_scorer():
    torch.manual_seed(0)
    config = TubeConfig(grid=[4, 4], window=[1, 2, 2], stride=[1, 2, 2], tubes=1, sigma=0.2, samples=50)
    module = TubeTopK(config, 4)
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(0)

    def clip() -> tuple[torch.Tensor, torch.Tensor]:
        states = torch.rand(1, 32, 4, generator=generator) * 0.2
        corner = int(torch.randint(8, (1,), generator=generator))
        index = module._indices(2, states.device)[corner]
        states[0, index, 0] += 1.0
        return states, index

    for _ in range(120):
        states, _ = clip()
        tokens = module.train()(states, ones(1, 32), None).tokens[0, 2:]
        loss = -tokens[:, 0].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    module.eval()
    found = 0
    for _ in range(30):
        states, index = clip()
        found += torch.equal(module(states, ones(1, 32), None).tokens[0, 2:], states[0, index])
    assert found >= 27
    one = module(torch.rand(1, 16, 4), ones(1, 16), None)
    assert int(one.mask.sum()) == config.num_tokens(16)


def test_the_perturbed_choice_becomes_the_hard_one_and_has_a_gradient():
    torch.manual_seed(0)
    score = torch.tensor([0.1, 0.9, 0.4, 0.7], requires_grad=True)
    hard = one_hot_top(score.detach(), 2)
    assert hard.argmax(1).tolist() == [1, 3]
    torch.testing.assert_close(PerturbedTopK.apply(score, 2, 200, 1e-4), hard)
    soft = PerturbedTopK.apply(score, 2, 2000, 0.3)
    (soft * hard).sum().backward()
    assert score.grad[1] > 0 and score.grad[0] < 0


def test_a_clamped_gate_is_the_general_expert_alone():
    torch.manual_seed(0)
    module = HybridCompressor(HybridConfig(tokens=4, gate=[1.0, 0.0]), 8).eval()
    states = torch.randn(2, 9, 8)
    before = module(states, ones(2, 9), None).tokens
    torch.nn.init.normal_(module.emotion.experts[0][0].weight)
    assert torch.equal(module(states, ones(2, 9), None).tokens, before)
    open_gate = HybridCompressor(HybridConfig(tokens=4), 8).eval()
    open_gate.emotion.load_state_dict(open_gate.general.state_dict())
    pooled = COMPRESSORS.build({"name": "mean", "tokens": 4}, 8)(states, ones(2, 9), None)
    torch.testing.assert_close(open_gate(states, ones(2, 9), None).tokens, open_gate.general(pooled.tokens))


def test_two_kinds_of_clips_learn_to_use_different_experts():
    """In three stages: the general expert, the emotion expert, then the gate by the task's loss alone.

    The general clips are then as well read as before emotion was learnt; one expert tuned on emotion forgets them.
    """
    torch.manual_seed(0)
    module = HybridCompressor(HybridConfig(tokens=2, hidden=16), 4)
    side = torch.tensor([1.0, -1.0, 1.0, -1.0])

    def batch(kind: float) -> tuple[torch.Tensor, torch.Tensor]:
        states = torch.randn(32, 6, 4) * 0.3 + side * (2 * kind - 1)
        means = states.unflatten(1, (2, 3)).mean(2)
        return states, means.flip(2) * 2 if kind else -means

    def stage(weights, kinds: list[float], gate: list[float] | None, steps: int) -> None:
        module.config.gate = gate
        optimizer = torch.optim.Adam(weights, 1e-2)
        for _ in range(steps):
            for kind in kinds:
                states, target = batch(kind)
                loss = (module(states, ones(32, 6), None).tokens - target).square().mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    def general_loss(gate: list[float] | None) -> float:
        module.config.gate = gate
        states, target = batch(0.0)
        with torch.no_grad():
            return (module(states, ones(32, 6), None).tokens - target).square().mean().item()

    stage(module.general.parameters(), [0.0], [1.0, 0.0], 100)
    before = general_loss([1.0, 0.0])
    kept = {name: weight.clone() for name, weight in module.general.state_dict().items()}
    stage(module.general.parameters(), [1.0], [1.0, 0.0], 100)
    forgotten = general_loss([1.0, 0.0])
    module.general.load_state_dict(kept)
    stage(module.emotion.parameters(), [1.0], [0.0, 1.0], 100)
    stage(module.gate.parameters(), [0.0, 1.0], None, 200)
    with torch.no_grad():
        general, emotion = (module.gates(batch(kind)[0], ones(32, 6))[:, int(kind)] for kind in (0.0, 1.0))
    assert general.min() > 0.8 and emotion.min() > 0.8
    assert general_loss(None) < before + 0.15 < forgotten


def test_the_balance_loss_is_one_at_an_even_load():
    torch.manual_seed(0)
    module = HybridCompressor(HybridConfig(tokens=4, experts=2), 2)
    for side in (module.general, module.emotion):
        side.router.weight.data = torch.tensor([[5.0, -5.0], [-5.0, 5.0]])
    even = torch.tensor([[[1.0, -1.0], [-1.0, 1.0]] * 2])
    uneven = torch.tensor([[[1.0, -1.0]] * 4])
    assert module.balance_loss(even, ones(1, 4)).item() == pytest.approx(1.0, abs=1e-3)
    assert module.balance_loss(uneven, ones(1, 4)).item() == pytest.approx(2.0, abs=1e-3)
