import json

import jsonschema
import pytest

from cuewise.__main__ import main
from cuewise.errors import UserError
from cuewise.mllm.report import EmotionReport
from cuewise.outputs import Outputs, Writer, check_writable


class Unread:
    """What the pipeline yields for a clip that could not be read."""

    clip, code, message = "broken.mp4", "undecodable", "broken.mp4: not a media file\n(0 streams)"


def test_json_lines_validate_against_the_published_schema(report, capsys):
    assert main(["schema", "report"]) == 0
    schema = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(schema)
    with Writer(Outputs(json=True)) as writer:
        writer.write(report)
        writer.write(EmotionReport(model="m", clip="c", form="direct"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for line in lines:
        jsonschema.validate(json.loads(line), schema)
    assert EmotionReport.model_validate_json(lines[0]) == report


def test_a_clip_that_cannot_be_read_gives_a_line_and_is_counted(report, tmp_path, capsys):
    out = tmp_path / "reports.jsonl"
    with Writer(Outputs(json=True, out=out)) as writer:
        writer.write(Unread)
        writer.write(report)
        assert len(out.read_text().splitlines()) == 2, "lines are there as soon as they are written"
    shown, said = capsys.readouterr()
    assert writer.failed == 1
    assert shown.splitlines() == out.read_text().splitlines()
    assert json.loads(shown.splitlines()[0]) == {
        "clip": "broken.mp4", "error": {"code": "undecodable", "message": Unread.message},
    }  # fmt: skip
    assert said == "cuewise: error: broken.mp4: not a media file (0 streams)\n"


def test_text_reports_are_separated(report, capsys):
    with Writer(Outputs()) as writer:
        writer.write(report)
        writer.write(report)
    assert capsys.readouterr().out.count("\n\n\nclip.mp4") == 1


def test_streamed_text_does_not_mix_with_json(capsys):
    Writer(Outputs(json=True, stream=True)).stream("<think>")
    Writer(Outputs(stream=True)).stream("<answer>")
    assert tuple(capsys.readouterr()) == ("<answer>", "<think>")


def test_outputs_are_checked_before_any_work(tmp_path):
    check_writable(Outputs(out=tmp_path / "a.jsonl", html=tmp_path / "a.html"))
    with pytest.raises(UserError, match="is a folder"):
        check_writable(Outputs(html=tmp_path))
    with pytest.raises(UserError, match="make it first"):
        check_writable(Outputs(out=tmp_path / "no" / "a.jsonl"))
