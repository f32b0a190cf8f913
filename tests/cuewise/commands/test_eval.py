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
        (["--set", "datasets.texts.metrics=[uar, ccc]"], "metric `ccc` needs truth valence_arousal, not `label`"),
        (["--set", "primary.metric=war2"], "gives no number `war2`; did you mean `war`?"),
        (["--set", "datasets.texts.cluster=speakr"], "cluster `speakr` is no group of 40 of 40 rows"),
        (["--set", "datasets.texts.truth=choice", "--set", "datasets.texts.metrics=[emorealm]", "--set",
          "primary.metric=emorealm"], "a fixed answer is a letter from A to H, or yes or no, got 'happy'"),
        (["--temperature", "-1"], "--temperature must be 0 (greedy) or more"),
        (["--temperature", "nan"], "--temperature must be 0 (greedy) or more"),
        (["--selection", " "], "--selection is empty"),
        (["--judge", "stubb"], "unknown judge 'stubb'"),
        (["--judge", "local:nowhere"], "there is no folder nowhere"),
        (["--limit", "-1"], "--limit and --ray must be 0 or more"),
        (["extra"], "unexpected 'extra'; only `compare` takes folders of runs"),
    ],
)
def test_every_mistake_is_one_clear_line_and_nothing_is_written(suite, tmp_path, capsys, more, message):
    assert main(arguments(suite, tmp_path, *more)) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err
    assert not (tmp_path / "run").exists()


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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id":\n', "rows.jsonl:41: not valid JSON"),
        (b'{"id": "x", "corpus": "c", "labels": "happy"}\n', "rows.jsonl:41: field `labels`: Input should be"),
        (b'{"id": "x", "corpus": "c", "label": []}\n', "rows.jsonl:41: field `label`: Extra inputs"),
        ('{"id": "x", "corpus": "ö"}\n'.encode("latin-1"), "rows.jsonl:41: byte 0xf6 at 23 is not UTF-8"),
        (b"[" * 100_000 + b"\n", "rows.jsonl:41: nested too deeply"),
        (b'{"id": "t0000", "corpus": "c", "transcript": "a", "labels": ["sad"]}\n', "stands there twice"),
    ],
)
def test_a_broken_row_is_one_line_that_names_file_and_line(suite, tmp_path, capsys, line, message):
    with (tmp_path / "data/texts/rows.jsonl").open("ab") as file:
        file.write(line)
    assert main(arguments(suite, tmp_path, "--predictions", str(tmp_path / "answers.jsonl"))) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1 and message in err[0] and "pydantic" not in err[0]
    assert not (tmp_path / "run").exists()


def test_a_dry_run_counts_media_that_are_missing(suite, tmp_path, capsys):
    rows = tmp_path / "data/texts/rows.jsonl"
    first, rest = rows.read_text().split("\n", 1)
    rows.write_text(json.dumps(json.loads(first) | {"media": {"audio": "gone.wav"}}) + "\n" + rest)
    assert main(arguments(suite, tmp_path, "--dry-run")) == 0
    assert "1 of them have no media here" in capsys.readouterr().out


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
