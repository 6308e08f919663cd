"""What the stage `cluster` can be told."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from lmmixup.embed import NeighboursConfig


class ClusterConfig(NeighboursConfig):
    """How records are put into clusters of a bounded size."""

    method: Literal["graph", "paper", "mergeit"] = "graph"
    """`graph`: fill along nearest neighbours, then local search (ours). `paper`: mini-batch
    k-means and greedy capacities, for comparison. `mergeit`: topics, then groups above a cosine."""

    min: int = Field(default=2, ge=1, le=65535)
    """Fewest records in a cluster."""

    max: int = Field(default=25, ge=1, le=65535)
    """Most records in a cluster."""

    mean: float = Field(default=10.0, gt=0)
    """Records in a cluster on average; their number is round(N / mean), or the nearest possible."""

    std: float = Field(default=3.0, ge=0)
    """Spread of the sizes that are drawn; no effect with sizes `bounds`."""

    sizes: Literal["bounds", "drawn"] = "bounds"
    """`bounds`: only min and max bind. `drawn`: the paper's sizes, N(mean, std) rounded and
    clipped to min..max until they sum to N; the method `paper` always draws."""

    allow_leftover: bool = False
    """Where N cannot be split into clusters of min..max, leave the fewest records over instead of
    failing."""

    max_cluster_tokens: int | None = Field(default=None, ge=1)
    """Most tokens of a cluster's records together, so that they fit a model's context. A record
    that has more by itself is dropped."""

    token_column: str | None = None
    """Column with each record's number of tokens; without one, UTF-8 bytes of prompt and
    completion / 4, rounded up, plus 1."""

    min_similarity: float | None = Field(default=None, ge=-1, le=1)
    """Least mean cosine of every record to its cluster mates (method `graph`; `mergeit` takes it
    as the cosine to the group's first record, 0.8 where not given)."""

    neighbours: int = Field(default=32, ge=1)
    """Nearest neighbours of each record: the method `graph` looks at them, all methods are judged
    by them."""

    filter_share: float = Field(default=1.0, gt=0, le=1)
    """Method `mergeit`: share of each topic that facility location keeps; 1 keeps all."""

    pca: int | None = Field(default=None, ge=1)
    """Method `mergeit`: dimensions for the topics; without it they use the vectors as they are."""

    max_rounds: int = Field(default=100, ge=0)
    """Method `graph`: most rounds of local search; 0 leaves it out."""

    seed: int = Field(default=0, ge=0, lt=2**64)
    """Of drawn sizes, of k-means, and of the order of records that are equally dense."""

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min must be at most max, got min {self.min}, max {self.max}")
        if not self.min <= self.mean <= self.max:
            raise ValueError(
                f"mean must be within min and max, got {self.mean:g} with {self.min}..{self.max}; "
                "hint: pass mean too"
            )
        if self.method == "paper" and self.min_similarity is not None:
            raise ValueError("the method paper has no min_similarity; use graph")
        if self.token_column is not None and self.max_cluster_tokens is None:
            raise ValueError("token_column has no effect without max_cluster_tokens")
        return self
