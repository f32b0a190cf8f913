"""Words from sound by a Whisper model; a tiny random one checks the road, not the recognition."""

import json

import numpy as np
import pytest

from cuewise.mllm.media.transcribe import TranscriberError, _words, transcribe
from cuewise.mllm.report import Word

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def tiny_whisper(tmp_path_factory):
    """A Whisper of two thin layers with random weights and a small byte-level tokenizer."""
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )

    folder = tmp_path_factory.mktemp("whisper")
    # The printable stand-ins of the 256 byte values in byte-level vocabularies.
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = [chr(b) for b in plain] + [chr(256 + i) for i in range(256 - len(plain))]
    (folder / "vocab.json").write_text(json.dumps({symbol: i for i, symbol in enumerate(symbols)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    names = ("endoftext", "startoftranscript", "en", "transcribe", "translate", "notimestamps")
    special = [f"<|{name}|>" for name in names]
    stamps = [f"<|{i * 0.02:.2f}|>" for i in range(1501)]
    tokenizer = WhisperTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), bos_token=special[0],
                                 eos_token=special[0], unk_token=special[0], pad_token=special[0])  # fmt: skip
    tokenizer.add_tokens(special + stamps, special_tokens=True)
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in special}
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=len(tokenizer), d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_target_positions=64,
        pad_token_id=ids[special[0]], bos_token_id=ids[special[0]], eos_token_id=ids[special[0]],
        decoder_start_token_id=ids[special[1]],
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=ids[special[0]], pad_token_id=ids[special[0]], bos_token_id=ids[special[0]],
        decoder_start_token_id=ids[special[1]], max_length=40, is_multilingual=True,
        lang_to_id={"<|en|>": ids["<|en|>"]}, task_to_id={"transcribe": ids["<|transcribe|>"],
        "translate": ids["<|translate|>"]}, no_timestamps_token_id=ids["<|notimestamps|>"],
        alignment_heads=[[0, 0], [1, 1]], max_initial_timestamp_index=50, return_timestamps=False,
        prev_sot_token_id=None,
    )  # fmt: skip
    model.save_pretrained(folder)
    WhisperProcessor(WhisperFeatureExtractor(feature_size=80), tokenizer).save_pretrained(folder)
    return folder


def test_words_with_times_come_back(tiny_whisper):
    sound = 0.1 * np.random.default_rng(0).standard_normal(32_000).astype(np.float32)
    words = transcribe(sound, str(tiny_whisper), language="en")
    assert all(isinstance(word, Word) for word in words)
    assert all(0 <= word.start <= word.end <= 2.0 for word in words)
    assert words == transcribe(sound, str(tiny_whisper), language="en")


def test_almost_no_sound_has_no_words(tmp_path):
    assert transcribe(np.zeros(100, np.float32), str(tmp_path / "not even looked for")) == []


def test_a_missing_model_says_what_to_do(tmp_path):
    with pytest.raises(TranscriberError, match=r"there is no such folder.*download a Whisper model first"):
        transcribe(np.zeros(16_000, np.float32), str(tmp_path / "no"))
    with pytest.raises(TranscriberError, match="the folder holds no model"):
        transcribe(np.zeros(16_000, np.float32), str(tmp_path))


def test_another_kind_of_model_is_refused(tmp_path):
    from transformers import GPT2Config

    GPT2Config(n_layer=1, n_head=1, n_embd=8).save_pretrained(tmp_path)
    with pytest.raises(TranscriberError, match="is a gpt2 model"):
        transcribe(np.zeros(16_000, np.float32), str(tmp_path))


def test_open_and_disordered_times_are_brought_into_the_clip():
    chunks = [{"text": " we", "timestamp": (None, 0.4)}, {"text": " won", "timestamp": (0.3, None)},
              {"text": " ", "timestamp": (0.0, 0.1)}, {"text": " it", "timestamp": (0.1, 9.0)}]  # fmt: skip
    assert _words(chunks, 2.0) == [Word(text="we", start=0.0, end=0.4), Word(text="won", start=0.3, end=2.0),
                                   Word(text="it", start=0.3, end=2.0)]  # fmt: skip


def test_stereo_is_refused():
    with pytest.raises(ValueError, match=r"mono sound \[n\]"):
        transcribe(np.zeros((2, 16_000), np.float32), "x")
