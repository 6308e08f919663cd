"""Libraries of rated records, and the KNN-Bayes scorers that rate others by them."""

from lmmixup.library.config import LibraryConfig
from lmmixup.library.report import Report, report
from lmmixup.library.scorer import fit_scorer
from lmmixup.library.scores import HIGH, NUM_CLASSES, Scores
from lmmixup.library.stage import run
from lmmixup.library.store import Libraries, Library, open_libraries, open_library

__all__ = [
    "HIGH",
    "NUM_CLASSES",
    "Libraries",
    "Library",
    "LibraryConfig",
    "Report",
    "Scores",
    "fit_scorer",
    "open_libraries",
    "open_library",
    "report",
    "run",
]
