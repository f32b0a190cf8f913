"""Words with the place of each in a lexicon: tokens carry that of their word, and none of it is needed."""

import math

import tiny
import torch

from cuewise.mllm.encoders.vad_text import VadTextConfig, VadTextEncoder
from cuewise.mllm.modeling import CuewiseForConditionalGeneration
from cuewise.mllm.taxonomy.lexicon import lexicon_at


def lexicon_file(folder) -> str:
    path = folder / "vad.tsv"
    path.write_text("win\t0.9\t0.8\t0.7\npitch\t0.5\t0.5\t0.5\nhorror\t0.0\t1.0\t0.2\n")
    return str(path)


def test_every_token_of_a_known_word_has_its_place_and_others_have_none(tmp_path):
    processor = tiny.tiny_processor()
    text = "oh, pitch! nothing"
    places = processor.text_places(text, lexicon_at(lexicon_file(tmp_path)))
    tokens = [processor.tokenizer.decode([i]) for i in processor.text_ids(text)]
    assert len(places) == len(tokens)
    known = "".join(token for token, place in zip(tokens, places) if not math.isnan(place[0]))
    assert known.strip() == "pitch" and {place for place in places if not math.isnan(place[0])} == {(0.0, 0.0, 0.0)}


def model_with(lexicon: str | None) -> CuewiseForConditionalGeneration:
    streams = dict(tiny.tiny_config().streams)
    encoder = {"family": "vad_text", "vocab_size": tiny.VOCAB, "width": 16, "vad_width": 8, "layers": 1,
               "vad_layers": 1, "lexicon": lexicon}  # fmt: skip
    streams["words"] = streams["words"] | {"encoder": encoder}
    return tiny.tiny_model(streams=streams)


def test_a_model_reads_with_its_lexicon_and_without(tmp_path):
    lexicon_at.cache_clear()
    path = lexicon_file(tmp_path)
    model = model_with(path)
    clip = tiny.tiny_processor(model.config).tensors(tiny.tiny_media(streams=("words",)))
    assert clip.streams["words"].values.shape[1] == 4
    plain = model_with(None)
    plain.load_state_dict(model.state_dict())
    bare = tiny.tiny_processor(plain.config).tensors(tiny.tiny_media(streams=("words",)))
    processor = tiny.tiny_processor(model.config)
    with torch.no_grad():
        known = model.encode_batch(processor.collate([clip])).streams["words"].mean
        unknown = plain.encode_batch(processor.collate([bare])).streams["words"].mean
    assert known.shape == unknown.shape and not torch.allclose(known, unknown)
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "vad.tsv").unlink()
    lexicon_at.cache_clear()
    again = CuewiseForConditionalGeneration.from_pretrained(tmp_path / "model").eval()
    without = tiny.tiny_processor(again.config).tensors(tiny.tiny_media(streams=("words",)))
    with torch.no_grad():
        torch.testing.assert_close(again.encode_batch(processor.collate([without])).streams["words"].mean, unknown)


def test_unknown_words_and_padding_say_nothing():
    torch.manual_seed(0)
    encoder = VadTextEncoder(VadTextConfig(vocab_size=30, width=16, vad_width=8)).eval()
    ids = torch.randint(0, 30, (1, 5))
    nowhere = torch.cat([ids.unsqueeze(-1).float(), torch.full((1, 5, 3), torch.nan)], -1)
    mask = torch.ones(1, 5, dtype=torch.bool)
    torch.testing.assert_close(encoder(nowhere, mask).states, encoder(ids, mask).states)
    padded = torch.cat([nowhere, torch.ones(1, 2, 4)], 1)
    longer = torch.cat([mask, torch.zeros(1, 2, dtype=torch.bool)], 1)
    torch.testing.assert_close(encoder(padded, longer).states[:, :5], encoder(ids, mask).states)
