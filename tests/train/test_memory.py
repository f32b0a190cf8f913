"""Freed memory stays with the process while a recipe runs."""

import os
import platform
import subprocess
import sys

import pytest

WORK = """
import resource, sys, torch
from cuewise.train.memory import keep_freed_memory
torch.set_num_threads(1)
assert sys.argv[1] == "plain" or keep_freed_memory()
def work():
    for _ in range(60):
        rows = [torch.ones(4_000_000) for _ in range(4)]
        del rows
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the C library of GNU has these options")
def test_large_blocks_are_taken_again_without_new_pages():
    # The thresholds that a program begins with, held: by itself the library moves them with what it is asked for.
    env = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    faults = {
        kind: int(subprocess.run([sys.executable, "-c", WORK, kind], capture_output=True, check=True, env=env).stdout)
        for kind in ("plain", "keep")
    }
    assert faults["keep"] < faults["plain"] / 10
