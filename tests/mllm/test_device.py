"""What runs on a GPU keeps all its tensors there. Without a GPU a pretended one refuses to mix devices."""

import pytest
import torch
from grpo_samples import prompted
from pretend_device import pretend_cuda
from tiny import tiny_media, tiny_model, tiny_processor, tiny_tokenizer

from cuewise.mllm.engine.base import EngineRequest, SamplingParams
from cuewise.mllm.engine.sequential import SequentialEngine
from cuewise.mllm.engine.slot import SlotEngine
from cuewise.mllm.prompts import build
from cuewise.train.packing import pack_answers
from cuewise.train.parallel import moved


def on_device(values):
    return moved(values, torch.device("cuda"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a real one here")
def test_the_pretended_device_refuses_to_mix():
    with pretend_cuda(), torch.no_grad():
        here, there = torch.ones(3), torch.ones(3, device="cuda")
        assert (there * 2).device.type == "cuda" and there.cpu().device.type == "cpu"
        with pytest.raises(RuntimeError, match=r"aten::add.*one of shape \(3,\) on the CPU"):
            _ = here + there
    assert torch.ones(2).device.type == "cpu"


@pytest.mark.parametrize("prefusion", ["attn2", "none", "qformer_mm", "xattn_experts"])  # others index with lists, for
# which torch asks a driver
def test_a_batch_goes_from_tensors_to_logits(prefusion):
    model = tiny_model(prefusion=prefusion)
    model.requires_grad_(False)
    expected = model(**tiny_inputs_of(model)).logits
    with pretend_cuda(), torch.no_grad():
        model.to("cuda")
        found = model(**on_device(tiny_inputs_of(model))).logits.cpu()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def tiny_inputs_of(model) -> dict[str, torch.Tensor]:
    processor = tiny_processor(model.config)
    clip = processor.tensors(tiny_media())
    ids = processor.prompt_ids(build(clip.streams, transcript="we won"), processor.num_tokens(clip))
    return {"input_ids": torch.tensor([ids]), **processor.collate([clip])}


@pytest.mark.parametrize("kernel", ["eager", "sdpa", "cuewise_varlen"])
def test_packed_rows_stay_on_the_device(kernel):
    model = tiny_model()
    model.language_model.set_attn_implementation(kernel)
    prompts = prompted(model)
    with pretend_cuda(), torch.no_grad():
        model.to("cuda")
        row = pack_answers(prompts).to(torch.device("cuda"))
        media = [prompt.media.to("cuda") for prompt in prompts]
        assert model(**row.inputs, media_tokens=media).logits.device.type == "cuda"


@pytest.mark.skipif(
    not torch.cuda.is_available() and torch.__version__ < "2.12", reason="older torch pretends no inference mode"
)
@pytest.mark.parametrize("engine", [SlotEngine, SequentialEngine])
def test_engines_write_the_same_on_the_device(engine):
    def written() -> dict[str, list[int | None]]:
        made = engine(model.language_model, tiny_tokenizer(), end_ids=[1])
        tokens: dict[str, list[int | None]] = {}
        sampling = SamplingParams(max_tokens=6, logprobs=True)
        for event in made.generate(EngineRequest(id=str(i), segments=[[5 + i, 9, 30], [7]], sampling=sampling)
                                   for i in range(3)):  # fmt: skip
            assert event.error is None
            tokens.setdefault(event.request_id, []).append(event.token_id)
        return tokens

    model = tiny_model()
    expected = written()
    with pretend_cuda(), torch.no_grad():
        model.to("cuda")
        assert written() == expected
