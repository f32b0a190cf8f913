"""Recorded decode steps: the same answers as without. What a GPU records is here simply done again at every replay."""

import pytest
import torch

from cuewise.mllm.engine.base import EngineRequest, SamplingParams, collect
from cuewise.mllm.engine.graphs import StepGraphs
from cuewise.mllm.engine.slot import SlotEngine

END = 257
CPU = torch.device("cpu")


def again(step):
    """A recording that writes into the same output, as a CUDA graph does."""
    output = step().clone()
    return (lambda: output.copy_(step())), output


def requests(count: int = 11) -> list[EngineRequest]:
    draw = torch.Generator().manual_seed(3)
    found = []
    for i in range(count):
        size = int(torch.randint(1, 400, (1,), generator=draw))
        sampling = SamplingParams(max_tokens=3 + 5 * i, temperature=float(i % 2), seed=i, logprobs=True)
        ids = torch.randint(0, 256, (size,), generator=draw).tolist()
        found.append(EngineRequest(id=str(i), segments=[ids], sampling=sampling))
    return found


@pytest.mark.parametrize("slots", [1, 3, 16])
def test_recorded_steps_give_the_same_answers(decoder, tokenizer, slots):
    plain = SlotEngine(decoder, tokenizer, [END], 1024, slots=slots)
    recorded = SlotEngine(decoder, tokenizer, [END], 1024, slots=slots)
    made = []
    recorded.graphs = StepGraphs(
        recorded._step_logits, slots, CPU, lambda: lambda step: made.append(1) or again(step)
    )  # fmt: skip
    want, got = collect(plain.generate(requests())), collect(recorded.generate(requests()))
    assert {key: answer.token_ids for key, answer in got.items()} == {k: a.token_ids for k, a in want.items()}
    for key, answer in got.items():
        assert answer.logprobs == pytest.approx(want[key].logprobs, abs=1e-4)
    assert 0 < len(made) < recorded.stats().steps


def test_a_device_that_cannot_record_goes_on_without(decoder, tokenizer, caplog):
    def refuse(step):
        raise RuntimeError("operation not permitted when stream is capturing")

    engine = SlotEngine(decoder, tokenizer, [END], 1024, slots=4)
    engine.graphs = StepGraphs(engine._step_logits, 4, CPU, lambda: refuse)
    want = collect(SlotEngine(decoder, tokenizer, [END], 1024, slots=4).generate(requests(5)))
    got = collect(engine.generate(requests(5)))
    assert {key: answer.token_ids for key, answer in got.items()} == {k: a.token_ids for k, a in want.items()}
    assert "not permitted" in engine.graphs.broken and "kernel by kernel" in caplog.text


def test_the_option_is_ignored_where_there_is_nothing_to_record(decoder, tokenizer):
    assert SlotEngine(decoder, tokenizer, [END], 1024, graphs=True).graphs is None


def test_keys_and_values_that_lie_elsewhere_need_a_new_recorder():
    recorders = []

    def recorder():
        recorders.append(1)
        return again

    graphs = StepGraphs(lambda tokens, positions, visible: tokens[:, None].float(), 4, CPU, recorder)
    for generation, rows in ((0, 1), (0, 3), (1, 3), (1, 1), (2, 1)):
        assert graphs.run([7] * rows, [0] * rows, generation).tolist() == [[7.0]] * rows
    assert len(recorders) == 3 and graphs.broken is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_recorded_steps_on_a_gpu_follow_their_inputs_also_after_all_were_forgotten():
    graphs = StepGraphs(lambda tokens, positions, visible: tokens[:, None] * 2.0, 4, torch.device("cuda"))
    for generation in (0, 0, 1, 2):
        for rows in (1, 3):
            logits = graphs.run([generation + 5] * rows, [0] * rows, generation)
            assert logits.tolist() == [[2.0 * generation + 10]] * rows
    assert graphs.broken is None
