"""What the check of made records knows of English: words that carry no content or are no names."""

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
