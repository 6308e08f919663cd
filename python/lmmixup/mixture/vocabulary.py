"""Words that the rules for English know."""

from __future__ import annotations


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip

ABBREVIATIONS = _set("""
    mr mrs ms dr st jr sr prof gen col lt sgt capt rev hon gov sen rep no vol ed eds vs etc inc
    ltd co corp bros mt ft lit ca c cf al op pp fig approx dept univ e.g i.e u.s u.k b.c a.d p.m
    a.m ph.d d.c maj adm fr bl jan feb mar apr jun jul aug sep sept oct nov dec
""")
"""Lower-case words before whose full stop no sentence ends."""

NATIONS = _set("""
    American British English French German Italian Spanish Indian Chinese Japanese Korean
    Russian Canadian Australian Irish Scottish Welsh Dutch Belgian Swedish Norwegian Danish
    Finnish Polish Austrian Swiss Greek Turkish Iranian Pakistani Bangladeshi Egyptian Israeli
    Brazilian Mexican Argentine Chilean Cuban Portuguese Romanian Hungarian Czech Bulgarian
    Serbian Croatian Ukrainian Filipino Indonesian Malaysian Thai Vietnamese Nigerian Kenyan
    Jamaican Icelandic Estonian Latvian Lithuanian
""")
"""Nationalities; any of them may stand for another."""

NOT_NAMES = _set("""
    The A An In On At By For From With And But Or As It Its He She They His Her Their This That
    These Those There When While After Before During Since Although Though However Also Both
    Some Many Most One Two Three All Each Other Such If To Of Born Based Despite Because Until
    Upon Under Over Into Following According Early Later Then Now I We You Who Which What Where
    Here Not No Only Her Him Them Mr Mrs Dr Sir
""") | frozenset(MONTHS)
"""Capitalised words that begin sentences and no names."""

HEADS = _set("""
    University College School Institute Academy River Lake Mountain Mountains Island Islands
    County City Province District Street Road Park Company Corporation Party War Battle Church
    Cathedral Castle Museum Theatre Award Awards Prize League Cup Championship Station Airport
    Railway Bridge Army Navy Act Treaty Empire Kingdom Republic Council Court Club Records Band
    Orchestra Society Association Festival Hospital Station
""")
"""Last words of names that say what the name is of."""

BEFORE_PLACES = _set("""
    in at near from around throughout
""")
"""Words before the name of a place."""

BEFORE_PEOPLE = _set("""
    by with and actor actress singer director writer starring husband wife father mother son
    daughter brother sister president married composer producer politician king queen minister
""")
"""Words before the name of a person."""

PEOPLE = _set("""
    actor actress politician writer author singer musician composer player director painter
    artist poet lawyer officer king queen bishop priest scientist philosopher footballer
    journalist businessman producer screenwriter novelist historian engineer economist diplomat
    judge soldier coach wrestler physicist chemist mathematician nobleman noblewoman duke
    duchess count countess prince princess emperor model dancer photographer architect
    songwriter rapper comedian cricketer athlete swimmer boxer activist manager physician
    industrialist filmmaker abolitionist naturalist botanist pianist violinist guitarist
    cartoonist theologian missionary explorer inventor general admiral character deity goddess
    saint consort wife son daughter brother sister member grandmaster entrepreneur editor
    teacher professor scholar critic jurist surgeon astronomer geologist driver cyclist golfer
    jockey skier skater runner jumper goalkeeper defender midfielder striker pitcher quarterback
    linebacker vocalist drummer bassist sculptor designer chef
""")
"""What a person can be said to be."""

BACKWARD = _set("""
    He She It They His Her Its Their This That These Those Such There Here And But Or So Then
    Also However Thus Therefore Moreover Furthermore Additionally Instead Nevertheless Meanwhile
    Later After Other Another Both We I You Who Which Again Hence Afterward Afterwards
    Eventually Finally Soon Subsequently Conversely Similarly Likewise Otherwise Still Yet
    Despite Suddenly
""")
"""First words of sentences that lean on what stood before."""

PARTICIPLES = _set("""
    born built held won made written sold shot set begun taken given sent lost found brought led run
    shown known drawn bought broken chosen sung put
""")
"""Irregular past participles."""

PAST = _set("""
    won became wrote began made took led held left met built sold gave found ran lost sent bought drew
    chose taught fought set beat broke grew kept sang spoke
""")
"""Irregular past tenses."""
