"""Mechanisms that treat modalities apart run in every engine: the answers are those of the model itself."""

import pytest
import torch
from tiny import tiny_media, tiny_model, tiny_processor

from cuewise.mllm.adapters.attn_realloc import AttentionReallocation, ReallocConfig
from cuewise.mllm.adapters.mose import MoseConfig, add_mose
from cuewise.mllm.adapters.spans import span_ids
from cuewise.mllm.engine.base import EngineRequest, SamplingParams, collect
from cuewise.mllm.engine.build import ENGINES, build_engine, slot_obstacle
from cuewise.mllm.engine.slot import SlotEngine
from cuewise.mllm.prompts import build

STREAMS = (("face", "voice"), ("voice",), ("face", "scene", "voice", "words"), ("words",))
TOKENS = 8


def expert_model() -> torch.nn.Module:
    model = tiny_model()
    adapter = add_mose(model, MoseConfig(r=2, alpha=8, experts=3))
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in adapter.weights().values():
            weight.add_(0.5 * torch.randn_like(weight))
    return model.eval()


def asked(model) -> list[tuple[torch.Tensor, list, list[int]]]:
    """(prompt ids, media tokens, kinds) of clips with different streams."""
    processor, found = tiny_processor(), []
    for number, streams in enumerate(STREAMS):
        clip = processor.tensors(tiny_media(number, streams=streams, seconds=1.0 + number))
        said = "we won" if "words" in streams else None
        ids = processor.prompt_ids(build(clip.streams, transcript=said, context="x " * 20), processor.num_tokens(clip))
        ids = torch.tensor([ids])
        kinds = span_ids(ids, processor.plan.tokens.placeholders)[0].tolist()
        found.append((ids, model.encode(processor.collate([clip])), kinds))
    return found


def requests(model, clips, told: bool = True) -> list[EngineRequest]:
    with torch.no_grad():
        return [EngineRequest(id=str(i), segments=[model.prompt_rows(ids[0], tokens[0])], kinds=kinds if told else None,
                              sampling=SamplingParams(max_tokens=TOKENS)) for i, (ids, tokens, kinds)
                in enumerate(clips)]  # fmt: skip


def engine_of(kind: str, model):
    return build_engine(model, tiny_processor().tokenizer, [1], 512, kind=kind)


@torch.no_grad()
def written_by_the_model(model, ids, tokens) -> list[int]:
    """Greedy tokens from whole passes over ids, without any engine or cache."""
    written: list[int] = []
    while len(written) < TOKENS:
        row = torch.cat([ids, torch.tensor([written], dtype=torch.long)], 1)
        token = int(model(input_ids=row, media_tokens=tokens).logits[0, -1].argmax())
        if token == 1:
            break
        written.append(token)
    return written


@pytest.mark.parametrize("kind", ENGINES)
def test_experts_write_what_the_model_writes(kind):
    model = expert_model()
    with torch.no_grad():
        clips = asked(model)
    engine = engine_of(kind, model)
    assert slot_obstacle(model) is None and (isinstance(engine, SlotEngine) == (kind == "slot"))
    answers = collect(engine.generate(requests(model, clips)))
    again = collect(engine.generate(requests(model, clips[::-1])))  # whole prompts are known now
    want = [written_by_the_model(model, ids, tokens) for ids, tokens, _ in clips]
    assert [answers[str(i), 0].token_ids for i in range(4)] == want
    assert [again[str(3 - i), 0].token_ids for i in range(4)] == want
    with model.adapter.off():
        plain = [written_by_the_model(model, ids, tokens) for ids, tokens, _ in clips]
    assert plain != want, "the experts change nothing here, so this test proves nothing"


@pytest.mark.parametrize("kind", ENGINES)
def test_kinds_decide_which_expert_a_row_meets(kind):
    model = expert_model()
    with torch.no_grad():
        clips = asked(model)[:1]
    scores = {}
    for told in (True, False):
        request = requests(model, clips, told)[0]
        request.sampling = SamplingParams(max_tokens=4, logprobs=True)
        scores[told] = collect(engine_of(kind, model).generate([request]))["0", 0].logprobs
    assert scores[True] != scores[False]


@pytest.mark.parametrize("kind", ENGINES)
def test_attention_is_moved_in_every_engine(kind):
    model = tiny_model()
    with torch.no_grad():
        clips = asked(model)
    with AttentionReallocation(model, ReallocConfig(gamma=1.0, tau=0.0, layers=[0, 1])).on():
        answers = collect(engine_of(kind, model).generate(requests(model, clips)))
        want = [written_by_the_model(model, ids, tokens) for ids, tokens, _ in clips]
        scored = requests(model, clips)[2]
        scored.sampling = SamplingParams(max_tokens=3, logprobs=True)
        moved = collect(engine_of(kind, model).generate([scored]))["2", 0].logprobs
    assert [answers[str(i), 0].token_ids for i in range(4)] == want
    assert not model.row_kinds
    assert collect(engine_of(kind, model).generate([scored]))["2", 0].logprobs != moved


def test_a_shared_beginning_is_not_reused_where_experts_chose_for_another_clip():
    """Two clips with the same first rows and different later ones: each is read anew, the same clip is recalled."""
    model = expert_model()
    with torch.no_grad():
        (ids, tokens, kinds), *_ = asked(model)
        rows = model.prompt_rows(ids[0], tokens[0])
    other = rows.clone()
    media = [place for place, kind in enumerate(kinds) if kind]
    other[media[-1]] += 5.0
    engine, alone = engine_of("slot", model), engine_of("slot", model)
    sampling = SamplingParams(max_tokens=6, logprobs=True)

    def ask(name: str, given: torch.Tensor, engine) -> list[float]:
        request = EngineRequest(id=name, segments=[given], kinds=kinds, sampling=sampling)
        return collect(engine.generate([request]))[name, 0].logprobs

    first = ask("a", rows, engine)
    assert ask("b", other, engine) == ask("b", other, alone) and engine.stats().cached_tokens == 0
    assert ask("c", rows, engine) == first and engine.stats().cached_tokens == len(rows)


def test_kinds_must_cover_the_prompt():
    model = tiny_model()
    with pytest.raises(ValueError, match="kinds of 2 positions, the prompt has 3"):
        engine_of("slot", model).submit(EngineRequest(id="x", segments=[[20, 21, 22]], kinds=[0, 1]))


def test_a_stored_adapter_of_experts_and_moved_attention_are_options_of_the_pipeline(tmp_path):
    from cuewise.mllm.adapters.store import save_adapter
    from cuewise.mllm.clip import Clip
    from cuewise.mllm.pipeline import AnalyzeError, Analyzer

    base = tiny_model()
    base.save_pretrained(tmp_path / "tiny")
    tiny_processor(base.config).save_pretrained(tmp_path / "tiny")
    save_adapter(expert_model(), tmp_path / "adapter", base="tiny")
    clip = Clip(samples=tiny_media(seconds=2.0).samples, sample_rate=16_000, transcript="we won")
    texts = {}
    for name, options in {"plain": {}, "experts": {"adapter": tmp_path / "adapter"},
                          "moved": {"realloc": {"gamma": 1.0, "tau": 0.0, "layers": [0, 1]}}}.items():  # fmt: skip
        with Analyzer.load(tmp_path / "tiny", **options) as analyzer:
            assert isinstance(analyzer.engine, SlotEngine) and bool(analyzer.model.row_kinds) == (name != "plain")
            texts[name] = analyzer.analyze(clip).text
    assert texts["experts"] != texts["plain"]
    with pytest.raises(AnalyzeError, match=r"unknown option `realloc\.gama`; did you mean `realloc\.gamma`"):
        Analyzer.load(tmp_path / "tiny", realloc={"gama": 1})
