"""What is wrong with input, vectors or output is one clear line of every stage; nothing is lost.

Real processes: the exit status and standard error are what scripts and people see.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LMMIXUP = [sys.executable, "-m", "lmmixup"]
STAGES = {
    "pool": ["pool", "import"],
    "dedup": ["dedup", "--threshold", "0.9"],
    "embed": ["embed"],
    "cluster": ["cluster", "--min", "2", "--max", "5", "--mean", "3"],
}
NUM_GOOD = 1049
BAD = [
    (b'{"prompt": "p", "completion": }', "json", "expected a JSON value, got `}` at column 31"),
    (b'{"prompt": "p\x00", "completion": "c"}', "json", "control characters written as"),
    (b'{"prompt": "caf\xe9", "completion": "c"}', "utf8", "expected UTF-8, got byte 0xE9"),
    (b'{"prompt": "\\ud83d!", "completion": "c"}', "json", "expected a pair of surrogates"),
    (b'{"prompt": "p"}', "field", "expected a field `completion`"),
    (b'{"prompt": "p", "completion": 5}', "type", "expected a string in `completion`"),
    (b'{"id": "r7", "prompt": "p", "completion": "c"}', "id", "got `r7`"),
]
FIRST_BAD_LINE = 1047

stages = pytest.mark.parametrize("stage", STAGES)


def lmmixup(stage: str, *args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [*LMMIXUP, *STAGES[stage], *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def assert_refused(done: subprocess.CompletedProcess[str], *said: str | Path) -> None:
    """Status 1 and one line that says all of this."""
    assert done.returncode == 1, done.stderr
    assert not done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("lmmixup: ")
    for words in said:
        assert str(words) in line


def good_line(number: int) -> bytes:
    record = {
        "id": f"r{number}",
        "prompt": f"How many are {number} and {number * 31 % 97}?",
        "completion": f"They are {number + number * 31 % 97}.",
    }
    return json.dumps(record).encode()


@pytest.fixture(scope="module")
def bad_pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good records, with bad lines from line 1,047 on."""
    lines = [good_line(number) for number in range(NUM_GOOD)]
    lines[FIRST_BAD_LINE - 1 : FIRST_BAD_LINE - 1] = [line for line, _, _ in BAD]
    path = tmp_path_factory.mktemp("bad") / "pool.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@pytest.fixture(scope="module")
def good_pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("good") / "pool.jsonl"
    path.write_bytes(b"\n".join(good_line(number) for number in range(12)))
    return path


@stages
def test_bad_lines_are_set_aside_and_the_rest_is_processed(
    bad_pool: Path, tmp_path: Path, stage: str
) -> None:
    done = lmmixup(stage, bad_pool, "-o", tmp_path / "out", "-q")
    assert done.returncode == 3, done.stderr
    said = done.stderr.splitlines()
    assert len(said) == len(BAD)
    for line, (at, (_, _, message)) in zip(said, enumerate(BAD, FIRST_BAD_LINE), strict=True):
        assert line.startswith(f"rejected: {bad_pool}:{at}: ")
        assert message in line
    rejects = (tmp_path / "out" / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(reject) for reject in rejects]
    assert [row["raw"] for row in rows] == [raw.decode(errors="replace") for raw, _, _ in BAD]
    assert [row["reason"] for row in rows] == [reason for _, reason, _ in BAD]
    counts = json.loads((tmp_path / "out" / "manifest.json").read_text())["counts"]
    assert counts["input"] == NUM_GOOD + len(BAD)
    assert counts["rejected"] == {"field": 1, "id": 1, "json": 3, "type": 1, "utf8": 1}
    assert_every_id_once(tmp_path / "out")


def assert_every_id_once(folder: Path) -> None:
    files = [folder / f"{name}.parquet" for name in ("data", "leftover", "dropped")]
    tables = [pq.read_table(file, columns=["id"]) for file in files if file.exists()]
    ids = [id_ for table in tables for id_ in table["id"].to_pylist()]
    assert len(set(ids)) == len(ids) == NUM_GOOD


@stages
def test_strict_stops_at_the_first_bad_line(bad_pool: Path, tmp_path: Path, stage: str) -> None:
    done = lmmixup(stage, bad_pool, "-o", tmp_path / "out", "-q", "--strict")
    assert_refused(done, f"{bad_pool}:{FIRST_BAD_LINE}: expected a JSON value, got `}}`")
    assert not list(tmp_path.iterdir())


WHOLE: dict[str, tuple[str, bytes | None, str]] = {
    "empty": ("p.jsonl", b"", "expected records, got an empty file"),
    "missing": ("gone.jsonl", None, "No such file"),
    "misnamed": ("p.parquet", b'{"prompt": "p"}\n', "expected a Parquet file, got one that begins"),
    "nonsense": ("p.jsonl", b"\x00\x01" * 50, "got no readable record"),
    "strangers": ("p.jsonl", b'{"a": 1}\n', "expected columns of a known schema"),
}


@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("stage", ["dedup", "cluster"])
def test_a_bad_file_is_refused(tmp_path: Path, stage: str, kind: str) -> None:
    name, data, message = WHOLE[kind]
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    assert_refused(lmmixup(stage, path, "-o", tmp_path / "out", "-q"), path, message)
    assert not (tmp_path / "out").exists()


@stages
def test_a_folder_without_records_is_refused(tmp_path: Path, stage: str) -> None:
    (tmp_path / "folder").mkdir()
    done = lmmixup(stage, tmp_path / "folder", "-o", tmp_path / "out", "-q")
    assert_refused(done, tmp_path / "folder")


@pytest.mark.slow
@stages
def test_a_line_of_50_mb_is_a_record_and_one_of_70_is_not(tmp_path: Path, stage: str) -> None:
    path = tmp_path / "pool.jsonl"
    lines = [good_line(number) for number in range(8)]
    for megabytes in (50, 70):
        text = "word " * ((megabytes << 20) // 5)
        lines.append(json.dumps({"id": str(megabytes), "prompt": "p", "completion": text}).encode())
    path.write_bytes(b"\n".join(lines))
    done = lmmixup(stage, path, "-o", tmp_path / "out", "-q")
    assert done.returncode == 3, done.stderr
    (line,) = done.stderr.splitlines()
    assert f"{path}:10: expected a record of at most 64 MiB" in line
    counts = json.loads((tmp_path / "out" / "manifest.json").read_text())["counts"]
    assert (counts["input"], sum(counts["rejected"].values())) == (10, 1)


def vectors(change: str) -> Any:
    values = np.random.default_rng(0).standard_normal((12, 8)).astype(np.float32)
    match change:
        case "NaN":
            values[7, 3] = np.nan
        case "infinity":
            values[7, 3] = -np.inf
        case "too few":
            values = values[:11]
        case "flat":
            values = values.ravel()
        case "complex" | "S3":
            values = values.astype(change)
        case "too large":
            return values.astype(np.float64) * 1e300
        case "pickled":
            return np.array([{"a": 1}] * 12, dtype=object)
    return values


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("NaN", "row 7 has NaN or infinity"),
        ("infinity", "row 7 has NaN or infinity"),
        ("too few", "expected 12 vectors, one a record, got 11"),
        ("flat", "vectors must be 2-D (N, D), got shape (96,)"),
        ("complex", "expected real numbers, got complex128; save them as float32"),
        ("S3", "expected real numbers, got |S3"),
        ("too large", "row 0 has NaN or infinity"),
        ("pickled", "expected a .npy, Parquet or Arrow file"),
    ],
)
def test_bad_vectors_are_refused(good_pool: Path, tmp_path: Path, change: str, said: str) -> None:
    path = tmp_path / "vectors.npy"
    np.save(path, vectors(change))
    done = lmmixup("cluster", good_pool, "-o", tmp_path / "out", "-q", "--vectors", path)
    assert_refused(done, path, said)
    assert not (tmp_path / "out").exists()


def test_vectors_that_are_not_one_array_or_not_one_an_id_are_refused(
    good_pool: Path, tmp_path: Path
) -> None:
    path = tmp_path / "vectors.npz"
    np.savez(path, a=vectors("good"))
    done = lmmixup("cluster", good_pool, "-o", tmp_path / "out", "-q", "--vectors", path)
    assert_refused(done, path, "got an .npz of several arrays")
    path = tmp_path / "vectors.parquet"
    rows = [f"r{row}" for row in [*range(12), 3]]
    pq.write_table(pa.table({"id": rows, "vector": [[1.0, 2.0]] * 13}), path)
    done = lmmixup("cluster", good_pool, "-o", tmp_path / "out", "-q", "--vectors", path)
    assert_refused(done, path, "expected one vector for each id, got 1 ids once more")


def test_vectors_of_another_dimension_are_refused(good_pool: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", vectors("good"))
    done = lmmixup("embed", good_pool, "-o", tmp_path / "out", "-q", "--dim", "16",
                   "--vectors", tmp_path / "v.npy")  # fmt: skip
    assert_refused(done, "expected 16 dimensions, got 8")
    rows = [{**json.loads(good_line(row)), "v": [1.0] * (8 + row // 11)} for row in range(12)]
    path = tmp_path / "pool.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    done = lmmixup("cluster", path, "-o", tmp_path / "out", "-q", "--vector-column", "v")
    assert_refused(done, "row 11 has 9 dimensions, row 0 has 8")


def test_zero_vectors_are_records_like_others(good_pool: Path, tmp_path: Path) -> None:
    values = vectors("good")
    values[[2, 5]] = 0
    np.save(tmp_path / "v.npy", values)
    done = lmmixup("cluster", good_pool, "-o", tmp_path / "out", "--json",
                   "--vectors", tmp_path / "v.npy")  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifest = json.loads(done.stdout)
    assert (manifest["counts"]["kept"], manifest["figures"]["zero_vectors"]) == (12, 2)


@stages
def test_an_output_that_exists_is_kept(good_pool: Path, tmp_path: Path, stage: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    done = lmmixup(stage, good_pool, "-o", tmp_path / "out", "-q")
    assert_refused(
        done, tmp_path / "out", "exists already; name another folder or pass --overwrite"
    )
    assert (tmp_path / "out" / "precious").read_text() == "x"


@stages
def test_an_output_inside_a_file_is_refused(good_pool: Path, tmp_path: Path, stage: str) -> None:
    (tmp_path / "file").write_text("")
    done = lmmixup(stage, good_pool, "-o", tmp_path / "file" / "out", "-q")
    assert_refused(done, "Not a directory", f"{tmp_path / 'file' / 'out'} was not written")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a small disk here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@stages
def test_a_read_only_disk_is_one_line(good_pool: Path, disk: Path, stage: str) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    done = lmmixup(stage, good_pool, "-o", disk / "out", "-q")
    assert_refused(done, "Read-only file system", f"{disk / 'out'} was not written")


@stages
def test_a_folder_without_permission_is_one_line(
    good_pool: Path, tmp_path: Path, stage: str
) -> None:
    """Root may write anywhere, so a process that is root gives that up first."""
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("runs as root, and setpriv is not here")
    given_up = "--bounding-set=-dac_override,-dac_read_search"
    prefix = ["setpriv", given_up] if os.geteuid() == 0 else []
    command = [*prefix, *LMMIXUP, *STAGES[stage], "-q"]
    tmp_path.chmod(0o555)
    try:
        args = [*command, str(good_pool), "-o", str(tmp_path / "out")]
        done = subprocess.run(args, capture_output=True, text=True, check=False)
    finally:
        tmp_path.chmod(0o755)
    assert_refused(done, "Permission denied", f"{tmp_path / 'out'} was not written")


@stages
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, disk: Path, stage: str) -> None:
    path = tmp_path / "pool.jsonl"
    rng = np.random.default_rng(1)
    with path.open("w") as file:
        for number in range(4000):
            text = rng.bytes(300).hex()  # random: it cannot be packed small
            file.write(json.dumps({"prompt": f"{number} {text}", "completion": text}) + "\n")
    done = lmmixup(stage, path, "-o", disk / "out", "-q")
    assert_refused(done, "No space left on device", f"{disk / 'out'} was not written")
    assert not list(disk.iterdir())
