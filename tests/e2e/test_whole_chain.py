"""The whole path on the example pool: each stage on the one before, from first file to last."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from tests.e2e.conftest import EACH_SIDE, counts, ids, lmmixup

if TYPE_CHECKING:
    from pathlib import Path


def test_counts_add_up_from_the_first_file_to_the_last(chain: Path, example_pool: Path) -> None:
    lines = example_pool.read_text(encoding="utf-8").splitlines()
    pool = {json.loads(line)["id"] for line in lines}
    made = ids(chain / "distilled" / "data.parquet")
    high, low, unrated = (
        ids(chain / "split" / part / "data.parquet") for part in ("high", "low", "unrated")
    )
    kept = ids(chain / "deduped" / "data.parquet")
    clustered = ids(chain / "clusters" / "data.parquet")
    left = ids(chain / "distilled" / "leftover.parquet")
    rows = pq.read_table(chain / "distilled" / "data.parquet").to_pylist()
    used = [source for row in rows for source in row["sources"]]
    selected = ids(chain / "selected" / "data.parquet")
    not_selected = ids(chain / "selected" / "dropped.parquet")

    assert kept | ids(chain / "deduped" / "dropped.parquet") == pool
    assert kept == ids(chain / "rated" / "data.parquet")
    assert [*sorted(high | low | unrated)] == sorted(kept)
    assert len(high) + len(low) + len(unrated) == len(kept)
    aside = ids(chain / "clusters" / "leftover.parquet") | ids(chain / "clusters/dropped.parquet")
    assert clustered | aside == low
    assert not clustered & aside
    assert sorted([*used, *left]) == sorted(clustered)
    assert made == ids(chain / "rerated" / "data.parquet")
    assert selected | not_selected == made | high
    assert not selected & not_selected
    assert len(selected & made) == len(selected & high) == EACH_SIDE
    # One end for every record of the pool, whether as it is or as part of a made one.
    ends = [ids(chain / "deduped" / "dropped.parquet"), unrated, aside, left, set(used), high]
    assert sum(map(len, ends)) == len(pool) == 494
    assert min(len(made), len(high)) > EACH_SIDE


def test_manifests_hand_the_numbers_on(chain: Path) -> None:
    way = ["deduped", "rated", "split"]
    for before, after in pairwise(way):
        assert counts(chain / before)["kept"] == counts(chain / after)["input"]
    low = len(ids(chain / "split" / "low" / "data.parquet"))
    assert counts(chain / "clusters")["input"] == low
    distilled = counts(chain / "distilled")
    assert distilled["input"] == counts(chain / "clusters")["kept"]
    assert distilled["made"] == counts(chain / "rerated")["input"]
    assert distilled["used"] + distilled["leftover"] == distilled["input"]
    high = len(ids(chain / "split" / "high" / "data.parquet"))
    assert counts(chain / "selected")["input"] == distilled["made"] + high
    lines = (chain / "selected" / "trl" / "train.jsonl").read_text().splitlines()
    assert len(lines) == counts(chain / "selected")["kept"] == 2 * EACH_SIDE


def test_explain_tells_the_whole_story_in_both_directions(chain: Path) -> None:
    made = ids(chain / "distilled" / "data.parquet") & ids(chain / "selected" / "data.parquet")
    record_id = min(made)
    story = json.loads(lmmixup("explain", record_id, chain / "selected", "--json"))
    by_stage = {(part["stage"], place): part for place, part in enumerate(story)}
    outcomes = [(part["stage"], part["outcome"]) for part in story]
    assert ("distill", "made") in outcomes
    assert outcomes[-1] == ("select", "kept")
    distilled = next(part for (stage, _), part in by_stage.items() if stage == "distill")
    rerated = [part for (stage, _), part in by_stage.items() if stage == "rate"][-1]
    assert rerated["facts"]["rating"] is not None
    sources = distilled["links"]["made of"]
    for source in sources:
        way = json.loads(lmmixup("explain", source, chain / "selected", "--json"))
        told = {part["stage"]: part for part in way if part["outcome"] != "absent"}
        assert [told[stage]["outcome"] for stage in ("dedup", "split", "cluster")] == ["kept"] * 3
        assert told["split"]["facts"]["pool"] == "low"
        assert told["distill"]["outcome"] == "used"
        assert told["distill"]["links"]["went into"] == [record_id]


def test_made_records_say_how_they_stand_to_their_sources(chain: Path) -> None:
    rows = pq.read_table(chain / "selected" / "data.parquet").to_pylist()
    made = [row for row in rows if row["source"] == "distill"]
    assert made
    for row in made:
        assert len(row["coverage"]) == len(row["sources"])
        assert min(row["coverage"]) > 0.5
    figures = json.loads((chain / "distilled" / "manifest.json").read_text())["figures"]
    assert figures["mean_coverage"] > 0.9
    # What is taken as it stands says nothing of its own.
    assert figures["flagged"] == 0


def test_ratings_tell_good_answers_from_bad(chain: Path) -> None:
    rated = pq.read_table(chain / "rated" / "data.parquet").to_pylist()
    high = [row for row in rated if (row["rating"] or 0) >= 4]
    one_word = [row for row in rated if row["output"] and " " not in row["output"].strip()]
    assert all(row["rating"] <= 2 for row in one_word if row["output"].isascii())
    assert min(len(row["output"].encode()) for row in high) > 40
    selected = pq.read_table(chain / "selected" / "data.parquet").to_pylist()
    original = [row["rating"] for row in selected if row["origin"] == "original"]
    assert {*original} <= {4, 5}
    assert max(original) == max(row["rating"] for row in high)


def test_explain_tells_which_neighbours_rated_a_record(chain: Path) -> None:
    record_id = min(ids(chain / "clusters" / "data.parquet"))
    story = json.loads(lmmixup("explain", record_id, chain / "clusters", "--json"))
    assert [(part["stage"], part["outcome"]) for part in story] == [
        (stage, "kept") for stage in ("dedup", "rate", "split", "cluster")
    ]
    rated = story[1]["facts"]
    assert rated["rating"] < 4
    assert len(rated["neighbours"]) == 16
    library = {row["id"]: row["rating"] for row in pq.read_table(
        chain / "library" / "data.parquet", columns=["id", "rating"]).to_pylist()}  # fmt: skip
    assert all(library[one["id"]] == one["rating"] for one in rated["neighbours"])
    told = lmmixup("explain", record_id, chain / "clusters").splitlines()
    assert sum(line.startswith("    prompt:") for line in told) == 1
