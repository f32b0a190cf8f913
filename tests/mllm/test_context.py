"""Text that a caller gives about a clip: a stream of its own, read and fused, but no channel of cues."""

import torch
from tiny import tiny_config, tiny_media, tiny_model, tiny_processor

from cuewise.mllm.clip import Clip
from cuewise.mllm.media.types import Media
from cuewise.mllm.pipeline import Analyzer
from cuewise.mllm.prompts import build
from cuewise.mllm.question import Question

TEXT = "Measured face actions: lip corners up 2.31"


def streams() -> dict:
    plain = tiny_config().streams
    return {**plain, "context": {**plain["words"], "encoder": {**plain["words"]["encoder"], "max_tokens": 16}}}


def parts():
    model = tiny_model(streams=streams())
    return model, tiny_processor(model.config)


def said(context: str | None) -> Media:
    media = tiny_media(streams=("voice", "words"))
    media.context = context
    return media


def test_a_context_has_a_row_of_its_own_and_a_part_in_what_all_streams_say():
    model, processor = parts()
    clips = [processor.tensors(said(text)) for text in (TEXT, "Something else", None)]
    first, second, without = model.encode(processor.collate(clips))
    assert first.counts["context"] == 1 and "context" not in without.counts
    assert not torch.allclose(first.logits, second.logits)
    torch.testing.assert_close(first.readings["voice"].logits, without.readings["voice"].logits)
    alone = model.encode(processor.collate([clips[2]]))[0]
    torch.testing.assert_close(alone.logits, without.logits)


def test_a_blank_context_is_absent_and_a_long_one_keeps_its_end():
    _, processor = parts()
    assert "context" not in processor.tensors(said("  ")).streams
    long = processor.tensors(said("a b c d e f g h " * 20 + "end")).streams["context"].values
    assert len(long) == 16 and processor.tokenizer.decode(long).endswith("end")


def test_the_context_of_a_clip_can_be_replaced_and_models_without_the_stream_ignore_it():
    _, processor = parts()
    clip = processor.tensors(said(TEXT))
    assert "context" not in processor.with_context(clip, None).streams and "context" in clip.streams
    assert len(processor.with_context(clip, "x").streams["context"].values) == 1
    plain = tiny_processor()
    assert set(plain.with_context(plain.tensors(said(TEXT)), TEXT).streams) == {"voice", "words"}


def test_a_prompt_has_a_placeholder_for_it_before_all_text():
    model, processor = parts()
    clip = processor.tensors(said(TEXT))
    ids = processor.prompt_ids(build(clip.streams, context=TEXT), processor.num_tokens(clip))
    place = ids.index(processor.plan.tokens.placeholders["context"])
    assert place < ids.index(processor.plan.tokens.begins["voice"])
    rows = model.prompt_rows(ids, model.encode(processor.collate([clip]))[0])
    assert rows.shape == (len(ids), 32)


def test_a_report_names_no_channel_for_it():
    clip = Clip(samples=said(None).samples, sample_rate=16_000, transcript="we won", context=TEXT)
    with Analyzer(*parts(), name="tiny") as analyzer:
        answers = [next(analyzer.answer_many([(clip, Question(form="direct", max_tokens=4, channels=channels))]))
                   for channels in (None, ["voice"])]  # fmt: skip
    for answer in answers:
        assert set(answer.report.agreement.channels) <= {"voice", "words"}
        assert answer.media_tokens["context"] == 1
