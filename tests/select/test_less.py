"""LESS: Adam's own step, planted neighbours, checkpoints made and given, resumed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny_model

from lmmixup.errors import DataError, LmmixupError
from lmmixup.pool import open_pool
from lmmixup.progress import SILENT
from lmmixup.select import SelectConfig, adapters, less, run
from lmmixup.select.checkpoints import Moments, trained
from lmmixup.select.language_model import LanguageModel

if TYPE_CHECKING:
    from pathlib import Path

    from lmmixup.stage import StageResult

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

FIRST = ["one", "two", "three", "four", "five"]
LAST = ["six", "seven", "eight", "nine", "ten"]
NUM_PLANTED = 6


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model.write(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records that count down from five."""
    path = tmp_path_factory.mktemp("target") / "target.jsonl"
    rows = [texts(np.random.default_rng(50 + n), FIRST, ordered=True) for n in range(4)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def texts(rng: np.random.Generator, words: list[str], *, ordered: bool = False) -> dict[str, str]:
    answer = words[::-1] if ordered else rng.choice(words, 5)
    return {"prompt": " ".join(rng.choice(words, 3)), "completion": " ".join(answer)}


def make_pool() -> pa.Table:
    """40 records: six that count down as the target does, an empty one, and others."""
    rows = [texts(np.random.default_rng(n), FIRST, ordered=True) for n in range(NUM_PLANTED)]
    rows += [texts(np.random.default_rng(n), LAST) for n in range(100, 133)]
    rows.append({"prompt": "one", "completion": ""})
    ids = [f"{'planted' if n < NUM_PLANTED else 'other'}{n}" for n in range(len(rows))]
    return pa.Table.from_pylist([{"id": i, **row} for i, row in zip(ids, rows, strict=True)])


def select(
    model: Path, target: Path | tuple[Path, ...], output: Path, **options: Any
) -> StageResult:
    given = {
        "model": str(model), "target": target if isinstance(target, tuple) else (target,),
        "shuffle": False, "gradient_dim": 1024,
        "lora_rank": 4, "warmup_share": 0.5, "warmup_epochs": 2, "warmup_rate": 1e-2,
    }  # fmt: skip
    config = SelectConfig(strategy="less", **{**given, **options})
    return run(open_pool(make_pool()), config, output=output)


def test_planted_records_come_first(model: Path, target: Path, tmp_path: Path) -> None:
    result = select(model, target, tmp_path / "out")
    rows = pq.read_table(tmp_path / "out" / "data.parquet").to_pylist()
    assert {row["id"] for row in rows[:NUM_PLANTED]} == {f"planted{n}" for n in range(NUM_PLANTED)}
    influence = [row["influence"] for row in rows]
    assert influence == sorted(influence, reverse=True)
    assert influence[NUM_PLANTED - 1] > influence[NUM_PLANTED] + 0.05
    assert max(influence) <= 1
    assert result.counts["dropped"] == {"no-score": 1}
    figures = result.figures
    assert (figures["checkpoints"], figures["target_records"], figures["target_subtasks"]) == (
        2,
        4,
        1,
    )
    assert sum(figures["checkpoint_weights"]) == pytest.approx(1)
    assert str(target) in [file["path"] for file in result.manifest["inputs"]]


def test_each_subtask_has_its_own_score(model: Path, target: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    rows = [texts(np.random.default_rng(n), LAST) for n in range(3)]
    other.write_text("".join(json.dumps(row) + "\n" for row in rows))
    both = select(model, (target, other), tmp_path / "both")
    assert both.figures["target_subtasks"] == 2
    scores = []
    for name, files in (("a", (target,)), ("b", (other,)), ("both", (target, other))):
        if name != "both":
            select(model, files, tmp_path / name)
        table = pq.read_table(tmp_path / name / "data.parquet").sort_by("id")
        scores.append(table["influence"].to_numpy())
    np.testing.assert_allclose(scores[2], np.maximum(scores[0], scores[1]), atol=1e-6)


def test_a_step_is_the_one_that_adam_makes() -> None:
    rng = np.random.default_rng(0)
    tensor = torch.nn.Parameter(torch.zeros(50))
    optimizer = torch.optim.AdamW([tensor], lr=0.5, weight_decay=0.0)
    for _ in range(3):
        tensor.grad = torch.from_numpy(rng.standard_normal(50)).float()
        optimizer.step()
    state = optimizer.state[tensor]
    moments = Moments(state["exp_avg"].clone(), state["exp_avg_sq"].clone(), int(state["step"]))
    gradient = torch.from_numpy(rng.standard_normal(50)).float()
    before = tensor.detach().clone()
    tensor.grad = gradient.clone()
    optimizer.step()
    step = less.adam_step(gradient, moments)
    np.testing.assert_allclose(step, (before - tensor.detach()) / 0.5, atol=1e-5)


def test_gradients_are_those_of_the_models_own_loss(model: Path, tmp_path: Path) -> None:
    reader = LanguageModel(str(model), 64)
    config = SelectConfig(
        strategy="less", model=str(model), target=("t",), gradient_dim=64, lora_rank=2,
        warmup_epochs=1, warmup_rate=0.1,
    )  # fmt: skip
    records = [reader.encode("one two", "three four five"), reader.encode("six", "seven")]
    [made] = adapters.warm_up(reader, records, config, seed=3, work=tmp_path, reporter=SILENT)
    with adapters.adapted(reader, made.folder) as tuned:
        found = less.Gradients(reader, tuned, made, config).gradient(records[0])
        tensors = trained(tuned)
        ids = torch.tensor([records[0].context + records[0].answer])
        labels = ids.clone()
        labels[0, : len(records[0].context)] = -100
        tuned(input_ids=ids, labels=labels).loss.backward()
        expected = torch.cat([tensor.grad.reshape(-1) for tensor in tensors])
    assert float(expected.norm()) > 0
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    # The adapter is gone again.
    assert not any("lora" in name for name, _ in reader.network.named_parameters())


def test_checkpoints_of_a_trainer_give_the_same(model: Path, target: Path, tmp_path: Path) -> None:
    """The same training kept in the form of a Trainer of transformers."""
    select(model, target, tmp_path / "own")
    folders = trainer_checkpoints(model, tmp_path)
    result = select(model, target, tmp_path / "given", checkpoints=folders)
    tables = [pq.read_table(tmp_path / name / "data.parquet") for name in ("own", "given")]
    assert tables[0].equals(tables[1])
    assert result.figures["checkpoints"] == 2


def trainer_checkpoints(model: Path, folder: Path) -> tuple[Path, ...]:
    """Those of the run's own training, rewritten."""
    from safetensors.torch import load_file

    reader = LanguageModel(str(model), 2048)
    config = SelectConfig(
        strategy="less", model=str(model), target=("t",), lora_rank=4, warmup_share=0.5,
        warmup_epochs=2, warmup_rate=1e-2,
    )  # fmt: skip
    part = less._drawn_part(reader, make_pool(), config, 0)
    made = adapters.warm_up(reader, part, config, seed=0, work=folder / "work", reporter=SILENT)
    for number, checkpoint in enumerate(made, start=1):
        moments = load_file(checkpoint.folder / "moments.safetensors")
        with adapters.adapted(reader, checkpoint.folder) as tuned:
            shapes = [tensor.shape for tensor in trained(tuned)]
        sizes = [shape.numel() for shape in shapes]
        state = {
            n: {
                "step": torch.tensor(float(number)),
                "exp_avg": first.reshape(shape),
                "exp_avg_sq": second.reshape(shape),
            }
            for n, (first, second, shape) in enumerate(
                zip(
                    moments["exp_avg"].split(sizes), moments["exp_avg_sq"].split(sizes), shapes,
                    strict=True,
                )
            )
        }  # fmt: skip
        groups = [{"params": list(range(len(shapes))), "lr": 0.0}]
        torch.save({"state": state, "param_groups": groups}, checkpoint.folder / "optimizer.pt")
        (checkpoint.folder / "moments.safetensors").unlink()
        log = [{"step": n + 1, "learning_rate": one.rate} for n, one in enumerate(made[:number])]
        (checkpoint.folder / "trainer_state.json").write_text(
            json.dumps({"global_step": number, "log_history": log})
        )
    return tuple(one.folder for one in made)


def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(
    model: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(less, "CHUNK", 16)
    select(model, target, tmp_path / "whole")
    read: list[int] = []
    units = less.Gradients.units
    epochs: list[int] = []
    train = adapters._train_epoch

    def stop_at_fourth(self: Any, records: Any, **options: Any) -> Any:
        read.append(len(records))
        if len(read) == 4:
            raise KeyboardInterrupt
        return units(self, records, **options)

    def stop_at_second(*given: Any, **options: Any) -> None:
        epochs.append(options["seeds"][1])
        if len(epochs) == 2:
            raise KeyboardInterrupt
        train(*given, **options)

    monkeypatch.setattr(less.Gradients, "units", stop_at_fourth)
    monkeypatch.setattr(adapters, "_train_epoch", stop_at_second)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            select(model, target, tmp_path / "stopped")
    select(model, target, tmp_path / "stopped")
    assert epochs == [0, 1, 1]  # the first epoch was not trained again
    # At each checkpoint the four target records, then 40 by 16; only the stopped piece is redone.
    assert read == [4, 16, 16, 8, 8, 4, 16, 16, 8]
    for path in (tmp_path / "whole").iterdir():
        assert path.read_bytes() == (tmp_path / "stopped" / path.name).read_bytes(), path.name


def test_gradients_in_small_batches_are_the_same(
    model: Path, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    select(model, target, tmp_path / "many")
    monkeypatch.setattr(less, "GRADIENT_BYTES", 1)
    select(model, target, tmp_path / "one")
    tables = [pq.read_table(tmp_path / name / "data.parquet") for name in ("many", "one")]
    scores = [table.sort_by("id")["influence"].to_numpy() for table in tables]
    np.testing.assert_allclose(*scores, atol=1e-5)


def test_what_is_missing_is_said(model: Path, target: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="strategy less needs a target"):
        SelectConfig(strategy="less", model=str(model))
    with pytest.raises(ValueError, match="a target needs strategy less"):
        SelectConfig(target=(target,))
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"prompt": "one", "completion": "two"}\n{"prompt": 3}\n')
    with pytest.raises(DataError, match=r"broken\.jsonl:2"):
        select(model, broken, tmp_path / "out")
    empty = tmp_path / "empty.jsonl"
    empty.write_text('{"prompt": "one", "completion": ""}\n')
    with pytest.raises(DataError, match="expected target records with completions"):
        select(model, empty, tmp_path / "out")
    with pytest.raises(LmmixupError, match=r"trainer_state\.json: expected the state of a Trainer"):
        select(model, target, tmp_path / "out", checkpoints=(tmp_path,))


def test_a_checkpoint_without_its_optimiser_is_refused(
    model: Path, target: Path, tmp_path: Path
) -> None:
    first, second = trainer_checkpoints(model, tmp_path)
    (first / "optimizer.pt").unlink()
    with pytest.raises(LmmixupError, match=r"expected optimizer\.pt beside the adapter"):
        select(model, target, tmp_path / "out", checkpoints=(first,))
    log = json.loads((second / "trainer_state.json").read_text())
    (second / "trainer_state.json").write_text(json.dumps({**log, "log_history": []}))
    with pytest.raises(LmmixupError, match="expected learning rates in the log up to step 2"):
        select(model, target, tmp_path / "out", checkpoints=(second,))
