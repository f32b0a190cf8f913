"""Embedders: unit rows, the same text the same row, a name that tells them apart; EmoCue-360 over each of them."""

import subprocess
import sys

import numpy as np
import pytest

from cuewise.eval.embedders import EmbedderError, load_embedder
from cuewise.eval.metrics.emocue import emocue360
from cuewise.eval.metrics.registry import metric

TEXTS = ["lip corners up", "lips raised", "joyful", "happy", "angry", "furious", "", "眉をひそめる", "\ud800"]


def near(embedder, a: str, b: str) -> float:
    return float(np.dot(*embedder.embed([a, b])))


def check_contract(embedder):
    rows = embedder.embed(TEXTS)
    assert rows.shape[0] == len(TEXTS) and rows.dtype == np.float32 and np.isfinite(rows).all()
    lengths = np.linalg.norm(rows, axis=1)
    assert np.all(np.isclose(lengths, 1, atol=1e-5) | (lengths == 0))
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    assert np.allclose(rows, alone, atol=1e-5)
    assert np.array_equal(embedder(TEXTS[:2]), embedder.embed(TEXTS[:2]))
    assert embedder.embed([]).shape == (0, rows.shape[1])
    assert embedder.describe()["name"] == embedder.name


def test_the_offline_embedder_keeps_the_contract():
    check_contract(load_embedder())


def test_it_brings_word_forms_and_emotion_synonyms_together():
    embedder = load_embedder("offline")
    assert near(embedder, "joyful", "happy") > near(embedder, "joyful", "angry") + 0.2
    assert near(embedder, "furious", "angry") > near(embedder, "furious", "calm") + 0.2
    assert near(embedder, "she is frowning", "a frown") > near(embedder, "she is frowning", "loud music") + 0.1
    assert near(embedder, "the brows are lowered", "brows lowered") > 0.8
    assert near(embedder, "brows lowered", "brows lowered") == pytest.approx(1)


def test_it_is_the_same_in_every_process_and_loads_no_torch():
    code = ("import sys; from cuewise.eval.embedders import load_embedder;"
            "print(load_embedder().embed(['a happy voice'])[0].argmax(), 'torch' in sys.modules)")  # fmt: skip
    runs = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                           env={"PYTHONHASHSEED": seed}).stdout for seed in ("1", "2")}  # fmt: skip
    assert runs == {f"{load_embedder().embed(['a happy voice'])[0].argmax()} False\n"}


def test_names_that_lead_nowhere(tmp_path):
    for spec, message in (("oflline", "did you mean `offline`"), ("minilm", "embedders are offline"),
                          (f"hf:{tmp_path / 'none'}", "no such folder"), ("hf:", "embedders are"),
                          (f"hf:{tmp_path}", "cannot be loaded")):  # fmt: skip
        with pytest.raises(EmbedderError, match=message):
            load_embedder(spec)


def test_the_library_that_is_not_there_is_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(EmbedderError, match=r"install cuewise\[embed\], or use hf:"):
        load_embedder(f"sentence-transformers:{tmp_path}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import tiny
    import torch
    import transformers

    path = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=tiny.VOCAB, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                                     intermediate_size=48, max_position_embeddings=64)  # fmt: skip
    transformers.BertModel(config).save_pretrained(path)
    tiny.tiny_tokenizer().save_pretrained(path)
    return path


@pytest.mark.slow
def test_any_encoder_keeps_the_contract(folder):
    embedder = load_embedder(f"hf:{folder}", batch_size=4)
    check_contract(load_embedder(f"hf:{folder}", batch_size=4))
    assert embedder.name.startswith("hf:encoder0@") and len(embedder.describe()["weights_sha256"]) == 64
    assert np.isfinite(embedder.embed(["word " * 500])).all()


@pytest.mark.slow
def test_sentence_transformers_models_keep_the_contract(folder):
    pytest.importorskip("sentence_transformers", reason="comes with the embed extra")
    check_contract(load_embedder(f"sentence-transformers:{folder}"))


def cues(visual, emotional):
    return {"visual": visual, "auditory": [], "emotional": emotional}


def test_emocue_runs_on_the_embedder_and_names_it():
    embedder = load_embedder()
    gt = [cues(["lip corners up"], ["happy"]), cues(["brows lowered"], ["angry"])]
    pred = [cues(["the lip corners go up"], ["joyful"]), cues(["brows lowered"], ["furious"])]
    found = emocue360(gt, pred, embedder, embedder.name)
    assert found["embedder"] == "cuewise-offline-1"
    for channel in ("visual", "emotional"):
        assert found[channel]["floor_f1"] + 0.2 < found[channel]["f1"] <= 1
    registered = metric("emocue360").compute(gt, pred)
    assert registered["embedder"] == "cuewise-offline-1" and registered["visual"] == found["visual"]
