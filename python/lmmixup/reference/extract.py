"""The most informative, least redundant content of some records, as it stands: the truth."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lmmixup.reference.faithfulness.words import WORD

if TYPE_CHECKING:
    from collections.abc import Sequence

_BYTES_PER_TOKEN = 4
_SAME_ANSWER_WORDS = 8
_NEW_SHARE = 0.5
_FEWEST_WORDS = 4

_MARKER = re.compile(r"^(?:[-*+\u2022]|\(?\d{1,3}[.)])\s+")

# A number and a dot at the start of an item of a list end no sentence. The codes are the full
# stops and closing quotes of English and Chinese typography.
_SENTENCE = re.compile(
    r".+?(?:(?<!\b\d)(?<!\b\d\d)[.!?\u2026]+[\"'\u201d\u2019)\]]*(?=\s)"
    r"|[\u3002\uff01\uff1f]+[\u201d\u2019\u300d\u300f]*|\n|\Z)\s*",
    re.S,
)


@dataclass
class Extracted:
    """What was taken of some records.

    Attributes:
        prompt: The questions.
        completion: The answers.
        num_questions: How many questions stand in it.
        left: Why a record did not go in, by its place.
        num_redundant: Sentences that said nothing new.
        num_fragments: New ones too short to stand by themselves.
        num_over: Sentences that found no room.
    """

    prompt: str = ""
    completion: str = ""
    num_questions: int = 0
    left: dict[int, str] = field(default_factory=dict)
    num_redundant: int = 0
    num_fragments: int = 0
    num_over: int = 0


def extract(records: Sequence[tuple[str, str]], max_output_tokens: int) -> Extracted:
    """Takes the most informative, least redundant content of some records.

    Args:
        records: Prompts and completions.
        max_output_tokens: Tokens of the completion, 4 UTF-8 bytes each.

    Returns:
        Prompt and completion, and what was not taken and why.

    Source:
        Ours; docs/decisions/0016-distillation.md.

    Example:
        >>> from lmmixup import reference
        >>> records = [("Why?", "Air bends more blue."), ("why", "Dust scatters red light too.")]
        >>> reference.extract(records, 100).completion
        'Dust scatters red light too. Air bends more blue.'
    """
    taken = Extracted()
    texts = [completion.strip() for _, completion in records]
    questions = _questions([prompt for prompt, _ in records], texts)
    frame = len(_numbered(len(questions), "")) + len("\n\n") if len(questions) > 1 else 0
    room = max_output_tokens * _BYTES_PER_TOKEN
    answers: list[tuple[str, str]] = []
    for places in questions:
        taken.left.update((place, "no-completion") for place in places if not texts[place])
        answering = {place: texts[place] for place in places if texts[place]}
        answer = _answer(answering, room - frame, taken) if answering else ""
        if answer:
            prompts = (records[place][0].strip() for place in places)
            answers.append((next(filter(None, prompts), ""), answer))
            room -= len(answer.encode()) + frame
    taken.num_questions = len(answers)
    taken.prompt = _listed([prompt for prompt, _ in answers])
    taken.completion = _listed([answer for _, answer in answers])
    return taken


def words(text: str) -> list[str]:
    """The words of a text, without case and punctuation.

    Example:
        >>> words("It's 2 o'clock, \u597d\u7684.")
        ['it', 's', '2', 'o', 'clock', '\u597d', '\u7684']
    """
    return [word.lower() for word in WORD.findall(text)]


def sentences(text: str) -> list[str]:
    r"""The sentences of a text, each with the space behind it; joined they are the text.

    Example:
        >>> sentences("One. Two!\n1. Three is 3.5 long.")
        ['One. ', 'Two!\n', '1. Three is 3.5 long.']
    """
    return _SENTENCE.findall(text)


def _questions(asked: Sequence[str], told: Sequence[str]) -> list[list[int]]:
    """Places of records that ask the same, by their first; no prompt goes with the first one."""
    groups: list[list[int]] = []
    for place, (prompt, answer) in enumerate(zip(asked, told, strict=True)):
        group = _first_with(words(prompt), asked[:place], groups)
        if group is None and len(words(answer)) >= _SAME_ANSWER_WORDS:
            group = _first_with(words(answer), told[:place], groups)
        if group is None and not words(prompt) and groups:
            group = groups[0]
        if group is None:
            group = []
            groups.append(group)
        group.append(place)
    return groups


def _first_with(own: list[str], others: Sequence[str], groups: list[list[int]]) -> list[int] | None:
    """The group of the first other text with the same words."""
    for place, other in enumerate(others):
        if words(other) == own:
            return next(group for group in groups if place in group)
    return None


def _answer(texts: dict[int, str], room: int, taken: Extracted) -> str:
    """One answer to one question, within so many bytes."""
    shared = Counter(word for text in texts.values() for word in set(words(text)))
    base = max(texts, key=lambda at: (sum(shared[word] for word in set(words(texts[at]))), -at))
    answer = _beginning(texts[base], room, taken)
    if not answer:
        taken.left.update(dict.fromkeys(texts, "over-length"))
        return ""
    offered = [
        _MARKER.sub("", sentence.strip())
        for place, text in texts.items()
        if place != base
        for sentence in sentences(text)
    ]
    gap = "\n\n" if "\n" in answer else " "
    more = _news(offered, set(words(answer)), room - len((answer + gap).encode()), taken)
    return answer + gap + " ".join(more) if more else answer


def _beginning(text: str, room: int, taken: Extracted) -> str:
    """The text, or its first sentences where there is no room for all."""
    if len(text.encode()) <= room:
        return text
    parts = sentences(text)
    number = 0
    while number < len(parts) and len("".join(parts[: number + 1]).encode()) <= room:
        number += 1
    taken.num_over += len(parts) - number
    return "".join(parts[:number]).rstrip()


def _news(offered: list[str], known: set[str], room: int, taken: Extracted) -> list[str]:
    """Sentences that say something new, most new words first, in the order of the records."""
    left = list(range(len(offered)))
    kept: list[int] = []
    while left:
        at = min(left, key=lambda at: (-len(set(words(offered[at])) - known), at))
        left.remove(at)
        has = set(words(offered[at]))
        size = len(offered[at].encode()) + 1
        if not has - known or len(has - known) < _NEW_SHARE * len(has):
            taken.num_redundant += 1
        elif len(has) < _FEWEST_WORDS:
            taken.num_fragments += 1
        elif size > room:
            taken.num_over += 1
        else:
            kept.append(at)
            known |= has
            room -= size
    return [offered[at] for at in sorted(kept)]


def _listed(texts: Sequence[str]) -> str:
    """One text as it is, several as a list; numbers in brackets, since texts hold lists too."""
    if len(texts) < 2:
        return "".join(texts)
    gap = "\n\n" if any("\n" in text for text in texts) else "\n"
    return gap.join(_numbered(number, text) for number, text in enumerate(texts, 1))


def _numbered(number: int, text: str) -> str:
    return f"({number}) {text}"
