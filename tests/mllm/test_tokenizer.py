import pytest
import tiny
from transformers import AutoTokenizer

from cuewise.mllm.streams import TokenIds
from cuewise.mllm.tokenizer import (
    MIN_VOCAB,
    SPECIAL_TOKENS,
    add_structure,
    default_token_ids,
    token_ids,
    train_tokenizer,
)


def test_a_trained_tokenizer_has_the_default_ids():
    assert token_ids(tiny.tiny_tokenizer()) == default_token_ids()
    assert [tiny.tiny_tokenizer().get_vocab()[name] for name in SPECIAL_TOKENS] == list(range(len(SPECIAL_TOKENS)))
    assert TokenIds(**default_token_ids()).pad == 0


def test_training_is_deterministic_and_learns_frequent_words():
    texts = ["lip corners clearly up"] * 20
    one, other = (train_tokenizer(texts, MIN_VOCAB + 60) for _ in range(2))
    assert one.get_vocab() == other.get_vocab()
    assert len(one("clearly", split_special_tokens=True).input_ids) < len("clearly")
    assert len(one) <= MIN_VOCAB + 60


def test_saved_and_loaded_tokenizer_writes_the_same_ids(tmp_path):
    tokenizer = tiny.tiny_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for text in ("<think>we won 12.50</think>", "złość 😀", "<|voice|>"):
        assert loaded(text, split_special_tokens=True).input_ids == tokenizer(text, split_special_tokens=True).input_ids
    assert token_ids(loaded) == default_token_ids()


def test_a_foreign_tokenizer_can_be_given_our_tokens():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({"<eos>": 0, "hello": 1}, unk_token="<eos>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    foreign = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<eos>", pad_token="<eos>")
    with pytest.raises(ValueError, match="call add_structure"):
        token_ids(foreign)
    assert add_structure(foreign) > 0 and add_structure(foreign) == 0
    assert min(TokenIds(**token_ids(foreign)).placeholders.values()) > 1


def test_too_small_a_vocabulary_is_refused():
    with pytest.raises(ValueError, match=f"vocab_size must be >= {MIN_VOCAB}"):
        train_tokenizer(["x"], 100)


def test_two_structural_tokens_cannot_share_an_id():
    values = default_token_ids()
    with pytest.raises(ValueError, match="id of its own"):
        TokenIds(**(values | {"pad": values["end"]}))
