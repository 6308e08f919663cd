"""Turn a large, noisy instruction pool into a small set that trains a better model."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("lmmixup")
except PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
