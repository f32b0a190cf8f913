"""`cuewise score`: the vectors through the command, tables, and everything that can be wrong with a file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conformance import assert_same

from cuewise.__main__ import main

DATA = Path(__file__).parents[2] / "data"
GOOD = {"id": "a", "metric": "parse_labels", "gt": None, "pred": "[x, y]"}


def lines(*objects):
    return "".join(json.dumps(value) + "\n" for value in objects).encode()


@pytest.mark.parametrize("name", ["mer_unibench.jsonl", "answer_format.jsonl"])
def test_vectors_pass_through_the_command(name, tmp_path):
    out = tmp_path / "results.jsonl"
    assert main(["score", str(DATA / name), "--out", str(out)]) == 0
    cases = [json.loads(line) for line in (DATA / name).open(encoding="utf-8")]
    results = [json.loads(line) for line in out.open(encoding="utf-8")]
    assert [row["id"] for row in results] == [case["id"] for case in cases]
    for case, row in zip(cases, results):
        assert set(row) == {"id", "result"}
        assert_same(row["result"], case["expected"], case["id"])


BROKEN = {
    "missing metric": (lines({"id": "a", "gt": 1, "pred": 2}), "missing metric"),
    "missing id": (lines({"metric": "parse_labels", "gt": None, "pred": ""}), "missing id"),
    "empty id": (lines(GOOD | {"id": ""}), "non-empty string"),
    "id of another type": (lines(GOOD | {"id": [1]}), "non-empty string"),
    "duplicate id": (lines(GOOD, GOOD), "already stands in line 1"),
    "extra column": (lines(GOOD | {"note": 1}), "unknown key 'note'"),
    "unknown metric": (lines(GOOD | {"metric": "hitrate"}), "did you mean `hit_rate`"),
    "metric of another type": (lines(GOOD | {"metric": 3}), "must be a name"),
    "wrong type": (lines(GOOD | {"metric": "ew_dataset", "gt": "x", "pred": 3}), "must be a list"),
    "lengths differ": (lines(GOOD | {"metric": "ew_dataset", "gt": ["x"], "pred": []}), "1 samples but"),
    "not a number": (lines(GOOD | {"metric": "sentiment", "gt": ["x"], "pred": ["y"]}), "finite number"),
    "empty file": (b"", "no cases"),
    "blank lines": (b"\n \n", "no cases"),
    "no object": (b"[1, 2]\n", "must be a JSON object"),
    "half a line": (lines(GOOD)[:-9], "not valid JSON"),
    "NaN": (b'{"id": "a", "metric": "sentiment", "gt": [NaN], "pred": ["x"]}\n', "write null"),
    "latin-1": (lines(GOOD) + '{"id": "é"}'.encode("latin-1"), "0xe9 at 8 is not UTF-8"),
    "utf-16": (json.dumps(GOOD).encode("utf-16"), "UTF-16"),
    "half a surrogate": (lines(GOOD | {"pred": "\ud800"}), "surrogate"),
    "nested deeply": (b'{"id": "a", "metric": "parse_labels", "gt": 1, "pred": ' + b"[" * 100_000, "nested too deeply"),
    "binary": (bytes(range(256)), "not"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_case_files_give_clear_lines_and_write_nothing(name, tmp_path, capsys):
    content, message = BROKEN[name]
    path, out = tmp_path / "cases.jsonl", tmp_path / "out.jsonl"
    path.write_bytes(content)
    out.write_text("kept")
    assert main(["score", str(path), "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert all(line.startswith("cuewise score: error: ") for line in printed.err.splitlines())
    assert message in printed.err and str(path) in printed.err and len(printed.err) < 2000
    assert out.read_text() == "kept"
    assert sorted(os.listdir(tmp_path)) == ["cases.jsonl", "out.jsonl"]


def test_every_broken_line_is_named_up_to_a_limit(tmp_path, capsys):
    path = tmp_path / "cases.jsonl"
    path.write_bytes(b"{}\n" * 50)
    assert main(["score", str(path)]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 21 and ":20: " in errors[19] and "30 more" in errors[20]


def test_a_giant_line_is_refused_in_bounded_memory(tmp_path):
    path = tmp_path / "giant.jsonl"
    with path.open("wb") as file:
        file.write(b'{"id": "')
        file.truncate(1 << 30)  # sparse: one line of 1 GB
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (600 << 20,) * 2); "
    code = limit + f"from cuewise.__main__ import main; raise SystemExit(main(['score', {str(path)!r}]))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 2 and "line longer than 64 MB" in run.stderr and len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("bad", ["absent.jsonl", "."])
def test_files_that_cannot_be_read_are_named(bad, tmp_path, capsys):
    assert main(["score", str(tmp_path / bad)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_results_are_not_written_over_the_input_or_into_nowhere(tmp_path, capsys):
    path = tmp_path / "cases.jsonl"
    path.write_bytes(lines(GOOD))
    assert main(["score", str(path), "--out", str(path)]) == 2
    assert main(["score", str(path), "--out", str(tmp_path / "no" / "out.jsonl")]) == 2
    assert "overwrite the input" in (text := capsys.readouterr().err) and "cannot be written" in text


def test_a_disk_that_fills_up_leaves_the_old_results(tmp_path):
    path, out = tmp_path / "cases.jsonl", tmp_path / "out.jsonl"
    path.write_bytes(lines(*(GOOD | {"id": str(i)} for i in range(2000))))
    out.write_text("kept")
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
    call = f"main(['score', {str(path)!r}, '--out', {str(out)!r}])"
    code = f"{limit}from cuewise.__main__ import main; raise SystemExit({call})"
    run = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 2 and "cannot be written" in run.stderr and len(run.stderr.splitlines()) == 1
    assert out.read_text() == "kept" and sorted(os.listdir(tmp_path)) == ["cases.jsonl", "out.jsonl"]


def table(path, header, *rows):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return str(path)


def test_two_tables_are_joined_by_id_in_any_order(tmp_path, capsys):
    gt = table(tmp_path / "gt.csv", "name,openset", 's1,"[happy, proud]"', "s2,sad")
    pred = tmp_path / "pred.jsonl"
    pred.write_bytes(
        lines({"id": "s2", "answer": ["lonely"]}, {"id": "s1", "answer": "joyful"}, {"id": "s9", "answer": ""})
    )
    assert main(["score", "--metric", "ew_dataset", "--gt", gt, "--pred", str(pred)]) == 0
    printed = capsys.readouterr()
    row = json.loads(printed.out)
    assert row["samples"] == 2 and row["result"]["metrics"]["case3_wheel1_level1"]["f"] == 1
    assert row["ew_dataset_cuewise2026"]["level1"][0] > 0.5
    assert "1 predictions have no ground truth" in printed.err


def test_numbers_in_tables_and_metrics_of_single_samples(tmp_path, capsys):
    gt = table(tmp_path / "gt.tsv", "id\tval", "a\t-1.5", "b\t2")
    pred = table(tmp_path / "pred.csv", "id,word", "b,positive", "a,negative")
    assert main(["score", "--metric", "sentiment", "--gt", gt, "--pred", pred]) == 0
    assert json.loads(capsys.readouterr().out)["result"] == {"n": 2, "waf": 1.0, "acc": 1.0}
    assert main(["score", "--metric", "hit_or_not", "--gt", pred, "--pred", pred]) == 0
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == ["b", "a"]


@pytest.mark.parametrize(
    ("gt", "pred", "message"),
    [
        (["id,val", "a,1", "b,2"], ["id,word", "a,positive"], "no prediction for 1 of 2 ids, the first is 'b'"),
        (["id,val", "a,1", "a,2"], ["id,word", "a,positive"], "already stands in line 2"),
        (["id,val,more", "a,1,2"], ["id,word", "a,positive"], "2 value columns (val, more)"),
        (["who,val", "a,1"], ["id,word", "a,positive"], "no id column"),
        (["id", "a"], ["id,word", "a,positive"], "no value column"),
        (["id,val", "a,x"], ["id,word", "a,positive"], "needs a number, got 'x'"),
        (["id,val", "a,1,3"], ["id,word", "a,positive"], "3 cells but the header has 2"),
        (["id,val"], ["id,word", "a,positive"], "no rows"),
        (["id,val", ",1"], ["id,word", "a,positive"], "missing id"),
        (["id,val", 'a,"1'], ["id,word", "a,positive"], "not valid CSV"),
    ],
)
def test_broken_tables_give_one_clear_line(gt, pred, message, tmp_path, capsys):
    paths = [table(tmp_path / name, *rows) for name, rows in (("gt.csv", gt), ("pred.csv", pred))]
    assert main(["score", "--metric", "sentiment", "--gt", paths[0], "--pred", paths[1]]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 1 and message in errors[0]


def test_line_breaks_of_other_scripts_inside_cells_are_text(tmp_path, capsys):
    gt = table(tmp_path / "gt.csv", "id,label", '"a","sad\u2028x"', '"b","two\nlines"')
    assert main(["score", "--metric", "parse_labels", "--gt", gt, "--pred", gt]) == 0
    labels = [json.loads(line)["result"]["labels"] for line in capsys.readouterr().out.strip().split("\n")]
    assert labels == [["sad\u2028x"], ["two\nlines"]]


def test_a_column_can_be_chosen(tmp_path, capsys):
    gt = table(tmp_path / "gt.csv", "id,val,more", "a,1,-1", "b,-1,1")
    pred = table(tmp_path / "pred.csv", "id,word", "a,positive", "b,negative")
    command = ["score", "--metric", "sentiment", "--gt", gt, "--pred", pred, "--gt-column"]
    assert main([*command, "val"]) == 0
    assert main([*command, "more"]) == 0
    assert [json.loads(line)["result"]["acc"] for line in capsys.readouterr().out.splitlines()] == [1, 0]
    assert main([*command, "absent"]) == 2


@pytest.mark.parametrize("arguments", [[], ["--metric", "sentiment"], ["x.jsonl", "--metric", "sentiment"]])
def test_wrong_combinations_of_options_say_what_is_missing(arguments, capsys):
    assert main(["score", *arguments]) == 2
    assert "--gt" in capsys.readouterr().err


def test_the_process_is_light(tmp_path):
    path = tmp_path / "cases.jsonl"
    gt, pred = ["[happy, excited]", "sad, tired"] * 500, ["joyful, proud, angry", "['lonely', 'bored']"] * 500
    path.write_bytes(lines({"id": "a", "metric": "ew_dataset", "gt": gt, "pred": pred}))
    code = (
        "import sys, time\nfrom cuewise.__main__ import main\n"
        f"code = main(['score', {str(path)!r}])\n"
        "heavy = [m for m in ('torch', 'pandas', 'numpy', 'transformers') if m in sys.modules]\n"
        "print(time.process_time(), *heavy, file=sys.stderr)\nraise SystemExit(code)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    spent, *heavy = run.stderr.split()
    assert run.returncode == 0 and heavy == []
    assert float(spent) < 0.8
