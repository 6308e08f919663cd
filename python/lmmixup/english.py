"""What the check of made records knows of English: words without content, names, numbers.

The lists stand here alone: `ops.check_faithfulness` hands them to Rust, and the reference reads
them too.
"""

from __future__ import annotations


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


FUNCTION_WORDS = _words(
    """
    a about above across after again against ago all almost along already also although always
    am among an and another any anyone anything are aren around as at away back be became
    because become been before behind being below beside besides best better between beyond both
    but by came can cannot come could couldn d despite did didn do does doesn doing don done
    down during each either else enough especially etc even ever every everyone everything
    except far few finally first for from further furthermore get gets given gives go goes going
    gone got had hadn has hasn have haven having he hence her here hers herself him himself his
    how however i if in indeed inside instead into is isn it its itself just kept last later
    least less let like likely ll m made mainly make makes many may maybe me meanwhile might
    mightn mine more moreover most mostly much must mustn my myself namely near nearly needn
    neither never nevertheless next no nobody none nonetheless nor not nothing now nowhere o of
    off often oh ok on once one only onto or other others otherwise ought our ours ourselves out
    outside over overall own per perhaps please quite rather re really s same say says second
    see seem seems several shall she should shouldn similarly since so some someone something
    sometimes soon still such t than that the their theirs them themselves then there therefore
    these they thing things this those though through throughout thus till to together too
    toward towards under unless until up upon us use used using usually ve very via was wasn way
    we well went were weren what whatever when whenever where whereas wherever whether which
    while who whole whom whose why will with within without won would wouldn yes yet you your
    yours yourself
    """
)
"""English words that carry structure and no content of their own."""

OPENERS = _words(
    """
    according accordingly added adding additional answer answers approach argue article aside
    aspect assume average avoid based basic begin benefit big build case cause certain challenge
    change check choose clear close collectively combine common compare compared consequently
    consider context contrary create critics current data depending describe different difficult
    earlier early effective ensure essential evidence examine example examples explain explore
    exploring extra fact factors facts false famous feature find focus follow following formerly
    founded full general generally good great group have help high highlights historians history
    identify imagine important improve include included includes including increase information
    initially interesting introduce key know large late later leading learn left long look lower
    main major making man member members mention method modern multiple name named national
    native natural new notable note noted number numerous old older option options order
    original overview part past people place play popular position possible power practice
    present previous prior problem process product provide public purpose question rather reason
    reasons recent record records reduce regarding related remember report reports research
    researchers result results return review role sample scientists section select set short
    show similar simple single situation small social sources special specific start state
    statement step steps story strong studies study success such suggest summary support system
    table take task team term text thanks think thought time tip today topic total traditional
    true try type types typical understand unlike upper value various verify version views want
    ways white wide word words work world write years young
    """
)
"""Words that begin sentences and are no names, beside `FUNCTION_WORDS`."""

VERB_FORMS = _words(
    """
    arise bear beat begun bend bent bind bite blow blown bought bound break bred breed bring
    broken brought build built burn burnt buy cast catch caught chosen cost cut dealt dig draw
    drawn drink drive driven eat eaten fall fallen fed feed feel felt fight fly forget forgive
    forgotten freeze frozen give given grow grown hang hear heard held hidden hide hit hold hung
    hurt keep kept lay lead leave led lend lent let lie lose lost made make mean meant meet met
    paid pay put quit read ridden ride ring rise risen run said sang seek seen sell send sent
    set shake shaken shine shown shut sing sit sleep sold sought speak spend spent split spoken
    spread stand steal stick stood stuck sung swear sweep swim swing taken taught teach tear
    tell think thought throw thrown told torn understood wear win withdrawn woken won worn
    written
    """
)
"""Forms of irregular verbs that may begin a sentence: *Taken together*, *Put simply*."""

BARE_NOUNS = _words(
    """
    advice age air art blood business children church climate coffee culture custom data death
    education energy evidence experience faith fire food freedom gold government health heat
    home ice knowledge labor labour language law legend life light literature love luck magic
    material men money music nature news nobody oil oxygen paper peace poetry poverty power
    pressure prose religion rice rumor rumour salt school science sleep snow society soil space
    speech sport steel sugar time trade traffic travel truth war water weather wheat women wood
    youth
    """
)
"""Nouns that begin a sentence without an article: *Legend has it*."""

COMMON_ENDINGS = (
    "ly", "ing", "tion", "tions", "sion", "ment", "ments", "ness", "ity", "ities", "ists", "ers",
    "ors", "able",
    "ible", "ful", "less", "ous", "ive", "ance", "ence", "ical",
)  # fmt: skip
"""Endings of words that begin a sentence and are no names."""

BEFORE_VERBS = _words("also and first later never not often once or then who")
"""Words between a name and the verb that it is the subject of."""

SUBJECT_VERBS = _words(
    """
    is was are were has had have will would can could may might must did does do became began
    built came fell felt found gave got grew held kept knew led left lost made met ran said saw
    sent sold spent spoke stood taught thought told took went won wrote becomes comes contains
    explains follows gives goes grows helps holds includes leads lies lives makes means notes
    plays remains runs says shows stands stars takes uses works writes
    """
)
"""Verbs whose subject may be a name at the start of a sentence, beside those in *-ed*."""

_ONES = "zero one two three four five six seven eight nine ten eleven twelve"
_TEENS = "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_SMALL = [*_ONES.split(), *_TEENS.split()]
_BELOW_THIRTEEN = "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh"
_SMALL_ORDINALS = [*_BELOW_THIRTEEN.split(), "twelfth", *(f"{word}th" for word in _TEENS.split())]
_ROUND = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = _ROUND.split()

UNITS = (
    {word: value for value, word in enumerate(_SMALL)}
    | {word: value for value, word in enumerate(_SMALL_ORDINALS)}
    | {word: 20 + 10 * place for place, word in enumerate(_TENS)}
    | {word[:-1] + "ieth": 20 + 10 * place for place, word in enumerate(_TENS)}
    | {word[:-1] + "ies": 20 + 10 * place for place, word in enumerate(_TENS)}
)
"""Number words below a hundred: cardinals, ordinals, decades."""

_POWERS = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
SCALES = {
    **{word: 10**power for word, power in _POWERS.items()},
    **{f"{word}th": 10**power for word, power in _POWERS.items()},
    "dozen": 12,
}
"""Number words that multiply what is before them."""

NUMBER_WORDS = frozenset(UNITS) | frozenset(SCALES)
"""Words that are numbers or part of one."""

WEAK_WORDS = frozenset({"one", "first", "second", "zeroth"})
"""Number words that mostly are something else: a pronoun, an order of sentences, a time."""
