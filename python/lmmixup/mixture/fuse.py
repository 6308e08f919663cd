"""Cross-topic fusion: two similar records become one target, their variants one cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmmixup.mixture.draft import LETTERS, Draft

if TYPE_CHECKING:
    from random import Random

    import numpy.typing as npt


def pairs(
    idx_NK: npt.NDArray[np.int32],
    sim_NK: npt.NDArray[np.float32],
    articles: list[str],
    *,
    most: int,
    bounds: tuple[float, float],
) -> list[tuple[int, int]]:
    """Which records are fused: the most similar first, each in one pair at most.

    Args:
        idx_NK: (N, K) places of the neighbours of each record, -1 where there are fewer.
        sim_NK: (N, K) their cosines.
        articles: (N,) article of each; both of a pair are of different ones.
        most: Pairs at most.
        bounds: Least and greatest cosine; above the greatest two records say the same.

    Returns:
        Pairs of places, the lower first, in the order of the lower.

    Source:
        Ours; METHOD §2.
    """
    rows, columns = np.nonzero((idx_NK >= 0) & (sim_NK >= bounds[0]) & (sim_NK <= bounds[1]))
    others = idx_NK[rows, columns]
    order = np.lexsort((others, rows, -sim_NK[rows, columns]))
    taken: set[int] = set()
    out: list[tuple[int, int]] = []
    for at in order:
        one, other = int(rows[at]), int(others[at])
        if len(out) == most:
            break
        if one in taken or other in taken or articles[one] == articles[other]:
            continue
        taken |= {one, other}
        out.append((min(one, other), max(one, other)))
    return sorted(out)


def fuse(one: Draft, other: Draft, random: Random) -> Draft:
    """One record of two of the same task type.

    Args:
        one: The first.
        other: The second.
        random: Draws choices and verdicts.

    Returns:
        A question of both and both answers; a statement of both and its verdict; the one true of
        four statements; both categories with their statements; both paragraphs as one.
    """
    kind = one.task_type
    shortened = one.shortened or other.shortened
    topic = " and ".join(dict.fromkeys(t for t in (one.topic, other.topic) if t))
    if kind == "mcq":
        return _one_of_four(one, other, topic, random)
    if kind == "tfq":
        return _both_statements(one, other, topic, shortened=shortened)
    core, second = one.core, other.core
    if kind == "qa":
        prompt = f"{one.prompt} And {_inner(other.prompt)}"
        core, second = _answer_to(one), _answer_to(other)
    elif kind == "cs":
        prompt = f"{one.prompt}; {other.prompt}"
    else:
        prompt = f"Write a paragraph about {topic}." if topic else one.prompt
    details = (*one.details, second, *other.details)
    return Draft(kind, topic, prompt, core, details, shortened=shortened)


def _answer_to(draft: Draft) -> str:
    """A short answer with what it answers, since two of them stand together."""
    if not draft.topic or draft.topic in draft.core:
        return draft.core
    is_phrase = draft.core.startswith(("In ", "On ", "At ", "By ", "Because ", "Near "))
    return f"{draft.topic}: {_inner(draft.core) if is_phrase else draft.core}"


def _inner(question: str) -> str:
    return question[:1].lower() + question[1:]


def _one_of_four(one: Draft, other: Draft, topic: str, random: Random) -> Draft:
    first, second = (one, other) if random.random() < 0.5 else (other, one)
    options = [first.claims[0], first.claims[1], second.claims[1], second.claims[2]]
    true = options[0]
    random.shuffle(options)
    right = options.index(true)
    about = f" about {topic}" if topic else ""
    return Draft(
        "mcq",
        topic,
        f"Which of these statements{about} is right?",
        f"{LETTERS[right]}) {true}",
        options=tuple(options),
        right=right,
        key=first.key,
    )


def _both_statements(one: Draft, other: Draft, topic: str, *, shortened: bool) -> Draft:
    both = one.core == other.core == "True."
    prompt = f"Both statements are right: (1) {one.prompt} (2) {other.prompt}"
    details = []
    for number, draft in enumerate((one, other), 1):
        verdict = "right" if draft.core == "True." else "wrong"
        details.append(" ".join([f"Statement {number} is {verdict}.", *draft.details]))
    core = "True." if both else "False."
    return Draft("tfq", topic, prompt, core, tuple(details), shortened=shortened)
