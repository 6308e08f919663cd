"""Deita's scorers: language models that say how complex a question and how good an answer is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.errors import LmmixupError
from lmmixup.select.language_model import CHUNK, LanguageModel
from lmmixup.select.pieces import Pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt
    import pyarrow as pa

    from lmmixup.progress import Reporter
    from lmmixup.select.config import SelectConfig

COMPLEXITY = (
    "You are a helpful assistant. Please identify the complexity score of the following user "
    "query. \n##Query: {prompt}  \n##Complexity: "
)
QUALITY = (
    "You are a helpful assistant. Please identify the quality score of the Response corresponding "
    "to the Question. \n #Question#:\n{prompt}\n#Response#:\n{completion} \n##Quality: "
)
"""What the two published scorers were trained to continue with a digit, to the letter."""

DIGITS = "123456"


@dataclass(frozen=True)
class EvolScores:
    """Deita's numbers of a pool.

    Attributes:
        columns: (N,) `complexity_x_quality`, the sum over the turns, and the means over the turns,
            `deita_complexity` and `deita_quality`, 1 to 6; NaN for a record without an answer.
        figures: Models and number of records that were cut, for the manifest.
    """

    columns: dict[str, npt.NDArray[np.float32]]
    figures: dict[str, Any]


def score_evol(
    records: pa.Table, config: SelectConfig, work: Path, reporter: Reporter
) -> EvolScores:
    """Scores a pool by the two models.

    Args:
        records: N records with messages.
        config: Names the models and the most tokens.
        work: Folder for finished pieces.
        reporter: Where progress goes.

    Returns:
        The scores.

    Raises:
        LmmixupError: torch or transformers is missing, a model cannot be loaded, or its tokenizer
            has no tokens for the digits.

    Notes:
        One forward pass of each model and turn. The models are in memory one after the other.

    Source:
        Deita, arXiv 2312.15685, section 2; of several turns the products are summed.
    """
    turns = [turns_of(messages) for messages in records["messages"].to_pylist()]
    flat = [turn for some in turns for turn in some]
    pieces = Pieces(work, CHUNK, reporter)
    complexity, quality = (
        _score_turns(name, template, flat, config.max_record_tokens, pieces=pieces, what=what)
        for name, template, what in (
            (str(config.complexity_scorer), COMPLEXITY, "complexity"),
            (str(config.quality_scorer), QUALITY, "quality"),
        )
    )
    counts_N = np.array([len(some) for some in turns], np.int64)
    record_T = np.repeat(np.arange(len(turns)), counts_N)

    def summed(values_T: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.bincount(record_T, values_T, minlength=len(turns)).astype(np.float64)

    there_N = np.where(counts_N > 0, counts_N, np.nan)
    columns = {
        "complexity_x_quality": summed(complexity[:, 0] * quality[:, 0]) + 0 * there_N,
        "deita_complexity": summed(complexity[:, 0]) / there_N,
        "deita_quality": summed(quality[:, 0]) / there_N,
    }
    is_cut_N = summed(complexity[:, 1] + quality[:, 1]) > 0
    figures = {
        "complexity_scorer": config.complexity_scorer,
        "quality_scorer": config.quality_scorer,
        "records_cut": int(is_cut_N.sum()),
    }
    return EvolScores({n: values.astype(np.float32) for n, values in columns.items()}, figures)


def turns_of(messages: Iterable[Mapping[str, str | None]]) -> list[dict[str, str]]:
    r"""The questions and answers of a conversation.

    Args:
        messages: Turns with `role` and `content`.

    Returns:
        For each answer that is not empty, `prompt` (what the user said since the answer before,
        joined by newlines) and `completion`.

    Example:
        >>> turns_of([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}])
        [{'prompt': 'a', 'completion': 'b'}]
    """
    found: list[dict[str, str]] = []
    asked: list[str] = []
    for message in messages:
        if message["role"] == "user":
            asked.append(message["content"] or "")
        elif message["role"] == "assistant":
            if message["content"]:
                found.append({"prompt": "\n".join(asked), "completion": message["content"]})
            asked = []
    return found


def _score_turns(
    name: str,
    template: str,
    turns: Sequence[dict[str, str]],
    max_record_tokens: int,
    *,
    pieces: Pieces,
    what: str,
) -> npt.NDArray[np.float64]:
    """(T, 2): score of each turn, and 1 where it was cut."""

    @cache  # loaded only where a piece is missing
    def scorer() -> Scorer:
        return Scorer(name, template, max_record_tokens)

    return pieces.of(what, lambda start, stop: scorer().scores(turns[start:stop]), len(turns), 2)


class Scorer:
    """A causal language model that continues a template with a digit from 1 to 6.

    Args:
        name: Folder or name, as `transformers` takes it.
        template: `COMPLEXITY`, `QUALITY` or another with the same fields.
        max_record_tokens: Tokens of the filled template; longer texts are cut at the end.

    Raises:
        LmmixupError: torch or transformers is missing, the model cannot be loaded, or its
            tokenizer has no tokens for the digits.
    """

    def __init__(self, name: str, template: str, max_record_tokens: int) -> None:
        self._model = LanguageModel(name, max_record_tokens)
        self._template = template
        tokenizer = self._model.tokenizer
        self._digits = [tokenizer.convert_tokens_to_ids(digit) for digit in DIGITS]
        if len({*self._digits} - {None, tokenizer.unk_token_id}) < len(DIGITS):
            raise LmmixupError(
                f"the scorer {name}: expected a tokenizer with a token for each digit from 1 to 6"
            )

    def scores(self, turns: Sequence[dict[str, str]]) -> npt.NDArray[np.float64]:
        """Scores of turns.

        Args:
            turns: n questions and answers.

        Returns:
            (n, 2): the expected digit under the model's probabilities of the six digits, and 1
            where the turn was cut.
        """
        found = np.zeros((len(turns), 2))
        ids, is_cut = zip(*(self._ids(turn) for turn in turns), strict=True)
        found[:, 1] = is_cut
        for rows in self._model.batches([len(one) for one in ids]):
            logits = self._model.last_logits([ids[row] for row in rows])[:, self._digits]
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            found[rows, 0] = odds @ np.arange(1.0, 7.0) / odds.sum(axis=1)
        return found

    def _ids(self, turn: dict[str, str]) -> tuple[list[int], bool]:
        """The filled template, and whether its texts had to be cut."""
        whole = self._filled(turn)
        if len(whole) <= self._model.max_record_tokens:
            return whole, False
        texts = {
            field: self._model.ids(turn[field])
            for field in turn
            if f"{{{field}}}" in self._template
        }
        room = self._model.max_record_tokens - len(self._filled(dict.fromkeys(turn, "")))
        shares: dict[str, int] = {}
        for field in sorted(texts, key=lambda field: len(texts[field])):
            left = len(texts) - len(shares)
            shares[field] = min(len(texts[field]), max(0, room) // left)
            room -= shares[field]
        cut = {
            field: self._model.tokenizer.decode(some[: shares[field]], skip_special_tokens=True)
            for field, some in texts.items()
        }
        # Decoded pieces may take a token more than before; the digit's place is at the end.
        return self._filled({**turn, **cut})[-self._model.max_record_tokens :], True

    def _filled(self, turn: dict[str, str]) -> list[int]:
        text = self._template.format(**turn)
        return list(self._model.tokenizer(text).input_ids)
