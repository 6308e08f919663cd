"""How well a causal language model predicts completions, with and without their prompts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.errors import LmmixupError
from lmmixup.select.pieces import Pieces

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt
    import pyarrow as pa

    from lmmixup.progress import Reporter
    from lmmixup.select.config import SelectConfig

CHUNK = 256
"""Records whose scores are kept together, so that a killed run need not make them again."""


@dataclass(frozen=True)
class LanguageScores:
    """What a model says of completions.

    Attributes:
        perplexity_N: (N,) perplexity of the completion given the prompt; NaN for an empty one.
        perplexity_alone_N: (N,) the same without the prompt, over the same tokens.
        figures: Model and number of records that were cut, for the manifest.
    """

    perplexity_N: npt.NDArray[np.float32]  # noqa: N815
    perplexity_alone_N: npt.NDArray[np.float32]  # noqa: N815
    figures: dict[str, Any]


@dataclass(frozen=True)
class Encoded:
    """A record as the model reads it.

    Attributes:
        context: Ids of the prompt in its template, at least one.
        answer: Ids of the completion; none for an empty one.
        is_cut: Whether something was too long.
    """

    context: list[int]
    answer: list[int]
    is_cut: bool


def score_pool(
    records: pa.Table, config: SelectConfig, work: Path, reporter: Reporter
) -> LanguageScores:
    """Scores the completions of a pool.

    Args:
        records: N records with prompt and completion.
        config: Names the model and the most tokens.
        work: Folder for finished pieces.
        reporter: Where progress goes.

    Returns:
        The scores.

    Raises:
        LmmixupError: torch or transformers is missing, or the model cannot be loaded.

    Notes:
        Single precision on a CPU, bfloat16 on a GPU; last bits depend on the machine.

    Source:
        Perplexity as in the paper's baselines; the ratio of both is IFD, arXiv 2308.12032.
    """

    @cache  # loaded only where a piece is missing
    def model() -> LanguageModel:
        return LanguageModel(str(config.model), config.max_record_tokens)

    def losses(start: int, stop: int) -> npt.NDArray[np.float64]:
        chunk = records.slice(start, stop - start)
        return model().losses(texts_of(chunk, "prompt"), texts_of(chunk, "completion"))

    whole = Pieces(work, CHUNK, reporter).of("completions", losses, records.num_rows, 3)
    perplexity_N, alone_N = np.exp(whole[:, :2]).astype(np.float32).T
    figures = {"model": str(config.model), "records_cut": int(whole[:, 2].sum())}
    return LanguageScores(perplexity_N, alone_N, figures)


def texts_of(records: pa.Table, column: str) -> list[str]:
    """A column of texts, empty where null."""
    return [text or "" for text in records[column].to_pylist()]


class LanguageModel:
    """A causal language model that reads prompts and completions.

    Args:
        name: Folder or name, as `transformers` takes it.
        max_record_tokens: Tokens of prompt and completion; completions are cut at the end, prompts
            at the beginning, to at most half each where both are longer.

    Attributes:
        torch: The module.
        device: `cuda` or `cpu`.
        tokenizer: The model's tokenizer.
        network: The model itself.

    Raises:
        LmmixupError: torch or transformers is missing, or the model cannot be loaded.
    """

    def __init__(self, name: str, max_record_tokens: int) -> None:
        try:
            import torch  # noqa: PLC0415
            from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415
        except ImportError as error:
            raise LmmixupError(
                f"the model {name} needs torch and transformers, got: {error}; "
                "run `pip install 'lmmixup[train]'`"
            ) from None
        self.torch: Any = torch
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        kind = torch.bfloat16 if self.device == "cuda" else torch.float32
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(name)
            self.network: Any = AutoModelForCausalLM.from_pretrained(name, dtype=kind)
        except (OSError, ValueError) as error:
            first = str(error).splitlines()[0]
            raise LmmixupError(f"the model {name} cannot be loaded: {first}") from None
        self.network.to(self.device).eval()
        self.max_record_tokens = max_record_tokens

    def encode(self, prompt: str, completion: str) -> Encoded:
        """A record as ids, no longer than `max_record_tokens`."""
        context, answer = self.ids(self._prompt_text(prompt)), self.ids(completion)
        room = max(self.max_record_tokens - len(context), self.max_record_tokens // 2)
        cut = answer[:room]
        left = self.max_record_tokens - len(cut)
        is_cut = len(cut) < len(answer) or len(context) > left
        return Encoded(context[-left:] or [self._start()], cut, is_cut)

    def losses(self, prompts: list[str], completions: list[str]) -> npt.NDArray[np.float64]:
        """Mean loss of each completion.

        Args:
            prompts: N texts; put into the model's chat template where it has one.
            completions: N texts.

        Returns:
            (N, 3): nats a token given the prompt, nats a token alone (after the model's
            first token), and 1 where something was cut. NaN for an empty completion.
        """
        found = np.full((len(prompts), 3), np.nan)
        found[:, 2] = 0
        contexts, answers = [], []
        for row, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
            encoded = self.encode(prompt, completion)
            found[row, 2] = encoded.is_cut
            contexts.append(encoded.context)
            answers.append(encoded.answer)
        for column, befores in ((0, contexts), (1, [[self._start()]] * len(answers))):
            for rows in self.batches([*map(_length, befores, answers)]):
                some = [row for row in rows if answers[row]]
                if some:
                    found[some, column] = self._mean_losses(
                        [befores[row] for row in some], [answers[row] for row in some]
                    )
        return found

    def loss(self, record: Encoded) -> Any:
        """Mean loss of one answer, nats a token, with what its gradient needs."""
        ids = self.torch.tensor([record.context + record.answer], device=self.device)
        guesses = self.network(input_ids=ids).logits[0, len(record.context) - 1 : -1].float()
        return self.torch.nn.functional.cross_entropy(guesses, ids[0, len(record.context) :])

    def _prompt_text(self, prompt: str) -> str:
        if self.tokenizer.chat_template is None:
            return f"{self.tokenizer.bos_token or ''}{prompt}\n"
        turns = [{"role": "user", "content": prompt}]
        return str(
            self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        )

    def ids(self, text: str) -> list[int]:
        """Ids of a text, nothing added."""
        return list(self.tokenizer(text, add_special_tokens=False).input_ids)

    def _start(self) -> int:
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        raise LmmixupError("the model's tokenizer has neither a first nor a last token")

    def batches(self, lengths: list[int]) -> Iterator[list[int]]:
        """Rows of like length, together no more than `max_record_tokens` with their padding."""
        batch: list[int] = []
        for row in sorted(range(len(lengths)), key=lambda row: (lengths[row], row)):
            if batch and lengths[row] * (len(batch) + 1) > self.max_record_tokens:
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def last_logits(self, rows: list[list[int]]) -> npt.NDArray[np.float64]:
        """(n, V) logits of what comes after n rows of ids."""
        with self.torch.inference_mode():
            logits = self._logits(rows)
            last = [one[len(row) - 1].double().cpu() for one, row in zip(logits, rows, strict=True)]
            return np.asarray(self.torch.stack(last).numpy())

    def _logits(self, rows: list[list[int]]) -> Any:
        longest = max(map(len, rows))
        ids = self.torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        mask = self.torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        return self.network(
            input_ids=ids.to(self.device), attention_mask=mask.to(self.device)
        ).logits

    def _mean_losses(self, befores: list[list[int]], answers: list[list[int]]) -> list[float]:
        torch = self.torch
        rows = [before + answer for before, answer in zip(befores, answers, strict=True)]
        with torch.inference_mode():
            means = []
            for row, before, answer in zip(self._logits(rows), befores, answers, strict=True):
                guesses = row[len(before) - 1 : len(before) + len(answer) - 1].float()
                targets = torch.tensor(answer, device=self.device)
                means.append(float(torch.nn.functional.cross_entropy(guesses, targets)))
        return means


def _length(before: list[int], answer: list[int]) -> int:
    return len(before) + len(answer)
