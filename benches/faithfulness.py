"""Plants numbers, names and negations in faithful outputs and counts what is found.

`python benches/faithfulness.py PARAGRAPHS.parquet` makes the table of
docs/decisions/0019-faithfulness.md. Sources are 2 to 5 Wikipedia paragraphs. A faithful output
takes some of their sentences and reorders, shortens and inflects them and writes their numbers
otherwise; into a copy of it one number, name or negation is planted. The rules here share no code
with what is measured: numbers are spelled by the package `inflect`.
"""

from __future__ import annotations

import itertools
import random
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import inflect
import pyarrow.parquet as pq

from lmmixup.distill.faithfulness import check
from lmmixup.ops.faithfulness import KINDS
from measure import save

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SEED = 16
NUM_CLUSTERS = 1500
"""Clusters of each half."""

ENGINE = inflect.engine()
SMALL = {ENGINE.number_to_words(n): n for n in range(2, 100)}
ORDINALS = {ENGINE.ordinal(ENGINE.number_to_words(n)): n for n in range(3, 32)}
CONNECTIVES = (
    (
        "However, ", "In addition, ", "Additionally, ", "Furthermore, ", "Overall, ", "Moreover, ",
        "In summary, ", "To begin with, ", "Notably, ", "It is worth noting that ", "In short, ",
        "As a result, ", "Interestingly, ", "Records show that ", "The sources agree that ",
        "Today we know that ", "Also, ", "Meanwhile, ", "For example, ", "Historians note that ",
        "Consequently, ", "That said, ", "On top of this, ", "Remarkably, ", "By contrast, ",
        "Taken together, ", "Put simply, ", "Similarly, ", "In particular, ", "Beyond that, ",
        "Scholars agree that ", "Documents confirm that ", "Curiously, ", "First of all, ",
        "As noted, ", "Ultimately, ", "In fact, ", "It follows that ", "Experts write that ",
        "Remember that ",
        "Hence, ", "Notwithstanding this, ", "Strikingly, ", "Across the sources, ",
        "Known facts are that ", "Sources confirm that ", "Bear in mind that ", "Conversely, ",
        "Accordingly, ", "Alongside this, ", "Observers say that ", "Critics add that ",
        "Readers may note that ", "Broadly speaking, ", "Given this, ", "Seen together, ",
        "Nowadays, ", "Elsewhere, ", "Last but not least, ", "Better known is that ",
        "Subsequently, ", "Equally, ", "Among other things, ", "Amid all this, ",
        "Owing to this, ", "Unsurprisingly, ", "Whichever way one looks at it, ", "Granted, ",
        "Surely ", "Evidently, ", "Somewhat later, ", "Likewise, ", "Sadly, ",
        "Let us note that ", "Analysts claim that ", "Legend has it that ",
        "Part of the story is that ", "Worth knowing: ", "Witness the following: ",
        "Plainly put, ",
    ),
    (
        "Later on, ", "Prior to this, ", "At the same time, ", "Nonetheless, ", "In contrast, ",
        "Indeed, ", "Thus ", "In the end, ", "Specifically, ", "For instance, ", "Above all, ",
        "In other words, ", "To sum up, ", "Over time, ", "Importantly, ",
        "Evidence suggests that ", "Many believe that ", "It is said that ",
        "Both texts mention that ", "Biographers record that ",
    ),
)  # fmt: skip
"""What a sentence may begin with, by half: the rules have not seen those of the second."""

PROMPTS = (
    "What do the sources say?\n", "Give a short summary.\n", "Summarise the following.\n", "",
    "Which facts are known here?\n", "Write down the key points.\n", "Explain this topic.\n",
)  # fmt: skip
DEMONYMS = {
    "Japan": "Japanese", "Italy": "Italian", "Germany": "German", "America": "American",
    "Russia": "Russian", "Canada": "Canadian", "China": "Chinese", "India": "Indian",
    "Britain": "British", "Australia": "Australian", "Europe": "European", "Africa": "African",
    "Egypt": "Egyptian", "Norway": "Norwegian", "Brazil": "Brazilian", "Mexico": "Mexican",
    "Iran": "Iranian", "Israel": "Israeli", "Austria": "Austrian", "California": "Californian",
}  # fmt: skip


def _any_of(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


CONTRACTED = {"cannot": "can't", "will not": "won't", "can not": "can't"} | {
    f"{verb} not": f"{verb}n't" for verb in ("did", "does", "do", "is", "was", "are", "were", "has",
                                             "had", "have", "would", "could", "should")
}  # fmt: skip
AFFIXED = {
    "known": "unknown", "able": "unable", "usual": "unusual", "successful": "unsuccessful",
    "important": "unimportant", "common": "uncommon", "popular": "unpopular", "likely": "unlikely",
    "official": "unofficial", "complete": "incomplete", "possible": "impossible",
    "dependent": "independent", "legal": "illegal", "active": "inactive", "regular": "irregular",
}  # fmt: skip
NEGATED = re.compile(r"n't|\b(?:not|no|never|neither|nor|without|un\w+)\b")
"""Where one stands in a clause already, none is planted: two might say the same as one."""

AUXILIARY = re.compile(
    r"\b(is|was|are|were|has|had|have|can|will|would|could|should|may|did|does|must)\b"
    r"(?! not|n't)(?= [a-z])"
)
_CLOSED = """
about above across after again against almost alone along already although always among
    another around because become before behind below between beyond could despite during either
    every first however might never other others outside perhaps quite rather second several should
    since still their there therefore these thing those though through throughout today together
    toward towards under until usual usually where whether which while whose within without would
    hundred thousand million billion dozen
"""
CLOSED = frozenset(_CLOSED.split())
"""Words without other forms."""

NAME = re.compile(r"[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})*")
WRITTEN = re.compile(
    r"(?P<scaled>(?<![\w.,])(?P<factor>\d[\d,]*(?:\.\d+)?) (?P<scale>thousand|million|billion)\b)"
    r"|(?P<digits>(?<![\w.,:/\u2013$-])\d(?:[\d,]*\d)?(?![\w.:/\u2013%-]|,\d))"
    rf"|(?P<word>(?<!hundred )(?<!thousand )(?<! and )\b(?:{_any_of(SMALL)})\b"
    r"(?!-| hundred| thousand| million| and))"
    rf"|(?P<ordinal>\b(?:(?P<nth>\d{{1,2}})(?:st|nd|rd|th)|{_any_of(ORDINALS)})\b)"
)
"""Numbers that are written otherwise."""

MARKER = re.compile(r"(?m:^)\d+\. ")
NUMBER = re.compile(rf"(?<![\w.,])\d[\d,]*(?:\.\d+)?(?![\w,]*\w)|\b(?:{_any_of(SMALL)})\b")


@dataclass
class Cluster:
    """Sources, a faithful output of them, and copies of it with one plant each."""

    sources: list[str]
    faithful: str = ""
    planted: dict[str, str] = field(default_factory=dict)


def clusters(paragraphs: Path, num_clusters: int = NUM_CLUSTERS) -> tuple[list[Cluster], ...]:
    """Two halves of clusters that share no article.

    Args:
        paragraphs: Parquet with `title` and `text`.
        num_clusters: Of each half.
    """
    rng = random.Random(SEED)
    table = pq.read_table(paragraphs, columns=["title", "text"]).to_pylist()
    by_title: dict[str, list[str]] = {}
    for row, one in enumerate(table):
        if len(one["text"].split()) >= 25:
            by_title.setdefault(one["title"] or f"untitled {row}", []).append(one["text"])
    titles = sorted(by_title)
    rng.shuffle(titles)
    names = _names(text for title in titles for text in by_title[title])
    middle = len(titles) // 2
    return tuple(
        [
            _made(sources, names, openers, rng)
            for sources in _sources(half, by_title, num_clusters, rng)
        ]
        for half, openers in zip((titles[:middle], titles[middle:]), CONNECTIVES, strict=True)
    )


def _sources(
    titles: Sequence[str], by_title: dict[str, list[str]], num_clusters: int, rng: random.Random
) -> Iterator[list[str]]:
    texts = [text for title in titles for text in by_title[title]]
    for _ in range(num_clusters):
        size = rng.randint(2, 5)
        if len(texts) < size:
            raise ValueError("too few paragraphs")
        yield [texts.pop() for _ in range(size)]


def _names(texts: Iterator[str]) -> list[str]:
    found = {match for text in texts for match in re.findall(rf"(?<=[a-z,] ){NAME.pattern}", text)}
    return sorted(found)


def _made(
    sources: list[str], names: list[str], openers: Sequence[str], rng: random.Random
) -> Cluster:
    prompt, text = rng.choice(PROMPTS), faithful(sources, openers, rng)
    planted = {
        "number": plant_number(text, sources, rng),
        "name": plant_name(text, sources, names, rng),
        "negation": plant_negation(text, rng),
    }
    planted = {kind: prompt + text for kind, text in planted.items() if text}
    return Cluster(sources, prompt + text, planted)


def split(text: str) -> list[str]:
    """Sentences, roughly: initials and short words before a dot do not end one."""
    return [part.strip() for part in re.split(r"(?<=[a-z0-9\")]{2}[.!?]) +(?=[A-Z\"])", text)]


def faithful(sources: Sequence[str], openers: Sequence[str], rng: random.Random) -> str:
    """Some sentences of the sources, in another order and in other words of the same meaning."""
    chosen: list[str] = []
    for source in sources:
        parts = split(source)
        chosen += rng.sample(parts, min(len(parts), rng.randint(1, 3)))
    rng.shuffle(chosen)
    lines = [rewrite(sentence, openers, rng) for sentence in chosen]
    form = rng.choice(("text", "text", "numbered", "bullets"))
    if form == "numbered":
        return "\n".join(f"{place}. {line}" for place, line in enumerate(lines, 1))
    return "\n".join(f"- {line}" for line in lines) if form == "bullets" else " ".join(lines)


def rewrite(sentence: str, openers: Sequence[str], rng: random.Random) -> str:
    """One sentence, shortened and inflected, its numbers and negations written otherwise."""
    for change in (shorten, write_numbers, contract, inflect_names, inflect_words):
        if rng.random() < 0.7:
            sentence = change(sentence, rng)
    if rng.random() < 0.25:
        first, _, rest = sentence.partition(" ")
        lower = first in ("The", "A", "An", "In", "It", "He", "She", "They", "This", "His", "Her")
        sentence = rng.choice(openers) + (first.lower() if lower else first) + " " + rest
    return sentence[:1].upper() + sentence[1:]


def shorten(sentence: str, rng: random.Random) -> str:
    """Leaves out what stands in brackets, or a clause; or moves the first one to the end."""
    sentence = re.sub(r" ?\([^()]*\)", "", sentence) if rng.random() < 0.5 else sentence
    clauses = sentence.split(", ")
    if len(clauses) > 2 and rng.random() < 0.5:
        del clauses[rng.randrange(1, len(clauses) - 1)]
    if len(clauses) > 1 and 0 < len(clauses[0].split()) <= 5 and rng.random() < 0.6:
        first, rest = clauses[0], ", ".join(clauses[1:])
        if rng.random() < 0.5:
            return rest
        ending = rest[-1] if rest[-1:] in ".!?" else ""
        lower = first.split()[0] in ("In", "On", "At", "After", "Before", "During", "By", "From")
        first = first[0].lower() + first[1:] if lower else first
        return f"{rest.removesuffix(ending)}, {first}{ending}"
    return ", ".join(clauses)


def write_numbers(sentence: str, rng: random.Random) -> str:
    """1,000 as 1000 or one thousand, three as 3, 3rd as third, 1.1 million as 1,100,000."""

    def of_digits(match: re.Match[str]) -> str:
        text = match.group().replace(",", "")
        value = int(text)
        is_year = 1000 < value < 2100 and "," not in match.group()
        if is_year or value > 10**9 or text.startswith("0"):
            return match.group()
        words = ENGINE.number_to_words(value).replace(",", "")
        plain_words = ENGINE.number_to_words(value, andword="").replace(",", "")
        return rng.choice((f"{value:,}", str(value), words, plain_words))

    def of_scale(match: re.Match[str]) -> str:
        factor = {"million": 10**6, "billion": 10**9, "thousand": 10**3}[match["scale"]]
        value = round(float(match["factor"].replace(",", "")) * factor)
        return rng.choice((match.group(), f"{value:,}", str(value)))

    def of_word(match: re.Match[str]) -> str:
        return rng.choice((match.group(), str(SMALL[match.group()])))

    def of_ordinal(match: re.Match[str]) -> str:
        if match["nth"]:
            return rng.choice((match.group(), ENGINE.ordinal(ENGINE.number_to_words(match["nth"]))))
        return rng.choice((match.group(), ENGINE.ordinal(ORDINALS[match.group()])))

    ways = {"scaled": of_scale, "digits": of_digits, "word": of_word, "ordinal": of_ordinal}
    sentence = WRITTEN.sub(lambda match: ways[match.lastgroup or ""](match), sentence)
    return re.sub(
        r"(\d) ?%", lambda match: match[1] + rng.choice(("%", " percent", " %")), sentence
    )


def contract(sentence: str, rng: random.Random) -> str:
    """`did not` as `didn't` and the other way round."""
    for long, short in CONTRACTED.items():
        if rng.random() < 0.5:
            sentence = re.sub(rf"\b{long}\b", short, sentence)
        elif short in sentence:
            sentence = sentence.replace(short, long)
    return sentence


def inflect_names(sentence: str, rng: random.Random) -> str:
    """A possessive; a family name alone; initials of a long name; Japan as Japanese."""
    for place, people in DEMONYMS.items():
        if rng.random() < 0.5:
            one, other = (place, people) if rng.random() < 0.5 else (people, place)
            sentence = re.sub(rf"\b{one}\b", other, sentence)

    def change(match: re.Match[str]) -> str:
        words = match.group().split()
        if rng.random() < 0.2:
            return match.group() + "'s"
        if len(words) == 2 and rng.random() < 0.2:
            return words[1]
        if len(words) >= 3 and rng.random() < 0.2:
            return "".join(word[0] for word in words)
        return match.group()

    return re.sub(rf"(?<=[a-z,] ){NAME.pattern}(?!['\u2019\w])", change, sentence)


def inflect_words(sentence: str, rng: random.Random) -> str:
    """Plurals and participles of words that are no names."""

    def change(match: re.Match[str]) -> str:
        word = match.group()
        if rng.random() < 0.7 or word in SMALL or word in ORDINALS or word in CLOSED:
            return word
        if word.endswith("ed"):
            return str(ENGINE.present_participle(word[:-2]))
        return str(ENGINE.singular_noun(word) or ENGINE.plural_noun(word))

    return re.sub(r"\b[a-z]{5,}\b(?!')", change, sentence)


def plant_number(text: str, sources: Sequence[str], rng: random.Random) -> str:
    """Puts another number into the place of one, or adds one; written in any way."""
    there = {part.lower() for source in (*sources, text) for part in re.findall(r"\w+", source)}
    there |= {digits.replace(",", "") for source in sources for digits in
              re.findall(r"\d[\d,]*", source)}  # fmt: skip
    places = [one for one in NUMBER.finditer(text) if not MARKER.match(text, one.start())]
    old = rng.choice(places) if places and rng.random() < 0.8 else None
    for attempt in itertools.count():
        value = _other_number(old.group() if old and attempt < 50 else "", rng)
        words = ENGINE.number_to_words(value).replace(",", "")
        if str(value) in there or words in there or ENGINE.ordinal(words) in there:
            continue
        shown = (
            words
            if value < 10**6 and rng.random() < 0.3
            else rng.choice((f"{value:,}", str(value)))
        )
        shown = str(value) if 1000 < value < 2100 else shown
        if old:
            return text[: old.start()] + shown + text[old.end() :]
        ends = [match.start() for match in re.finditer(r"(?<=[a-z])[.,](?= |\Z)", text)] or [
            len(text)
        ]
        at = rng.choice(ends)
        how = rng.choice((" in {}", " with {} others", ", about {}", " {} times"))
        return text[:at] + how.format(shown) + text[at:]
    raise AssertionError


def _other_number(old: str, rng: random.Random) -> int:
    digits = re.sub(r"\D", "", old.partition(".")[0])
    value = SMALL.get(old, int(digits) if digits else rng.randint(1500, 2020))
    if 1000 < value < 2100:
        return value + rng.choice((-1, 1)) * rng.randint(1, 60)
    return max(2, round(value * rng.choice((0.5, 1.5, 2, 3, 10))) + rng.randint(-3, 9))


_NO_NAMES = "The This These That His Her She They And But For From With After When"
NO_NAMES = frozenset(_NO_NAMES.split())


def plant_name(text: str, sources: Sequence[str], names: Sequence[str], rng: random.Random) -> str:
    """Puts the name of another article into the place of one, or adds it."""
    there = {part.lower() for source in sources for part in re.findall(r"\w+", source)}
    while True:
        name = rng.choice(names)
        if all(part.lower() not in there for part in name.split()):
            break
    taken = [
        match
        for match in NAME.finditer(text)
        if match.group().split()[0].lower() in there and match.group() not in NO_NAMES
    ]
    if taken and rng.random() < 0.8:
        old = rng.choice(taken)
        return text[: old.start()] + name + text[old.end() :]
    ends = [match.start() for match in re.finditer(r"(?<=[a-z])[.,](?= |\Z)", text)] or [len(text)]
    at = rng.choice(ends)
    how = rng.choice((" by {}", " in {}", ", said {}", " near {}", " and {}"))
    return text[:at] + how.format(name) + text[at:]


def plant_negation(text: str, rng: random.Random) -> str:
    """Negates a verb, a noun or a word; empty where no rule fits."""
    ways: list[str] = []
    for match in AUXILIARY.finditer(text):
        verb = match.group()
        more = [" not", " never"] + (["n't"] if verb not in ("can", "will", "may", "must") else [])
        ways.append(text[: match.end()] + rng.choice(more) + text[match.end() :])
    verbs = re.finditer(r"(?<=[a-z] )([a-z]{3,})ed (?=[a-z]+ )", text)
    ways += [text[: match.start()] + "never " + text[match.start() :] for match in verbs]
    for old, new in (
        (r"\bwith (?:a |the )?", "without "),
        (r"(?<=had )an? ", "no "),
        (r"(?<=have )an? ", "no "),
    ):
        ways += [text[: m.start()] + new + text[m.end() :] for m in re.finditer(old, text)]
    for old, new in AFFIXED.items():
        ways += [text[: m.start()] + new + text[m.end() :]
                 for m in re.finditer(rf"\b{old}\b", text)]  # fmt: skip
    ways = [way for way in ways if not _is_negated(text, way)]
    return rng.choice(ways) if ways else ""


def _is_negated(text: str, planted: str) -> bool:
    """Whether the clause of a plant has a negation of its own."""
    at = next((place for place, pair in enumerate(zip(text, planted, strict=False)) if
               pair[0] != pair[1]), len(text))  # fmt: skip
    start = max(text.rfind(mark, 0, at) for mark in ".,;:\n") + 1
    stop = min(
        (place for mark in ".,;:\n" if (place := text.find(mark, at)) >= 0), default=len(text)
    )
    return NEGATED.search(text[start:stop]) is not None


@dataclass
class Counts:
    """Plants and flags of one half."""

    num_planted: Counter[str] = field(default_factory=Counter)
    num_caught: Counter[str] = field(default_factory=Counter)
    num_faithful: int = 0
    num_flagged: int = 0
    flagged_by: Counter[str] = field(default_factory=Counter)
    missed: list[tuple[str, str]] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def caught_share(self) -> float:
        """Share of all plants that were found."""
        return self.num_caught.total() / self.num_planted.total()

    @property
    def flagged_share(self) -> float:
        """Share of faithful outputs that were flagged."""
        return self.num_flagged / self.num_faithful


def measure(half: Sequence[Cluster]) -> Counts:
    """What is found in one half.

    A plant counts as caught where its output has one more finding of its kind than the faithful
    output has: a flag for another reason does not count.
    """
    counts = Counts()
    for cluster in half:
        before = Counter(check(cluster.faithful, cluster.sources).unfounded)
        counts.num_faithful += 1
        counts.num_flagged += bool(before)
        counts.flagged_by.update({one.kind for one in before})
        counts.wrong += [f"{one.kind}: {one.text}" for one in before]
        for kind, text in cluster.planted.items():
            if not text:
                continue
            counts.num_planted[kind] += 1
            more = Counter(check(text, cluster.sources).unfounded) - before
            if any(one.kind == kind for one in more):
                counts.num_caught[kind] += 1
            else:
                counts.missed.append((kind, _difference(cluster.faithful, text)))
    return counts


def _difference(one: str, other: str) -> str:
    start = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    return f"{one[max(start - 30, 0) : start + 40]!r} -> {other[max(start - 30, 0) : start + 40]!r}"


def row(name: str, counts: Counts) -> dict[str, Any]:
    """What was found in one half, as a row of the results."""
    by_kind = {
        f"caught_{kind}": round(counts.num_caught[kind] / counts.num_planted[kind], 4)
        for kind in KINDS
    }
    return {
        "name": name,
        "faithful": counts.num_faithful,
        "flagged": round(counts.flagged_share, 4),
        "planted": counts.num_planted.total(),
        "caught": round(counts.caught_share, 4),
        **by_kind,
    }


def main() -> None:
    """Measure both halves, write the results."""
    rows = []
    for name, half in zip(("thresholds", "reported"), clusters(Path(sys.argv[1])), strict=True):
        counts = measure(half)
        rows.append(row(name, counts))
        if "--show" in sys.argv and name == "thresholds":
            rng = random.Random(1)
            print(*rng.sample(counts.missed, min(60, len(counts.missed))), sep="\n")
            print(*rng.sample(counts.wrong, min(60, len(counts.wrong))), sep="\n")
            for cluster in half[:4]:
                print("---", cluster.faithful, *cluster.planted.values(), sep="\n")
    save("faithfulness", "Planted and found, faithful outputs flagged", Path(sys.argv[1]), rows)


if __name__ == "__main__":
    main()
