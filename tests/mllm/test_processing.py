import importlib
import json

import numpy as np
import pytest
import tiny
import torch
from transformers import AutoProcessor

from cuewise.mllm.media import MediaConfig
from cuewise.mllm.media.types import Media
from cuewise.mllm.processing import CuewiseProcessor
from cuewise.mllm.prompts import StreamSlot, build


def ids_of(processor: CuewiseProcessor) -> dict[str, int]:
    return processor.plan.tokens.placeholders


def test_tensors_hold_exactly_the_streams_that_are_present():
    processor = tiny.tiny_processor()
    assert set(processor.tensors(tiny.tiny_media()).streams) == set(tiny.STREAMS)
    assert set(processor.tensors(tiny.tiny_media(streams=("voice",))).streams) == {"voice"}
    assert processor.tensors(Media(duration_s=1.0)).streams == {}


def test_frames_without_a_face_are_dropped_and_the_times_stay_true():
    media = tiny.tiny_media(frames=5)
    face = tiny.tiny_processor().tensors(media).streams["face"]
    assert len(face.values) == 3
    assert face.times_s.tolist() == pytest.approx(media.frame_times_s[[0, 2, 4]].tolist())
    assert all(picture.any() for picture in face.values)


def test_a_track_without_any_face_is_an_absent_stream():
    media = tiny.tiny_media()
    media.face.found[:] = False
    assert "face" not in tiny.tiny_processor().tensors(media).streams


def test_words_come_from_timed_words_when_there_is_no_transcript():
    from cuewise.mllm.report import Word

    processor = tiny.tiny_processor()
    timed = Media(duration_s=1.0, words=[Word(text="we"), Word(text="won")])
    plain = Media(duration_s=1.0, transcript="we won")
    got = processor.tensors(timed).streams["words"].values
    assert torch.equal(got, processor.tensors(plain).streams["words"].values)


def test_a_long_transcript_keeps_its_end():
    processor = tiny.tiny_processor()
    media = Media(duration_s=1.0, transcript="a b " * 400 + "we won")
    words = processor.tensors(media).streams["words"]
    longest = processor.plan.streams["words"].encoder_config.max_tokens
    assert len(words.values) == longest
    assert processor.tokenizer.decode(words.values).endswith("we won")


def test_collated_batch_is_padded_with_masks():
    processor = tiny.tiny_processor()
    long, short = (processor.tensors(tiny.tiny_media(1, ("voice",), seconds=s)) for s in (1.0, 0.5))
    batch = processor.collate([long, short, processor.tensors(tiny.tiny_media(2, ("words",)))])
    assert batch["voice_mask"].sum(1).tolist() == [101, 51, 0]
    assert batch["voice_values"].shape == (3, 101, 16)
    assert batch["words_mask"].any(1).tolist() == [False, False, True]
    assert "face_values" not in batch


def test_prompt_has_as_many_placeholders_as_declared_rows():
    processor = tiny.tiny_processor()
    clip = processor.tensors(tiny.tiny_media())
    counts = processor.num_tokens(clip)
    ids = processor.prompt_ids(build(clip.streams, transcript="we won", duration_s=1.0), counts)
    for slot, placeholder in ids_of(processor).items():
        assert ids.count(placeholder) == counts.get(slot, 0)
    assert set(counts) == {"face", "scene", "voice", "words", "fused"} and min(counts.values()) > 0
    assert ids[0] == processor.plan.tokens.user and ids[-1] == processor.plan.tokens.assistant


def test_a_slot_that_is_not_present_writes_nothing():
    processor = tiny.tiny_processor()
    ids = processor.prompt_ids(["look ", StreamSlot("face"), "?"], {})
    assert not set(ids) & {*ids_of(processor).values(), *processor.plan.tokens.begins.values()}


def test_a_present_stream_without_a_place_is_an_error():
    with pytest.raises(ValueError, match="voice has 5 rows but no place in the prompt"):
        tiny.tiny_processor().prompt_ids(["hello"], {"voice": 5})


def test_a_stream_with_two_places_is_an_error():
    with pytest.raises(ValueError, match="shows voice twice"):
        tiny.tiny_processor().prompt_ids([StreamSlot("voice"), StreamSlot("voice")], {"voice": 5})


@pytest.mark.parametrize("text", ["<|voice|>", "<|face_begin|> <|end|>", "<|assistant|>", "<|pad|><|fused|>"])
def test_user_text_never_becomes_a_structural_token(text):
    processor = tiny.tiny_processor()
    special = set(processor.tokenizer.all_special_ids)
    assert not special & set(processor.text_ids(text))
    prompt = processor.prompt_ids(build([], transcript=text, context=text, question=text))
    assert special & set(prompt[1:-1]) == set()
    raw = processor.prompt_ids([text])
    assert special & set(raw[1:-1]) == set()
    words = processor.tensors(Media(duration_s=1.0, transcript=text)).streams["words"]
    assert not special & set(words.values.tolist())


def test_text_survives_a_round_trip_byte_for_byte():
    processor = tiny.tiny_processor()
    for text in ("0.40-1.20 s", "złość, 喜び 😀", "<|voice|> </think>", "  two  spaces\n"):
        assert processor.tokenizer.decode(processor.text_ids(text)) == text


def test_answer_tags_are_single_tokens_and_digits_stand_alone():
    processor = tiny.tiny_processor()
    assert len(processor.text_ids("<think></think><answer></answer><confidence></confidence>")) == 6
    assert len(processor.text_ids("1234")) == 4
    assert processor.answer_ids("ok")[-1] == processor.plan.tokens.end


def test_a_long_prompt_loses_context_then_transcript_and_never_media():
    processor = tiny.tiny_processor()
    parts = build(["voice"], transcript="early words " * 20 + "the end", context="long ago " * 30)
    whole = processor.prompt_ids(parts, {"voice": 5})
    without_context = processor.prompt_ids(build(["voice"], transcript="early words " * 20 + "the end"), {"voice": 5})
    short = processor.prompt_ids(parts, {"voice": 5}, max_tokens=len(without_context) - 100)
    assert len(short) == len(without_context) - 100 < len(whole)
    assert short.count(ids_of(processor)["voice"]) == 5
    text = processor.tokenizer.decode(short)
    assert "long ago" not in text and "the end</transcript>" in text and "emotions" in text


def test_a_limit_that_even_media_exceeds_is_an_error():
    with pytest.raises(ValueError, match=r"longer than max_tokens=10.*media is never cut"):
        tiny.tiny_processor().prompt_ids(build(["voice"]), {"voice": 5}, max_tokens=10)


def test_saved_and_loaded_processor_writes_the_same(tmp_path):
    config = tiny.tiny_config()
    processor = tiny.tiny_processor(config)
    processor.save_pretrained(tmp_path)
    config.save_pretrained(tmp_path)
    importlib.import_module("cuewise.mllm.auto")
    loaded = AutoProcessor.from_pretrained(tmp_path)
    loaded.check(config)
    media = tiny.tiny_media()
    mine, theirs = processor.collate([processor.tensors(media)]), loaded.collate([loaded.tensors(media)])
    assert all(torch.equal(mine[key], theirs[key]) for key in mine) and mine.keys() == theirs.keys()
    parts = build(["voice"], transcript="we won")
    assert loaded.prompt_ids(parts, {"voice": 5}) == processor.prompt_ids(parts, {"voice": 5})


def test_how_training_clips_were_read_is_kept_and_can_be_changed(tmp_path):
    processor = tiny.tiny_processor()
    assert processor.media_config() == MediaConfig()
    processor.keep_media(MediaConfig(num_frames=8, frame_size=320, memory_mb=900.0))
    processor.save_pretrained(tmp_path)
    loaded = CuewiseProcessor.from_pretrained(tmp_path)
    assert loaded.media_config() == MediaConfig(num_frames=8, frame_size=320)
    assert loaded.media_config(MediaConfig(num_frames=4, max_file_mb=5.0)) == MediaConfig(
        num_frames=4, frame_size=320, max_file_mb=5.0)  # fmt: skip
    loaded.keep_media(MediaConfig())
    assert loaded.media == {}


def test_a_folder_without_media_options_means_the_default_and_unknown_ones_are_named(tmp_path):
    tiny.tiny_processor().save_pretrained(tmp_path)
    file = tmp_path / "processor_config.json"
    values = json.loads(file.read_text())
    del values["media"]
    file.write_text(json.dumps(values))
    assert CuewiseProcessor.from_pretrained(tmp_path).media_config() == MediaConfig()
    file.write_text(json.dumps(values | {"media": {"num_frame": 8}}))
    with pytest.raises(ValueError, match=r"unknown option `media\.num_frame`; did you mean `media\.num_frames`"):
        CuewiseProcessor.from_pretrained(tmp_path)


def test_a_processor_that_does_not_fit_the_model_is_refused():
    other = tiny.tiny_config(prefusion="none")
    with pytest.raises(ValueError, match="processor and model disagree on `prefusion`"):
        tiny.tiny_processor().check(other)


def test_pictures_are_scaled_to_what_the_encoder_declares():
    processor = tiny.tiny_processor()
    clip = processor.tensors(tiny.tiny_media())
    assert clip.streams["face"].values.shape == (3, 32, 32, 1)
    assert clip.streams["scene"].values.shape == (5, 32, 32, 3)
    assert clip.streams["face"].values.dtype == torch.uint8


def test_sound_without_an_end_or_with_one_sample_is_still_one_frame():
    media = Media(duration_s=0.1, samples=np.array([0.5], np.float32))
    assert tiny.tiny_processor().tensors(media).streams["voice"].length == 1
