"""Articles in plain sentences, and a scripted server."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from llm_server import LLMServer

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = ("Anna", "Carl", "Edith", "Hugo", "Irene", "Oscar", "Paula", "Victor", "Walter", "Yvonne")
LAST = ("Almquist", "Brenner", "Castell", "Dufour", "Eklund", "Farkas", "Gomez", "Halloran")
TOWNS = ("Graz", "Lyon", "Turku", "Cork", "Ghent", "Malaga", "Bergen", "Trieste", "Odessa", "Leeds")
NATIONS = ("Austrian", "French", "Finnish", "Irish", "Belgian", "Spanish", "Norwegian", "Italian")


def articles(number: int, seed: int = 0) -> list[dict[str, str]]:
    """Leads of people and films, each of its own article."""
    random = Random(seed)
    out = []
    for at in range(number):
        name = f"{random.choice(FIRST)} {random.choice(LAST)}"
        town, other = random.sample(TOWNS, 2)
        year, nation = random.randrange(1820, 1960), random.choice(NATIONS)
        if at % 2:
            title = f"{name} {at}"
            text = (
                f"{title} (born {random.randrange(1, 28)} May {year}) was an {nation} painter of "
                f"the {at}th school. He was educated in {town} and moved to {other} in "
                f"{year + 20}. In {year + 30}, {name} opened a gallery with "
                f"{random.randrange(3, 90)} rooms near the harbour of {town}. "
                f"He was awarded the Golden Brush in {year + 40}."
            )
        else:
            title = f"The House of {town} {at}"
            text = (
                f"{title} is a {year + 60} {nation} drama film directed by {name}. It was filmed "
                f"in {other} in {year + 59} with {random.randrange(100, 999)} actors. The film was "
                f"released because the studio {at} needed money after the winter of {year + 58}."
            )
        out.append({"id": f"a{at}", "title": title, "text": text, "source": f"s{at % 3}"})
    return out


@pytest.fixture(scope="session")
def texts() -> pa.Table:
    """120 articles, two of which have no title."""
    rows = articles(120)
    rows[7]["title"] = rows[8]["title"] = ""
    return pa.Table.from_pylist(rows)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LLMServer]:
    pytest.importorskip("aiohttp", reason="the extra `llm` is not installed")
    monkeypatch.setattr("lmmixup.llm.retry.FIRST_WAIT_S", 0.02)
    with LLMServer() as running:
        yield running
