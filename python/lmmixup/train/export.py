"""From what a trainer saved to a plain model folder of transformers."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmmixup.errors import ArgumentError, FileError, OutputExistsError
from lmmixup.train.model import be_quiet

if TYPE_CHECKING:
    from collections.abc import Mapping

DTYPES = ("bfloat16", "float16", "float32")


def export(
    source: str | Path,
    output: str | Path,
    *,
    dtype: str = "float32",
    merge_lora: bool = True,
    overwrite: bool = False,
) -> Path:
    """Writes a model as a plain folder: safetensors, config, tokenizer.

    Args:
        source: A checkpoint of any ZeRO stage, or a finished folder.
        output: Folder to make; it appears whole or not at all.
        dtype: One of `DTYPES`.
        merge_lora: Of a folder with LoRA adapters, write the whole model with them merged in.
        overwrite: Replace an output that exists.

    Returns:
        The folder.

    Raises:
        FileError: `source` is no model or checkpoint.
        OutputExistsError: The output exists and `overwrite` is false.

    Notes:
        Weights of ZeRO shards are put together from the optimiser's fp32 copies, on the CPU. Tied
        weights are written once.
    """
    source, output = Path(source), Path(output)
    if dtype not in DTYPES:
        raise ArgumentError(f"dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    if output.exists() and not overwrite:
        raise OutputExistsError(
            f"{output}: exists already; name another folder or pass --overwrite"
        )
    import shutil  # noqa: PLC0415

    partial = output.parent / f".{output.name}.export"
    shutil.rmtree(partial, ignore_errors=True)
    write_model(source, partial, dtype=dtype, merge_lora=merge_lora)
    if output.exists():
        shutil.rmtree(output)
    partial.rename(output)
    return output


def write_model(source: Path, folder: Path, *, dtype: str, merge_lora: bool) -> None:
    """Writes a model and its tokenizer into a folder; as `export`, without its checks."""
    import torch  # noqa: PLC0415
    from transformers import AutoTokenizer  # noqa: PLC0415

    be_quiet()
    model = _load(source, getattr(torch, dtype), merge_lora=merge_lora)
    model.config.use_cache = True  # the trainer turned it off
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)


def _load(source: Path, dtype: Any, *, merge_lora: bool) -> Any:
    from transformers import AutoConfig, AutoModelForCausalLM  # noqa: PLC0415

    has_shards = (source / "latest").is_file()
    if (source / "adapter_config.json").is_file():
        return _load_adapter(source, dtype, merge_lora=merge_lora, has_shards=has_shards)
    if not (source / "config.json").is_file():
        raise FileError(
            f"{source}: expected a checkpoint of `lmmixup train` or a model folder, with a "
            "config.json"
        )
    if not has_shards:
        return AutoModelForCausalLM.from_pretrained(source, dtype=dtype)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(source), dtype=dtype)
    _fill(model, _zero_weights(source), source)
    return model


def _load_adapter(source: Path, dtype: Any, *, merge_lora: bool, has_shards: bool) -> Any:
    from peft import PeftModel  # noqa: PLC0415
    from transformers import AutoModelForCausalLM  # noqa: PLC0415

    base = json.loads((source / "adapter_config.json").read_text())["base_model_name_or_path"]
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base, dtype=dtype), source
    )
    if has_shards:
        weights = {name: value for name, value in _zero_weights(source).items() if "lora_" in name}
        found = model.load_state_dict(weights, strict=False)
        if not weights or found.unexpected_keys:
            raise FileError(f"{source}: its ZeRO shards do not fit its adapter_config.json")
    return model.merge_and_unload() if merge_lora else model


def _zero_weights(source: Path) -> Mapping[str, Any]:
    from deepspeed.utils.zero_to_fp32 import (  # noqa: PLC0415
        get_fp32_state_dict_from_zero_checkpoint,
    )

    with redirect_stdout(sys.stderr):  # it prints what it does
        weights: Mapping[str, Any] = get_fp32_state_dict_from_zero_checkpoint(str(source))
    return weights


def _fill(model: Any, weights: Mapping[str, Any], source: Path) -> None:
    model.tie_weights()
    found = model.load_state_dict(weights, strict=False)
    tied = set(getattr(model, "all_tied_weights_keys", None) or ())
    missing = [name for name in found.missing_keys if name not in tied]
    if missing or found.unexpected_keys:
        odd = (missing + list(found.unexpected_keys))[0]
        raise FileError(f"{source}: its ZeRO shards do not fit its config.json: {odd}")
    model.tie_weights()
