"""MIXTURE: the training set that teaches a model to make one good record of several bad ones.

`open_texts` opens plain texts, `run` builds the set of them, `undo` takes typing errors back.
"""

from lmmixup.mixture.config import MixtureConfig
from lmmixup.mixture.noise import Edit, add_noise, undo
from lmmixup.mixture.preview import preview
from lmmixup.mixture.stage import run
from lmmixup.mixture.texts import open_texts

__all__ = ["Edit", "MixtureConfig", "add_noise", "open_texts", "preview", "run", "undo"]
