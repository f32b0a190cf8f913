import pytest
import torch
from grpo_samples import clips, prompted, trained_model
from tiny import LLMS, tiny_processor

from cuewise.mllm.shared_prefix import KERNELS, PackedLayout
from cuewise.train.losses import IGNORE, next_token_loss
from cuewise.train.packing import Prompted, fill_rows, pack_answers, pack_written, row_loss
from cuewise.train.policy_losses import policy_loss, token_logprobs

kernels = pytest.mark.parametrize("kernel", KERNELS)


def gradients(model, loss):
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    found = torch.autograd.grad(loss, [weight for _, weight in named], allow_unused=True)
    return {name: grad for (name, _), grad in zip(named, found) if grad is not None}


def relative_error(found, expected, part=""):
    """Error of the gradient of all parameters of a part, relative to that gradient.

    Not parameter by parameter: some gradients are zero but for rounding, e.g. of a bias before a softmax.
    """
    assert found.keys() == expected.keys()
    names = [name for name in expected if part in name]
    one, other = (torch.cat([grads[name].double().flatten() for name in names]) for grads in (found, expected))
    assert other.norm() > 1e-4, f"{part}: there is a gradient"
    return float((one - other).norm() / other.norm())


def grpo_loss(logp, mask, normalizer):
    torch.manual_seed(1)
    old, advantage = logp.detach() + torch.randn_like(logp) * 0.1, torch.randn(len(logp))
    return policy_loss(logp, old, advantage, mask, normalizer=normalizer)[0]


def repeated_logprobs(model, prompts, streams):
    """The usual way: every answer in a row of its own behind its own copy of prompt and media."""
    found = []
    for index, prompt in enumerate(prompts):
        for answer in prompt.answers:
            one = {key: value[index : index + 1] for key, value in streams.items()}
            logits = model(input_ids=torch.tensor([prompt.prompt + answer]), **one).logits[0]
            found.append(token_logprobs(logits[len(prompt.prompt) - 1 : -1], torch.tensor(answer)))
    return torch.nn.utils.rnn.pad_sequence(found, batch_first=True)


@kernels
@pytest.mark.parametrize("llm", LLMS)
def test_the_gradient_of_the_packed_loss_equals_that_of_repeated_prompts(kernel, llm):
    model = trained_model(kernel, llm)
    prompts, streams = prompted(model), tiny_processor().collate(clips())
    row = pack_answers(prompts)
    logp = row.by_answer(token_logprobs(model(**row.inputs, **streams).logits[0], row.targets))
    repeated = repeated_logprobs(model, prompts, streams)
    torch.testing.assert_close(logp, repeated, atol=2e-5, rtol=1e-5)
    total = row.mask().sum()
    found = gradients(model, grpo_loss(logp, row.mask(), total))
    expected = gradients(model, grpo_loss(repeated, row.mask(), total))
    for part in ("lora_A", "lora_B", ".projector.", ".fusion."):
        assert relative_error(found, expected, part) <= 1e-5, part


@kernels
def test_several_samples_in_one_row_give_the_loss_and_gradient_of_a_padded_batch(kernel):
    model = trained_model(kernel)
    prompts, streams = prompted(model, answers=1), tiny_processor().collate(clips())
    ids = [p.prompt + p.answers[0] for p in prompts]
    labels = [[IGNORE] * len(p.prompt) + p.answers[0] for p in prompts]
    weights = [[0.5 + 0.1 * (i % 4) for i in range(len(sample))] for sample in ids]
    row = pack_written([p.id for p in prompts], ids, labels, weights)
    assert row.layout.length == sum(map(len, ids)), "no padding"
    loss, stats = row_loss(model(**row.inputs, **streams).logits, row)
    longest = max(map(len, ids))
    padded = [torch.tensor([sample + [fill] * (longest - len(sample)) for sample in samples])
              for samples, fill in ((ids, 0), (labels, IGNORE), (weights, 0.0))]  # fmt: skip
    mask = torch.tensor([[1] * len(sample) + [0] * (longest - len(sample)) for sample in ids])
    out = model(input_ids=padded[0], attention_mask=mask, **streams)
    expected, expected_stats = next_token_loss(out.logits, padded[1], weights=padded[2])
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=1e-5)
    assert int(stats["tokens"]) == int(expected_stats["tokens"])
    assert relative_error(gradients(model, loss), gradients(model, expected)) <= 1e-5


@kernels
def test_a_packed_neighbour_changes_no_logit(kernel):
    model = trained_model(kernel).eval()
    prompts = prompted(model)
    row = pack_answers(prompts)
    with torch.no_grad():
        together = model(**row.inputs, media_tokens=[p.media for p in prompts]).logits[0]
        for index, prompt in enumerate(prompts):
            alone = pack_answers([prompt])
            logits = model(**alone.inputs, media_tokens=[prompt.media]).logits[0]
            begin = sum(len(a) for p in prompts[:index] for a in p.answers)
            torch.testing.assert_close(together[begin : begin + len(logits)], logits, atol=2e-5, rtol=1e-5)


def test_answers_know_their_places():
    row = pack_answers([Prompted(id="a", prompt=[5, 6], answers=[[7, 8, 1], [9]])])
    assert row.input_ids.tolist() == [[5, 6, 7, 8, 1, 9]]
    assert row.places.tolist() == [1, 2, 3, 1] and row.targets.tolist() == [7, 8, 1, 9]
    assert row.mask().tolist() == [[True] * 3, [True, False, False]]
    assert row.by_answer(torch.tensor([1.0, 2.0, 3.0, 4.0])).tolist() == [[1, 2, 3], [4, 0, 0]]
    written = pack_written(["x", "y"], [[5, 6, 7], [8, 9]], [[IGNORE, IGNORE, 7], [IGNORE, 9]])
    assert written.places.tolist() == [1, 3] and written.targets.tolist() == [7, 9]
    assert isinstance(written.layout, PackedLayout) and written.lengths == [1, 1]


def test_rows_are_filled_to_the_limit_and_nothing_is_cut():
    lengths = [5, 9, 3, 7, 2, 4]
    rows = fill_rows(lengths, 10)
    assert sorted(i for row in rows for i in row) == list(range(6))
    assert all(sum(lengths[i] for i in row) <= 10 for row in rows) and len(rows) == 4
    with pytest.raises(ValueError, match="sample 1 has 9 tokens, but a packed row holds 8; raise max_tokens"):
        fill_rows(lengths, 8)


def test_an_answer_without_a_token_is_an_error():
    with pytest.raises(ValueError, match="at least one token; without: b"):
        pack_answers([Prompted(id="a", prompt=[5], answers=[[1]]), Prompted(id="b", prompt=[5], answers=[[1], []])])
