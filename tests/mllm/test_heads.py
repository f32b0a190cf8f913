import pytest
import torch

from cuewise.mllm.heads import ActionUnitHead, FusedHead, HeadsConfig, LabelGraph, Reading, StatePool, StreamHead


def reading(seed: int, size: int = 2, width: int = 96) -> Reading:
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    return Reading(draw(size, 8), draw(size, 2).tanh(), draw(size, width))


def present(*values: bool) -> torch.Tensor:
    return torch.tensor(values)


def test_pool_before_training_is_mean_and_deviation_of_the_valid_states():
    states = torch.randn(2, 5, 4)
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    pooled = StatePool(4)(states, mask)
    for row, count in ((0, 5), (1, 2)):
        seen = states[row, :count]
        expected = torch.cat([seen.mean(0), (seen.var(0, unbiased=False) + 1e-5).sqrt()])
        torch.testing.assert_close(pooled[row], expected, atol=1e-6, rtol=1e-5)


def test_one_state_is_enough():
    head = StreamHead(4, HeadsConfig()).eval()
    out = head(torch.randn(1, 1, 4), torch.ones(1, 1, dtype=torch.bool))
    assert out.logits.isfinite().all() and (out.va.abs() <= 1).all()


def test_gradients_of_a_constant_clip_are_finite():
    head = StreamHead(4, HeadsConfig())
    states = torch.ones(1, 6, 4, requires_grad=True)
    head(states, torch.ones(1, 6, dtype=torch.bool)).logits.sum().backward()
    assert states.grad.isfinite().all()


def test_weights_are_normalised_over_what_is_present():
    head = FusedHead(["face", "voice"], HeadsConfig())
    readings = {"face": reading(1), "voice": reading(2)}
    weights = head.weights(readings, {"face": present(True, False), "voice": present(True, True)})
    torch.testing.assert_close(weights, torch.tensor([[0.5, 0.5], [0.0, 1.0]]))


def test_one_present_stream_decides_alone_exactly():
    head = FusedHead(["face", "voice"], HeadsConfig())
    readings = {"face": reading(1), "voice": reading(2)}
    logits, va = head(readings, {"face": present(False, False), "voice": present(True, True)})
    alone, alone_va = head({"voice": readings["voice"]}, {"voice": present(True, True)})
    assert torch.equal(logits, alone) and torch.equal(va, alone_va)
    torch.testing.assert_close(va, readings["voice"].va)
    torch.testing.assert_close(logits, readings["voice"].logits.log_softmax(-1), atol=1e-4, rtol=1e-4)


def test_a_sure_stream_outvotes_an_unsure_one():
    head = FusedHead(["face", "voice"], HeadsConfig())
    sure, unsure = torch.zeros(1, 8), torch.zeros(1, 8)
    sure[0, 2], unsure[0, 3] = 8.0, 0.5
    readings = {"face": Reading(sure, None, torch.zeros(1, 96)), "voice": Reading(unsure, None, torch.zeros(1, 96))}
    logits, va = head(readings, {"face": present(True), "voice": present(True)})
    assert logits.argmax() == 2 and va is None


def test_heads_can_be_left_out():
    head = StreamHead(4, HeadsConfig(labels=[], va=False))
    out = head(torch.randn(1, 3, 4), torch.ones(1, 3, dtype=torch.bool))
    assert out.logits is None and out.va is None


def test_action_units_lie_between_0_and_5():
    out = ActionUnitHead(4, ["AU4", "AU12"])(100 * torch.randn(2, 7, 4))
    assert out.shape == (2, 7, 2) and (out >= 0).all() and (out <= 5).all()


def test_a_label_cannot_be_named_twice():
    with pytest.raises(ValueError, match="names a label twice"):
        HeadsConfig(labels=["sad", "sad"])


def test_a_label_learns_from_its_neighbours_and_not_from_opposites():
    """No example of `excited` is ever seen; its class follows those of happy, which lies beside it."""
    torch.manual_seed(0)
    labels = ["happy", "excited", "sad", "angry"]
    head = LabelGraph(8, labels)
    assert [sum(row) for row in head.links] == pytest.approx([1.0] * 4)
    place = {label: index for index, label in enumerate(labels)}
    assert head.links[place["excited"]][place["happy"]] > 0.2 and head.links[place["excited"]][place["sad"]] == 0
    means = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)) * 2
    seen = torch.tensor([place[label] for label in ("happy", "sad", "angry")])
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(head(means), seen).backward()
        optimizer.step()
    logits = head(means)
    assert (logits.argmax(1) == seen).all()
    assert logits[0, place["excited"]] > max(logits[1, place["excited"]], logits[2, place["excited"]]) + 1


def test_a_config_picks_the_graph():
    head = StreamHead(4, HeadsConfig(graph=True)).eval()
    assert isinstance(head.classes, LabelGraph)
    assert head(torch.randn(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)).logits.shape == (2, 8)
