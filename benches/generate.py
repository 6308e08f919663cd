"""Make the benchmark pools from the real records of the test data: `pool52k` and `pool1m`.

`pool52k.jsonl` has 52,002 real records, mixed over all sources. Sources in which one example stands
many times (T0 templates, FLASK and AlpacaEval answers) are sampled by example, so that whole
families come along. `pool1m.jsonl` has 1,000,000 records: real ones, joined halves of strangers,
and families that grow from either by perturbation. Its sidecar `pool1m.parquet` says for every
record where it comes from. Same seed, same bytes.

    python benches/generate.py --data ../shared/data --out DIR
"""

from __future__ import annotations

import argparse
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

SEP = "\x1e"  # between instruction, input and output while a record is one string
FIELDS = ("instruction", "input", "output")
NUM_SMALL = 52_002
NUM_LARGE = 1_000_000

# Records of each source in pool52k; `alpaca_en` fills up to the exact number.
SMALL_MIX = {
    "t0_train": 14_000,
    "flask_outputs": 7_500,
    "alpaca_zh": 5_000,
    "alpaca_eval_outputs": 4_600,
    "alpaca_cot": 4_000,
    "gsm8k_train": 2_500,
    "mergeit_6k": 2_000,
    "code_alpaca_2k": 2_000,
    "dolly_3k": 1_500,
    "lima": 1_000,
    "alpaca_gpt4_demo": 900,
}
GROUPED = ("t0_train", "flask_outputs", "alpaca_eval_outputs")

# pool1m: the share of each source among the real records, and among the parents of joined halves.
REAL_SHARE = {"alpaca_eval_outputs": 0.2}
NUM_REAL = 240_000
SHARE_IN_FAMILIES = 0.35  # of all records: copies and perturbations, their roots not counted
FAMILY_EXPONENT = 2.3
FAMILY_MAX = 400
CHAIN = 0.3  # share of family members made from another member instead of the root
KINDS = ("copy", "case", "cut", "drop", "swap", "typo", "mixed")
KIND_SHARES = (0.10, 0.06, 0.08, 0.22, 0.10, 0.18, 0.26)


@dataclass(frozen=True)
class Real:
    """Every real record as one string, with its id and source."""

    ids: list[str]
    sources: np.ndarray  # (N,) object
    texts: list[str]


def read_real(data: Path) -> Real:
    """Read all pools, in the order of their file names."""
    ids: list[str] = []
    sources: list[str] = []
    texts: list[str] = []
    for path in sorted((data / "pools").glob("pool_*.parquet")):
        table = pq.read_table(path, columns=["id", "source", *FIELDS])
        cols = {name: table.column(name).to_pylist() for name in table.column_names}
        ids += cols["id"]
        sources += cols["source"]
        texts += [
            SEP.join(field.replace(SEP, " ") for field in row)
            for row in zip(cols["instruction"], cols["input"], cols["output"], strict=True)
        ]
    if not ids:
        raise SystemExit(f"{data}/pools: expected pool_*.parquet, found none; see --data")
    return Real(ids, np.array(sources, dtype=object), texts)


def to_line(id_: str, source: str, text: str) -> bytes:
    """One JSONL line, with the newline."""
    instruction, input_, output = text.split(SEP)
    record = {
        "id": id_,
        "source": source,
        "instruction": instruction,
        "input": input_,
        "output": output,
    }
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def take_groups(real: Real, rows: np.ndarray, want: int, rng: np.random.Generator) -> np.ndarray:
    """About `want` of `rows`, by whole examples: an id ends in the number of its example."""
    numbers = np.array([real.ids[row].rsplit("/", 1)[1] for row in rows])
    values, counts = np.unique(numbers, return_counts=True)
    order = rng.permutation(len(values))
    last = np.searchsorted(np.cumsum(counts[order]), want) + 1
    return rows[np.isin(numbers, values[order[:last]])][:want]


def make_small(real: Real, path: Path, seed: int) -> None:
    """Write pool52k.jsonl."""
    rng = np.random.default_rng([seed, 52])
    taken = []
    for source, want in SMALL_MIX.items():
        rows = np.flatnonzero(real.sources == source)
        if source in GROUPED:
            taken.append(take_groups(real, rows, want, rng))
        else:
            taken.append(rng.choice(rows, want, replace=False))
    rest = NUM_SMALL - sum(map(len, taken))
    taken.append(rng.choice(np.flatnonzero(real.sources == "alpaca_en"), rest, replace=False))
    rows = rng.permutation(np.concatenate(taken))
    with path.open("wb") as out:
        out.writelines(to_line(real.ids[r], real.sources[r], real.texts[r]) for r in rows)


def join_halves(first: str, second: str) -> str:
    """The first half of one record and the second half of another, field by field."""
    pairs = zip(first.split(SEP), second.split(SEP), strict=True)
    return SEP.join(a[: find_middle(a)] + b[find_middle(b) :] for a, b in pairs)


def find_middle(text: str) -> int:
    """Where to cut: the first space from the middle on, or the middle of text without spaces."""
    middle = len(text) // 2
    space = text.find(" ", middle, middle + 40)
    return middle if space < 0 else space


def split_units(text: str) -> list[str]:
    """Words, or characters where the text has (next to) no spaces."""
    words = text.split(" ")
    return list(text) if len(text) > 20 * len(words) else words


def perturb(text: str, kind: str, rng: np.random.Generator) -> str:
    """A changed copy. The number of edits follows a rate of 0.3 % to 6 % of the words."""
    if kind == "copy":
        return text
    if kind == "case":
        return text.upper() if rng.random() < 0.5 else text.replace(" ", "  ")
    if kind == "cut":
        head, _, output = text.rpartition(SEP)
        keep = rng.uniform(0.6, 0.97)
        return head + SEP + output[: int(len(output) * keep)].rstrip()
    units = split_units(text)
    glue = "" if len(units) == len(text) else " "
    rate = np.exp(rng.uniform(np.log(0.003), np.log(0.06)))
    num = min(1 + rng.poisson(len(units) * rate), len(units))
    places = rng.integers(0, len(units), num).tolist()
    dice = rng.random((num, 2)).tolist()
    for place, (pick, where) in zip(places, dice, strict=True):
        edit(
            units,
            place,
            kind if kind != "mixed" else ("drop", "swap", "typo")[int(pick * 3)],
            where,
        )
    return glue.join(unit for unit in units if unit or glue)


def edit(units: list[str], place: int, kind: str, where: float) -> None:
    """Change one unit in place; one that holds a field boundary stays as it is."""
    unit = units[place]
    if SEP in unit:
        return
    if kind == "drop":
        units[place] = ""
    elif kind == "swap":
        other = (place + 1) % len(units)
        if SEP not in units[other]:
            units[place], units[other] = units[other], unit
    elif unit:
        at = int(where * len(unit))
        letter = "abcdefghijklmnopqrstuvwxyz"[int(where * 9_973) % 26]
        units[place] = unit[:at] + letter + unit[at + (len(unit) > 3) :]


def draw_families(num_roots: int, want: int, rng: np.random.Generator) -> np.ndarray:
    """How many members each root gets, (num_roots,): mostly none, a heavy tail, sum `want`."""
    sizes = np.arange(1, FAMILY_MAX)
    weight = (sizes + 1.0) ** -FAMILY_EXPONENT
    members = np.zeros(num_roots, dtype=np.int64)
    drawn = rng.choice(sizes, size=want, p=weight / weight.sum())
    last = int(np.searchsorted(np.cumsum(drawn), want))
    drawn = drawn[: last + 1]
    drawn[-1] -= drawn.sum() - want
    members[rng.choice(num_roots, size=len(drawn), replace=False)] = drawn
    return members


@dataclass
class Made:
    """The records of pool1m in the order they were made, family by family."""

    texts: list[str]
    sources: list[str]
    parents: list[str]  # id of the real record(s), or the number of the member it was made from
    kinds: list[str]
    families: list[int]


def make_roots(real: Real, num: int, rng: np.random.Generator) -> Made:
    """`num` roots: real records, each once, and joined halves of two strangers."""
    share = np.array([REAL_SHARE.get(source, 1.0) for source in real.sources])
    kept = rng.choice(len(share), NUM_REAL, replace=False, p=share / share.sum())
    weight = share / (200 + np.array([len(text) for text in real.texts]))
    first = rng.choice(len(share), num - NUM_REAL, p=weight / weight.sum())
    chinese = real.sources == "alpaca_zh"
    second = np.empty_like(first)
    for script in (chinese, ~chinese):
        at = np.flatnonzero(script[first])
        second[at] = rng.choice(len(share), len(at), p=weight * script / (weight * script).sum())
    made = Made([], [], [], [], list(range(num)))
    for row in kept.tolist():
        made.texts.append(real.texts[row])
        made.sources.append(real.sources[row])
        made.parents.append(real.ids[row])
        made.kinds.append("real")
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        made.texts.append(join_halves(real.texts[a], real.texts[b]))
        made.sources.append(real.sources[b])
        made.parents.append(f"{real.ids[a]} + {real.ids[b]}")
        made.kinds.append("joined")
    return made


def grow_families(made: Made, members: np.ndarray, rng: np.random.Generator) -> None:
    """Append to every root its members, each made from the root or from an earlier member."""
    kinds = rng.choice(len(KINDS), size=int(members.sum()), p=KIND_SHARES).tolist()
    chained = rng.random(len(kinds)) < CHAIN
    at = 0
    for root in np.flatnonzero(members).tolist():
        first = len(made.texts)
        for step in range(int(members[root])):
            parent = root
            if step and chained[at]:
                parent = first + int(rng.integers(step))
            made.texts.append(perturb(made.texts[parent], KINDS[kinds[at]], rng))
            made.sources.append(made.sources[root])
            made.parents.append(f"#{parent}")
            made.kinds.append(KINDS[kinds[at]])
            made.families.append(root)
            at += 1


def make_large(real: Real, path: Path, seed: int, num: int = NUM_LARGE) -> None:
    """Write pool1m.jsonl and its sidecar."""
    rng = np.random.default_rng([seed, 1_000_000])
    num_members = int(num * SHARE_IN_FAMILIES)
    made = make_roots(real, num - num_members, rng)
    grow_families(made, draw_families(len(made.texts), num_members, rng), rng)
    order = rng.permutation(num)
    ids = np.empty(num, dtype=object)
    ids[order] = [f"p1m/{at:07d}" for at in range(num)]
    with path.open("wb") as out:
        out.writelines(to_line(ids[r], made.sources[r], made.texts[r]) for r in order.tolist())
    parents = [ids[int(p[1:])] if p.startswith("#") else p for p in made.parents]
    sidecar = pa.table(
        {
            "id": pa.array(ids[order]),
            "parent": pa.array([parents[r] for r in order]),
            "perturbation": pa.array([made.kinds[r] for r in order]).dictionary_encode(),
            "family": pa.array(np.array(made.families, dtype=np.int32)[order]),
        }
    )
    pq.write_table(sidecar, path.with_suffix(".parquet"), compression="zstd")


def describe(path: Path) -> str:
    """Size and digest of a written file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    return f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, sha256 {digest}"


def main() -> None:
    """Parse the command line and write both pools."""
    parser = argparse.ArgumentParser(description="Make pool52k.jsonl and pool1m.jsonl.")
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("LMMIXUP_TEST_DATA", default))
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--only", choices=["pool52k", "pool1m"])
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    real = read_real(args.data)
    for name, make in (("pool52k", make_small), ("pool1m", make_large)):
        if args.only in (None, name):
            start = time.perf_counter()
            path = args.out / f"{name}.jsonl"
            make(real, path, args.seed)
            print(f"{describe(path)}, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
