"""Two hundred broken inputs: an error with one clear line, or a result that lists the damage. Nothing else, ever."""

import os
import time

import pytest
from broken_media import broken_inputs

from cuewise.mllm.clip import Clip
from cuewise.mllm.media import MediaConfig, MediaError, MediaWorker
from cuewise.mllm.media.errors import CODES

pytestmark = pytest.mark.slow  # two hundred clips


def test_broken_inputs_are_errors_or_reported_damage(tmp_path):
    cases = broken_inputs(tmp_path)
    assert len(cases) >= 200
    before = set(tmp_path.rglob("*"))
    wrong, slowest = [], 0.0
    with MediaWorker(MediaConfig(detector="none")) as worker:
        worker.start()
        child = worker.pid
        for case in cases:
            begun = time.perf_counter()
            try:
                media = worker.load(Clip(path=case.path))
                fine = case.readable and (not case.damaged or bool(media.problems))
                said = [problem.code for problem in media.problems]
            except MediaError as error:
                said = f"{error.code}: {error}"
                fine = error.code in case.codes and error.code in CODES and not error.trace
                fine &= "\n" not in str(error) and case.path.name in str(error)
            slowest = max(slowest, time.perf_counter() - begun)
            if not fine:
                wrong.append((case.kind, case.path.name, said))
        assert worker.pid == child, "the decoding process crashed on a broken input"
    assert not wrong, wrong
    assert slowest < 30
    assert set(tmp_path.rglob("*")) == before
    assert not os.path.exists(f"/proc/{child}")
