"""What the C library does with freed memory while a model learns on a CPU."""

import ctypes
import platform

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
"""Names of the options in malloc.h of glibc."""

KEPT = 1 << 30
"""Bytes of free memory at the end of the heap that are not given back."""


def keep_freed_memory() -> bool:
    """Keep what tensors free for the next ones, in place of giving it back to the system and asking for it again.

    A step frees and takes the same large blocks hundreds of times; each time the system must map and clear every page,
    a tenth to a fifth of the time of a step, and more when several runs share the machine. Costs up to 1 GB of resident
    memory. Returns whether the C library took it: glibc does; others have no such options. Options given in the
    environment (MALLOC_...) are overwritten.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(option, value) for option, value in
               ((MMAP_THRESHOLD, 1 << 25), (TRIM_THRESHOLD, KEPT), (TOP_PAD, 1 << 26)))  # fmt: skip
