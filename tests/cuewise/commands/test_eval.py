"""`cuewise eval` as a user meets it: listing, checking, running, and one clear line for everything that is wrong."""

import json

import pytest
from suite_samples import write_predictions, write_suite

from cuewise.__main__ import main


@pytest.fixture
def suite(tmp_path):
    write_predictions(tmp_path / "answers.jsonl")
    return write_suite(tmp_path)


def arguments(suite, tmp_path, *more: str) -> list[str]:
    return ["eval", str(suite), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "run"), *more]


def test_list_names_every_suite_with_its_headline(capsys):
    assert main(["eval", "list"]) == 0
    out = capsys.readouterr().out
    assert "mer-unibench" in out and "headline: uar of ravdess; CC BY-NC-SA 4.0" in out


def test_a_run_prints_each_number_with_n_and_averaging(suite, tmp_path, capsys):
    assert main(arguments(suite, tmp_path, "--predictions", str(tmp_path / "answers.jsonl"))) == 0
    out = capsys.readouterr().out
    assert "texts · answers · n 40 · parse rate 100.0% · the system as given" in out
    line = next(line for line in out.splitlines() if line.startswith("  uar"))
    assert "0.7500" in line and "n 40 samples, macro over classes" in line
    assert json.loads((tmp_path / "run/results.json").read_text())["n"] == 40


def test_compare_says_whether_the_difference_is_real(suite, tmp_path, capsys):
    write_predictions(tmp_path / "better.jsonl", wrong=2)
    for name in ("answers", "better"):
        assert main(["eval", str(suite), "--data", str(tmp_path / "data"), "--out", str(tmp_path / name),
                     "--predictions", str(tmp_path / f"{name}.jsonl")]) == 0  # fmt: skip
    capsys.readouterr()
    assert main(["eval", "compare", str(tmp_path / "better"), str(tmp_path / "answers")]) == 0
    out = capsys.readouterr().out
    assert "uar" in out and "0.0" in out
    assert main(["eval", "compare", str(tmp_path / "better")]) == 2
    assert main(["eval", "compare", str(tmp_path / "better"), str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_a_dry_run_asks_nothing(suite, tmp_path, capsys):
    assert main(arguments(suite, tmp_path, "--dry-run")) == 0
    assert "texts: 40 samples, truth: label" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--predictions", "gone.jsonl"], "gone.jsonl: cannot be read"),
        (["--system", "nanoo"], "nanoo"),
        (["--set", "datasets.texts.metrics=[uaar]"], "unknown metric `uaar`; did you mean `uar`"),
        (["--set", "nonsense"], "not of the form key=value"),
        (["--data", "elsewhere=nowhere", "--set", "datasets.texts.source.rows=other.jsonl"], "other.jsonl is missing"),
        (["--option", "device"], "not of the form key=value"),
        (["--limit", "-1"], "--limit and --ray must be 0 or more"),
        (["extra"], "unrecognized arguments: extra"),
    ],
)
def test_every_mistake_is_one_clear_line_and_nothing_is_written(suite, tmp_path, capsys, more, message):
    assert main(arguments(suite, tmp_path, *more)) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err
    assert not (tmp_path / "run" / "results.json").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no rows"),
        (b'{"id": "t0000"}\n', "needs an `id` column and `text` or `labels`"),
        (b'{"id": "t0000", "text": "happy"}\n{"id": "t0000", "text": "sad"}\n', "stands there twice"),
        ('{"id": "t0000", "text": "glücklich"}\n'.encode("utf-16"), "save the file as UTF-8"),
        ('{"id": "t0000", "text": "glücklich"}\n'.encode("latin-1"), "is not UTF-8"),
        (b'{"id": "t0000", "text": "happy"\n', "not valid JSON"),
        (b'{"id": "t0000", "text": ["happy"]}\n', "text must be a string"),
    ],
)
def test_broken_predictions_are_refused_before_anything_is_written(suite, tmp_path, capsys, content, message):
    (tmp_path / "bad.jsonl").write_bytes(content)
    assert main(arguments(suite, tmp_path, "--predictions", str(tmp_path / "bad.jsonl"))) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_missing_media_are_told_before_the_model_is_asked(suite, tmp_path, capsys):
    rows = tmp_path / "data/texts/rows.jsonl"
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    for line in lines:
        line["media"] = {"audio": f"{line['id']}.wav"}
    rows.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(arguments(suite, tmp_path)) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 21 and "t0000.wav is missing" in err[0] and "and 20 more" in err[-1]
    assert not (tmp_path / "run").exists()


def test_extra_columns_and_predictions_without_truth_do_no_harm(suite, tmp_path):
    path = tmp_path / "answers.jsonl"
    lines = [json.loads(line) | {"seconds": 0.1} for line in path.read_text().splitlines()]
    lines.append({"id": "nobody", "text": "happy", "confidence": None, "seconds": 1})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert main(arguments(suite, tmp_path, "--predictions", str(path))) == 0
    assert json.loads((tmp_path / "run/results.json").read_text())["n"] == 40
