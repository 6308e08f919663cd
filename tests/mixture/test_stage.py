"""The stage: whole samples, no article on two sides, the same bytes again."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from lmmixup.cli import cli
from lmmixup.contract import TASK_TYPES, fits_task, messages, parse, render
from lmmixup.errors import DataError, OutputExistsError
from lmmixup.explain import explain
from lmmixup.library import open_libraries
from lmmixup.mixture import Edit, MixtureConfig, open_texts, preview, run, undo
from lmmixup.mixture.libraries import length_matched
from lmmixup.mixture.samples import SAMPLES_SCHEMA
from lmmixup.mixture.split import PARTS, TRAINING, split_articles

if TYPE_CHECKING:
    from pathlib import Path

SMALL: dict[str, Any] = {"library_records": 600, "library_dim": 64}


def build(texts: Any, output: Path, **options: Any) -> Any:
    given = {"library": False, **SMALL, **options}
    num_threads = given.pop("num_threads", 0)
    return run(open_texts(texts), MixtureConfig(**given), output=output, num_threads=num_threads)


def rows_of(folder: Path, *parts: str) -> list[dict[str, Any]]:
    return [
        row
        for part in parts or PARTS
        for row in pq.read_table(folder / f"{part}.parquet").to_pylist()
    ]


def bytes_of(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def built(texts: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixture") / "whole"
    build(texts, folder, library=True, license="cc-by-sa-4.0")
    return folder


def test_samples_are_what_the_contract_says(built: Path) -> None:
    rows = rows_of(built)
    assert {row["task_type"] for row in rows} == set(TASK_TYPES)
    for row in rows:
        pairs = [
            {"prompt": one["prompt"], "completion": one["completion"]} for one in row["sources"]
        ]
        system, user = messages({"task_type": row["task_type"], "records": pairs})
        assert row["prompt"] == user["content"]
        target = {"role": "assistant", "content": render(row["cot"], row["completion"])}
        assert row["messages"] == [system, user, target]
        output = parse(target["content"])
        assert output is not None
        assert (output.think, output.answer) == (row["cot"], row["completion"])
        assert fits_task(row["completion"], row["task_type"])
        assert row["rating"] in (4, 5)
        assert row["rating_source"] == "construction"
        assert 2 <= len(row["sources"]) <= 20
        assert all(one["rating"] <= 3 and one["kinds"] for one in row["sources"])
        assert [one["id"] for one in row["sources"]] == [
            f"{row['id']}-{number}" for number in range(len(row["sources"]))
        ]
    ids = [row["id"] for row in rows]
    assert len(set(ids)) == len(ids)


def test_no_article_and_no_family_is_on_two_sides(texts: pa.Table, tmp_path: Path) -> None:
    rows = texts.to_pylist()
    for at in range(40):  # the same text under another title, one word changed
        twin = {**rows[at], "id": f"twin{at}", "title": f"Other {at}"}
        rows.append({**twin, "text": rows[at]["text"].replace("needed", "wanted") + " It rained."})
    build(pa.Table.from_pylist(rows), tmp_path / "out")
    by_part = {part: rows_of(tmp_path / "out", part) for part in PARTS}
    texts_of = {
        part: {
            text.removeprefix("twin").removeprefix("a") for row in found for text in row["texts"]
        }
        for part, found in by_part.items()
    }
    articles_of = {
        part: {row["article"] for row in found}
        | {one["article"] for row in found for one in row["sources"]}
        for part, found in by_part.items()
    }
    for seen in (texts_of, articles_of):
        assert all(seen.values())
        assert sum(map(len, seen.values())) == len(set().union(*seen.values()))


def test_shares_are_those_that_were_asked_for() -> None:
    articles = [f"a{at // 3}" for at in range(9000)]
    part_of = split_articles(articles, MixtureConfig())
    assert part_of == split_articles(articles[::-1], MixtureConfig())
    sizes = Counter(part_of[article] for article in articles)
    expected = {"test": 900, "cold_start": 2430, "rl": 5103, "validation": 567}
    assert all(abs(sizes[part] - size) <= 3 for part, size in expected.items())
    assert split_articles(articles, MixtureConfig(seed=1)) != part_of


def test_counts_add_up(texts: pa.Table, built: Path, tmp_path: Path) -> None:
    short = {"id": "short", "title": "", "text": "Too short.", "source": "s"}
    twice = {**texts.to_pylist()[0], "id": "twice", "title": "Twice"}
    none = {
        "id": "none",
        "title": "",
        "text": "it goes on and on, and nobody knows why " * 5,
        "source": "s",
    }
    more = pa.Table.from_pylist([*texts.to_pylist(), short, twice, none])
    result = build(more, tmp_path / "out")
    counts, figures = result.counts, result.figures
    assert counts["input"] == 123
    assert counts["dropped"] == {"duplicate": 1, "no-sample": 1, "too-short": 1}
    assert counts["used"] == 120
    made = {
        part: Counter(row["task_type"] for row in rows_of(tmp_path / "out", part)) for part in PARTS
    }
    assert figures["samples"] == {part: dict(found) for part, found in made.items()}
    assert counts["made"] == sum(found.total() for found in made.values())
    for kind in TASK_TYPES:
        singles = sum(found[kind] for found in made.values())
        fused = sum(
            len(row["texts"]) == 2 for row in rows_of(tmp_path / "out") if row["task_type"] == kind
        )
        assert singles + fused + sum(figures["refused"][kind].values()) == figures["passages"]
    dropped = pq.read_table(tmp_path / "out" / "dropped.parquet").to_pylist()
    assert {row["id"]: row["against"] for row in dropped} == {
        "short": None,
        "twice": "a0",
        "none": None,
    }


def test_fused_samples_are_of_two_articles_and_can_be_switched_off(
    texts: pa.Table, built: Path, tmp_path: Path
) -> None:
    fused = [row for row in rows_of(built) if len(row["texts"]) == 2]
    assert len(fused) > 20
    for row in fused:
        assert len({one["article"] for one in row["sources"]}) == 2
    build(texts, tmp_path / "none", fuse=0)
    assert all(len(row["texts"]) == 1 for row in rows_of(tmp_path / "none"))


def test_every_edit_can_be_undone_from_the_log(
    texts: pa.Table, built: Path, tmp_path: Path
) -> None:
    build(texts, tmp_path / "clean", noise=0)
    assert pq.read_table(tmp_path / "clean" / "edits.parquet").num_rows == 0
    edits: dict[tuple[str, str], list[Edit]] = {}
    for row in pq.read_table(built / "edits.parquet").to_pylist():
        made = edits.setdefault((row["record"], row["field"]), [])
        assert row["edit"] == len(made)
        made.append(Edit(row["kind"], row["start"], row["before"], row["after"]))
    assert edits
    clean = {one["id"]: one for row in rows_of(tmp_path / "clean") for one in row["sources"]}
    num_noisy = 0
    for row in rows_of(built):
        for one in row["sources"]:
            for name in ("prompt", "completion"):
                known = edits.get((one["id"], name), [])
                assert undo(one[name], known) == clean[one["id"]][name]
                num_noisy += bool(known)
            is_noisy = "noise" in one["kinds"]
            assert one["rating"] == max(0, clean[one["id"]]["rating"] - is_noisy)
    assert num_noisy == len(edits)


@pytest.mark.parametrize("num_threads", [1, 2, 7])
def test_the_same_bytes_at_any_number_of_threads(
    texts: pa.Table, built: Path, tmp_path: Path, num_threads: int
) -> None:
    build(texts, tmp_path / "out", library=True, license="cc-by-sa-4.0", num_threads=num_threads)
    assert bytes_of(tmp_path / "out") == bytes_of(built)


def test_a_run_that_broke_off_goes_on_and_ends_with_the_same_bytes(
    texts: pa.Table, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmmixup.library import run as build_library

    calls = []

    def breaks_off(*args: Any, **options: Any) -> Any:
        calls.append(options["output"].name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return build_library(*args, **options)

    monkeypatch.setattr("lmmixup.mixture.libraries.library.run", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        build(texts, tmp_path / "out", library=True, license="cc-by-sa-4.0")
    assert not (tmp_path / "out").exists()
    build(texts, tmp_path / "out", library=True, license="cc-by-sa-4.0")
    assert len(calls) == 6  # two whole ones were not built again
    assert bytes_of(tmp_path / "out") == bytes_of(built)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_rules_do_not_write_a_finished_part_again(
    texts: pa.Table, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmmixup.mixture.build import Builder

    written: list[str] = []
    write = Builder._piece

    async def breaks_off(builder: Builder, part: str, *rest: Any) -> Any:
        written.append(part)
        if len(written) == 3:
            raise KeyboardInterrupt
        return await write(builder, part, *rest)

    monkeypatch.setattr(Builder, "_piece", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        build(texts, tmp_path / "out", library=True, license="cc-by-sa-4.0")
    build(texts, tmp_path / "out", library=True, license="cc-by-sa-4.0")
    assert written == [*PARTS[:3], *PARTS[2:]]
    assert bytes_of(tmp_path / "out") == bytes_of(built)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_libraries_are_of_training_articles_only(built: Path) -> None:
    training = {one["id"] for row in rows_of(built, *TRAINING) for one in [row, *row["sources"]]}
    libraries = open_libraries(built / "library")
    assert {name for name, _ in libraries} == set(TASK_TYPES)
    figures = json.loads((built / "manifest.json").read_text())["figures"]
    for name, library in libraries:
        assert set(library.ids.to_pylist()) <= training
        assert library.config.text == "completion"
        texts = library.texts.to_pylist()
        targets = [
            row["completion"] for row in rows_of(built, *TRAINING) if row["task_type"] == name
        ]
        assert set(targets) & set(texts)
        assert figures[f"qwk_{name}"] == figures["library"][name]["qwk"]


def test_length_matched_rows_say_nothing_by_their_length() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    ratings = rng.integers(0, 6, 20_000)
    lengths = (ratings * 40 + rng.integers(1, 400, 20_000)).astype(np.int64)
    rows = length_matched(ratings, lengths)
    assert len(rows) > 1000
    assert np.all(np.diff(rows) > 0)
    assert len(set(Counter(ratings[rows].tolist()).values())) == 1
    assert abs(np.corrcoef(ratings, lengths)[0, 1]) > 0.4
    assert abs(np.corrcoef(ratings[rows], lengths[rows])[0, 1]) < 0.03
    assert len(length_matched(np.array([5, 5]), np.array([1, 2]))) == 0


def test_the_card_and_croissant_name_every_file(built: Path) -> None:
    card = (built / "README.md").read_text(encoding="utf-8")
    head = card.split("---")[1]
    assert "license: cc-by-sa-4.0" in head
    assert all(f"path: {part}.parquet" in head for part in PARTS)
    assert all(f"| `{column}` |" in card for column in SAMPLES_SCHEMA.names)
    manifest = json.loads((built / "manifest.json").read_text())
    described = json.loads((built / "croissant.json").read_text())
    for file in described["distribution"]:
        assert file["sha256"] == manifest["outputs"][file["name"]]["sha256"]
    fields = {field["@id"] for one in described["recordSet"] for field in one["field"]}
    assert {f"test/{column}" for column in SAMPLES_SCHEMA.names} <= fields


def test_explain_tells_where_a_text_went(built: Path) -> None:
    row = next(row for row in rows_of(built) if len(row["texts"]) == 2)
    [chapter] = explain(row["id"], [built])
    assert chapter.outcome == "made"
    assert chapter.links["made of"] == row["texts"]
    [chapter] = explain(row["texts"][1], [built])
    assert chapter.outcome == "used"
    assert row["id"] in chapter.links["went into"]


def test_the_command_reads_lines_and_says_what_is_wrong(texts: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "text.jsonl"
    lines = [json.dumps(row) for row in texts.to_pylist()]
    path.write_text("\n".join([*lines, "{broken", json.dumps({"title": "no text"})]) + "\n")
    args = ["mixture", "build", str(path), "-o", str(tmp_path / "out"), "--no-library", "--cot"]
    done = CliRunner().invoke(cli, args, standalone_mode=False)
    assert done.return_value == 3
    assert f"{path}:121: expected" in done.stderr
    assert f"{path}:122: expected a field `text`" in done.stderr
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["counts"]["input"] == 122
    assert sum(manifest["counts"]["rejected"].values()) == 2
    with pytest.raises(OutputExistsError):
        build(texts, tmp_path / "out")


def test_nothing_to_build_is_said(tmp_path: Path) -> None:
    path = tmp_path / "text.jsonl"
    path.write_text('{"text": "Short."}\n')
    args = ["mixture", "build", str(path), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(cli, args, standalone_mode=False)
    assert done.return_value == 1
    assert "no text gave a sample" in done.stderr
    assert rows_of(tmp_path / "out") == []


def test_options_that_do_not_fit_are_refused() -> None:
    for options, message in (
        ({"teacher": "gpt"}, "teacher must be rules or openai:MODEL"),
        ({"task_types": ("qa", "essay")}, "task_types must be different ones"),
        ({"task_types": ()}, "got none"),
        ({"mean_variants": 2.0, "min_variants": 3}, "mean_variants must be within"),
        ({"base_url": "http://localhost/v1"}, "have no effect with teacher rules"),
        ({"teacher": "openai:m", "batch": True}, "batch has no effect here"),
        ({"fuse_min_similarity": 0.99}, "at most fuse_max_similarity"),
        ({"min_characters": 5000}, "at most max_characters"),
        ({"min_variants": 1}, "greater than or equal to 2"),
    ):
        with pytest.raises(ValueError, match=message):
            MixtureConfig(**options)
    with pytest.raises(DataError, match="expected a column `text`, got body"):
        open_texts(pa.table({"body": ["a"]}))


def test_the_preview_counts_without_writing(texts: pa.Table, built: Path, tmp_path: Path) -> None:
    lines = dict(preview(open_texts(texts), MixtureConfig()))
    figures = json.loads((built / "manifest.json").read_text())["figures"]
    assert lines["passages"] == str(figures["passages"])
    assert lines["articles"] == str(figures["articles"])


def test_variants_beyond_the_prompt_are_left_out(texts: pa.Table, tmp_path: Path) -> None:
    result = build(texts, tmp_path / "out", max_prompt_tokens=600, mean_variants=12)
    assert result.figures["variants_left_out"] > 0
    for row in rows_of(tmp_path / "out"):
        assert sum(len(turn["content"].encode()) for turn in row["messages"][:2]) <= 600 * 4
