"""What `dedup` can be told."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 pydantic reads the annotation
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from lmmixup.embed import VectorsConfig

JACCARD = 0.7
"""Default threshold of word n-grams."""

COSINE = 0.95
"""Default threshold of vectors: docs/decisions/0007-semantic-duplicates.md."""

OF_TEXTS = ("shingle", "shingle_size", "num_perm", "bands", "rows", "verify", "min_containment")
"""Settings that vectors have no use for."""

OF_VECTORS = ("embedder", "vectors", "vector_column", "search")
"""Settings that only vectors have a use for."""


def _default_threshold(given: dict[str, Any]) -> float:
    return COSINE if given.get("method") == "semantic" else JACCARD


class DedupConfig(VectorsConfig):
    """How alike records are found, and which of them stay."""

    method: Literal["join", "minhash", "exact", "semantic"] = "join"
    """`join` finds every pair at the threshold; `minhash` most of them, for low thresholds
    and very large pools; `exact` only equal records; `semantic` those with similar vectors."""
    threshold: float = Field(default_factory=_default_threshold, gt=0, le=1)
    """Jaccard similarity from which two records are near-duplicates; for `semantic` the cosine,
    0.95 where not given."""
    search: Literal["auto", "exact", "blocks", "triton"] = "auto"
    """For `semantic`: how pairs are found: all of them compared, here (`exact`) or on a GPU
    (`triton`, the same result), or approximately by coarse cells (`blocks`); `auto` takes `triton`
    for large pools where there is a GPU and lmmixup-kernels, else `blocks`, and the manifest says
    so, with the measured recall."""
    shingle: Literal["auto", "word", "char"] = "auto"
    """Tokens of a shingle: words, characters, or (`auto`) words and the single characters of
    scripts without spaces."""
    shingle_size: int = Field(default=5, ge=1, le=64)
    """Consecutive tokens of a shingle."""
    normalize: Literal["lower", "nfkc", "raw"] = "lower"
    """What is done to texts before: lower-case, Unicode NFKC and lower-case, or nothing. For
    `exact` the first two also make every run of white space one space. For `semantic` it only
    tells a `duplicate` from a `near-duplicate`."""
    keep: Literal["unlike", "one"] = "unlike"
    """`unlike` keeps a record of a family unless a kept one is at the threshold; `one` keeps
    one record of each family."""
    rating: str | None = None
    """Column whose highest value is kept; records without a value come last."""
    prefer_source: tuple[str, ...] = ()
    """Sources in the order in which they are kept, after the rating."""
    prefer: Literal["longest", "first"] = "longest"
    """What decides among records that are equal so far: the longer text or the earlier
    record. Equal lengths are decided by hashes of text and id."""
    num_perm: int = Field(default=128, ge=1, le=4096)
    """Hash functions of `minhash`."""
    bands: int | None = Field(default=None, ge=1)
    """Bands of `minhash`; chosen from the threshold unless given together with `rows`."""
    rows: int | None = Field(default=None, ge=1)
    """Rows of a band of `minhash`."""
    verify: bool = True
    """Compare the candidates of `minhash` exactly; without it one record of a family stays."""
    seed: int = Field(default=0, ge=0, lt=2**64)
    """Draws the hash functions of `minhash`, and the cells of `blocks`."""
    against: Path | None = None
    """Another pool, such as an evaluation set: take out the records that match one of its
    records instead of looking for families."""
    min_containment: float = Field(default=0.8, gt=0, le=1)
    """Share of a record of the other pool that makes a match, whatever the threshold says."""
    update: Path | None = None
    """Folder of an earlier `dedup` with the same settings: its kept records stay, the pool's
    are added to them."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        semantic = self.method == "semantic"
        for name in OF_TEXTS if semantic else OF_VECTORS:
            if getattr(self, name) != type(self).model_fields[name].default:
                hint = "it compares vectors" if semantic else "pass --semantic too"
                raise ValueError(f"{name} has no effect with method {self.method}; {hint}")
        if self.against is not None and self.vectors is not None:
            raise ValueError(
                "against compares two pools, but vectors are those of one; name an embedder, or "
                "a vector_column that both pools have"
            )
        if (self.bands is None) != (self.rows is None):
            raise ValueError("bands and rows belong together; give both or none")
        if self.bands and self.rows and self.bands * self.rows > self.num_perm:
            raise ValueError(f"bands x rows must be at most num_perm = {self.num_perm}")
        if self.against is not None and self.update is not None:
            raise ValueError("against and update exclude each other; run them one after the other")
        return self
