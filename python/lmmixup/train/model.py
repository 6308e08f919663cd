"""The model to start from: its tokenizer and what must be true of both, its weights, LoRA."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmmixup.contract import parse, render
from lmmixup.errors import ArgumentError, DataError, FileError

if TYPE_CHECKING:
    from lmmixup.train.config import TrainConfig

_PROBE = render("First think, then write.", "Q: What is it?\nA: It is this, and that.")


def is_gguf(model: str) -> bool:
    """Whether a model is a .gguf file."""
    return model.endswith(".gguf")


def be_quiet() -> None:
    """Keeps transformers from drawing bars of its own."""
    from transformers.utils import logging  # noqa: PLC0415

    logging.disable_progress_bar()


def load_tokenizer(config: TrainConfig) -> Any:
    """The model's tokenizer, checked.

    Args:
        config: `model` and `pad_token`.

    Returns:
        A tokenizer of transformers with a padding token.

    Raises:
        FileError: There is no such model.
        DataError: It has no chat template, no end or padding token, or loses the contract's tags.
    """
    from transformers import AutoTokenizer  # noqa: PLC0415

    be_quiet()
    if not config.model:
        raise ArgumentError("name the model to start from with --model")
    try:
        tokenizer = AutoTokenizer.from_pretrained(**_source(config.model))
    except (OSError, ValueError, KeyError) as error:
        raise FileError(f"{config.model}: no tokenizer could be loaded: {_first(error)}") from None
    _pad(tokenizer, config)
    check_tokenizer(tokenizer, config.model)
    return tokenizer


def load_model_config(config: TrainConfig) -> Any:
    """The model's architecture, without weights.

    Raises:
        FileError: There is no such model.
    """
    from transformers import AutoConfig  # noqa: PLC0415

    try:
        return AutoConfig.from_pretrained(**_source(config.model))
    except (OSError, ValueError, KeyError) as error:
        raise FileError(f"{config.model}: no model could be loaded: {_first(error)}") from None


def check_vocabulary(model_config: Any, tokenizer: Any, model: str) -> None:
    """Raises `DataError` where the tokenizer has tokens that the model has no vector for."""
    num_vectors = model_config.get_text_config().vocab_size
    if len(tokenizer) > num_vectors:
        raise DataError(
            f"{model}: its tokenizer has {len(tokenizer):,} tokens, but the model has vectors for "
            f"{num_vectors:,}; hint: take the tokenizer that belongs to it"
        )


def check_context(model_config: Any, num_tokens: int, model: str) -> None:
    """Raises `DataError` where a prompt and its output do not fit the model's context."""
    context = getattr(model_config, "max_position_embeddings", None)
    if context is not None and num_tokens > context:
        raise DataError(
            f"{model}: the longest prompt and its output may have {num_tokens:,} tokens together, "
            f"but its context is {context:,}; hint: lower the token limits"
        )


def unpack_gguf(model: str, folder: Path) -> Path:
    """Writes a .gguf file as a folder of transformers, so that every process can load it.

    Args:
        model: The file.
        folder: Folder to make; one that is whole already is taken as it is.

    Returns:
        The folder.
    """
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig  # noqa: PLC0415

    if folder.exists():
        return folder
    made = folder.with_suffix(".partial")
    loaded = AutoModelForCausalLM.from_pretrained(
        **_source(model),
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )
    loaded.save_pretrained(made)
    AutoTokenizer.from_pretrained(**_source(model)).save_pretrained(made)
    made.rename(folder)
    return folder


def load_model(path: str) -> Any:
    """The weights in fp32, as mixed precision wants them.

    Args:
        path: Folder of transformers, or a name on the Hub.

    Notes:
        Under ZeRO-3 the weights are spread while they are read: TRL's arguments must be made
        before.
    """
    import torch  # noqa: PLC0415
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)


def lora_config(config: TrainConfig) -> Any:
    """The adapters as PEFT wants them, or `None` where all weights are trained."""
    if not config.lora_rank:
        return None
    from peft import LoraConfig  # noqa: PLC0415

    targets = list(config.lora_targets)
    return LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=targets[0] if targets == ["all-linear"] else targets,
        task_type="CAUSAL_LM",
    )


def _source(model: str) -> dict[str, Any]:
    path = Path(model)
    if is_gguf(model):
        if not path.is_file():
            raise FileError(f"{model}: not found")
        return {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    if path.exists() and not (path / "config.json").is_file():
        raise FileError(f"{model}: expected a model folder of transformers with a config.json")
    return {"pretrained_model_name_or_path": model}


def _pad(tokenizer: Any, config: TrainConfig) -> None:
    if config.pad_token is not None:
        if config.pad_token not in tokenizer.get_vocab():
            raise ArgumentError(
                f"--pad-token: expected a token of {config.model}, got {config.pad_token!r}"
            )
        tokenizer.pad_token = config.pad_token


def check_tokenizer(tokenizer: Any, model: str) -> None:
    """Raises `DataError` where a model could not be asked, or its outputs not be read."""
    if not tokenizer.chat_template:
        raise DataError(
            f"{model}: its tokenizer has no chat template, so there is no way to ask it; hint: "
            "take the instruct version of the model"
        )
    if tokenizer.eos_token_id is None:
        raise DataError(f"{model}: its tokenizer has no end-of-sequence token")
    if tokenizer.pad_token_id is None:
        raise DataError(
            f"{model}: its tokenizer has no padding token; hint: name one with --pad-token, such "
            f"as {tokenizer.eos_token!r}"
        )
    ids = tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
    if parse(tokenizer.decode(ids, skip_special_tokens=True)) is None:
        raise DataError(
            f"{model}: its tokenizer loses the tags <think> and <answer>, so no output could be "
            "read; hint: they must not be special tokens of it"
        )


def _first(error: BaseException) -> str:
    return str(error).split("\n", maxsplit=1)[0].strip()
