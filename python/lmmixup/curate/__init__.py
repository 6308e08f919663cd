"""The stage `curate`: a judge's noisy ratings, corrected by what neighbours say (DS2).

`fit_transitions` estimates how the judge errs from the agreement of nearest neighbours,
`correct` replaces ratings that are probably wrong, `judge_agreement` compares several judges, and
`run` writes the stage's folder.
"""

from lmmixup.curate.agreement import Agreement, judge_agreement
from lmmixup.curate.config import CurateConfig
from lmmixup.curate.consensus import (
    Clusterability,
    Transitions,
    clusterability,
    count_consensuses,
    fit_transitions,
)
from lmmixup.curate.correct import Corrections, correct, correct_by_votes
from lmmixup.curate.curation import Curation, curate
from lmmixup.curate.stage import run

__all__ = [
    "Agreement",
    "Clusterability",
    "Corrections",
    "CurateConfig",
    "Curation",
    "Transitions",
    "clusterability",
    "correct",
    "correct_by_votes",
    "count_consensuses",
    "curate",
    "fit_transitions",
    "judge_agreement",
    "run",
]
