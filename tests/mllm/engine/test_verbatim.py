"""Quotations hold to what was said, whatever the model would rather write."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cuewise.mllm.engine import sequential, slot, static
from cuewise.mllm.engine.base import EngineRequest, SamplingParams, collect
from cuewise.mllm.engine.detokenize import byte_table
from cuewise.mllm.engine.grammar import Grammar
from cuewise.mllm.engine.sequential import SequentialEngine
from cuewise.mllm.engine.slot import SlotEngine
from cuewise.mllm.engine.static import StaticEngine
from cuewise.mllm.engine.verbatim import LONGEST, LONGEST_WORD, QuoteMatcher, QuoteVocabulary, Said, held_tokens
from cuewise.mllm.evidence.words import occurrences
from cuewise.mllm.folders import model_folder
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.train import rollout

END = 257
SAID = "Well,  I'm so happy today! 我很开心 and that's  <great> news."
ANSWER = Grammar(r"""start: "[words] \"" /[^"]{1,80}/ "\" => joy" """)
ENGINES = [SlotEngine, StaticEngine, SequentialEngine]


@pytest.fixture(scope="module")
def vocabulary() -> QuoteVocabulary:
    return QuoteVocabulary(byte_table(CuewiseProcessor.from_pretrained(model_folder("nano")).tokenizer))


def written(vocabulary: QuoteVocabulary, transcript: str, seed: int, opening: str = '\n[words 0.10-1.20] "') -> str:
    """A quotation of random tokens, each of those that are allowed."""
    matcher = QuoteMatcher(vocabulary, Said(transcript))
    for byte in opening.encode():
        matcher.accept(vocabulary.table.index(bytes([byte])))
    draw, text = torch.Generator().manual_seed(seed), b""
    while not matcher.idle:
        logits = matcher.constrain(torch.randn(len(vocabulary.table), generator=draw))
        token = int(logits.argmax())
        text += vocabulary.table[token]
        matcher.accept(token)
        assert len(text) < 200
    return text[: text.index(b'"')].decode() if b'"' in text else ""


@pytest.mark.parametrize("seed", range(20))
def test_only_what_was_said_is_quoted_in_whole_words(vocabulary, seed):
    quote = written(vocabulary, SAID, seed)
    assert quote in " ".join(SAID.split()) and occurrences(quote, SAID, [])
    assert "great" not in quote


def test_every_run_of_words_can_be_quoted(vocabulary):
    words = ["we", "won", "it"]
    runs = {" ".join(words[i:j]) for i in range(3) for j in range(i + 1, 4)}
    assert {written(vocabulary, "We, we won it!", seed).lower() for seed in range(200)} >= runs


@settings(max_examples=60, deadline=None)
@given(transcript=st.text(max_size=200), seed=st.integers(0, 99))
def test_any_transcript(vocabulary, transcript, seed):
    quote = written(vocabulary, transcript, seed)
    assert quote in " ".join(transcript.split())
    assert bool(quote) == bool(Said(transcript).starts)
    assert len(quote.encode()) <= LONGEST + 4 * LONGEST_WORD


@pytest.mark.parametrize("opening", ['\n[face] "', '\n[words] he says "', 'so "', '[words] lips "', '\n[words] '])
def test_elsewhere_nothing_is_forbidden(vocabulary, opening):
    assert written(vocabulary, SAID, 0, opening) == ""


@pytest.mark.parametrize("opening", ['[words] "', '\n- [Words 1.00-2.00] "', '\n• [transcript] "'])
def test_every_spelling_of_the_channel_counts(vocabulary, opening):
    assert written(vocabulary, SAID, 0, opening)


def test_after_the_quotation_the_model_is_free_again_and_the_next_line_is_another_one(vocabulary):
    matcher = QuoteMatcher(vocabulary, Said("we won"))
    for text, idle in (('[words] "', False), ('we"', True), (' => joy "', True), ("\n[words] ", True), ('"', False)):
        for byte in text.encode():
            matcher.accept(vocabulary.table.index(bytes([byte])))
        assert matcher.idle == idle


def test_the_tokens_of_a_quotation_are_known_afterwards():
    tokenizer = CuewiseProcessor.from_pretrained(model_folder("nano")).tokenizer
    ids = tokenizer('[words] "we won" => joy', add_special_tokens=False)["input_ids"]
    held = held_tokens("we won", tokenizer, ids)
    assert tokenizer.decode([token for token, one in zip(ids, held) if one]).startswith('we won"')
    assert not any(held_tokens(None, tokenizer, ids)) and 2 <= sum(held) <= 4


def test_nothing_is_quoted_where_nobody_speaks(vocabulary):
    assert written(vocabulary, " <> ", 0) == "" and written(vocabulary, "x" * (LONGEST_WORD + 1), 0) == ""


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_holds_an_answer_to_its_grammar_and_its_quotations(decoder, tokenizer, engine):
    made = engine(decoder, tokenizer, end_ids=[END], max_length=256)
    requests = [
        EngineRequest(id=str(i), segments=[[i + 1, 9, 30]], grammar=ANSWER, quotes=SAID,
                      sampling=SamplingParams(max_tokens=120, temperature=float(i % 2), seed=i))
        for i in range(6)
    ]  # fmt: skip
    for completion in collect(made.generate(requests)).values():
        quote = re.fullmatch(r'\[words\] "(.+)" => joy', completion.text).group(1)
        assert quote in " ".join(SAID.split())


class _Begun(QuoteMatcher):
    """An answer that begins inside a quotation."""

    def __init__(self, tokenizer, quotes):
        super().__init__(QuoteVocabulary(byte_table(tokenizer)), Said(quotes))
        self._open = [*self._said.starts]


def test_rollouts_quote_as_the_engines_do(decoder, tokenizer, monkeypatch):
    for module in (slot, static, sequential):
        monkeypatch.setattr(module, "matcher_of", lambda request, grammars: _Begun(grammars.tokenizer, request.quotes))
    monkeypatch.setattr(rollout, "quote_matcher", lambda request, tokenizer: _Begun(tokenizer, request.quotes))
    request = EngineRequest(id="a", segments=[[5, 9, 30]], n=6, quotes=SAID,
                            sampling=SamplingParams(max_tokens=60, temperature=1.0, seed=3))  # fmt: skip
    done = collect(SlotEngine(decoder, tokenizer, [END], 256).generate([request]))
    want = [done["a", i].token_ids for i in range(6)]
    assert all(re.match('(.+?)"', done["a", i].text).group(1) in " ".join(SAID.split()) for i in range(6))

    class Whole(torch.nn.Module):
        """A bare decoder as the trainer's rollout asks for it."""

        def __init__(self):
            super().__init__()
            self.language_model = decoder

        def get_input_embeddings(self):
            return decoder.get_input_embeddings()

        def forward(self, **inputs):
            return decoder(**inputs)

    kernel = decoder.config._attn_implementation
    try:
        found = rollout.SharedPrefixRollout(Whole(), tokenizer, [END], 256).sample([request])
    finally:
        decoder.set_attn_implementation(kernel)
    assert [one.token_ids for one in found[0]] == want
