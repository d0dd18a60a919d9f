"""Patterns of sentences that conclude, decline, name an option or give a number."""

from __future__ import annotations

import re

BREAK = re.compile(r"(?<=[.!?])[\"')*]{0,3}\s+|(?<=[。;])|\s*\n+\s*")
"""Space between two sentences."""

CONCLUDES = re.compile(
    r"(?:\W|step \d+)*(?:therefore|thus|hence|in"
    r" conclusion|finally|overall|consequently|所以|因此|故|综上)\b|所以|因此",
    re.IGNORECASE,
)
SO = re.compile(r"\W*so\b", re.IGNORECASE)
ANSWERS = re.compile(r"\b(?:answer|(?:correct|right|best) (?:option|choice))\b", re.IGNORECASE)

DECLINES = re.compile(
    r"\b(?:cannot|can't|can not|could not|unable|impossible|"
    r"not (?:possible|able|provided|specified|given|enough|clear|mentioned|visible|available|"
    r"sufficient|include|contain|provide|show|specify|explicitly)|"
    r"(?:doesn't|don't) (?:have|provide|give|contain|include|specify|show|know)|"
    r"insufficient|no (?:(?:specific|further|additional|enough|such)"
    r" )?(?:information|answer|result|conclusion|solution)|"
    r"nobody|"
    r"without (?:more|further|additional|any|the|knowing|specific|that|this)|"
    r"difficult to (?:determine|say|tell)|please provide|need (?:more|to know|additional))\b",
    re.IGNORECASE,
)
"""Words of a sentence that gives no answer."""

REJECTS = re.compile(
    r"\b(?:incorrect|wrong|false|not"
    r" (?:correct|right|true|the|a|an|necessarily|applicable)|neither|except)\b",
    re.IGNORECASE,
)
"""Words of a sentence that rules an option out."""

NOT = re.compile(r"\b(?:not|nor|never|neither|except|isn t|doesn t)\s(?:\w+\s){0,4}\Z")
NEGATED = re.compile(
    r"\b(?:is|are|was|were|does|do|did|has|have|will|would|can)"
    r" not\b|\b(?:is|are|was|were|does|do|did|has|have)n't\b",
    re.IGNORECASE,
)

LETTER_NAMED = re.compile(
    r"\b(?i:options?|choices?|letters?|answers?|select|choose|pick|get|选项?)\s*(?:is\s|are\s|letter\s)?"
    r"[\"'(\[*]{0,3}([A-Z])(?![A-Za-z0-9'])"
    r"|(?<![A-Za-z0-9])[(\[]([A-Z])[)\]]",
)
LETTER_AT_END = re.compile(
    r"\b(?:is|be|are|by|was|get)\s[\"'(\[*]{0,3}([A-Z])[\"')\]*]{0,3}(?:[.!]?\s*\Z|,\s(?!(?:and\s|or\s)?[A-Z]\b))"
)
THING_NAMED = re.compile(
    r"\b(?:(?:is|be|to)\s|\A\W*)(?:the\s)?(?i:image|figure|set|ball|box|picture|diagram|shape|piece|graph|object|pattern|cube)\s"
    r"([A-Z])\b"
)
SPOKEN_AT_END = re.compile(r"\b(?:is|are|be)\s\W{0,4}(yes|no|true|false)\W*\Z", re.IGNORECASE)
LABEL_AT_START = re.compile(
    r"\W*?(?:\d{1,2}[.)]\s*)?(?:(?:option|choice|选项?)\s?)?\W{0,3}?"
    r"(?:[(\[]\s?([A-Za-z])\s?[)\]]|([A-Z])(?:\s?[.:)](?=[\s\"'*]|\Z)|\s[-\u2013](?=\s))|"
    r"([A-Z])(?=,?\s+[(\[]|,\s(?!(?:and\s)?[A-Z]\b))|([A-Z])(?=\W{0,3}(?:\n|\Z)))",
)
LIST_HEADING = re.compile(
    r"\W*(?:the )?(?:answer )?(?:choices|options)(?: are| given)?\W*", re.IGNORECASE
)
LABELLED_LINE = re.compile(r"[(\[]?([A-Z])[)\]]?[.:)]?\*{0,2}[.:]?\s+(\S.*)", re.DOTALL)
MARKED = re.compile(
    r"\b(?:option|choice|answer)?\s?[(\[]?\b([A-Z])\b[)\]]?[^.\n]{0,120}?\s(?:is|would be|must"
    r" be)\s(?:therefore\s|thus\s)?"
    r"(?:the\s)?(?:most\s)?(?:correct|right|best|only|appropriate)\s?(?:\w+\s)?(?:answer|option|choice|one)?\b"
    r"|(?:^|[.\n]\s*)[\"'(\[]?([A-Z])[\"')\]]? is the answer\b"
    r"|选项\s?([A-Z])\s?(?:是)?(?:正确|对)",
)
"""Words that call an option correct."""

CLAUSE_END = re.compile(r"[,;\n]|[.:](?=\s|\Z)|\s(?:because|since|as)\s")
YES_NO = re.compile(r"\W*(yes|no|true|false)\b(?![-])", re.IGNORECASE)
SPOKEN = frozenset({"yes", "no", "true", "false"})
LIST_LINE = re.compile(r"^\W{0,3}[(\[]?[A-Z]{1,2}[)\].:]\s.*$", re.MULTILINE)
LAST_LINE = re.compile(r"\n\s*[\"'(\[*]{0,3}([A-Z])[\"')\]*]{0,3}[.!]?\s*\Z")

_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen"
    " sixteen seventeen eighteen nineteen twenty"
)
NUMBER_WORDS = {word: str(value) for value, word in enumerate(_WORDS.split())} | {
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
}
_DIGITS = (
    r"[-+\u2212]?\s?[$€£¥]?\s?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:\s?/\s?\d+(?![\d/]))?(?:\s?%)?"
)
# No numeral: what is joined to letters ("A-847"), a piece of a formula, and the ends of a range or
# ratio ("6 to 8", "1:2").
NUMERAL = re.compile(
    r"(?<![\w.,/])(?<![A-Za-z][-\u2010\u2011(])(?<!\d\sto\s)(?<!\d[-\u2013:])(?<!\d\s[\u2013:]\s)(?<![\^*+{√])(?<![*+\u00d7]\s)"
    rf"(?:(?P<digits>{_DIGITS})(?!\d)|(?P<word>{'|'.join(NUMBER_WORDS)})\b)"
    r"(?!\s?[/:\u2013]\s?\d|-\d|\sto\s\d|\.\d|\s?[\^*+\u00d7√π(]|\s?\\(?:sqrt|frac|pi|cdot|times))",
    re.IGNORECASE,
)
COPULA = re.compile(
    r"(?:=|≈|\\approx|\\text\{|[:\uff1a是为]|\b(?:is|are|was|were|be|equals?|has|have|had|gives?|gets?|spends?|costs?|needs?|"
    r"makes?|made|takes?|took|contains?|shows?|left|remains?|leaves|"
    r"(?:equal|up|amounts?|comes?) to|"
    r"(?:total|sum|value|height|length|width|age|area|volume|perimeter) of)\b)"
    r"[\s$\\(\[{*\"']*(?:(?:therefore|thus|then|approximately|about|around|roughly|only|exactly|also|equal"
    r" to|at least|"
    r"a total of|in total|estimated to be|likely|just|still|now|currently|given by|a|an|the"
    r" number|between)\b"
    r"[\s$\\(\[{*\"']*)*\Z",
    re.IGNORECASE,
)
"""The words before the number that a sentence gives."""

EQUATED = re.compile(r"(?:=|≈|\\approx)[\s$\\(\[{*]*\Z")
CONDITION = re.compile(
    r"\W*(?:if|since|given|when|because|as|with|after|for|out of|of"
    r" the|among|in|on|at|from)\b[^,]{0,200},\s+",
    re.IGNORECASE,
)
RESULT = re.compile(r"\b(?:so|then|therefore|thus|hence|which means|means that)\b", re.IGNORECASE)
BECAUSE = re.compile(
    r",?\s(?:as|because|since|due to|specifically|while|where|whereas|followed by|than|compared"
    r" (?:to|with))\s"
    r"|,\s(?:which|who)\s",
    re.IGNORECASE,
)
JOINT = re.compile(r"\s*(?:,|&|,?\s*and|,?\s*or)\s*", re.IGNORECASE)
YEAR = re.compile(r"(?:1[5-9]|20)\d\d")
DATES = re.compile(r"\b(?:in|of|since|from|year|until|during|after|before|by)\s\Z", re.IGNORECASE)
LABELS = re.compile(
    r"\b(?:figure|step|object|table|question|image|bar|group|number|option|subject|set|part|problem|no\.?)\s\Z",
    re.IGNORECASE,
)
