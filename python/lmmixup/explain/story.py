"""Follows an id through result folders by the files that every stage writes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lmmixup.errors import DataError, FileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_LINKS = 20
"""Linked ids that a chapter names; the number of all of them is told beside."""


@dataclass
class Chapter:
    """What one stage did with the record.

    Attributes:
        stage: Name of the stage.
        path: Its result folder.
        outcome: `kept`, `used`, `leftover`, `dropped`, `made` or `absent`.
        facts: Columns that the stage gave the record or changed, or why it was dropped.
        links: Other records by relation, such as `dropped in its favour`; at most `MAX_LINKS`.
        num_links: Number of linked records by relation.
    """

    stage: str
    path: Path
    outcome: str = "absent"
    facts: dict[str, Any] = field(default_factory=dict)
    links: dict[str, list[str]] = field(default_factory=dict)
    num_links: dict[str, int] = field(default_factory=dict)

    def link(self, relation: str, ids: list[str]) -> None:
        """Adds linked records under a relation."""
        if ids:
            self.links[relation] = ids[:MAX_LINKS]
            self.num_links[relation] = len(ids)


def explain(record_id: str, folders: Sequence[str | Path]) -> list[Chapter]:
    """The story of one record.

    Args:
        record_id: Id of a record of any of the stages.
        folders: Result folders; the folders that these were made from are found through
            their manifests.

    Returns:
        A chapter for each folder, from the first stage to the last.

    Raises:
        FileError: A folder has no manifest.
        DataError: None of the folders knows the id.

    Notes:
        Reads the id columns of all folders once: linear in the number of records.

    Source:
        Ours.
    """
    paths = list(_upstream_first([Path(folder) for folder in folders]))
    chapters = [_chapter(record_id, path) for path in paths]
    _tell_once(chapters)
    if all(chapter.outcome == "absent" for chapter in chapters):
        looked = ", ".join(str(path) for path in paths)
        raise DataError(
            f"no record with id {record_id!r} in {looked}; rejected records have no id, see "
            "rejects.jsonl"
        )
    return chapters


def _upstream_first(folders: Sequence[Path]) -> Iterator[Path]:
    seen: set[Path] = set()

    def visit(folder: Path) -> Iterator[Path]:
        if folder.resolve() in seen:
            return
        seen.add(folder.resolve())
        for source in _read_manifest(folder)["inputs"]:
            parent = _result_folder(Path(source["path"]))
            if parent is not None:
                yield from visit(parent)
        yield folder

    for folder in folders:
        yield from visit(folder)


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileError(f"{path}: no such file; expected a folder that a stage wrote") from None
    except ValueError as error:
        raise FileError(f"{path}: expected a stage's manifest, got broken JSON: {error}") from None
    return manifest


def _outputs(folder: Path) -> list[str]:
    return list(_read_manifest(folder)["outputs"])


def _result_folder(path: Path) -> Path | None:
    folder = path if path.is_dir() else path.parent
    if (folder / "manifest.json").exists():
        return folder
    # A stage of several pools has its manifest beside their folders.
    whole = folder.parent
    has_several = (whole / "manifest.json").exists()
    return whole if has_several and f"{folder.name}/data.parquet" in _outputs(whole) else None


def _chapter(record_id: str, folder: Path) -> Chapter:
    manifest = _read_manifest(folder)
    chapter = Chapter(manifest["stage"], folder)
    makes = manifest["counts"]["made"] > 0
    for path, outcome in _files_with_records(folder):
        row = _row(path, record_id)
        if row is not None:
            behind = row.get("texts") or row.get("sources")
            is_made = makes and outcome == "kept" and bool(behind)
            chapter.outcome = "made" if is_made else outcome
            if is_made and behind is not None:
                row.pop("sources")
                chapter.link("made of", behind)
            chapter.facts = _facts(row)
            if path.parent != folder:
                chapter.facts = {"pool": path.parent.name, **chapter.facts}
            break
    _add_links(chapter, record_id, makes=makes)
    return chapter


def _tell_once(chapters: Sequence[Chapter]) -> None:
    """Leaves out what an earlier chapter says already."""
    told: dict[str, Any] = {}
    for chapter in chapters:
        facts, nothing = chapter.facts, object()
        chapter.facts = {n: value for n, value in facts.items() if told.get(n, nothing) != value}
        told.update(facts)


def _files_with_records(folder: Path) -> Iterator[tuple[Path, str]]:
    yield from ((path, "kept") for path in _sample_files(folder))
    pools = ["data.parquet", *(name for name in _outputs(folder) if name.endswith("/data.parquet"))]
    yield from ((folder / name, "kept") for name in pools)
    yield folder / "leftover.parquet", "leftover"
    yield folder / "dropped.parquet", "dropped"


def _sample_files(folder: Path) -> list[Path]:
    """Files of samples, which name the texts that they were made of."""
    tops = [folder / name for name in _outputs(folder) if name.endswith(".parquet")]
    return [path for path in tops if path.parent == folder and "texts" in _columns(path)]


def _columns(path: Path) -> list[str]:
    return list(pq.read_schema(path).names) if path.exists() else []


def _row(path: Path, record_id: str) -> dict[str, Any] | None:
    if not path.exists():
        return None
    file = pq.ParquetFile(path)
    for index in range(file.num_row_groups):
        ids = file.read_row_group(index, columns=["id"]).column("id")
        place = pc.index(ids, pa.scalar(record_id, ids.type)).as_py()
        if place >= 0:
            row: dict[str, Any] = file.read_row_group(index).slice(place, 1).to_pylist()[0]
            return row
    return None


def _facts(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "id" and value is not None}


def _add_links(chapter: Chapter, record_id: str, *, makes: bool) -> None:
    dropped = chapter.path / "dropped.parquet"
    chapter.link("dropped in its favour", _ids_where(dropped, "against", record_id))
    data = chapter.path / "data.parquet"
    if "cluster" in chapter.facts and chapter.outcome == "kept":
        mates = _ids_where(data, "cluster", chapter.facts["cluster"])
        chapter.link("in the same cluster", [mate for mate in mates if mate != record_id])
    if makes:  # later stages only carry the made records on
        made = (_ids_made_of(path, record_id) for path in (data, *_sample_files(chapter.path)))
        chapter.link("went into", [one for ids in made for one in ids])
    if chapter.outcome == "absent" and chapter.links.get("went into"):
        chapter.outcome = "used"


def _ids_where(path: Path, column: str, value: Any) -> list[str]:
    if not path.exists() or column not in pq.read_schema(path).names:
        return []
    table = pq.read_table(path, columns=["id"], filters=[(column, "=", value)])
    ids: list[str] = table.column("id").to_pylist()
    return ids


def _ids_made_of(path: Path, record_id: str) -> list[str]:
    columns = _columns(path)
    name = next((name for name in ("texts", "sources") if name in columns), None)
    if name is None:
        return []
    table = pq.read_table(path, columns=["id", name])
    behind = table.column(name).combine_chunks()
    rows = pc.list_parent_indices(behind).filter(
        pc.equal(pc.list_flatten(behind), pa.scalar(record_id))
    )
    ids: list[str] = table.column("id").take(rows).to_pylist()
    return ids
