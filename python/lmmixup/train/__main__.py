"""One process of a training: `torchrun … -m lmmixup.train JOB`."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from lmmixup.errors import LmmixupError
from lmmixup.train.job import Job
from lmmixup.train.launch import end_with_parent, report_failure


def main() -> None:
    """Trains; where that fails, says why in the job's folder and exits with 1."""
    end_with_parent()
    job = Job.load(Path(sys.argv[1]))
    try:
        from lmmixup.train.worker import train  # noqa: PLC0415

        train(job, show=lambda _line: None)
    except Exception as error:
        text = traceback.format_exc()
        report_failure(job, error, text, is_ours=isinstance(error, LmmixupError))
        sys.stderr.write(text)
        _leave(1)
    _leave(0)


def _leave(status: int) -> NoReturn:
    """Ends the process without tidying up.

    After an error other processes may hang in a collective, and torchrun ends them when this one
    is gone. After success everything is on the disk, and threads that libraries left running
    would abort an orderly end.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
