"""The reasoning that goes with a target: what each record lacks, and what is made of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmmixup.mixture.worsen import INFORMATION, NOISE, REASONING, REDUNDANT, VAGUE, WRONG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmmixup.mixture.draft import Variant

_SAYS = {
    INFORMATION: "leaves something out",
    REASONING: "gives the bare answer without its reasons",
    VAGUE: "stays vague",
    REDUNDANT: "says the same twice",
    NOISE: "has typing errors",
}

_GOALS = {
    "qa": "one clear question with its short answer first and the explanation behind it",
    "tfq": "one statement with its verdict and the reason for it",
    "mcq": "one question with four different choices and the right one",
    "cs": "the category and one full statement about it",
    "para": "one paragraph that says each thing once",
}


def think(task_type: str, topics: Sequence[str], variants: Sequence[Variant]) -> str:
    """Reasoning over the variants in the order in which a mixer sees them.

    Args:
        task_type: One of `TASK_TYPES`.
        topics: What the records are about; empty ones are left out.
        variants: The records.

    Returns:
        A few sentences; they say only what was really done to each record.

    Source:
        Ours.
    """
    known = list(dict.fromkeys(topic for topic in topics if topic))
    about = f" about {' and '.join(known)}" if known else ""
    lines = [f"There are {len(variants)} records{about}."]
    for number, variant in enumerate(variants, 1):
        faults = [_SAYS[kind] for kind in variant.kinds if kind != WRONG]
        if variant.wrong:
            right, wrong = variant.wrong
            faults.append(f"says {_cut(wrong)} where the others support {_cut(right)}")
        if faults:
            lines.append(f"Record {number} {_joined(faults)}.")
    sound = [str(number) for number, one in enumerate(variants, 1) if _is_sound(one)]
    if sound:
        lines.append(
            f"I rely on record{'s' * (len(sound) > 1)} {_joined(sound)} and put together what "
            "they say."
        )
    lines.append(f"The result is {_GOALS[task_type]}.")
    return " ".join(lines)


def _is_sound(variant: Variant) -> bool:
    return not variant.wrong and VAGUE not in variant.kinds


def _joined(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _cut(text: str) -> str:
    return f'"{text}"' if len(text) <= 60 else f'"{text[:57]}…"'
