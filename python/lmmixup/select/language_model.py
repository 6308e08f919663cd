"""How well a causal language model predicts completions, with and without their prompts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lmmixup.errors import LmmixupError

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
    work.mkdir(parents=True, exist_ok=True)
    model: LanguageModel | None = None
    pieces: list[npt.NDArray[np.float64]] = []
    for start in range(0, records.num_rows, CHUNK):
        file = work / f"losses-{start:09}.npy"
        if not file.exists():
            model = model or LanguageModel(str(config.model), config.max_tokens)
            chunk = records.slice(start, CHUNK)
            losses = model.losses(
                [text or "" for text in chunk["prompt"].to_pylist()],
                [text or "" for text in chunk["completion"].to_pylist()],
            )
            _save_whole(file, losses)
        pieces.append(np.load(file, allow_pickle=False))
        reporter("read completions", min(start + CHUNK, records.num_rows), records.num_rows)
    whole = np.concatenate(pieces) if pieces else np.zeros((0, 3))
    perplexity_N, alone_N = np.exp(whole[:, :2]).astype(np.float32).T
    figures = {"model": str(config.model), "records_cut": int(whole[:, 2].sum())}
    return LanguageScores(perplexity_N, alone_N, figures)


def _save_whole(file: Path, losses: npt.NDArray[np.float64]) -> None:
    partial = file.with_suffix(".partial")
    with partial.open("wb") as out:
        np.save(out, losses)
    partial.replace(file)


class LanguageModel:
    """A causal language model that reads prompts and completions.

    Args:
        name: Folder or name, as `transformers` takes it.
        max_tokens: Tokens of prompt and completion; completions are cut at the end, prompts at
            the beginning, to at most half each where both are longer.

    Raises:
        LmmixupError: torch or transformers is missing, or the model cannot be loaded.
    """

    def __init__(self, name: str, max_tokens: int) -> None:
        try:
            import torch  # noqa: PLC0415
            from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: PLC0415
        except ImportError as error:
            raise LmmixupError(
                f"the model {name} needs torch and transformers, got: {error}; "
                "run `pip install 'lmmixup[train]'`"
            ) from None
        self._torch = torch
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        kind = torch.bfloat16 if self._device == "cuda" else torch.float32
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(name)
            self._model: Any = AutoModelForCausalLM.from_pretrained(name, dtype=kind)
        except (OSError, ValueError) as error:
            first = str(error).splitlines()[0]
            raise LmmixupError(f"the model {name} cannot be loaded: {first}") from None
        self._model.to(self._device).eval()
        self._max_tokens = max_tokens

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
            context, answer = self._ids(self._prompt_text(prompt)), self._ids(completion)
            room = max(self._max_tokens - len(context), self._max_tokens // 2)
            cut = answer[:room]
            left = self._max_tokens - len(cut)
            found[row, 2] = len(cut) < len(answer) or len(context) > left
            contexts.append(context[-left:] or [self._start()])
            answers.append(cut)
        for column, befores in ((0, contexts), (1, [[self._start()]] * len(answers))):
            for rows in self._batches([*map(_length, befores, answers)]):
                some = [row for row in rows if answers[row]]
                if some:
                    found[some, column] = self._mean_losses(
                        [befores[row] for row in some], [answers[row] for row in some]
                    )
        return found

    def _prompt_text(self, prompt: str) -> str:
        if self._tokenizer.chat_template is None:
            return f"{self._tokenizer.bos_token or ''}{prompt}\n"
        turns = [{"role": "user", "content": prompt}]
        return str(
            self._tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        )

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)

    def _start(self) -> int:
        for token in (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        raise LmmixupError("the model's tokenizer has neither a first nor a last token")

    def _batches(self, lengths: list[int]) -> Iterator[list[int]]:
        """Rows of like length, together no more than `max_tokens` with their padding."""
        batch: list[int] = []
        for row in sorted(range(len(lengths)), key=lambda row: (lengths[row], row)):
            if batch and lengths[row] * (len(batch) + 1) > self._max_tokens:
                yield batch
                batch = []
            batch.append(row)
        if batch:
            yield batch

    def _mean_losses(self, befores: list[list[int]], answers: list[list[int]]) -> list[float]:
        torch = self._torch
        rows = [before + answer for before, answer in zip(befores, answers, strict=True)]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        with torch.inference_mode():
            logits = self._model(
                input_ids=ids.to(self._device), attention_mask=mask.to(self._device)
            ).logits
            means = []
            for row, before, answer in zip(logits, befores, answers, strict=True):
                guesses = row[len(before) - 1 : len(before) + len(answer) - 1].float()
                targets = torch.tensor(answer, device=self._device)
                means.append(float(torch.nn.functional.cross_entropy(guesses, targets)))
        return means


def _length(before: list[int], answer: list[int]) -> int:
    return len(before) + len(answer)
