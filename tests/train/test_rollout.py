import pytest
import torch
from grpo_samples import prompted, trained_model
from tiny import LLMS, tiny_tokenizer

from cuewise.mllm.engine.base import EngineRequest, SamplingParams
from cuewise.mllm.engine.sequential import SequentialEngine
from cuewise.train.rollout import EngineRollout, SharedPrefixRollout, answer_tokens, roll_out

END = 1


@pytest.mark.parametrize("llm", LLMS)
@pytest.mark.parametrize("sampling", [
    SamplingParams(max_tokens=12, logprobs=True),
    SamplingParams(temperature=1.0, max_tokens=12, logprobs=True),
    SamplingParams(temperature=1.5, top_p=0.9, top_k=50, max_tokens=12, logprobs=True),
])  # fmt: skip
def test_both_engines_write_the_same_tokens_for_the_same_seeds(llm, sampling):
    model = trained_model(llm=llm).eval()
    prompts = prompted(model)
    ends = ends_that_occur(model, prompts, sampling)
    plain = EngineRollout(SequentialEngine(model, tiny_tokenizer(), ends, max_length=500))
    fast = SharedPrefixRollout(model, tiny_tokenizer(), ends, max_length=500)
    expected, found = (roll_out(model, engine, prompts, 4, sampling, [3, 50, 900]) for engine in (plain, fast))
    for one, other in zip(expected, found):
        assert [c.token_ids for c in one] == [c.token_ids for c in other]
        assert [c.finish_reason for c in one] == [c.finish_reason for c in other]
        for a, b in zip(one, other):
            assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)
    reasons = {c.finish_reason for group in found for c in group}
    assert "length" in reasons if sampling.temperature == 0 else reasons == {"stop", "length"}
    if sampling.temperature:
        assert len({tuple(c.token_ids) for group in found for c in group}) > 6, "samples of a group differ"


def ends_that_occur(model, prompts, sampling):
    """An end token that some sampled answers reach and others do not, so that answers end at different times."""
    engine = SharedPrefixRollout(model, None, [END], max_length=500)
    written = [c.token_ids for group in roll_out(model, engine, prompts, 4, sampling, [3, 50, 900]) for c in group]
    if sampling.temperature == 0:
        return [END]
    ids = {token for answer in written for token in answer[2:]}
    best = max(ids, key=lambda token: min(sum(token in a for a in written), sum(token not in a for a in written)))
    return [END, best]


def test_the_model_keeps_its_mode_and_gradients_are_off():
    model = trained_model().train()
    engine = SharedPrefixRollout(model, tiny_tokenizer(), [END])
    found = roll_out(model, engine, prompted(model), 2, SamplingParams(max_tokens=3), [0, 0, 0])
    assert model.training and [len(group) for group in found] == [2, 2, 2]


def test_the_end_token_belongs_to_the_answer_unless_it_was_cut():
    model = trained_model().eval()
    found = roll_out(model, SharedPrefixRollout(model, None, range(400)), prompted(model)[:1], 2,
                     SamplingParams(max_tokens=3), [0])  # fmt: skip
    assert [c.finish_reason for c in found[0]] == ["stop", "stop"] and answer_tokens(found[0][0], END) == [END]
    endless = SharedPrefixRollout(model, None, [])
    cut = roll_out(model, endless, prompted(model)[:1], 1, SamplingParams(max_tokens=3), [0])
    assert cut[0][0].finish_reason == "length" and len(answer_tokens(cut[0][0], END)) == 3


def test_what_a_rollout_cannot_do_is_an_error():
    model = trained_model().eval()
    engine = SharedPrefixRollout(model, None, [END], max_length=20)
    with pytest.raises(ValueError, match="stop texts and grammars need an engine; use EngineRollout"):
        engine.sample([EngineRequest(id="a", segments=[[3, 4]], sampling=SamplingParams(stop=("x",)))])
    with pytest.raises(ValueError, match="a prompt of 15 and an answer of 6 tokens do not fit into 20"):
        engine.sample([EngineRequest(id="a", segments=[[3] * 15], sampling=SamplingParams(max_tokens=6))])


def test_the_prompt_is_read_once_per_group():
    model, lengths = trained_model().eval(), []
    model.language_model.register_forward_pre_hook(
        lambda _, args, kwargs: lengths.append(tuple(kwargs["inputs_embeds"].shape[:2])), with_kwargs=True
    )
    prompts = prompted(model)
    lengths.clear()
    roll_out(model, SharedPrefixRollout(model, None, []), prompts, 4, SamplingParams(max_tokens=3), [0, 0, 0])
    assert lengths[:3] == [(1, len(prompt.prompt)) for prompt in prompts]
    assert lengths[3:] == [(12, 1), (12, 1)], "all groups are decoded together, one token at a time"


def test_a_lone_token_request_without_media_is_answered():
    model = trained_model().eval()
    found = SharedPrefixRollout(model, tiny_tokenizer(), [END]).sample(
        [EngineRequest(id="a", segments=[[30], torch.zeros(2, 32)], sampling=SamplingParams(max_tokens=2), n=2)]
    )
    assert found[0][0].token_ids == found[0][1].token_ids and found[0][0].text
