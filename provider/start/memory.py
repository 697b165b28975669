"""Memory: how the C library gets and gives it back, which only glibc can be told, and when Python looks for garbage."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from typing import Final

LARGE_BLOCK_BYTES: Final = 1_048_576
_M_MMAP_THRESHOLD: Final = -3  # malloc.h
_TUNABLES: Final = "GLIBC_TUNABLES"
_LARGE_PAGES: Final = "glibc.malloc.hugetlb=1"


def ask_for_large_pages() -> None:
    """Begins this process anew, once, with memory in large pages where the system has them to give.

    The C library reads that when a program begins and never again. A password hash fills 19 MiB: as 4,800 pages they cost
    10 of its 30 ms, as ten next to nothing. Whoever has set the library's settings is not meddled with.
    """
    if sys.platform == "linux" and sys.executable and sys.orig_argv and _TUNABLES not in os.environ:  # noqa: TID251 - not ours
        os.environ[_TUNABLES] = _LARGE_PAGES  # noqa: TID251
        with contextlib.suppress(OSError):
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - what runs already


def give_large_blocks_back() -> None:
    """Has the C library return every large block to the system when it is freed.

    It would keep those of a password hash for each thread that ever made one. Measured after eight sign-ins at once: 96 MiB
    resident in place of 170.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def load_without_collecting() -> None:
    """Looks for no garbage until ``loaded``: there is next to none, and to look takes a tenth of a start."""
    gc.disable()


def loaded() -> None:
    """What is there by now stays, and is not looked at again."""
    gc.freeze()
    gc.enable()
