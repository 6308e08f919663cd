"""The data-set card for machines: Croissant metadata."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lmmixup.mixture.card import COLUMNS, USES, summary
from lmmixup.mixture.samples import EDITS_SCHEMA, SAMPLES_SCHEMA
from lmmixup.mixture.split import PARTS
from lmmixup.stage import file_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lmmixup.mixture.config import MixtureConfig

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that Croissant 1.0 gives."""


def write_croissant(
    folder: Path, config: MixtureConfig, made: Mapping[str, Mapping[str, int]]
) -> None:
    """Writes `croissant.json`.

    Args:
        folder: Folder with the finished sample files.
        config: Name, license, language.
        made: Samples by part and task type.

    Notes:
        Says no date, so that the same build has the same bytes.

    Source:
        Croissant 1.0.
    """
    described = json.dumps(croissant(folder, config, made), indent=2, ensure_ascii=False)
    (folder / "croissant.json").write_text(described + "\n", encoding="utf-8")


def croissant(
    folder: Path, config: MixtureConfig, made: Mapping[str, Mapping[str, int]]
) -> dict[str, Any]:
    """The Croissant metadata of a folder: its files with digests, and their columns.

    Args:
        folder: Folder with the finished sample files.
        config: Name, license, language.
        made: Samples by part and task type; empty parts have no record set.
    """
    names = [*(part for part in PARTS if made[part]), "edits"]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": config.name,
        "description": summary(made),
        "license": config.license,
        "inLanguage": config.language,
        "version": "1.0.0",
        "citeAs": "LM-Mixup, https://arxiv.org/abs/2510.20449",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": f"{name}.parquet",
                "name": f"{name}.parquet",
                "contentUrl": f"{name}.parquet",
                "encodingFormat": "application/x-parquet",
                "contentSize": f"{(folder / f'{name}.parquet').stat().st_size} B",
                "sha256": file_sha256(folder / f"{name}.parquet"),
            }
            for name in names
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": name,
                "name": name,
                "description": f"Samples for {USES[name]}." if name in USES else "Typing errors.",
                "field": [
                    _field(name, column)
                    for column in (SAMPLES_SCHEMA if name in USES else EDITS_SCHEMA)
                ],
            }
            for name in names
        ],
    }


def _field(part: str, column: pa.Field) -> dict[str, Any]:
    described: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{part}/{column.name}",
        "name": column.name,
        "description": COLUMNS.get(column.name, column.name),
    }
    source: dict[str, Any] = {
        "fileObject": {"@id": f"{part}.parquet"},
        "extract": {"column": column.name},
    }
    kind = column.type
    is_list = pa.types.is_list(kind)
    if is_list and pa.types.is_struct(kind.value_type):
        described["subField"] = [
            {
                "@type": "cr:Field",
                "@id": f"{part}/{column.name}/{inner.name}",
                "name": inner.name,
                "dataType": _data_type(inner.type),
                "repeated": True,
                "source": {**source, "transform": {"jsonPath": f"$[*].{inner.name}"}},
            }
            for inner in kind.value_type
            if not pa.types.is_list(inner.type)
        ]
        return described
    described |= {"dataType": _data_type(kind.value_type if is_list else kind), "source": source}
    return described | ({"repeated": True} if is_list else {})


def _data_type(kind: pa.DataType) -> str:
    return "sc:Integer" if pa.types.is_integer(kind) else "sc:Text"
