"""The mixer without a model: the best of what the records say, as it stands.

Records that ask the same are answered together: the answer that holds most of what all of them say
is kept whole, and the others add the sentences that say something new. Different questions stay
apart as a numbered list, so that no answer stands under a question that it is not for.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from lmmixup.distill.config import EXTRACTIVE
from lmmixup.distill.mixer import Made, Mixed, Refused
from lmmixup.distill.words import letters, sentences, words
from lmmixup.llm.request import BYTES_PER_TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence
    from types import TracebackType

    from lmmixup.contract import Pair
    from lmmixup.distill.parts import Part

SAME_ANSWER_WORDS = 8
"""Words from which an answer that comes twice answers one question that was asked in two ways."""

NEW_SHARE = 0.5
"""Least share of a sentence's different words that the record does not have yet."""

FEWEST_WORDS = 4
"""Different words of a sentence that may stand by itself; fewer are a fragment."""

MARKER = re.compile(r"^(?:[-*+\u2022]|\(?\d{1,3}[.)])\s+")
"""What an item of a list begins with: in another list its number would be a wrong one."""

FIGURES = ("questions", "sentences_redundant", "sentences_fragments", "sentences_over_length")

NO_COMPLETION = "no-completion"
OVER_LENGTH = "over-length"


@dataclass
class Extract:
    """What was taken of some records.

    Attributes:
        prompt: The questions.
        completion: The answers; empty where no record has one that fits.
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


def extract(pairs: Sequence[Pair], max_tokens: int) -> Extract:
    """Takes the most informative, least redundant content of some records.

    Args:
        pairs: The records, the most central first.
        max_tokens: Tokens of the completion, 4 UTF-8 bytes each.

    Returns:
        Prompt and completion, and what was not taken and why.

    Notes:
        Deterministic. O(S log S) in the number of sentences where most say something new.

    Source:
        Ours.

    Example:
        >>> taken = extract(
        ...     [
        ...         {"prompt": "Why is the sky blue?", "completion": "Air scatters far more blue."},
        ...         {"prompt": "why is the sky blue", "completion": "Dust scatters red light too."},
        ...     ],
        ...     100,
        ... )
        >>> taken.prompt, taken.completion
        ('Why is the sky blue?', 'Air scatters far more blue. Dust scatters red light too.')
    """
    taken = Extract()
    texts = [pair["completion"].strip() for pair in pairs]
    questions = _questions([pair["prompt"] for pair in pairs], texts)
    frame = len(_numbered(len(questions), "")) + len("\n\n") if len(questions) > 1 else 0
    room = max_tokens * BYTES_PER_TOKEN
    answers: list[tuple[str, str]] = []
    for places in questions:
        taken.left.update((place, NO_COMPLETION) for place in places if not texts[place])
        answering = [place for place in places if texts[place]]
        if not answering:
            continue
        answer = _answer(texts, answering, room - frame, taken)
        if answer:
            prompts = (pairs[place]["prompt"].strip() for place in places)
            answers.append((next(filter(None, prompts), ""), answer))
            room -= len(answer.encode()) + frame
    taken.num_questions = len(answers)
    taken.prompt = _listed([prompt for prompt, _ in answers])
    taken.completion = _listed([answer for _, answer in answers])
    return taken


def _questions(asked: Sequence[str], told: Sequence[str]) -> list[list[int]]:
    """Places of records that ask the same, by their first; no prompt goes with the first one.

    The same is the same words in the same order, or a long answer that is the same: prompts that
    share nine tenths of their words often ask for another number, another star, or another thing
    about the same text.
    """
    groups: list[list[int]] = []
    by_prompt, by_answer = _Groups(0), _Groups(SAME_ANSWER_WORDS)
    for place, (prompt, answer) in enumerate(zip(asked, told, strict=True)):
        of_prompt, of_answer = letters(prompt), letters(answer)
        group = by_prompt.find(of_prompt, prompt) or by_answer.find(of_answer, answer)
        if group is None and not of_prompt and groups:
            group = groups[0]
        if group is None:
            group = []
            groups.append(group)
        group.append(place)
        by_prompt.add(of_prompt, prompt, group)
        by_answer.add(of_answer, answer, group)
    return groups


class _Groups:
    """Groups by texts of the same words; most texts are told apart without being cut into words."""

    def __init__(self, fewest_words: int) -> None:
        self._fewest_words = fewest_words
        self._by_letters: dict[str, list[tuple[str, list[int]]]] = {}

    def find(self, key: str, text: str) -> list[int] | None:
        """The group of a text, by its letters and its words."""
        for other, group in self._by_letters.get(key, ()):
            mine = words(text)
            if len(mine) >= self._fewest_words and mine == words(other):
                return group
        return None

    def add(self, key: str, text: str, group: list[int]) -> None:
        """Takes a text; of several with the same words the first one counts."""
        self._by_letters.setdefault(key, []).append((text, group))


def _answer(texts: Sequence[str], places: Sequence[int], room: int, taken: Extract) -> str:
    """One answer to one question, within so many bytes, of the texts at some places."""
    base = places[0] if len(places) == 1 else _fullest({at: set(words(texts[at])) for at in places})
    answer = _beginning(texts[base], room, taken)
    if not answer:
        taken.left.update(dict.fromkeys(places, OVER_LENGTH))
        return ""
    if len(places) == 1:
        return answer
    others = [
        (place, number, MARKER.sub("", sentence.strip()))
        for place in places
        if place != base
        for number, sentence in enumerate(sentences(texts[place]))
    ]
    gap = "\n\n" if "\n" in answer else " "
    more = _news(others, set(words(answer)), room - len((answer + gap).encode()), taken)
    return answer + gap + " ".join(more) if more else answer


def _fullest(known: dict[int, set[str]]) -> int:
    """The answer with most of what all answers say: a word weighs as many as have it."""
    shared = Counter(word for has in known.values() for word in has)
    return max(known, key=lambda place: (sum(shared[word] for word in known[place]), -place))


def _beginning(text: str, room: int, taken: Extract) -> str:
    """The text, or its first sentences where there is no room for all."""
    if len(text.encode()) <= room:
        return text
    kept: list[str] = []
    parts = sentences(text)
    for part in parts:
        room -= len(part.encode())
        if room < 0:
            break
        kept.append(part)
    taken.num_over += len(parts) - len(kept)
    return "".join(kept).rstrip()


def _news(
    offered: list[tuple[int, int, str]], known: set[str], room: int, taken: Extract
) -> list[str]:
    """Sentences that say something new, most new words first, in the order of the records."""
    has = [set(words(sentence)) for _, _, sentence in offered]
    # New words only become fewer, so a number that is out of date is never too small.
    queue = [(-len(own - known), at) for at, own in enumerate(has)]
    heapq.heapify(queue)
    kept: list[int] = []
    while queue:
        claimed, at = heapq.heappop(queue)
        number = len(has[at] - known)
        if number == 0 or number < NEW_SHARE * len(has[at]):
            taken.num_redundant += 1
        elif len(has[at]) < FEWEST_WORDS:
            taken.num_fragments += 1
        elif -claimed > number:
            heapq.heappush(queue, (-number, at))
        elif (size := len(offered[at][2].encode()) + 1) > room:
            taken.num_over += 1
        else:
            kept.append(at)
            known |= has[at]
            room -= size
    return [offered[at][2] for at in sorted(kept)]


def _listed(texts: Sequence[str]) -> str:
    """One text as it is, several as a list; numbers in brackets, since texts hold lists too."""
    if len(texts) < 2:
        return "".join(texts)
    gap = "\n\n" if any("\n" in text for text in texts) else "\n"
    return gap.join(_numbered(number, text) for number, text in enumerate(texts, 1))


def _numbered(number: int, text: str) -> str:
    return f"({number}) {text}"


class ExtractiveMixer:
    """`extract` as a mixer.

    Args:
        max_tokens: Tokens of a completion.
    """

    def __init__(self, max_tokens: int) -> None:
        self.name = EXTRACTIVE
        self._max_tokens = max_tokens
        self._figures = dict.fromkeys(FIGURES, 0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    async def mix(self, parts: Iterable[Part]) -> AsyncGenerator[Mixed]:
        """One outcome a part."""
        for part in parts:
            yield Mixed(part, self._result(part))

    def figures(self) -> dict[str, Any]:
        """Questions and the sentences that were not taken, by why."""
        return dict(self._figures)

    def _result(self, part: Part) -> Made | Refused:
        taken = extract(part.record()["records"], self._max_tokens)
        self._figures["questions"] += taken.num_questions
        self._figures["sentences_redundant"] += taken.num_redundant
        self._figures["sentences_fragments"] += taken.num_fragments
        self._figures["sentences_over_length"] += taken.num_over
        if not taken.completion:
            reasons = set(taken.left.values())
            return Refused(OVER_LENGTH if OVER_LENGTH in reasons else NO_COMPLETION)
        task_type = part.task_type if taken.num_questions == 1 else None
        return Made(taken.prompt, taken.completion, task_type, left=taken.left)
