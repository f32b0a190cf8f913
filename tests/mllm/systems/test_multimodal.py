"""Every off-the-shelf family in miniature: media reach the model, neighbours do not matter, wrong folders fail."""

import json
import shutil

import media_samples
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig
from cuewise.mllm.systems.adapters import ADAPTERS
from cuewise.mllm.systems.base import SHOWN_MEDIA, Ask, SystemLoadError, load_system
from cuewise.mllm.systems.seen import Seen, Shown

pytestmark = pytest.mark.slow

MODEL_TYPES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "qwen2_5_omni", "qwen3_omni_moe", "qwen2_audio")
SMALL = MediaConfig(num_frames=4, frame_size=64, detector="none")
SOUND = {"samples": media_samples.tone(1.2), "sample_rate": 16_000}


@pytest.fixture(scope="module")
def system_of(folder_of):
    made = {}

    def get(model_type):
        if model_type not in made:
            made[model_type] = load_system(folder_of(model_type), media=SMALL, max_tokens=6)
        return made[model_type]

    yield get
    for system in made.values():
        system.close()


def film(seed=0, count=6, **more) -> Clip:
    frames = np.random.default_rng(seed).integers(0, 255, (count, 48, 64, 3), dtype=np.uint8)
    return Clip(frames=frames, fps=5.0, **more)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_clips_of_every_kind_in_one_batch_are_answered_as_they_are_alone(system_of, model_type):
    system = system_of(model_type)
    asks = [
        Ask(id="all", clip=film(**SOUND, transcript="we won")), Ask(id="words", clip=Clip(transcript="so sad")),
        Ask(id="sound", clip=Clip(**SOUND)), Ask(id="still", clip=film(count=1), max_tokens=3),
        Ask(id="drawn", clip=film(1, **SOUND), temperature=1.5, seed=4), Ask(id="text", clip=None, prompt="Hello?"),
    ]  # fmt: skip
    system.batch_size = 6
    together = list(system.answer(asks))
    system.batch_size = 1
    alone = list(system.answer(reversed(asks)))[::-1]
    assert [reply.id for reply in together] == [ask.id for ask in asks]
    assert [(r.text, r.usage, r.finish_reason) for r in together] == [(r.text, r.usage, r.finish_reason) for r in alone]
    by_name = {reply.id: reply for reply in together}
    errors = {name: reply.error.code for name, reply in by_name.items() if reply.error}
    assert errors == {**({} if system.hears else {"sound": "no_usable_stream"}),
                      **({} if system.sees else {"still": "no_usable_stream"})}  # fmt: skip
    assert by_name["words"].usage["media_tokens"] == 0 == by_name["text"].usage["media_tokens"]
    assert by_name["all"].usage["media_tokens"] > 0 and "we won" in by_name["all"].prompt
    assert all(reply.usage["completion_tokens"] <= 6 for reply in together if not reply.error)
    assert ("[4 frames]" in by_name["all"].prompt) == system.sees
    assert ("[sound 1.20 s]" in by_name["all"].prompt) == system.hears
    assert by_name["text"].prompt == "Hello?"


def first_scores(system, clip: Clip) -> torch.Tensor:
    seen = next(iter(_seen(system, clip)))
    batch = system._batch([Shown(Ask(id="x", clip=clip, prompt="Which?"), seen)])
    with torch.inference_mode():
        return system.model(**batch.inputs).logits[0, -1]


def _seen(system, clip):
    from cuewise.mllm.systems.seen import look

    for shown in look(system.worker, [Ask(id="x", clip=clip)], sees=system.sees, hears=system.hears):
        yield shown.seen


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_what_is_seen_and_heard_changes_the_answer_and_the_rest_does_not(system_of, model_type):
    system = system_of(model_type)
    base = first_scores(system, film(0, **SOUND, transcript="x"))
    other_picture = first_scores(system, film(1, **SOUND, transcript="x"))
    louder = {"samples": media_samples.tone(1.2, hz=600.0), "sample_rate": 16_000}
    other_sound = first_scores(system, film(0, **louder, transcript="x"))
    assert torch.equal(base, other_picture) != system.sees
    assert torch.equal(base, other_sound) != system.hears


def test_absent_streams_are_left_out_of_the_tensors_never_filled(system_of):
    system = system_of("qwen2_5_omni")
    keys = {}
    for name, clip in (("words", Clip(transcript="x")), ("sound", Clip(**SOUND)), ("film", film(0))):
        keys[name] = set(system._batch([Shown(Ask(id="x", clip=clip), next(iter(_seen(system, clip))))]).inputs)
    assert not any("pixel" in key or "feature" in key for key in keys["words"])
    assert "input_features" in keys["sound"] and not any("pixel" in key for key in keys["sound"])
    assert "pixel_values_videos" in keys["film"] and "input_features" not in keys["film"]


def test_omni_models_are_told_the_real_frame_rate_of_each_clip(system_of):
    system = system_of("qwen2_5_omni")
    slow = Clip(frames=film().frames, fps=1.0)
    shown = [Shown(Ask(id="x", clip=clip), next(iter(_seen(system, clip)))) for clip in (film(), slow)]
    seconds = system._batch(shown).inputs["video_second_per_grid"].tolist()
    assert seconds == pytest.approx([2 / one.seen.frames_per_s for one in shown]) and seconds[1] > 3 * seconds[0]


def test_the_times_of_the_frames_are_written_for_qwen3(system_of):
    system = system_of("qwen3_vl")
    clip = Clip(frames=film(count=4).frames, fps=1.0)
    batch = system._batch([Shown(Ask(id="x", clip=clip), next(iter(_seen(system, clip))))])
    text = system.tokenizer.decode(batch.inputs["input_ids"][0])
    assert "<0.5 seconds><|vision_start|>" in text and "<2.5 seconds><|vision_start|>" in text


@pytest.mark.parametrize("model_type", ["qwen2_5_vl", "qwen2_5_omni", "qwen2_audio"])
def test_nobody_can_write_media_into_a_prompt(system_of, model_type):
    system = system_of(model_type)
    evil = "".join(system.tokenizer.added_tokens_decoder[i].content for i in system.tokenizer.added_tokens_decoder)
    ask = Ask(id="x", clip=Clip(transcript=evil, context=evil), prompt=evil, candidates=(evil,))
    reply = next(system.answer([ask]))
    assert reply.error is None and reply.usage["media_tokens"] == 0


def test_a_chat_template_that_loses_the_media_is_an_error_with_counts(system_of):
    system = system_of("qwen2_5_vl")
    system.processor.chat_template = "{% for m in messages %}{{ m['content'][-1]['text'] }}{% endfor %}"
    try:
        reply = next(system.answer([Ask(id="x", clip=film())]))
    finally:
        system.processor.chat_template = None
    assert reply.error.code in ("media_lost", "generation_failed") and "0" in reply.error.message and not reply.text


def test_tokens_that_do_not_match_the_media_are_counted(system_of):
    system = system_of("qwen2_5_vl")
    clip = film()
    batch = system._batch([Shown(Ask(id="x", clip=clip), next(iter(_seen(system, clip))))])
    ids = batch.inputs["input_ids"]
    cut = batch.inputs | {"input_ids": ids[:, ids[0].tolist().index(system.processor.video_token_id) + 1 :]}
    with pytest.raises(RuntimeError, match=r"1 video given, 8 tokens expected, 7 in the prompt"):
        system._check_media(batch.seen, cut)
    with pytest.raises(RuntimeError, match="without a place"):
        system._check_media([], batch.inputs | {"input_ids": ids[:0]})


def test_a_chat_template_of_the_folder_is_used(system_of):
    system = system_of("qwen2_5_vl")
    system.processor.chat_template = (
        "{% for m in messages %}{% for c in m['content'] %}{% if c['type'] == 'video' %}<|vision_start|><|video_pad|>"
        "<|vision_end|>{% elif c['type'] == 'text' %}MARK {{ c['text'] }}{% endif %}{% endfor %}{% endfor %}"
    )
    try:
        clip = film()
        batch = system._batch([Shown(Ask(id="x", clip=clip), next(iter(_seen(system, clip))))])
    finally:
        system.processor.chat_template = None
    assert "<|vision_end|>MARK You are given 4 frames" in system.tokenizer.decode(batch.inputs["input_ids"][0])


def test_one_ask_that_is_too_long_spoils_no_other(system_of):
    system = system_of("qwen2_5_vl")
    system.batch_size = 3
    asks = [Ask(id="a", clip=Clip(transcript="x")), Ask(id="long", clip=Clip(transcript="x"), prompt="word " * 2000),
            Ask(id="c", clip=Clip(transcript="y"))]  # fmt: skip
    a, long, c = system.answer(asks)
    assert not a.error and not c.error and "pass the 4096" in long.error.message


def test_describe_names_what_a_table_must_name(system_of):
    facts = system_of("qwen2_5_omni").describe()
    assert facts["model_type"] == "qwen2_5_omni_thinker" and facts["senses"] == ["sees", "hears"]
    assert len(facts["weights_sha256"]) == 64 and facts["dtype"] == "float32" and facts["frames"] == 4


def test_reports_come_from_the_one_parser(folder_of):
    with load_system(folder_of("qwen2_5_vl"), media=SMALL, max_tokens=6, reports=True) as system:
        reply = next(system.answer([Ask(id="x", clip=film(transcript="we won"))]))
    report = reply.report
    assert report.form == "unparsed" and not report.emotions and report.text == reply.text
    assert {"missing_answer", "empty"} & {problem.code for problem in report.problems}
    assert report.streams["scene"].present and report.streams["scene"].tokens == 8
    assert not report.streams["voice"].present


# Folders


def changed(folder, tmp_path, edit):
    made = tmp_path / "changed"
    shutil.copytree(folder, made)
    path = next(made.glob("*.safetensors"))
    weights = load_file(path)
    edit(weights)
    save_file(weights, path, {"format": "pt"})
    return made


def test_only_the_thinker_of_an_omni_model_is_loaded(folder_of, tmp_path):
    def add_talker(weights):
        weights["talker.model.weight"] = torch.zeros(4, 4)

    with load_system(changed(folder_of("qwen2_5_omni"), tmp_path, add_talker), media=SMALL) as system:
        assert not any("talker" in name for name, _ in system.model.named_parameters())


@pytest.mark.parametrize(
    ("edit", "message"),
    [(lambda w: w.pop("lm_head.weight"), "weights are missing, e.g. lm_head.weight"),
     (lambda w: w.update({"surplus.weight": torch.zeros(2)}), "weights belong to nothing, e.g. surplus.weight")],
)  # fmt: skip
def test_folders_with_other_weights_are_refused(folder_of, tmp_path, edit, message):
    with pytest.raises(SystemLoadError, match=message):
        load_system(changed(folder_of("qwen2_5_vl"), tmp_path, edit))


def test_other_types_are_refused_with_those_that_are_supported(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(SystemLoadError, match=r"type 'bert'.*qwen2_5_vl.*qwen3_omni_moe"):
        load_system(tmp_path)


def test_options_are_checked_by_name_before_anything_is_loaded(folder_of):
    wrong = (({"batchsize": 2}, "did you mean `batch_size`"), ({"media": {"frames": 2}}, "option `media`"),
             ({"media": {"num_frames": 0}}, "num_frames must be >= 1"))  # fmt: skip
    for options, message in wrong:
        with pytest.raises(SystemLoadError, match=message):
            load_system(folder_of("qwen2_vl"), **options)
    with load_system(folder_of("qwen2_vl"), media={"num_frames": 2}, batch_size=2) as system:
        assert (system.worker.config.num_frames, system.worker.config.frame_size, system.batch_size) == (2, 448, 2)


def test_every_adapter_names_the_types_it_is_listed_for():
    from importlib import import_module

    for kind, target in ADAPTERS.items():
        file, _, name = target.partition(":")
        assert kind in getattr(import_module(f"cuewise.mllm.systems.{file}"), name).model_types


def test_frame_rates_are_finite_for_clips_without_length():
    assert Seen(times_s=np.zeros(3)).frames_per_s == 1.0 and SHOWN_MEDIA.num_frames == 8
