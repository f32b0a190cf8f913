"""A language model here as a judge: guided replies are never malformed, and the same question gets the same reply."""

import pytest
import tiny
import torch
import transformers

from cuewise.eval.judges.base import JudgeAsk, JudgeError
from cuewise.eval.judges.load import load_judge

pytestmark = pytest.mark.slow

ASKS = [
    JudgeAsk(id="a", task="clue_overlap", fields={"reference": "a frown", "prediction": "a smile <|end|>"}),
    JudgeAsk(id="b", task="mme_judge", fields={"steps": ["x", "y"], "prediction": "z", "gold": ["happy", "sad"]}),
    JudgeAsk(id="c", task="sentiment_word", fields={"labels": ["happy"]}, temperature=1.0, seed=3),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("judge")
    torch.manual_seed(0)
    ends = {"bos_token_id": None, "eos_token_id": 1, "pad_token_id": 0}
    config = transformers.Qwen3Config(
        **tiny.LLMS["qwen3"] | ends, vocab_size=tiny.VOCAB, max_position_embeddings=2048
    )
    transformers.Qwen3ForCausalLM(config).save_pretrained(path)
    tiny.tiny_tokenizer().save_pretrained(path)
    return path


def test_guided_replies_follow_the_schema_whatever_the_model(folder, tmp_path):
    with load_judge(f"local:{folder}", cache=tmp_path) as judge:
        first = judge.ask(ASKS)
        facts = judge.describe()
    assert [reply.problem for reply in first] == [None] * 3
    assert 1 <= first[0].value <= 10 and len(first[1].value) == 3
    assert first[2].value in ("positive", "negative", "neutral")
    assert facts["guided"] and len(facts["weights_sha256"]) == 64 and facts["counts"]["mme_judge"]["asked"] == 1
    with load_judge(f"local:{folder}") as judge:
        alone = [judge.ask([ask])[0] for ask in ASKS]
    assert [reply.text for reply in alone] == [reply.text for reply in first]


def test_a_free_judge_is_another_judge_and_its_nonsense_is_invalid(folder):
    with load_judge(f"local:{folder}", guided=False) as judge:
        assert judge.ask(ASKS[:1])[0].problem.startswith("invalid")
        free = judge.writer.identity
    with load_judge(f"local:{folder}") as judge:
        assert judge.writer.identity != free


def test_a_prompt_that_does_not_fit_is_an_error_of_that_ask(folder):
    long = JudgeAsk(id="l", task="emocue_cues", fields={"text": "word " * 1200})
    with load_judge(f"local:{folder}") as judge:
        replies = judge.ask([long, ASKS[0]])
    assert "this judge can take" in replies[0].problem and replies[1].problem is None


def test_a_folder_that_holds_no_language_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "wav2vec2"}')
    with pytest.raises(JudgeError, match="cannot be loaded"):
        load_judge(f"local:{tmp_path}")
