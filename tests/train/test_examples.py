"""Examples as they lie in the cache: nothing in them depends on the tokenizer that made them."""

import pytest
import torch
from media_samples import audio_file
from tiny import VOCAB, tiny_config, tiny_media, tiny_processor, tiny_tokenizer

from cuewise.data_recipes.schema import Row, write_jsonl
from cuewise.mllm.media import MediaConfig
from cuewise.mllm.media.types import Media
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.report import Cue, Problem, Word
from cuewise.mllm.tokenizer import train_tokenizer
from cuewise.train.examples import SourceConfig, SourceError, _decode, _pack, _unpack, load_source

CONTEXT = "pitch clearly higher"


def processor(tokenizer) -> CuewiseProcessor:
    plain = tiny_config().streams
    context = {**plain["words"], "encoder": {**plain["words"]["encoder"], "max_tokens": 32}}
    return CuewiseProcessor.from_config(tiny_config(streams={**plain, "context": context}), tokenizer)


@pytest.mark.parametrize("told", [CONTEXT, None])
@pytest.mark.parametrize("old", [False, True])
def test_a_cached_context_is_read_with_the_tokenizer_of_whoever_loads_it(old, told):
    first, second = processor(tiny_tokenizer()), processor(train_tokenizer(["other words", "igh arl itc"] * 4, VOCAB))
    media = tiny_media(0, streams=("voice", "words"))
    media.context = told
    row = Row(id="a", corpus="t", labels=["happy"], transcript=media.transcript, context=CONTEXT)
    made = first.tensors(media)
    packed = _pack(row, made, 1.0)
    assert set(packed["streams"]) == {"voice"}
    if old:  # as caches were written before
        del packed["told"]
        if told:
            packed["streams"]["context"] = {"values": made.streams["context"].values, "times_s": None, "mask": None}
    again = _unpack(packed, "s", second).tensors
    wanted = second.tensors(media)
    assert {*again.streams} == {*wanted.streams} and ("context" in again.streams) == (told is not None)
    for name in {"words", "context"} & {*wanted.streams}:
        assert torch.equal(again.streams[name].values, wanted.streams[name].values)
    if told:
        assert not torch.equal(again.streams["context"].values, made.streams["context"].values)


def test_at_another_speed_cues_and_words_stand_where_they_are_heard(tmp_path):
    """Each speed is measured by itself, and a span's words count from its begin."""
    audio_file(tmp_path, "wav", seconds=3.0)
    row = Row(id="a", corpus="t", labels=["sad"], media={"audio": "tone.wav"}, span=(1.0, 3.0),
              words=[Word(text="we", start=1.2, end=1.6)],
              cues=[Cue(channel="voice", start=0.5, end=1.5, observation="pitch clearly lower")])  # fmt: skip
    config = SourceConfig(kind="rows", speeds=[1.0, 1.25])
    (plain, whole), (fast, short) = (_decode("s", row, tmp_path, MediaConfig(), speed, config)
                                     for speed in config.speeds)  # fmt: skip
    assert (plain.cues[0].start, plain.cues[0].end) == (0.5, 1.5) and whole.duration_s == pytest.approx(2.0, abs=0.01)
    assert (fast.cues[0].start, fast.cues[0].end) == (0.4, 1.2) and short.duration_s == pytest.approx(1.6, abs=0.01)
    assert plain.words[0].start == pytest.approx(0.2) and fast.words[0].end == pytest.approx(0.48)
    assert row.cues[0].end == 1.5 and row.words[0].start == 1.2


def test_a_clip_of_which_a_part_is_lost_is_told_and_one_without_its_track_stops(tmp_path, caplog):
    whole = audio_file(tmp_path, "opus", seconds=3.0).read_bytes()
    (tmp_path / "cut.opus").write_bytes(whole[: len(whole) // 2])
    write_jsonl([Row(id="cut", corpus="t", labels=["sad"], media={"audio": "cut.opus"})], tmp_path / "rows.jsonl")
    processor = tiny_processor()
    config = SourceConfig(kind="rows", folder="rows.jsonl", split=None)
    found = load_source("mine", config, processor, MediaConfig(), tmp_path, tmp_path / "cache", workers=1)
    assert len(found) == 1 and found[0].duration_s < 2.5
    assert any("source 'mine': 1 clips are damaged" in message and "cut:" in message for message in caplog.messages)


def test_a_track_that_cannot_be_read_at_all_stops(tmp_path, monkeypatch):
    lost = Media(duration_s=1.0, frames=None, samples=None,
                 problems=[Problem(code="damaged_sound", message="the sound cannot be read")])  # fmt: skip
    monkeypatch.setattr("cuewise.train.examples.load_media", lambda clip, config: lost)
    row = Row(id="a", corpus="t", labels=["sad"], media={"video": "x.mp4"})
    with pytest.raises(SourceError, match="source 's', row 'a': the sound cannot be read; repair the file"):
        _decode("s", row, tmp_path, MediaConfig(), 1.0, SourceConfig(kind="rows"))
