"""`cuewise analyze --model` with a model that is not ours: the same lines, `unparsed` where the tags are missing."""

import json

import media_samples
import pytest
import tiny_families

from cuewise.__main__ import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("qwen2_5_vl")
    tiny_families.save("qwen2_5_vl", path)
    return str(path)


def test_free_text_is_reported_as_unparsed_and_a_broken_clip_keeps_its_place(folder, tmp_path, capsys):
    media_samples.write_video(tmp_path / "a.mp4", media_samples.pattern(20))
    (tmp_path / "b.mp4").write_bytes(b"this is no film")
    clips = [str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")]
    assert main(["analyze", *clips, "--model", folder, "--json", "--frames", "3", "--form", "direct"]) == 2
    first, broken = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["form"] == "unparsed" and not first["emotions"] and first["text"]
    assert "missing_answer" in {problem["code"] for problem in first["problems"]}
    assert first["streams"]["scene"]["frames"] == 3 and first["streams"]["scene"]["tokens"] > 0
    assert broken["clip"] == "b.mp4" and broken["error"]["code"] == "undecodable"
    main(["analyze", clips[0], "--model", folder, "--frames", "3"])
    assert "no emotion was named" in capsys.readouterr().out


@pytest.mark.parametrize("option", [["--stream"], ["--speech-to-text", "x"], ["--adapter", "x"]])
def test_what_only_our_models_can_do_is_one_line(folder, option, capsys):
    assert main(["analyze", "--text", "We won!", "--model", folder, *option]) == 2
    error = capsys.readouterr().err
    assert option[0] in error and error.count("\n") == 1 and error.startswith("cuewise: error: ")
