"""The teacher without a model: records shaped from a passage's own sentences."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lmmixup.mixture.draft import Draft, Refusal
from lmmixup.mixture.passage import without_brackets
from lmmixup.mixture.prose import Span, spans
from lmmixup.mixture.questions import questions
from lmmixup.mixture.vocabulary import AFTER_PLACES, BEFORE_PLACES, NATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    from lmmixup.mixture.choices import Choices
    from lmmixup.mixture.passage import Passage

MOST_DETAILS = 3
"""Sentences that explain an answer."""

SHORTEST, LONGEST = 40, 300
"""Characters of a statement."""

LONGEST_PARAGRAPH = 1200
"""Characters of a paragraph; one that is longer is shortened to whole sentences."""

_ASKED = {
    "date": "date",
    "year": "year",
    "nation": "nationality",
    "person": "person",
    "place": "place",
}
_CITED = re.compile(r"^[\"'(]|\b(?:I|we|you|your|my|our)\b")

NO_SPECIFIC = Refusal("no-specific", "no sentence has a number or name that others could stand for")


def draft(passage: Passage, task_type: str, choices: Choices, random: Random) -> Draft | Refusal:
    """A record of high quality from a passage.

    Args:
        passage: The passage.
        task_type: One of `TASK_TYPES`.
        choices: Finds distractors and wrong values.
        random: Draws among what is possible.

    Returns:
        The record in parts, or why the passage gives none.

    Source:
        Ours; METHOD §2 for the task types.
    """
    return _DRAFTS[task_type](passage, choices, random)


def _question(passage: Passage, choices: Choices, random: Random) -> Draft | Refusal:
    asked = questions(passage, choices)
    if not asked:
        return Refusal("no-question", "no sentence of it answers a question that rules can ask")
    one = random.choice(asked)
    details = _following(passage, one.number, include=not one.repeats)
    return Draft(
        "qa",
        passage.topic,
        one.text,
        one.short,
        details,
        key=one.key,
        shortened=not details,
    )


def _choice(passage: Passage, choices: Choices, random: Random) -> Draft | Refusal:
    for sentence, span in _candidates(passage, choices, random):
        others = choices.like(span, sentence, passage, 3, random)
        if len(others) < 3:
            continue
        stem = _blanked(sentence, span.text)
        what = _ASKED.get(
            choices.kind(span, sentence), "number" if span.kind == "number" else "name"
        )
        about = (
            "" if passage.mentions_topic(stem) or not passage.topic else f" about {passage.topic}"
        )
        options = [span.text, *others]
        random.shuffle(options)
        right = options.index(span.text)
        return Draft(
            "mcq",
            passage.topic,
            f"Which {what} completes this statement{about}? {stem}",
            f"{'ABCD'[right]}) {span.text}",
            options=tuple(options),
            right=right,
            key=span.text,
            claims=(sentence, *(_swapped(sentence, span.text, one) for one in others)),
        )
    return NO_SPECIFIC


def _verdict(passage: Passage, choices: Choices, random: Random) -> Draft | Refusal:
    found = list(_candidates(passage, choices, random))
    if not found:
        return NO_SPECIFIC
    is_true = random.random() < 0.5
    for sentence, span in found:
        others = choices.like(span, sentence, passage, 1, random)
        if not others:
            continue
        false = _swapped(sentence, span.text, others[0])
        claim = _about(passage, sentence if is_true else false)
        if is_true:
            core, details = "True.", _context(passage, sentence)
        else:
            core = "False."
            details = (f"It is {span.text}, not {others[0]}: {sentence}",)
        return Draft(
            "tfq",
            passage.topic,
            claim,
            core,
            details,
            key=span.text,
            claims=(sentence, false),
            shortened=not details,
        )
    return NO_SPECIFIC


def _category(passage: Passage, choices: Choices, random: Random) -> Draft | Refusal:  # noqa: ARG001
    if not passage.title:
        return Refusal("no-title", "a category comes from a title, and the text has none")
    for number, sentence in enumerate(passage.standing):
        if sentence and passage.mentions_topic(sentence):
            details = _following(passage, number, include=False)[: random.choice((1, 2))]
            return Draft(
                "cs", passage.topic, passage.title, sentence, details, shortened=not details
            )
    return Refusal("no-statement", "no sentence that stands alone names the title")


def _paragraph(passage: Passage, choices: Choices, random: Random) -> Draft | Refusal:  # noqa: ARG001
    standing = passage.standing
    if not standing or not standing[0]:
        return Refusal("no-beginning", "its first sentence does not stand alone")
    whole, size = [standing[0]], len(standing[0])
    for sentence in passage.sentences[1:]:
        if size + len(sentence) > LONGEST_PARAGRAPH or not _is_clean(sentence):
            break
        whole.append(sentence)
        size += len(sentence) + 1
    if len(whole) < 2:
        return Refusal("one-sentence", "a paragraph needs two sentences")
    asks = f"Write a paragraph about {passage.topic}." if passage.topic else "Write a paragraph."
    shortened = len(whole) < len(passage.sentences)
    return Draft("para", passage.topic, asks, whole[0], tuple(whole[1:]), shortened=shortened)


_DRAFTS: dict[str, Callable[[Passage, Choices, Random], Draft | Refusal]] = {
    "qa": _question,
    "mcq": _choice,
    "tfq": _verdict,
    "cs": _category,
    "para": _paragraph,
}


def _candidates(passage: Passage, choices: Choices, random: Random) -> Iterator[tuple[str, Span]]:
    """Statements with a specific of each that can be asked for, in drawn order."""
    found = []
    for sentence in passage.standing:
        plain = without_brackets(sentence) if sentence else ""
        if not SHORTEST <= len(plain) <= LONGEST or _CITED.search(plain):
            continue
        found += [(plain, span) for span in spans(plain) if _can_be_asked(span, plain, passage)]
    random.shuffle(found)
    # Of names that nothing is known of, distractors are less alike.
    found.sort(key=lambda one: choices.kind(one[1], one[0]).startswith("name of"))
    yield from found


def _can_be_asked(span: Span, sentence: str, passage: Passage) -> bool:
    if passage.topic and (span.text in passage.topic or passage.topic in span.text):
        return False
    if span.kind == "name":
        words = set(re.findall(r"\w{3,}", span.text)) & set(re.findall(r"\w{3,}", passage.topic))
        quoted = sentence[: span.start].count('"') % 2 == 1
        if (
            words
            or quoted
            or sentence[span.end : span.end + 2] in ("'s", "-b")
            or span.text in NATIONS
        ):
            return False
        after = sentence[span.end : span.end + 1]
        if after not in " ,.;" or sentence[span.start - 1 : span.start] not in " ":
            return False
        rest = sentence[span.end + 1 : span.end + 2]
        before = sentence[: span.start].split(" ")[-2:-1]
        following = sentence[span.end + 1 :].split(" ", maxsplit=1)[0].strip(",.;")
        if before and before[0] in BEFORE_PLACES and after == " " and following not in AFTER_PLACES:
            return False  # `in Methodist tradition` is no place
        return not (after == " " and rest.isupper()) and span.start > 0
    return len(re.findall(rf"\b{re.escape(span.text)}\b", sentence)) == 1


def _blanked(sentence: str, text: str) -> str:
    stem = re.sub(rf"\b{re.escape(text)}(?!\w)", "____", sentence)
    return re.sub(r"\b(an?) ____", "a(n) ____", stem)


def _swapped(sentence: str, text: str, other: str) -> str:
    swapped = re.sub(rf"\b{re.escape(text)}(?!\w)", lambda _match: other, sentence)
    an = re.compile(rf"\ban? (?={re.escape(other)})", re.I)
    article = "an " if other[:1].lower() in "aeio" else "a "
    return an.sub(lambda found: article.capitalize() if found[0][0] == "A" else article, swapped)


def _about(passage: Passage, statement: str) -> str:
    if not passage.topic or passage.mentions_topic(statement):
        return statement
    return f"About {passage.topic}: {statement}"


def _context(passage: Passage, sentence: str) -> tuple[str, ...]:
    """What else the passage says, beside a sentence that is true."""
    for number, standing in enumerate(passage.standing):
        if standing and without_brackets(standing) == sentence:
            before = [one for one in passage.standing[:number] if one]
            return (_following(passage, number, include=False) or tuple(before[-1:]))[:1]
    return ()


def _following(passage: Passage, number: int, *, include: bool) -> tuple[str, ...]:
    """A sentence and those behind it, or only the latter, up to a few."""
    out = [passage.standing[number]] if include else []
    for sentence in passage.sentences[number + 1 :]:
        if len(out) == MOST_DETAILS or not _is_clean(sentence):
            break
        out.append(sentence)
    return tuple(out)


def _is_clean(sentence: str) -> bool:
    return (
        sentence.count('"') % 2 == 0
        and sentence.count("(") == sentence.count(")")
        and re.match(r"[\"'(]?[A-Z0-9]", sentence) is not None
        and re.search(r"[.!?][\"')]*$", sentence) is not None
        and not re.search(r"[|{}<>=\[\]]|\.\.\.|\*", sentence)
    )
