"""Whether a sentence claims the number it names, and does not ask, deny, bound or refute it.

Denials and bounds are a closed class of words in each language: the tables have the denials of some
twenty, and bounds and questions of fewer.
"""

from __future__ import annotations

import re

_MAX_ASKED = 200
_MARK = re.compile(r"[?？](?=[\"'\u201d\u2019)*$\\]*(?:\s|\Z))")
_STOP = re.compile(r"[.!?](?=\s)|[。？\n]")
_ASKS = re.compile(r"(?:[?？]|吗|か。?)[\W_]*\Z")
_YES_BEHIND = re.compile(r"[?？]\W{0,4}(?:yes|yeah|yep|correct|indeed|是的|对)\b", re.IGNORECASE)
_INVERTED = re.compile(
    r"(?:\W|\b(?:so|and|but|then|now|well|hmm+|wait|okay|ok)\b)*"
    r"(?:(?:is|are|was|were|could|would|might|may|can|should|must|will|shall|do|does|did)(?:n't)?"
    r"|why|how|who|what if|ist|kann|könnte|est-ce que|pourquoi|es|puede|è|é|почему|разве)(?:\s|\Z)",
    re.IGNORECASE,
)
_BARE_LETTER = re.compile(r"\W*(?:option\s)?[A-Z]\W*\s?[?？]\W*", re.IGNORECASE)
_TAG_QUESTION = re.compile(
    r"[,;]\s(?:right|correct|no|yes|ok|isn't it|is it(?: not)?|oder|nicht wahr|non|verdad)\s?"
    r"[?？]",
    re.IGNORECASE,
)

_COPULA = (
    r"(?:is|are|was|were|be|equals?|ist|sei|sein|lautet|est|sont|soit|es|son|sea|ser|sería|è|sono"
    r"|essere|sia|é|são|ser|seja|este|jest|je|är|er|on|has|have|but|so)"
)
_DENIES = (
    # English, German, French, Spanish, Italian, Portuguese
    r"not|never|cannot|anything but|everything but|nowhere near|no longer|neither|nor"
    r"|nicht|kein(?:e[rsmn]?)?|niemals|ungleich|alles (?:außer|andere als)|anders als|weder"
    r"|(?<!le )(?<!un )(?<!de )pas|jamais|tout sauf|ni"
    rf"|no(?= (?:{_COPULA}|era|da|vale|sale|puede|podría|debe)\b)|nunca|jamás|tampoco"
    r"|cualquier[ao]? menos|non|nunca|tutto tranne|não|tudo menos"
    # Russian, Ukrainian, Polish, Czech, Dutch, Danish, Norwegian, Swedish, Finnish, Hungarian,
    # Romanian, Turkish, Indonesian, Vietnamese, Greek, Arabic, Hebrew
    r"|не|ні|кроме|nie|není|ne|nisu|nije|niet|geen|ikke|inte|icke|ei|nem|nu este|bukan|tidak"
    r"|không|δεν|ليست?|לא"
)
_BOUNDS = (
    r"under|over|above|below|beneath|nearly|almost|near(?:ing)?|scarcely|hardly|barely|past|beyond"
    r"|(?:short|shy|upwards?|north|south|excess|square|cube|opposite|negative|reciprocal|inverse"
    r"|divisor|logarithm|factorial|function) of|(?:close|next|co-?prime|congruent|relative|opposed"
    r"|compared) to|used to be|off|(?:far|away|by \w+) from|within \w+ of"
    r"|(?:in|on|at|from|by|see) (?:the )?(?:step|figure|page|row|column|line|table|section|chapter"
    r"|paragraph|equation)"
    r"|casi|fast|beinahe|knapp|nahezu|presque|quasi|quase|bijna|nästan|næsten|prawie|почти|около"
    r"|al menos|como (?:máximo|mínimo)|por (?:encima|debajo) de|mindestens|höchstens|über|unter"
    r"|au (?:moins|plus)|almeno|al (?:massimo|più)|pelo menos|no (?:máximo|mínimo)"
    r"|больше|меньше|более|менее|minstens|hoogstens"
    # Comparatives, with what they compare to
    r"|(?:mayor|menor|superior|inferior|más|menos|diferentes?|distint[oa]s?) (?:que|de|a|al|do)"
    r"|(?:größer|kleiner|mehr|weniger|höher|niedriger|länger|kürzer|anders) als"
    r"|(?:(?:supérieur|inférieur|égal)e?s?|différente?s?) (?:à|de)|(?:plus|moins) (?:de|que)"
    r"|(?:maggior|minor)[ei] di|(?:più|meno) di|divers[oaie] da|(?:maior|menor) (?:do )?que"
    r"|mais (?:de|(?:do )?que)|menos do que|(?:meer|minder|groter|kleiner) dan"
    r"|(?:mer|mindre|större|mere|større|flere) (?:än|end|enn)|(?:większ|mniejsz)\w* (?:niż|od)"
    r"|отлич\w{2,6} от|чем"
)
_CHINESE_DENIES = (
    r"不(?:可能|一定|会|應該|应该|该|能)?(?:是|为|等于|等於|有)|[并绝]?非|绝不|[并绝]不是|不要[选填]"
    r"|接近|将近|几乎是?|快到|差一?点[儿是到]?|比|(?:略|稍|远)微?[大小多少高低]于"
    r"|(?:至少|至多|最多|最少|不到|不足|超过)[有是为]?"
)
_DENIED_BEFORE = re.compile(
    rf"(?:(?:\b(?:{_DENIES})|n't)\b(?:\s{_COPULA})?"
    rf"(?:\s(?!{_COPULA}\b)[^\W\d]+){{0,3}}(?:\s(?:be|ser|sein|être|essere))?|\b(?:{_BOUNDS})|{_CHINESE_DENIES})"
    r"[\s$¤\\(\[{*\"']*\Z",
)
"""What denies or bounds a number that follows in its clause, with no other verb between.

For a text in lower case: ignoring case costs ten times as much on so many words.
"""

_DENIED_AT_ONCE = re.compile(
    rf"(?:\b(?:not|never|rather than|instead of|nicht|pas|no|non|não|не)|n't|cannot"
    rf"|{_CHINESE_DENIES})\s?"
    r"(?:be |equal(?: to)? |es |ser |sein |être |è |essere |é |igual a |gleich )?[\s$(\[{*\"']*\Z",
    re.IGNORECASE,
)

_SMALLER = (
    r"(?:smaller|less|lower|fewer|larger|more|greater|higher|bigger|longer|shorter|older|younger)"
)
_A_BIT = r"(?:(?:just|only|slightly|somewhat|even|rather|a (?:bit|little|touch|hair|tad))\s)"
_WRONG = (
    r"(?:wrong(?:ly)?|incorrect|false|mistaken|invalid|rejected|refuted|excluded|ruled out"
    r"|discarded|impossible|disproved|(?:an? )?(?:error|mistake)"
    r"|not (?:right|correct|true|it|possible|valid|the answer))"
)
_DOES_NOT = r"(?:(?:do|does|did|will|would|can|could)(?: not|n't)|cannot|can't|won't)"
_UNDONE_BEHIND = re.compile(
    r"[^\w.;!?]{0,4}(?:(?!(?:not|but|or|and|which|this|that|it|is|was)\b)[a-z]{1,12}\s?)?(?:"
    # "but smaller", "(a bit less)", "or a bit more", "and a bit", "but not exactly"
    rf"[\s,(]*(?:(?:,|\(|\b(?:but|or|and|though|yet)\s)(?:it is\s|is\s)?{_A_BIT}*|{_A_BIT}+)"
    rf"{_SMALLER}(?=\s*(?:[.,;)!]|\Z))"
    r"|[\s,(]*\b(?:and|plus|minus)\s(?:then some|some|change|a (?:bit|little|touch|fraction))\b"
    r"|[\s,(]*\b(?:but|though|and|or so but|or)\s(?:maybe |perhaps )?(?:it is\s)?not(?=\W*\Z"
    r"|\s(?:exactly|quite|equal|precisely|really|it\b|the))"
    # "was my guess", "(wrong)", ", which is wrong", "but that is incorrect", "failed the check"
    rf"|[\s,;(:]*(?:\b(?:but|though|although|yet|and|which|this|that|it|however)\b[\s,]*){{0,3}}"
    rf"(?:\b(?:is|are|was|were|would be|seems?|turn(?:s|ed) out(?: to be)?|proved?(?: to be)?)\s"
    rf"(?:(?!(?:right|correct|and|because|since|as|not|than)\b)[a-z]+\s){{0,3}})?\b{_WRONG}\b"
    rf"|[\s,;(]*(?:\b(?:but|which|it|this|that)\b\s){{0,2}}\b(?:fails?\b|failed|{_DOES_NOT}"
    r" (?:work|fit|satisfy|solve|hold|match|check|be (?:right|correct|true|it|the answer))"
    r"|(?:was|were|would be) (?:(?:only|just|merely) )?(?:(?:my|a|the) (?:first |earlier )?guess"
    r"|claimed|proposed|suggested)\b)"
    r"|\sbut (?:it )?(?:is|are) now\b"
    r"|(?:では|じゃ|で)は?(?:ない|ありません|なかった|なく)|以外|未満|より|[多几余](?!\d)"
    r"|(?:是|为)?(?:错|不对|不正确)|[\u4e00-\u9fff]?(?:[以之](?:上|下|内|外)|左右)|但(?:更|不|稍|略)"
    r"|[小大少多](?:一点|一些|几)|\s?(?:이상|이하|미만|초과)|[가이]?\s?아[니닙]|보다|\sdeğil|\sनहीं"
    r"|\s(?:ist|est|es|è|é) (?:nicht|falsch|faux|fausse|incorrect[oa]|fals[oa]|errat[oa]|errad[oa])"
    r"|\s(?:n'est|no es|non è|não é)\b"
    r")",
    re.IGNORECASE,
)
"""What stands behind a number that is taken back: a bound, or that it is wrong."""

UNKNOWN = re.compile(
    r"(?:\A\W*|:\s|\b(?:is|are|was|remains?|stays?)\s(?:still\s|simply\s|currently\s)?)(?:it is\s)?"
    r"(?:(?:unknown|unclear|undetermined|indeterminate|undefined|undecided|uncertain|inconclusive"
    r"|unspecified|unsure|n/a)\b|not (?:sure|known)\b|no idea\b|\?{2,})(?!\s*[=:])",
    re.IGNORECASE,
)
"""That the answer is not known."""


_REFUTES = re.compile(
    r"\W*(?:but\s|however,\s)?(?:that|this|it|which|they|these)(?:'s|\s(?:is|are|was|were|would be"
    rf"|turned out(?: to be)?))\s(?:[a-z]+\s){{0,2}}?{_WRONG}\b",
    re.IGNORECASE,
)
_OTHERWISE = re.compile(
    r"\banswer\s(?:ha(?:s|ve)|contains?|starts?|ends?|begins?|follows?|depends?|needs?|takes?|lies"
    r"|uses?|involves?|consists?|appears?|differs?|stands?)\b(?! to be)",
    re.IGNORECASE,
)


def refutes(sentence: str) -> bool:
    """Whether a sentence takes back the one before it: "That is wrong."."""
    return bool(_REFUTES.match(sentence))


def speaks_about(sentence: str) -> bool:
    """Whether a sentence says something else of the answer than its value: "it has 5 digits"."""
    return bool(_OTHERWISE.search(sentence))


def asks(sentence: str) -> bool:
    """Whether a sentence is a question, which states nothing."""
    return bool(_ASKS.search(sentence[-12:]))


def opens_question(text: str, start: int, end: int) -> bool:
    """Whether the sentence around a place asks: "Is the answer: 5?", "the answer is 5, right?".

    Options may be questions themselves, so its opening or its tag must ask, too; a question that is
    answered with yes is a statement.
    """
    if text.find("?", end) < 0 and text.find("？", end) < 0:
        return False
    mark = _MARK.search(text, end, end + _MAX_ASKED)
    if (
        mark is None
        or _STOP.search(text, end, mark.start())
        or _YES_BEHIND.match(text, mark.start())
    ):
        return False
    opening = _STOP.split(text[max(0, start - 80) : end])[-1]
    return bool(_INVERTED.match(opening) or _TAG_QUESTION.search(text, end, mark.end()))


def is_question(sentence: str) -> bool:
    """Whether a sentence asks by its opening, or is nothing but a letter and a question mark."""
    if not _ASKS.search(sentence[-12:]):
        return False
    return bool(_INVERTED.match(sentence) or _BARE_LETTER.fullmatch(sentence))


def is_denied(text: str, place: int) -> bool:
    """Whether the word right before a place denies what stands there: "not 5", "nicht 5"."""
    before = text[max(0, place - 28) : place]
    # Most boxes stand behind a sign, and are told at a glance.
    return before.rstrip(" \n\t$([{*\"'")[-1:].isalpha() and bool(_DENIED_AT_ONCE.search(before))


def is_taken_back(sentence: str, start: int, end: int) -> bool:
    """Whether a sentence denies, bounds or refutes the number that stands at a place."""
    before = sentence[max(0, start - 48) : start].lower()
    return bool(_DENIED_BEFORE.search(before) or _UNDONE_BEHIND.match(sentence, end))
