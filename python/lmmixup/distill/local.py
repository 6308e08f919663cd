"""The mixer that is a trained model in a folder."""

from __future__ import annotations

import hashlib
import json
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from lmmixup.contract import prompt_ids
from lmmixup.distill.chat import read_result
from lmmixup.distill.engine import open_engine
from lmmixup.distill.mixer import Attempt, Made, Mixed
from lmmixup.errors import ArgumentError
from lmmixup.llm import Answer, open_cache

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence
    from pathlib import Path
    from types import TracebackType

    from lmmixup.distill.config import DistillConfig
    from lmmixup.distill.part import Part
    from lmmixup.progress import Reporter

BATCHES_AHEAD = 8
"""Batches whose clusters are sorted by length together, so that little is padded."""


class LocalMixer:
    """Asks a model on this machine with the ids that it was trained on.

    Args:
        config: Folder, lengths, temperature, size of batches.
        work: Folder that survives a kill.
        reporter: Is told which engine runs.
        tokenizer: The model's.

    Raises:
        ArgumentError: Prompt and answer do not fit the model's context.
        FileError: The folder holds no model.
        LmmixupError: A package is missing.

    Notes:
        A batch is answered whole or not at all, and kept then: a run that was killed makes the same
        batches again and ends with the same bytes.
    """

    def __init__(
        self, config: DistillConfig, work: Path, reporter: Reporter, tokenizer: Any
    ) -> None:
        if config.path is None:
            raise ArgumentError(f"expected a mixer local:PATH, got {config.mixer!r}")
        self.name = config.mixer
        self._path = config.path
        self._work = work
        self._reporter = reporter
        self._tokenizer = tokenizer
        self._engine = open_engine(self._path, tokenizer, config)
        self._config = config
        self._check_context()
        self._identity = _identity(self._path)
        self._num_asked = self._num_again = 0

    def _check_context(self) -> None:
        context = self._engine.context
        wanted = self._config.max_prompt_tokens + self._config.max_output_tokens
        if context is not None and wanted > context:
            raise ArgumentError(
                f"{self._path} has a context of {context:,} tokens, but max_prompt_tokens "
                f"{self._config.max_prompt_tokens:,} and max_output_tokens "
                f"{self._config.max_output_tokens:,} are {wanted:,}; lower them"
            )

    async def __aenter__(self) -> Self:
        self._cache = open_cache("none", self._work)
        self._reporter.note(f"{self._path} runs on {self._engine.name}")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cache.close()

    async def mix(self, parts: Iterable[Part]) -> AsyncGenerator[Mixed]:
        """One outcome a part, in their order."""
        waiting = iter(parts)
        while window := list(islice(waiting, self._config.batch_size * BATCHES_AHEAD)):
            for mixed in self._mixed(window):
                self._num_asked += len(mixed.attempts)
                self._num_again += len(mixed.attempts) - 1
                yield mixed

    def figures(self) -> dict[str, Any]:
        """Answers, and how many of them were asked for again."""
        return {"answers": self._num_asked, "answers_asked_again": self._num_again}

    def _mixed(self, parts: Sequence[Part]) -> list[Mixed]:
        prompts = [prompt_ids(part.record(), self._tokenizer) for part in parts]
        attempts: list[list[Attempt]] = [[] for _ in parts]
        left = sorted(range(len(parts)), key=lambda place: (len(prompts[place]), place))
        for number in range(self._config.num_attempts):
            for start in range(0, len(left), self._config.batch_size):
                batch = left[start : start + self._config.batch_size]
                made = self._answers([prompts[place] for place in batch], number)
                for place, answer in zip(batch, made, strict=True):
                    result = read_result(answer, parts[place])
                    attempts[place].append(Attempt(answer, result))
            left = [one for one in left if not isinstance(attempts[one][-1].result, Made)]
        return [
            Mixed(part, tried[-1].result, tuple(tried))
            for part, tried in zip(parts, attempts, strict=True)
        ]

    def _answers(self, prompts: list[list[int]], number: int) -> list[Answer]:
        keys = [self._key(prompt, number) for prompt in prompts]
        known = [self._cache.get(key) for key in keys]
        answers = [one[0] for one in known if one is not None]
        if len(answers) == len(prompts):
            return answers
        written = self._engine.write(prompts, number)
        answers = [
            Answer(
                text=one.text,
                finish_reason="length" if one.is_cut else "stop",
                prompt_tokens=len(prompt),
                completion_tokens=one.num_tokens,
            )
            for one, prompt in zip(written, prompts, strict=True)
        ]
        self._cache.put_all(
            (key, self.name, self._engine.name, answer)
            for key, answer in zip(keys, answers, strict=True)
        )
        return answers

    def _key(self, prompt: list[int], number: int) -> bytes:
        asked = [self._identity, self._engine.name, self._config.max_output_tokens]
        asked += [self._config.temperature, self._config.llm_seed, number, prompt]
        return hashlib.sha256(json.dumps(asked).encode()).digest()


def _identity(path: Path) -> list[tuple[str, int, int]]:
    """Names, sizes and times of a folder's files: another model under the same path is another."""
    files = sorted(file for file in path.iterdir() if file.is_file())
    return [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
