"""Every exception that lmmixup raises on purpose."""


class LmmixupError(Exception):
    """Base of all errors of lmmixup; the command line prints its message and exits with 1."""


class ArgumentError(LmmixupError, ValueError):
    """An argument is out of range, or two contradict each other; the command line exits with 2."""


class DataError(LmmixupError, ValueError):
    """Input data is not what was needed: wrong shape, type, field or value."""


class InfeasibleError(LmmixupError, ValueError):
    """What was asked for cannot be done with these inputs, whatever the algorithm."""


class FileError(LmmixupError, OSError):
    """A file could not be read or written."""


class OutputExistsError(FileError):
    """The output folder is there already; nothing of it was touched."""


class CountsError(LmmixupError):
    """A stage's outcomes do not sum to its input: a bug, reported rather than hidden."""


class RewardError(LmmixupError, RuntimeError):
    """More outputs could not be scored than the training allows."""


class TrainError(LmmixupError, RuntimeError):
    """A training ended before its last step."""
