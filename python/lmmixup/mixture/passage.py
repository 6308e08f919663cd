"""A passage: one paragraph of a text, with its topic and what of it can stand alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from lmmixup.mixture.prose import sentences
from lmmixup.mixture.vocabulary import BACKWARD, PEOPLE

_BRACKET = re.compile(r"\s*\([^()]*\)")
_LEAD = re.compile(
    r"^(?P<subject>\"?(?:The |An? )?[A-Z0-9][^,(]{0,70}?)\"?(?:\s*\((?P<bracket>[^()]*)\))?,? "
    r"(?P<is>is|was|are|were) (?P<what>(?:an?|the|one) .+)$",
    re.S,
)
_PRONOUN = re.compile(r"^(He|She|It|His|Her|Its)\b(?! (?:who|which)\b)")
_BACKWARD = re.compile(rf"^(?:{'|'.join(sorted(BACKWARD))})\b")
_EARLY_PRONOUN = re.compile(
    r"^(?:In|On|At|After|Before|During|By|From|Over|Until|Since|As|While|When|Following|Despite|"
    r"Although|Though|Through|Throughout|For|Upon|Because|If|With|Under|Around)"
    r"(?: [a-z0-9]+| [A-Z][a-z]+ \d+| [A-Z][a-z]+(?= \d{4}))*,? "
    r"(?:he|she|it|they|his|her|its|their)\b"
)
_WHOLE = re.compile(r"^[\"'(]?[A-Z0-9].*[a-z0-9)\"'%][.!?][\"')]*$", re.S)
_LIFE = re.compile(
    r"\bborn\b|[A-Z][a-z]+(?: \d+,)? \d{4} ?[\u2013-]+ ?.*[A-Z][a-z]+(?: \d+,)? \d{4}$"
)
_AFTER_HEAD = re.compile(
    r",|;| (?:of|by|from|in|for|with|who|that|which|at|on|based|directed|written|"
    r"produced|starring)\b"
)
_PERSON = re.compile(rf"\b(?:{'|'.join(sorted(PEOPLE))})\b", re.I)


@dataclass(frozen=True)
class Lead:
    """A first sentence that says what the topic is.

    Attributes:
        subject: The topic's name, as the sentence has it.
        bracket: What stands in brackets behind it; empty where nothing does.
        verb: `is`, `was`, `are` or `were`.
        what: The rest, from its article on.
    """

    subject: str
    bracket: str
    verb: str
    what: str


@dataclass(frozen=True)
class Passage:
    """One paragraph.

    Attributes:
        row: Its place among all passages, from 0.
        id: Id of the text it is from, with `#n` where that has several.
        text_id: Id of the text.
        source: Where the text is from.
        title: Title of the text; empty where it has none.
        text: The paragraph, mended, on one line.
    """

    row: int
    id: str
    text_id: str
    source: str
    title: str
    text: str

    @cached_property
    def sentences(self) -> tuple[str, ...]:
        """Its sentences."""
        return tuple(sentences(self.text))

    @cached_property
    def lead(self) -> Lead | None:
        """Its first sentence, where that says what the topic is."""
        found = _LEAD.match(self.sentences[0]) if self.sentences else None
        if found is None or _BACKWARD.match(found["subject"]):
            return None
        if self.title and not _shares_word(self.title, found["subject"]):
            return None
        subject = found["subject"].strip(' "')
        return Lead(subject, found["bracket"] or "", found["is"], found["what"].rstrip(" ."))

    @cached_property
    def topic(self) -> str:
        """What it is about: the title without brackets, or the subject of its lead, or nothing."""
        if self.title:
            return _BRACKET.sub("", self.title).strip() or self.title
        return self.lead.subject if self.lead is not None else ""

    @cached_property
    def is_person(self) -> bool:
        """Whether its lead is about a person."""
        if self.lead is None:
            return False
        if _LIFE.search(self.lead.bracket):
            return True
        head = _AFTER_HEAD.split(self.lead.what, maxsplit=1)[0]
        return _PERSON.search(" ".join(head.split(" ")[-4:])) is not None

    @cached_property
    def standing(self) -> tuple[str, ...]:
        """Its sentences as they read alone, empty where one does not.

        `He`, `She`, `It` and their possessives at the start become the topic as long as no
        sentence since the lead began with anything else.

        Source:
            Ours.
        """
        out = []
        about_topic = self.lead is not None
        for number, sentence in enumerate(self.sentences):
            pronoun = _PRONOUN.match(sentence)
            if number and about_topic and pronoun and self._may_mean_topic(pronoun[1]):
                name = self.topic if pronoun[1] in ("He", "She", "It") else _owner(self.topic)
                if pronoun[1] == "Her" and re.match(r"Her (?:in|to|and|as|with)\b", sentence):
                    name = ""
                sentence = name + sentence[pronoun.end() :] if name else ""  # noqa: PLW2901
            elif number:
                about_topic = about_topic and sentence.startswith(self.topic)
            leans = _BACKWARD.match(sentence) or _EARLY_PRONOUN.match(sentence)
            whole = _WHOLE.match(sentence) and not leans
            balanced = sentence.count('"') % 2 == 0 and sentence.count("(") == sentence.count(")")
            out.append(sentence if whole and balanced and len(sentence) >= 30 else "")
        return tuple(out)

    def _may_mean_topic(self, pronoun: str) -> bool:
        is_thing = pronoun in ("It", "Its")
        return is_thing != self.is_person

    def mentions_topic(self, sentence: str) -> bool:
        """Whether a sentence has a word of the topic, so that it needs no other context."""
        return _shares_word(self.topic, sentence)


def without_brackets(text: str) -> str:
    """The text without what stands in round brackets.

    Example:
        >>> without_brackets("Utah (a state) is dry.")
        'Utah is dry.'
    """
    return _BRACKET.sub("", text)


def _owner(name: str) -> str:
    return name + ("'" if name.endswith("s") else "'s")


def _shares_word(name: str, sentence: str) -> bool:
    words = {word for word in re.findall(r"\w+", name.lower()) if len(word) > 2 or not name[3:]}
    return not (words - _COMMON).isdisjoint(re.findall(r"\w+", sentence.lower()))


_COMMON = {"the", "and", "of", "in", "for", "film", "season", "list", "new"}
