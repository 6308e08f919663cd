"""LESS with a real small model: SmolLM2-135M-Instruct finds the records of the target's kind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import smollm2

from lmmixup.pool import open_pool
from lmmixup.select import SelectConfig, run

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("peft")

pytestmark = [
    pytest.mark.torch,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore"),
]

CAPITALS = ["France", "Japan", "Kenya", "Peru", "Norway", "Egypt", "Canada", "Portugal"]
CITIES = ["Paris", "Tokyo", "Nairobi", "Lima", "Oslo", "Cairo", "Ottawa", "Lisbon"]
OTHERS = [
    ("Write a haiku about rain.", "Soft rain on the roof,\nthe garden drinks in silence,\nnight."),
    ("Sort the list [3, 1, 2] in Python.", "sorted([3, 1, 2])"),
    ("How do I boil an egg?", "Put it into boiling water for eight minutes, then cool it."),
    ("Translate 'good morning' into German.", "Guten Morgen"),
    ("What is 12 times 12?", "12 times 12 is 144."),
    ("Give me a synonym of happy.", "Joyful"),
    ("Write a polite refusal.", "Thank you for asking, but I am not able to join this time."),
    ("Explain what a hash map is.", "A table that finds values by the hash of their keys."),
    ("Name three sorts of cheese.", "Cheddar, Gouda and Brie."),
    ("Why is the sky blue?", "Air scatters blue light more than red light."),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    smollm2.weights()
    return smollm2.unpack(tmp_path_factory.mktemp("smollm2"))


def capital(country: str, city: str) -> dict[str, str]:
    return {
        "prompt": f"What is the capital of {country}?",
        "completion": f"The capital of {country} is {city}.",
    }


def test_records_of_the_targets_kind_come_first(model: Path, tmp_path: Path) -> None:
    asked = [capital(*pair) for pair in zip(CAPITALS, CITIES, strict=True)]
    others = [{"prompt": prompt, "completion": completion} for prompt, completion in OTHERS]
    target = tmp_path / "target.jsonl"
    target.write_text("".join(json.dumps(row) + "\n" for row in asked[:3]))
    rows = [{"id": f"capital{n}", **row} for n, row in enumerate(asked[3:])]
    rows += [{"id": f"other{n}", **row} for n, row in enumerate(others)]
    config = SelectConfig(
        strategy="less", model=str(model), target=(target,), num=5, shuffle=False,
        warmup_share=0.4, warmup_epochs=2, warmup_rate=2e-4, lora_rank=8, gradient_dim=512,
        max_record_tokens=256,
    )  # fmt: skip
    result = run(open_pool(pa.Table.from_pylist(rows)), config, output=tmp_path / "out")
    taken = pq.read_table(tmp_path / "out" / "data.parquet")
    print(taken["id"].to_pylist(), taken["influence"].to_pylist())  # noqa: T201
    assert sorted(taken["id"].to_pylist()) == [f"capital{n}" for n in range(5)]
    assert result.figures["checkpoints"] == 2
    assert result.figures["trained_numbers"] > 100_000
