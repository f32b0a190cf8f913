"""The whole road with a tiny model: two ways give one answer, absent streams say why, times add up."""

import json

import pytest
import torch
from media_samples import audio_file, sample_video
from safetensors import safe_open
from tiny import tiny_model, tiny_processor

from cuewise.mllm.clip import Clip
from cuewise.mllm.engine.build import ENGINES
from cuewise.mllm.folders import model_folder
from cuewise.mllm.media import MediaConfig, MediaError
from cuewise.mllm.pipeline import AnalyzeError, Analyzer, ClipError
from cuewise.mllm.question import Question
from cuewise.mllm.report import CHANNELS, EmotionReport, parse


@pytest.fixture(scope="module")
def analyzer():
    with Analyzer(tiny_model(), tiny_processor(), name="tiny", media=MediaConfig(num_frames=4)) as analyzer:
        yield analyzer


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    video = sample_video(folder, seconds=1.5)
    return [
        Clip(path=video, transcript="we won"),
        Clip(path=audio_file(folder, "wav", seconds=1.2)),
        Clip(transcript="pitch higher, she said", id="words"),
        Clip(path=sample_video(folder, seconds=1.0, sound=False, name="silent.mp4")),
    ]


def content(report: EmotionReport) -> dict:
    return report.model_dump(exclude={"timing_ms"})


def close(a, b, tolerance: float = 2e-5) -> bool:
    """Equal up to float noise of another batch shape."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b))
    return abs(a - b) < tolerance if isinstance(a, float) and isinstance(b, float) else a == b


def test_a_batch_of_mixed_clips_gives_the_same_reports_as_one_by_one(analyzer, clips):
    together = list(analyzer.analyze_many(clips))
    for report, clip in zip(together, clips):
        assert close(content(report), content(analyzer.analyze(clip)))


def test_streaming_gives_the_same_reports_and_the_same_text(analyzer, clips):
    pieces: list[str] = []
    streamed = list(analyzer.analyze_many(clips[:2], form="direct", on_text=pieces.append))
    plain = list(analyzer.analyze_many(clips[:2], form="direct"))
    assert "".join(pieces) == "".join(report.text for report in plain)
    assert all(close(content(a), content(b)) for a, b in zip(streamed, plain))


def test_the_engine_writes_what_generate_writes(analyzer, clips):
    clip = clips[0]
    report = analyzer.analyze(clip, form="direct")
    media = analyzer.worker.load(clip)
    tensors = analyzer.processor.tensors(media)
    opening = analyzer.processor.text_ids("<answer>")
    ids = torch.tensor([analyzer.prompt_ids(media, tensors, "direct") + opening])
    batch = analyzer.processor.collate([tensors])
    written = analyzer.model.generate(ids, **batch, max_new_tokens=64, do_sample=False)[0, ids.shape[1] :].tolist()
    end = analyzer.model.config.tokens["end"]
    written = written[: written.index(end)] if end in written else written
    assert "<answer>" + analyzer.processor.tokenizer.decode(written) == report.text


def test_json_is_streamed_whole_and_is_the_report(analyzer, clips):
    pieces: list[str] = []
    question = Question(form="direct", json_object=True)
    (answer,) = analyzer.answer_many([(clips[0], question)], on_text=pieces.append)
    assert pieces == [answer.report.text]
    assert json.loads(pieces[0])["emotions"] == [emotion.label for emotion in answer.report.emotions]


def test_a_model_that_declares_json_writes_it_itself(analyzer, clips):
    analyzer.model.config.writes_json = True
    try:
        pieces: list[str] = []
        question = Question(form="direct", json_object=True, max_tokens=400)
        (answer,) = analyzer.answer_many([(clips[0], question)], on_text=pieces.append)
    finally:
        analyzer.model.config.writes_json = False
    assert len(pieces) > 1 and "".join(pieces) == answer.report.text and answer.report.text.startswith('{"emotions"')


@pytest.mark.parametrize("form", ["explained", "direct"])
def test_the_form_is_the_one_that_was_asked_for(analyzer, clips, form):
    assert {report.form for report in analyzer.analyze_many(clips, form=form)} == {form}


def test_absent_streams_say_why_and_present_ones_have_tokens(analyzer, clips):
    video, sound, words, silent = analyzer.analyze_many(clips)
    assert {name for name, info in sound.streams.items() if info.present} == {"voice"}
    assert {name for name, info in words.streams.items() if info.present} == {"words"}
    assert not silent.streams["voice"].present and silent.streams["scene"].present
    assert video.streams["words"].present and video.words == []
    for report in (video, sound, words, silent):
        assert set(report.streams) == set(CHANNELS)
        assert all(info.tokens if info.present else info.why for info in report.streams.values())


def test_stage_times_add_up_to_the_total(analyzer, clips):
    for report in analyzer.analyze_many(clips):
        parts = sum(value for name, value in report.timing_ms.items() if name != "total")
        assert parts == pytest.approx(report.timing_ms["total"], rel=0.1)
        assert report.timing_ms["generate"] > 0


def test_reports_survive_json(analyzer, clips):
    report = analyzer.analyze(clips[0])
    assert EmotionReport.model_validate_json(report.model_dump_json()) == report


def test_an_unreadable_clip_is_an_error_in_its_place_and_the_others_go_on(analyzer, clips, tmp_path):
    (tmp_path / "noise.mp4").write_bytes(b"\x07" * 500)
    first, broken, last = analyzer.analyze_many([clips[1], Clip(path=tmp_path / "noise.mp4"), clips[2]])
    assert isinstance(first, EmotionReport) and isinstance(last, EmotionReport)
    assert isinstance(broken, ClipError) and broken.code == "undecodable" and "noise.mp4" in broken.message
    with pytest.raises(MediaError, match=r"nowhere\.mp4"):
        analyzer.analyze(Clip(path=tmp_path / "nowhere.mp4"))


def test_the_path_of_a_file_is_a_clip_and_other_things_are_refused(analyzer, tmp_path):
    file = audio_file(tmp_path, "wav", seconds=1.0)
    assert analyzer.analyze(str(file), "direct").clip == analyzer.analyze(Clip(path=file), "direct").clip
    assert [report.clip for report in analyzer.analyze_many([file], "direct")] == [file.name]
    with pytest.raises(TypeError, match=r"cuewise\.Clip or the path of a file, got int"):
        analyzer.analyze(3)


def test_a_long_transcript_gives_way_and_the_media_stays(analyzer, clips):
    report = analyzer.analyze(Clip(path=clips[1].path, transcript="we won again and again " * 400), form="direct")
    assert report.streams["voice"].present and report.text.startswith("<answer>")


def test_a_model_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(AnalyzeError, match="neither a shipped model"):
        Analyzer.load(tmp_path / "nothing")


def test_a_saved_and_loaded_model_gives_the_same_report(analyzer, clips, tmp_path):
    analyzer.model.save_pretrained(tmp_path / "m")
    analyzer.processor.save_pretrained(tmp_path / "m")
    with Analyzer.load(tmp_path / "m", media=MediaConfig(num_frames=4)) as loaded:
        again = loaded.analyze(clips[0], form="direct")
    first = analyzer.analyze(clips[0], form="direct")
    assert content(again) | {"model": ""} == content(first) | {"model": ""}


@pytest.mark.parametrize("engine", [name for name in ENGINES if name != "slot"])
def test_engines_give_the_same_reports(analyzer, clips, engine):
    media = MediaConfig(num_frames=4)
    with Analyzer(analyzer.model, analyzer.processor, name="tiny", media=media, engine=engine) as other:
        for mine, theirs in zip(analyzer.analyze_many(clips, "direct"), other.analyze_many(clips, "direct")):
            assert mine.text == theirs.text
            assert close(content(mine), content(theirs), 2e-4)


def test_channels_that_are_left_out_are_absent_with_the_reason(analyzer, clips):
    answer = next(analyzer.answer_many([(clips[0], Question(channels=("voice",)))]))
    assert {name for name, info in answer.report.streams.items() if info.present} == {"voice"}
    assert answer.report.streams["words"].why == answer.report.streams["scene"].why == "left out by the caller"
    assert set(answer.media_tokens) <= {"voice", "fused"} and "no face, words, scene" in answer.prompt
    whole = next(analyzer.answer_many([(clips[0], Question())]))
    assert whole.report.streams["scene"].present, "leaving channels out of one question changes no other"


def test_an_unknown_channel_is_named():
    with pytest.raises(ValueError, match="unknown channel 'smell'; channels are face, voice, words, scene"):
        Question(channels=("smell",))


@pytest.mark.parametrize("form", ["explained", "direct"])
def test_a_guided_answer_has_no_problem_even_from_an_untrained_model(analyzer, clips, form):
    question = Question(form=form, guided=True, max_tokens=700, seed=3)
    answer = next(analyzer.answer_many([(clips[0], question)]))
    assert answer.finish_reason == "stop"
    parsed = parse(answer.report.text, answer.report.duration)
    assert parsed.form == form and not parsed.problems


def test_an_answer_held_to_a_json_schema_is_read_as_json(analyzer, clips):
    schema = {"type": "object", "properties": {"emotions": {"type": "array", "items": {"enum": ["sad", "happy"]},
              "minItems": 1, "maxItems": 1}}, "required": ["emotions"], "additionalProperties": False}  # fmt: skip
    answer = next(analyzer.answer_many([(clips[2], Question(schema=schema))]))
    assert answer.report.text in ('{"emotions":["sad"]}', '{"emotions":["happy"]}')
    assert answer.report.emotions[0].label in ("sad", "happy") and answer.report.form == "direct"


def test_an_unknown_engine_is_named():
    with pytest.raises(AnalyzeError, match="unknown engine 'warp'"):
        Analyzer(tiny_model(), tiny_processor(), name="tiny", engine="warp")


@pytest.mark.parametrize(("device", "said"), [("foo", "use cpu, cuda or cuda:NUMBER"), ("cuda:99", "use --device cpu")])
def test_a_device_that_is_not_here_is_told_in_one_sentence(device, said):
    with pytest.raises(AnalyzeError, match=said):
        Analyzer.load("nano", device=device)


@pytest.mark.parametrize("model", ["nano", "nano-research"])
def test_a_shipped_model_is_stored_in_sixteen_bits(model):
    with safe_open(model_folder(model) / "model.safetensors", "pt") as weights:
        kinds = {weights.get_slice(name).get_dtype() for name in weights.keys()}  # noqa: SIM118 (no mapping)
    assert "F16" in kinds and "F32" not in kinds


@pytest.mark.parametrize("model", ["nano", "nano-research"])
def test_a_shipped_model_quotes_what_was_said(model):
    texts = ["I've never been this sad in my life!", "There it is, we won!", "Ich bin so froh, danke.", "他说我很开心"]
    with Analyzer.load(model) as loaded:
        reports = [loaded.analyze(Clip(transcript=text)) for text in texts]
    quotes = [cue for report in reports for cue in report.cues if cue.channel == "words"]
    assert len(quotes) >= len(texts) - 1
    assert {cue.check.verdict for cue in quotes} == {"supported"}
