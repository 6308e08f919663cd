"""Plain text as rules need it: mended, in sentences, with its numbers and names found."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from lmmixup.mixture.vocabulary import ABBREVIATIONS, MONTHS, NATIONS, NOT_NAMES

_MONTH = "|".join(MONTHS)
_END = re.compile(r"[.!?]+[\"')\u2019\u201d\]]*\s+(?=[\"'(\u2018\u201c]*[A-Z0-9])")
_LAST_WORD = re.compile(r"([\w.]+)$")

_MENDS = (
    (re.compile(r"``|\u201c|\u201d|(?<=\s)''|''(?=[\s.,;:)]|$)"), '"'),
    (re.compile(r"\s+"), " "),
    # What a reader of wikitext leaves of a pronunciation: ( , or ; '; ').
    (re.compile(r"\s*\((?:[\s,;:'\"\u2018\u2019/]|\bor\b|\blit\.)*\)"), ""),
    (re.compile(r"\((?:[\s,;:'\"]|\bor\b(?=\s*;))+(?=\w)"), "("),
    (re.compile(r"(?<=\w)\((?=\s*[\w\"'])"), " ("),
    (re.compile(r"\(\s+"), "("),
    (re.compile(r"\s+([),;:.!?])(?=[\s),;.\"]|$)"), r"\1"),
    (re.compile(r"(\d) ?\u2013 ?(?=\d)"), "\\1\u2013"),
    (re.compile(r"(\d+): (?=\d\d\b)"), r"\1:"),
    (re.compile(r"(?<=\w)- (?=[a-z]+\b)(?!(?:and|or|to)\b)"), "-"),
    (re.compile(r"(?<=\w)\" (?=[A-Z][^\"]*\")"), '" '),
)


def mend(text: str) -> str:
    r"""The text with the spaces, quotes and brackets that its extraction broke put right.

    Args:
        text: One paragraph.

    Returns:
        The paragraph on one line; words are untouched.

    Source:
        Ours.

    Example:
        >>> mend("Sunil Dutt( born 6 June 1929 ) was an ``actor'' ( , ; ) .")
        'Sunil Dutt (born 6 June 1929) was an "actor".'
    """
    for pattern, put in _MENDS:
        text = pattern.sub(put, text)
    return _quotes(text).strip()


def _quotes(text: str) -> str:
    """Double quotes with the space outside, by counting which opens and which closes."""
    if '"' not in text or text.count('"') % 2:
        return text
    parts = text.split('"')
    for at, part in enumerate(parts):
        if at % 2:
            parts[at] = part.strip()
            continue
        begins = " " if at and part and (part[0].isalnum() or part[0] == "(") else ""
        ends = " " if at < len(parts) - 1 and part and part[-1] not in " (\u2014-'" else ""
        parts[at] = begins + part + ends
    return '"'.join(parts)


def sentences(text: str) -> list[str]:
    """The sentences of a mended paragraph; abbreviations and initials end none.

    Example:
        >>> sentences("He met Dr. A. Smith in St. Louis. They spoke.")
        ['He met Dr. A. Smith in St. Louis.', 'They spoke.']
    """
    out: list[str] = []
    start = 0
    for end in _END.finditer(text):
        before = text[start : end.start()]
        last = _LAST_WORD.search(before)
        word = last[1] if last else ""
        if end[0].startswith(".") and (word.lower() in ABBREVIATIONS or _is_initial(word)):
            continue
        if before.count("(") > before.count(")"):
            continue
        out.append(text[start : end.end()].rstrip())
        start = end.end()
    if text[start:].strip():
        out.append(text[start:].strip())
    return out


def _is_initial(word: str) -> bool:
    return re.fullmatch(r"(?:[A-Z]\.)*[A-Z]", word) is not None


_JOINS = (
    r"of|the|de|du|von|van|der|la|al|"
    r"and(?= [A-Z]\w+ (?:University|College|Company|Railway))"
)
_CAPITALISED = r"[A-Z][\w'\u2019]*\w(?:-[A-Z]\w+)*"
_BEFORE_NUMBER = r"(?<![\w.,$\u00a3\u20ac\u2013/:-])"
_SPAN = re.compile(
    rf"(?P<date>\b\d{{1,2}} (?:{_MONTH}) \d{{4}}\b|\b(?:{_MONTH}) \d{{1,2}}, \d{{4}}\b)"
    r"|(?P<year>\b(?:1[0-9]|20)\d\d\b(?![,.\u2013%-]?\d|-\w))"
    rf"|(?P<number>{_BEFORE_NUMBER}\d{{1,3}}(?:,\d{{3}})+(?![\w\u2013/-])"
    rf"|{_BEFORE_NUMBER}\d+(?:\.\d+)?(?!(?:[\w\u2013/:-]|[.,]\d)))"
    rf"|(?P<name>\b{_CAPITALISED}"
    rf"(?:(?: (?:{_JOINS})){{0,2}}(?: [A-Z]\.)* {_CAPITALISED})*)"
)


@dataclass(frozen=True)
class Span:
    """A specific of a text: what can be asked for, swapped or made vague.

    Attributes:
        start: First character.
        end: Behind its last character.
        kind: `date`, `year`, `number`, `nation` or `name`.
        text: What stands there.
    """

    start: int
    end: int
    kind: str
    text: str


@lru_cache(maxsize=65536)
def spans(text: str) -> tuple[Span, ...]:
    """The dates, years, numbers, nationalities and names of a text, in order.

    A single capitalised word at the start of a sentence is no name: it may be any word.

    Example:
        >>> [(one.kind, one.text) for one in spans("The film by Mira Nair of 2016 won 3 prizes.")]
        [('name', 'Mira Nair'), ('year', '2016'), ('number', '3')]
    """
    found = []
    for match in _SPAN.finditer(text):
        kind, start, end = str(match.lastgroup), match.start(), match.end()
        if kind == "name":
            words = match[0].split(" ")
            while words and words[0] in NOT_NAMES:
                start += len(words.pop(0)) + 1
            while words and words[0] in ("of", "the", "de", "and"):
                start += len(words.pop(0)) + 1
            while words and words[-1] in NOT_NAMES:
                end -= len(words.pop()) + 1
            if words and words[-1].endswith(("'s", "\u2019s")):
                end -= 2
                words[-1] = words[-1][:-2]
            if not words or (len(words) == 1 and (_begins(text, start) or len(words[0]) < 3)):
                continue
            if len(words) == 1 and words[0] in NATIONS:
                kind = "nation"
        found.append(Span(start, end, kind, text[start:end]))
    return tuple(found)


def _begins(text: str, start: int) -> bool:
    before = text[:start].rstrip(" \"'(")
    return not before or before[-1] in ".!?:"


def words_of(text: str) -> list[str]:
    """The words of a text in lower case."""
    return re.findall(r"\w+", text.lower())
