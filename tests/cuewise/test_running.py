"""The whole road from the command line to JSON lines, text and a page, with an untrained model."""

import json

import jsonschema
import media_samples
import pytest
import tiny

import cuewise
from cuewise.__main__ import main
from cuewise.mllm.report import EmotionReport

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("model")
    untrained = tiny.tiny_model()
    untrained.save_pretrained(folder)
    tiny.tiny_processor(untrained.config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """A folder with a film with sound, a broken file and a sound file, in that order by name."""
    folder = tmp_path_factory.mktemp("clips")
    media_samples.write_video(
        folder / "a.mp4", media_samples.pattern(40), samples=media_samples.tone(1.6), audio_codec="aac"
    )
    (folder / "b.mp4").write_bytes(b"this is no film")
    media_samples.write_audio(folder / "c.wav", media_samples.tone(1.0), codec="pcm_s16le")
    (folder / "notes.txt").write_text("not media")
    return folder


def test_a_folder_gives_one_line_per_clip_in_order_and_code_2_for_the_broken_one(model, clips, tmp_path, capsys):
    out = tmp_path / "reports.jsonl"
    assert main(["analyze", str(clips), "--model", model, "--json", "--out", str(out)]) == 2
    shown, said = capsys.readouterr()
    first, broken, last = (json.loads(line) for line in shown.splitlines())
    assert out.read_text(encoding="utf-8") == shown
    assert [first["clip"], broken["clip"], last["clip"]] == ["a.mp4", "b.mp4", "c.wav"]
    assert set(broken) == {"clip", "error"} and set(broken["error"]) == {"code", "message"}
    errors = [line for line in said.splitlines() if line.startswith("cuewise: error: ")]
    assert len(errors) == 1 and "b.mp4" in errors[0] and "Traceback" not in said
    schema = EmotionReport.model_json_schema()
    for line in (first, last):
        jsonschema.validate(line, schema)
    assert first["streams"]["scene"]["present"] and first["streams"]["voice"]["present"]
    assert not last["streams"]["scene"]["present"] and last["streams"]["scene"]["why"]


def test_a_batched_run_says_the_same_as_single_runs(model, clips, capsys):
    def lines(*args: str) -> list[dict]:
        main(["analyze", *args, "--model", model, "--json", "--form", "direct"])
        found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return [{k: v for k, v in line.items() if k != "timing_ms"} for line in found]

    a, c = str(clips / "a.mp4"), str(clips / "c.wav")
    together = lines(a, c)
    apart = lines(a) + lines(c)
    assert [line["text"] for line in together] == [line["text"] for line in apart]
    for one, other in zip(together, apart, strict=True):
        assert one["distribution"] == pytest.approx(other["distribution"], abs=1e-5)


def test_the_page_holds_every_clip(model, clips, tmp_path, capsys):
    page = tmp_path / "report.html"
    assert main(["analyze", str(clips), "--model", model, "--html", str(page), "--form", "direct"]) == 2
    text = page.read_text(encoding="utf-8")
    assert "data:video/mp4;base64," in text and "data:audio/wav;base64," in text and "Not read" in text
    assert "a.mp4" in capsys.readouterr().out


def test_words_alone_are_streamed_and_reported(model, capsys):
    assert main(["analyze", "--text", "We won!", "--model", model, "--stream", "--form", "direct"]) == 0
    out = capsys.readouterr().out
    assert "text · model" in out and "absent: " in out


def test_a_model_that_is_not_there_is_one_line(capsys):
    assert main(["analyze", "--text", "x", "--model", "no-such-model"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("cuewise: error: model 'no-such-model'") and err.count("\n") == 1


@pytest.mark.parametrize(("option", "said"), [
    ("--yunet", "there is no file"), ("--speech-to-text", "there is no such folder"),
])  # fmt: skip
def test_a_reader_that_is_not_there_is_one_line_and_something_to_change(model, clips, capsys, option, said):
    assert main(["analyze", str(clips / "a.mp4"), "--model", model, option, "missing.onnx"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("cuewise: error: ") and said in err and "defect" not in err


def test_python_gives_the_same_report_as_the_command_line(model, clips, capsys):
    main(["analyze", str(clips / "c.wav"), "--model", model, "--json", "--form", "direct"])
    shown = EmotionReport.model_validate_json(capsys.readouterr().out)
    report = cuewise.analyze(str(clips / "c.wav"), model=model, form="direct")
    assert report.model_copy(update={"timing_ms": {}}) == shown.model_copy(update={"timing_ms": {}})
    with pytest.raises(TypeError, match="set these on the Clip"):
        cuewise.analyze(cuewise.Clip(path=clips / "c.wav"), model=model, transcript="x")
