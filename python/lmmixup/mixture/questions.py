"""Questions that rules can ask of a sentence without changing a verb's form."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmmixup.mixture.passage import without_brackets
from lmmixup.mixture.vocabulary import MONTHS, PARTICIPLES, PAST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmmixup.mixture.choices import Choices
    from lmmixup.mixture.passage import Passage

_MONTH = "|".join(MONTHS)
_DATE = (
    rf"(?:\d{{1,2}} (?:{_MONTH}) \d{{4}}|(?:{_MONTH}) \d{{1,2}}, \d{{4}}|(?:{_MONTH}) \d{{4}}"
    r"|(?:1[0-9]|20)\d\d)"
)
_BORN = re.compile(rf"\bborn (?:[A-Z][^;,()\d]+[;,] ?)?(?:on |in )?(?P<date>{_DATE})")
_DIED = re.compile(rf"(?:\u2013 ?|\bdied |\bd\. )(?P<date>{_DATE})\s*$")
_DONE = rf"(?:[a-z]+ly |first |also |again )?(?:[a-z]{{2,}}ed|{'|'.join(sorted(PARTICIPLES))})"
_WHEN = re.compile(
    rf"^(?P<subject>[^,;:]{{2,70}}?) (?P<be>was|were) (?P<what>{_DONE}\b(?! [A-Z])[^,;:]{{0,80}}?) "
    rf"(?P<in>in|on) (?P<date>{_DATE})(?=[,.; ])"
)
_BY = re.compile(
    r"^(?P<subject>[^,;:]{2,70}?) (?P<be>was|were|is|are) (?P<what>"
    + _DONE
    + r"(?: [a-z]+){0,3}) by "
    r"(?P<who>[A-Z][\w.'-]+(?:(?: (?:de|van|von|of|the|and))* [A-Z][\w.'-]*)*)"
)
_IS = r"^(?P<subject>[^,;:]{2,70}?) (?P<be>was|were|is|are) "
_WHERE = re.compile(
    _IS + r"(?P<what>born|located|situated|headquartered|buried|held|raised|educated|filmed|shot) "
    r"(?P<in>in|at|on|near) (?P<place>(?:the )?[A-Z][\w' -]+(?:, [A-Z][\w' -]+){0,2})"
)
_WHY = re.compile(_IS + r"(?P<what>[a-z][^;:]{2,90}?),? because (?P<why>(?!of\b).{12,})$")
_DID = re.compile(
    r"^(?P<who>(?:[A-Z][\w.'-]+ )+)"
    rf"(?P<rest>(?:[a-z]+ly )?(?:[a-z]{{3,}}ed|{'|'.join(sorted(PAST))}) .+)$"
)
_IN_YEAR = re.compile(rf"^(?P<in>In|On) (?P<date>{_DATE}),? (?P<what>[A-Z].+)$")
_SUBJECT = re.compile(r"^(?:\"|The |An? )?[A-Z0-9]")
MOST_WORDS = 30
"""Words of a question."""


@dataclass(frozen=True)
class Question:
    """A question, its short answer, and the sentence that both come from.

    Attributes:
        text: The question.
        short: The answer in short, as a sentence.
        key: The specific that is asked for.
        number: Which sentence of the passage.
        repeats: Whether the short answer is that sentence itself.
    """

    text: str
    short: str
    key: str
    number: int
    repeats: bool = False


def questions(passage: Passage, choices: Choices) -> list[Question]:
    """The questions that a passage answers.

    Args:
        passage: The passage.
        choices: Tells names of people from others.

    Returns:
        None, one or several, in the order of the sentences.

    Source:
        Ours. Subject questions and those with a form of `be` need no other form of a verb.
    """
    found = [*_of_lead(passage)]
    for number, sentence in enumerate(passage.standing):
        if sentence:
            found += _of_sentence(passage, number, without_brackets(sentence), choices)
    return [one for one in found if len(one.text.split()) <= MOST_WORDS]


def _of_lead(passage: Passage) -> Iterator[Question]:
    lead = passage.lead
    if lead is None or not passage.standing[0]:
        return
    if passage.is_person:
        if born := _BORN.search(lead.bracket):
            short = f"{_at(born['date'])}."
            yield Question(f"When was {lead.subject} born?", short, born["date"], 0)
        if died := _DIED.search(lead.bracket):
            yield Question(
                f"When did {lead.subject} die?", f"{_at(died['date'])}.", died["date"], 0
            )
    if len(lead.what.split()) >= 3 and not lead.what.startswith("the"):
        who = "Who" if passage.is_person else "What"
        text = f"{who} {lead.verb} {_inside(lead.subject, passage)}?"
        yield Question(text, passage.standing[0], lead.what, 0, repeats=True)


def _of_sentence(
    passage: Passage, number: int, sentence: str, choices: Choices
) -> Iterator[Question]:
    def asked(question: str, short: str, key: str) -> Question:
        return Question(_in_context(question, passage), short, key, number)

    found = _WHEN.match(sentence)
    if found and _is_subject(found["subject"]) and not re.search(r"\b(?:in|on)$", found["what"]):
        text = f"When {found['be']} {_inside(found['subject'], passage)} {found['what']}?"
        yield asked(text, f"{found['in'].capitalize()} {found['date']}.", found["date"])
    found = _BY.match(sentence)
    if found and _is_subject(found["subject"]):
        text = f"By whom {found['be']} {_inside(found['subject'], passage)} {found['what']}?"
        yield asked(text, f"By {found['who'].rstrip('.')}.", found["who"])
    found = _WHERE.match(sentence)
    if found and _is_subject(found["subject"]):
        text = f"Where {found['be']} {_inside(found['subject'], passage)} {found['what']}?"
        yield asked(text, f"{found['in'].capitalize()} {found['place'].strip()}.", found["place"])
    found = _WHY.match(sentence)
    if found and _is_subject(found["subject"]):
        text = f"Why {found['be']} {_inside(found['subject'], passage)} {found['what']}?"
        yield asked(text, f"Because {found['why'].rstrip('.')}.", found["why"].rstrip("."))
    found = _DID.match(sentence)
    if found and choices.is_person(found["who"].strip()):
        rest = found["rest"].rstrip(".")
        if not re.search(r"\b(?:his|her|he|she|their)\b", rest.split(",")[0]):
            yield asked(
                f"Who {rest.split(', ')[0]}?", f"{found['who'].strip()}.", found["who"].strip()
            )
    found = _IN_YEAR.match(sentence)
    if found and passage.topic and len(found["what"]) >= 40:
        when = f"{found['in'].lower()} {found['date']}"
        text = f"What happened {when} in connection with {passage.topic}?"
        yield Question(text, sentence, found["date"], number, repeats=True)


def _in_context(question: str, passage: Passage) -> str:
    if not passage.topic or passage.mentions_topic(question):
        return question
    return f"In connection with {passage.topic}: {question[0].lower()}{question[1:]}"


def _inside(subject: str, passage: Passage) -> str:
    """A subject as it stands within a sentence: `The school` becomes `the school`."""
    first, _, rest = subject.partition(" ")
    second = rest.partition(" ")[0].removesuffix("'s")
    is_title = passage.title.startswith(f"{first} {second}") or first.strip('"') != first
    lower = first in ("The", "A", "An", "Many", "Several", "Some", "All", "Most", "Two", "Three")
    return f"{first.lower()} {rest}" if rest and lower and not is_title else subject


def _is_subject(text: str) -> bool:
    return _SUBJECT.match(text) is not None and not re.match(
        r"(?:In|On|At|By|When|While|As|If|Although|After|Before|From|For|With|During|What|How)\b",
        text,
    )


def _at(date: str) -> str:
    return ("In " if re.fullmatch(r"[A-Z]?[a-z]* ?\d{4}", date) else "On ") + date
