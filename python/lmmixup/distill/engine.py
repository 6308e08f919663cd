"""What runs a mixer that is a folder: transformers, or vLLM where it is installed."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lmmixup.errors import FileError, LmmixupError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lmmixup.distill.config import DistillConfig


@dataclass(frozen=True)
class Written:
    """What a model wrote after one prompt.

    Attributes:
        text: Without special tokens.
        num_tokens: Tokens that it took, the end included.
        is_cut: Whether it had not ended at the limit.
    """

    text: str
    num_tokens: int
    is_cut: bool


class Engine(Protocol):
    """A loaded model."""

    name: str
    context: int | None

    def write(self, prompts: Sequence[list[int]], number: int) -> list[Written]:
        """What the model writes after each prompt.

        Args:
            prompts: Token ids.
            number: Number of the attempt, from 0; moves the seed.
        """


def open_engine(path: Path, tokenizer: Any, config: DistillConfig) -> Engine:
    """Loads a model.

    Args:
        path: Folder with a causal language model of transformers.
        tokenizer: Its tokenizer.
        config: Engine, lengths, temperature, seed.

    Raises:
        FileError: The folder holds no such model.
        LmmixupError: A package is missing.
    """
    if config.engine == "vllm" or (config.engine == "auto" and _has_vllm()):
        return VllmEngine(path, config)
    return TransformersEngine(path, tokenizer, config)


def open_tokenizer(path: Path) -> Any:
    """The tokenizer in a folder.

    Raises:
        FileError: There is none, or it has no chat template.
        LmmixupError: The package transformers is missing.
    """
    _check_folder(path)
    try:
        from transformers import AutoTokenizer  # noqa: PLC0415
    except ImportError as error:
        raise LmmixupError(_missing("transformers", "train", error)) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: expected a tokenizer of transformers: {_line(error)}") from None
    if not getattr(tokenizer, "chat_template", None):
        raise FileError(f"{path}: the tokenizer has no chat template, so no turns can be asked")
    return tokenizer


class TransformersEngine:
    """A model through transformers, in batches padded on the left.

    Args:
        path: The folder.
        tokenizer: Its tokenizer.
        config: Lengths, temperature, seed.

    Notes:
        Takes the GPU where there is one. The same batch gives the same bytes on the same machine.
    """

    name = "transformers"

    def __init__(self, path: Path, tokenizer: Any, config: DistillConfig) -> None:
        _check_folder(path)
        try:
            import torch  # noqa: PLC0415
            from transformers import AutoModelForCausalLM  # noqa: PLC0415
        except ImportError as error:
            raise LmmixupError(_missing("torch and transformers", "train", error)) from error
        try:
            model = AutoModelForCausalLM.from_pretrained(path, dtype="auto", local_files_only=True)
        except (OSError, ValueError) as error:
            raise FileError(f"{path}: expected a causal language model: {_line(error)}") from None
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = model.to(self._device).eval()
        self._tokenizer = tokenizer
        self._config = config
        self.context = getattr(model.config, "max_position_embeddings", None)
        self._ends = _ends(model, tokenizer)

    def write(self, prompts: Sequence[list[int]], number: int) -> list[Written]:
        """What the model writes after each prompt."""
        import torch  # noqa: PLC0415
        from transformers import GenerationConfig  # noqa: PLC0415

        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), self._ends[0])
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        is_random = self._config.temperature > 0
        chosen = {"do_sample": True, "temperature": self._config.temperature} if is_random else {}
        options = GenerationConfig(
            max_new_tokens=self._config.max_output_tokens,
            eos_token_id=self._ends,
            pad_token_id=self._ends[0],
            **chosen,
        )
        torch.manual_seed((self._config.llm_seed or 0) + number)
        with torch.inference_mode():
            made = self._model.generate(
                ids.to(self._device),
                attention_mask=mask.to(self._device),
                generation_config=options,
            )
        return [self._written(row) for row in made[:, width:].tolist()]

    def _written(self, ids: list[int]) -> Written:
        end = next((place for place, one in enumerate(ids) if one in self._ends), None)
        text = self._tokenizer.decode(ids[:end], skip_special_tokens=True)
        return Written(text, len(ids) if end is None else end + 1, is_cut=end is None)


class VllmEngine:
    """The same model through vLLM, which batches by itself.

    Args:
        path: The folder.
        config: Lengths, temperature, seed.
    """

    name = "vllm"

    def __init__(self, path: Path, config: DistillConfig) -> None:
        _check_folder(path)
        try:
            from vllm import LLM, SamplingParams  # noqa: PLC0415
        except ImportError as error:
            raise LmmixupError(_missing("vllm", "vllm", error)) from error
        self._llm = LLM(model=str(path), seed=config.llm_seed or 0)
        self._params = SamplingParams
        self._config = config
        self.context: int | None = int(self._llm.llm_engine.model_config.max_model_len)

    def write(self, prompts: Sequence[list[int]], number: int) -> list[Written]:
        """What the model writes after each prompt."""
        params = self._params(
            temperature=self._config.temperature,
            max_tokens=self._config.max_output_tokens,
            seed=(self._config.llm_seed or 0) + number,
        )
        given = [{"prompt_token_ids": prompt} for prompt in prompts]
        made = [one.outputs[0] for one in self._llm.generate(given, params, use_tqdm=False)]
        return [
            Written(one.text, len(one.token_ids), is_cut=one.finish_reason == "length")
            for one in made
        ]


def _has_vllm() -> bool:
    if importlib.util.find_spec("vllm") is None:
        return False
    import torch  # noqa: PLC0415

    return bool(torch.cuda.is_available())


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """Tokens after which a model has ended, the tokenizer's first."""
    ends = getattr(model.generation_config, "eos_token_id", None)
    listed = ends if isinstance(ends, list) else [ends]
    found = dict.fromkeys(one for one in (tokenizer.eos_token_id, *listed) if one is not None)
    if not found:
        raise LmmixupError("the model has no end-of-text token, so it could never stop")
    return list(found)


def _check_folder(path: Path) -> None:
    if not (path / "config.json").exists() and not (path / "tokenizer_config.json").exists():
        raise FileError(
            f"{path}: expected a folder with a model of transformers; hint: --mixer local:FOLDER"
        )


def _missing(what: str, extra: str, error: ImportError) -> str:
    return f"a local mixer needs {what}: pip install 'lmmixup[{extra}]' ({error})"


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
