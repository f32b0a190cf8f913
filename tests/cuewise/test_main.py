import resource
import subprocess
import sys

import pytest

from cuewise.__main__ import build_parser, main, one_line
from cuewise.commands import COMMANDS


def cuewise(*args: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "cuewise", *args], capture_output=True, text=True, **options)


def test_help_names_every_command_within_half_a_second_of_processor_time():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = cuewise("--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0
    assert all(f"  {name} " in done.stdout for name in COMMANDS)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_table_exists_and_explains_its_options(command, capsys):
    assert main([command, "--help"]) == 0
    assert f"usage: cuewise {command}" in capsys.readouterr().out


def test_only_the_called_command_is_loaded():
    done = subprocess.run(
        [sys.executable, "-c", "import sys, cuewise.__main__ as m; m.main(['schema', '--help']); "
         "print([k for k in sys.modules if k.startswith('cuewise.commands.')])"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "['cuewise.commands.schema']"


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["analyse", "x.mp4"], "did you mean `analyze`?"),
        (["xyz"], "commands: analyze"),
        (["analyze"], "nothing to analyze"),
        (["analyze", "--start", "soon", "x.mp4"], "invalid float value: 'soon'"),
        (["analyze", "--wat"], "there is no option `--wat`; see `cuewise analyze --help`"),
        (["analyze", "x.mp4", "--jsn"], "there is no option `--jsn`; did you mean `--json`?"),
        (["data", "synth", "out", "--cuont", "2"], "there is no option `--cuont`; did you mean `--count`?"),
        (["data", "synth", "out", "--zzz=2"], "there is no option `--zzz`; see `cuewise data synth --help`"),
        (["data", "doctor", "a.jsonl", "b.jsonl"], "`b.jsonl` is one word too many; see `cuewise data doctor --help`"),
        (["analyze", "x.mp4", "--start", "3", "--end", "2"], "got --start 3 --end 2"),
        (["analyze", "x.mp4", "--frames", "0"], "media.num_frames must be >= 1, got 0"),
        (["analyze", "x.mp4", "--sampler", "best"], "uniform, middle, peak, event"),
        (["analyze", "x.mp4", "--detector", "cascade", "--yunet", "m.onnx"], "drop one"),
        (["analyze", "x.mp4", "--out", "no/such/folder/x.jsonl"], "no/such/folder"),
        (["analyze", "x.mp4", "--html", "."], "is a folder"),
        (["analyze", "a.mp4", "b.mp4", "--stream"], "2 clips"),
        (["schema", "everything"], "invalid choice"),
        (["data", "doctor", "missing.jsonl"], "missing.jsonl: no such file"),
        (["data", "build", "nosuch", "x", "y.jsonl"], "unknown corpus `nosuch`"),
        (["demo", "--seed", "-1"], "--seed must be 0 or more"),
    ],
)
def test_what_the_user_can_change_is_one_line_and_exit_code_2(args, part, capsys):
    assert main(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("cuewise: error: ") and err.count("\n") == 1
    assert part in err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "part"),
    [
        (["train", "no-such-recipe"], "neither a file nor a shipped recipe"),
        (["data", "synth", "out", "--count", "0"], "count >= 1"),
        (["data", "synth", "out", "sise=3"], "did you mean `size`?"),
        (["data", "synth", "out", "--count", "2", "--seed", "0", "sise=3"], "did you mean `size`?"),
        (["train", "nano", "--dry-run", "medai=1"], "did you mean `media`?"),
    ],
)
def test_so_it_is_with_the_commands_that_load_more(args, part, capsys):
    test_what_the_user_can_change_is_one_line_and_exit_code_2(args, part, capsys)


def test_words_behind_options_join_the_list_they_belong_to(monkeypatch):
    seen = []
    monkeypatch.setattr("cuewise.commands.data.run", lambda args: seen.append(args) or 0)
    monkeypatch.setattr("cuewise.commands.analyze.run", lambda args: seen.append(args) or 0)
    assert main(["data", "synth", "syn", "size=64", "--count", "2", "--workers", "1", "conflict_share=0.3"]) == 0
    assert main(["analyze", "a.mp4", "--json", "b.mp4"]) == 0
    assert seen[0].overrides == ["size=64", "conflict_share=0.3"] and seen[0].count == 2
    assert seen[1].clips == ["a.mp4", "b.mp4"]


def test_debug_shows_the_traceback_before_or_after_the_command():
    for args in (["--debug", "schema", "all"], ["schema", "all", "--debug"]):
        done = cuewise(*args)
        assert done.returncode != 0 and "Traceback" in done.stderr and "UserError" in done.stderr


def test_without_a_command_the_help_is_printed(capsys):
    assert main([]) == 0
    assert "analyze" in capsys.readouterr().out


def test_ctrl_c_ends_with_130_and_no_traceback(monkeypatch, capsys):
    def stopped(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("cuewise.commands.schema.run", stopped)
    assert main(["schema", "report"]) == 130
    assert capsys.readouterr().err == "cuewise: stopped\n"


def test_a_defect_is_one_line_that_says_how_to_see_more(monkeypatch, capsys):
    def broken(args: object) -> int:
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr("cuewise.commands.schema.run", broken)
    assert main(["schema", "report"]) == 1
    err = capsys.readouterr().err
    assert err == "cuewise: defect: RuntimeError: first line second line (run again with --debug to see where)\n"


def test_a_reader_that_leaves_early_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m cuewise schema report | head -n 1", shell=True, capture_output=True, text=True
    )
    assert done.stdout == "{\n" and done.stderr == ""


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert cuewise("--version").stdout.split()[-1] == version("cuewise")


def test_every_option_has_a_help_text():
    for command in COMMANDS:
        parser = build_parser(command)._subparsers._group_actions[0].choices[command]
        assert all(action.help for action in parser._actions if not action.choices or action.option_strings), command


def test_one_line_folds_white_space():
    assert one_line(ValueError("a\n  b\tc")) == "a b c"
