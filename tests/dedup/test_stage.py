"""The stage's folder: outcomes, partners, contamination and growing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lmmixup.dedup import DedupConfig, run
from lmmixup.errors import ArgumentError, DataError
from lmmixup.pool import open_pool
from lmmixup.progress import Reporter

if TYPE_CHECKING:
    from pathlib import Path

TEXT = "one two three four five six seven eight nine ten eleven twelve"


def write(path: Path, texts: dict[str, str], **extra: Any) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for name, text in texts.items():
            row = {"id": name, "prompt": text, "completion": "answer", **extra}
            file.write(json.dumps(row) + "\n")
    return path


def rows(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in pq.read_table(folder / name).to_pylist()}


def dedup(source: Path, output: Path, **options: Any) -> dict[str, Any]:
    result = run(open_pool([source]), DedupConfig(**options), output=output, num_threads=2)
    return result.manifest


@pytest.fixture
def deduped(tmp_path: Path) -> Path:
    texts = {"a": TEXT, "b": TEXT.upper(), "c": f"{TEXT} more", "d": "something else here"}
    dedup(write(tmp_path / "pool.jsonl", texts, topic="x"), tmp_path / "out")
    return tmp_path / "out"


def test_every_record_has_one_outcome(deduped: Path) -> None:
    kept, dropped = rows(deduped, "data.parquet"), rows(deduped, "dropped.parquet")
    assert set(kept) == {"c", "d"}
    assert kept["c"]["topic"] == "x"
    assert (kept["c"]["family_size"], kept["d"]["family_size"]) == (3, 1)
    assert {name: row["against"] for name, row in dropped.items()} == {"a": "c", "b": "c"}
    assert dropped["a"]["reason"] == "near-duplicate"
    # 13 words are 9 shingles, 14 are 10; the two texts share 8.
    assert dropped["a"]["detail"] == f"similarity {8 / 11:.4f}"
    families = rows(deduped, "families.parquet")
    assert [row["kept"] for row in families.values()] == [False, False, True, True]
    assert len({families[name]["family"] for name in "abc"}) == 1


def test_the_manifest_has_counts_and_figures(deduped: Path) -> None:
    manifest = json.loads((deduped / "manifest.json").read_text())
    assert manifest["counts"]["input"] == 4
    assert manifest["counts"]["kept"] == 2
    assert manifest["figures"]["largest_family"] == 3
    assert manifest["figures"]["families"] == 2
    assert (deduped / "families.png").read_bytes().startswith(b"\x89PNG")


def test_copies_are_told_from_near_copies(tmp_path: Path) -> None:
    pool = write(tmp_path / "pool.jsonl", {"a": TEXT, "b": f" {TEXT.upper()}  "})
    manifest = dedup(pool, tmp_path / "out")
    assert manifest["counts"]["dropped"] == {"duplicate": 1}


def test_broken_lines_are_counted(tmp_path: Path) -> None:
    pool = write(tmp_path / "pool.jsonl", {"a": TEXT, "b": "other"})
    pool.write_text(pool.read_text() + "{broken\n")
    manifest = dedup(pool, tmp_path / "out")
    assert manifest["counts"]["input"] == 3
    assert sum(manifest["counts"]["rejected"].values()) == 1


def test_same_bytes_at_any_number_of_threads(tmp_path: Path, example_pool: Path) -> None:
    for threads in (1, 2, 7):
        run(open_pool([example_pool]), output=tmp_path / str(threads), num_threads=threads)
    for path in sorted((tmp_path / "1").iterdir()):
        for threads in ("2", "7"):
            assert (tmp_path / threads / path.name).read_bytes() == path.read_bytes(), path.name


def test_what_is_in_another_pool_goes(tmp_path: Path) -> None:
    question = "how many legs has a spider and why so many"
    other = tmp_path / "test.jsonl"
    other.write_text(
        "".join(
            json.dumps({"id": name, "prompt": text, "completion": ""}) + "\n"
            for name, text in {
                "q1": question,
                "q2": "a question that is nowhere to be seen",
            }.items()
        )
    )
    texts = {"a": f"{TEXT} {question} {TEXT}", "b": TEXT}
    manifest = dedup(write(tmp_path / "pool.jsonl", texts), tmp_path / "out", against=other)
    assert set(rows(tmp_path / "out", "data.parquet")) == {"b"}
    dropped = rows(tmp_path / "out", "dropped.parquet")["a"]
    assert dropped["against"] == "q1"
    assert dropped["detail"].startswith("containment 1.0000, Jaccard 0.")
    found = rows(tmp_path / "out", "against.parquet")
    assert (found["q1"]["found"], found["q1"]["container"]) == (True, "a")
    assert (found["q2"]["found"], found["q2"]["container"]) == (False, None)
    assert manifest["figures"]["other_found"] == 1
    assert [file["path"] for file in manifest["inputs"]] == [
        str(tmp_path / "pool.jsonl"),
        str(other),
    ]


def test_a_deduped_pool_grows(tmp_path: Path, deduped: Path) -> None:
    new = {"e": f"{TEXT} more still", "f": "entirely new words of their own", "g": TEXT}
    pool = write(tmp_path / "new.jsonl", new, extra=1)
    manifest = dedup(pool, tmp_path / "grown", update=deduped)
    assert manifest["counts"]["input"] == 5
    kept = rows(tmp_path / "grown", "data.parquet")
    assert set(kept) == {"c", "d", "f"}
    assert (kept["c"]["extra"], kept["f"]["extra"], kept["f"]["topic"]) == (None, 1, None)
    assert kept["c"]["family_size"] == 5
    dropped = rows(tmp_path / "grown", "dropped.parquet")
    assert {name: row["against"] for name, row in dropped.items()} == {"e": "c", "g": "c"}


def test_growing_is_refused_where_it_would_be_wrong(tmp_path: Path, deduped: Path) -> None:
    pool = write(tmp_path / "new.jsonl", {"c": "another text with a known id"})
    with pytest.raises(DataError, match="whose ids are in the deduped pool, such as 'c'"):
        dedup(pool, tmp_path / "grown", update=deduped)
    with pytest.raises(ArgumentError, match=r"the earlier run had threshold = 0\.7"):
        dedup(pool, tmp_path / "grown", update=deduped, threshold=0.8)
    with pytest.raises(DataError, match="expected a folder that `dedup` wrote"):
        dedup(pool, tmp_path / "grown", update=tmp_path)


def test_an_empty_result_is_a_table(tmp_path: Path) -> None:
    other = write(tmp_path / "other.jsonl", {"x": TEXT})
    pool = write(tmp_path / "pool.jsonl", {"a": TEXT})
    dedup(pool, tmp_path / "out", against=other)
    data = pq.read_table(tmp_path / "out" / "data.parquet")
    assert data.num_rows == 0
    assert data.schema.field("prompt").type == pa.string()


def test_reading_and_writing_are_told_apart(tmp_path: Path) -> None:
    phases: list[str] = []

    class Phases(Reporter):
        def __call__(self, phase: str, done: int, total: int) -> None:  # noqa: ARG002
            phases.append(phase)

    pool = open_pool([write(tmp_path / "pool.jsonl", {"a": TEXT, "b": "something else here"})])
    run(pool, DedupConfig(), output=tmp_path / "out", reporter=Phases())
    assert "read pool" not in phases[phases.index("write") :]
