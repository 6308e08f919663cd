"""Deita's scorers: arithmetic beside a plain reference, turns, cuts, what does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny_model

from lmmixup.errors import LmmixupError
from lmmixup.pool import open_pool
from lmmixup.select import SelectConfig, deita, run

if TYPE_CHECKING:
    from pathlib import Path

    from lmmixup.stage import StageResult

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

FRAME = f"{deita.COMPLEXITY} {deita.QUALITY}".split()
WORDS = [*tiny_model.WORDS, *"123456", *sorted({word for word in FRAME if "{" not in word})]


@pytest.fixture(scope="module")
def scorers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two drawn models, for complexity and for quality."""
    first, second = (
        tiny_model.write(tmp_path_factory.mktemp("scorer"), WORDS, seed) for seed in (1, 2)
    )
    return first, second


def expected_digit(folder: Path, text: str, max_record_tokens: int = 4096) -> float:
    """The score of one filled template, on its own and without padding."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    network = transformers.AutoModelForCausalLM.from_pretrained(folder)
    ids = tokenizer(text).input_ids
    assert len(ids) <= max_record_tokens
    with torch.no_grad():
        logits = network(torch.tensor([ids])).logits[0, -1].numpy().astype(np.float64)
    digits = logits[[WORDS.index(digit) for digit in "123456"]]
    odds = np.exp(digits) / np.exp(digits).sum()
    return float((odds * np.arange(1, 7)).sum())


def score(
    pool: pa.Table, scorers: tuple[Path, Path], output: Path, max_record_tokens: int = 2048
) -> StageResult:
    config = SelectConfig(
        strategy="deita", complexity_scorer=str(scorers[0]), quality_scorer=str(scorers[1]),
        max_similarity=1, shuffle=False, max_record_tokens=max_record_tokens,
    )  # fmt: skip
    return run(open_pool(pool), config, output=output)


def test_scores_are_the_expected_digits(scorers: tuple[Path, Path], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(tiny_model.WORDS[2:], rng.integers(1, 9))) for _ in range(14)]
    pool = pa.table({"prompt": texts[:7], "completion": texts[7:]})
    result = score(pool, scorers, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "data.parquet").to_pylist()
    assert len(rows) == 7
    for row in rows:
        complexity = expected_digit(scorers[0], deita.COMPLEXITY.format(prompt=row["prompt"]))
        filled = deita.QUALITY.format(prompt=row["prompt"], completion=row["completion"])
        quality = expected_digit(scorers[1], filled)
        assert row["deita_complexity"] == pytest.approx(complexity, abs=1e-5)
        assert row["deita_quality"] == pytest.approx(quality, abs=1e-5)
        assert row["complexity_x_quality"] == pytest.approx(complexity * quality, abs=1e-4)
    products = [row["complexity_x_quality"] for row in rows]
    assert products == sorted(products, reverse=True)
    assert len(set(products)) > 1
    assert result.figures["records_cut"] == 0


def test_products_of_several_turns_are_summed(scorers: tuple[Path, Path], tmp_path: Path) -> None:
    turns = [("one two", "three"), ("four", "five six")]
    messages = [{"role": "system", "content": "nine"}]
    for question, answer in turns:
        messages += [
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
        ]
    empty = [{"role": "user", "content": "one"}, {"role": "assistant", "content": ""}]
    pool = pa.table({"id": ["a", "b"], "messages": [messages, empty]})
    result = score(pool, scorers, tmp_path / "out")
    [row] = pq.read_table(tmp_path / "out" / "data.parquet").to_pylist()
    products = [
        expected_digit(scorers[0], deita.COMPLEXITY.format(prompt=question))
        * expected_digit(scorers[1], deita.QUALITY.format(prompt=question, completion=answer))
        for question, answer in turns
    ]
    assert row["complexity_x_quality"] == pytest.approx(sum(products), abs=1e-4)
    assert result.counts["dropped"] == {"no-score": 1}


def test_what_is_too_long_is_cut_within_the_template(
    scorers: tuple[Path, Path], tmp_path: Path
) -> None:
    frame = len(deita.QUALITY.format(prompt="", completion="").split())
    pool = pa.table({"prompt": ["one two"], "completion": ["three four " * 40]})
    result = score(pool, scorers, tmp_path / "out", max_record_tokens=frame + 12)
    [row] = pq.read_table(tmp_path / "out" / "data.parquet").to_pylist()
    assert result.figures["records_cut"] == 1
    # The prompt is kept whole, the answer gets what room is left.
    filled = deita.QUALITY.format(prompt="one two", completion="three four " * 4 + "three four")
    assert row["deita_quality"] == pytest.approx(expected_digit(scorers[1], filled), abs=1e-5)


def test_a_tokenizer_without_digits_is_refused(
    scorers: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    plain = tiny_model.write(tmp_path_factory.mktemp("plain"))
    pool = pa.table({"prompt": ["one"], "completion": ["two"]})
    with pytest.raises(LmmixupError, match="a token for each digit from 1 to 6"):
        score(pool, (plain, scorers[1]), tmp_path / "out")
