"""A whole command of lmmixup, its start and end included: time, CPU time and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any


def timed(*arguments: str) -> dict[str, Any]:
    """Runs `lmmixup ARGUMENTS` once.

    Args:
        *arguments: The name of the command first.

    Returns:
        Seconds, user and system seconds of the process and its threads, and the high-water mark
        of its resident size.
    """
    program = [sys.executable, "-m", "lmmixup"]
    # As installed: with the bytecode of its modules at hand.
    environment = {**os.environ, "OPENAI_API_KEY": "sk-bench"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([*program, arguments[0], "--help"], check=True, env=environment,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    start = time.perf_counter()
    process = subprocess.Popen([*program, *arguments], env=environment)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args)
    return {
        "seconds": round(seconds, 2),
        "cpu_s": round(used.ru_utime + used.ru_stime, 2),
        "peak_mb": round(used.ru_maxrss / 1024, 1),
    }
