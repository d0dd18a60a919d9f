"""Patterns of sentences that conclude, decline, name an option or give a number."""

from __future__ import annotations

import re

from vasari.verify.words import CARDINAL, CHINESE_COUNTED, CHINESE_NUMBER

BREAK = re.compile(r"(?<=[.!?])(?<!\d!)[\"')*]{0,3}\s+|(?<=[。;])|\s*\n+\s*")
"""Space between two sentences."""

CONCLUDES = re.compile(
    r"(?:\W|step \d+)*(?:therefore|thus|hence|in"
    r" conclusion|finally|overall|consequently|所以|因此|故|综上)\b|所以|因此",
    re.IGNORECASE,
)
SO = re.compile(r"\W*so\b", re.IGNORECASE)
ANSWERS = re.compile(r"\b(?:answer|(?:correct|right|best) (?:option|choice))\b", re.IGNORECASE)

DECLINES = re.compile(
    r"\b(?:(?:cannot|can't|can not|could not)(?! be \W?\d)|unable|impossible|"
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

NOT = re.compile(
    r"(?:\b(?:not|cannot|nor|never|neither|except|rather than|instead of)"
    r"|\b(?:is|are|was|were|do|does|did|has|have|had|ca|could|wo|would|should|must)n'?t)"
    r"\s(?:\w+\s){0,4}\Z"
    r"|\b(?:no|without)\s\Z|(?:不是|并非|没有|绝非|并不是|不属于|不)\s?\Z"
)
NEGATES = re.compile(
    r"(?:\b(?:not|never|doubt|cannot|rather than|instead of|incorrect|wrong)\b|[a-z]n't\b|不|非)"
    r"(?:\W*[\w']+){0,3}?\W*\Z",
    re.IGNORECASE,
)
"""Words before an option that deny it."""
AND_ANOTHER = re.compile(
    r"[)\].]?\s*(?:,|/|&|,?\s*\b(?:or|and|maybe|perhaps|或|和))\s*(?:maybe|perhaps|possibly|even|option)?\s*[(\[]?([A-Z])(?![A-Za-z0-9'])"
)
NEGATED = re.compile(
    r"\b(?:is|are|was|were|does|do|did|has|have|will|would|can)"
    r" not\b|\b(?:is|are|was|were|does|do|did|has|have)n't\b",
    re.IGNORECASE,
)

LETTER_NAMED = re.compile(
    r"(?:\b(?i:options?|choices?|letters?|answers?|select|choose|pick|get)|(?<!不)(?<!错误)(?<!不应)(?<!不能)(?<!不要)(?<!不可)选项?择?)\s*(?:为|是)?(?:is\s"
    r"|are\s|letter\s)?"
    r"[:：]?\s*[\"'(\[*]{0,3}([A-Z])(?![A-Za-z0-9'#♯♭+^])"
    r"|(?<![A-Za-z0-9])[(\[]([A-Z])[)\]]",
)
LETTER_AT_END = re.compile(
    r"\b(?:is|be|are|by|was|get|[iI]t's|with|choose|pick|select"
    r"|say)\s[\"'(\[*]{0,3}([A-Z])[\"')\]*]{0,3}(?:[.!]?\s*\Z|,\s(?!(?:and\s|or\s)?[A-Z]\b))"
)
THING_NAMED = re.compile(
    r"\b(?:(?:is|be|to)\s|\A\W*)(?:the\s)?(?i:image|figure|set|ball|box|picture|diagram|shape"
    r"|piece|graph|object|pattern|cube)\s"
    r"([A-Z])\b"
)
SPOKEN_AT_END = re.compile(r"\b(?:is|are|be)\s\W{0,4}(yes|no|true|false)\W*\Z", re.IGNORECASE)
LABEL_AT_START = re.compile(
    r"\W*?(?:\d{1,2}[.)]\s*)?(?:(?:option|choice|选项?)\s?)?\W{0,3}?"
    r"(?:[(\[]\s?([A-Za-z])\s?[)\]]|([A-Z])(?:\s?[.:)](?=[\s\"'*]|\Z)|\s[-\u2013](?=\s))|"
    r"([A-Z])(?=,?\s+[(\[]|,\s(?!(?:and\s)?[A-Z]\b))|([A-Z])(?=[^\w#♯♭+^]{0,3}(?:\n|\Z)))",
)
LABEL_AND_WORDS = re.compile(r"\b(?:is|are)\s(?:option\s)?[(\[]([A-Z])[)\]]\s([^()\[\]]+?)\.?\s*\Z")
FIRST_ITEM = re.compile(r"(?<!\S)1[.)]\s")
NUMBERED_ITEM = re.compile(r"(?<!\S)\d{1,2}[.)]\s+")
ITEM_LETTER = re.compile(r"\A([A-Z])(?=\s[-\u2013]\s|[.):]\s)|(?<![^\W_])([A-Za-z])[\W_]{0,3}\Z")
"""The letter that opens or ends an item of a list."""
CROSSED_OUT = re.compile(r"\s*[\u2717\u2718\u2716\u274c\u274e]")
AS_CAUSE = re.compile(
    r" (?:in|of) [^,.]{1,60}? (?:(?:would|will|may|might|could|can) )?"
    r"(?:affect|lead|cause|result|impact|mean)s?\b"
)
LIST_HEADING = re.compile(
    r"\W*(?:the )?(?:answer )?(?:choices|options)(?: are| given)?\W*", re.IGNORECASE
)
LABELLED_LINE = re.compile(r"[(\[]?([A-Z])[)\]]?[.:)]?\*{0,2}[.:]?\s+(\S.*)", re.DOTALL)
MARKED = re.compile(
    r"\b(?:option|choice|answer)?\s?[(\[]?\b([A-Z])\b[)\]]?[^.\n]{0,120}?\s(?:is|would be|must"
    r" be)\s(?:therefore\s|thus\s)?"
    r"(?:the\s)?(?:most\s)?(?:correct|right|best|only|appropriate)\s?(?:\w+\s)?(?:answer|option"
    r"|choice|one)?\b"
    r"|(?:^|[.\n]\s*)[\"'(\[]?([A-Z])[\"')\]]? is the answer\b"
    r"|(?:选项\s?)?([A-Z])\s?(?:选项)?(?:是)?(?:正确|对)",
)
"""Words that call an option correct."""

CLAUSE_END = re.compile(r"[,;\n]|[.:](?=\s|\Z)|\s(?:because|since|as)\s")
YES_NO = re.compile(r"\W*(yes|no|true|false)\b(?![-])", re.IGNORECASE)
SPOKEN = frozenset({"yes", "no", "true", "false"})
LIST_LINE = re.compile(r"^\W{0,3}[(\[]?[A-Z]{1,2}[)\].:]\s.*$", re.MULTILINE)
LAST_LINE = re.compile(r"\n\s*[\"'(\[*]{0,3}([A-Z])[\"')\]*]{0,3}[.!]?\s*\Z")

_DIGITS = (
    r"[-+\u2212]?\s?[$¤€£¥₹]?\s?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)"
    r"(?:\s?/\s?\d+(?![\d/]))?(?:\s?%)?"
)
# No numeral: what is joined to letters ("A-847"), a piece of a formula, and the ends of a range or
# ratio ("6 to 8", "1:2").
NUMERAL = re.compile(
    r"(?<![A-Za-z0-9_.,/])(?<![A-Za-z][-\u2010\u2011(])(?<!\d\sto\s)(?<!\d[-\u2013:])(?<!\d\s[\u2013:]\s)(?<![\^*+{√])(?<![*+\u00d7]\s)"
    rf"(?:(?P<digits>{_DIGITS})(?!\d)|(?P<word>{CARDINAL})\b(?!-))"
    r"(?!\s?[/:\u2013]\s?\d|!\s?[A-Za-z0-9]|-\d|-(?:digit|sided|fold|point|step|part|pointed)\b|\sto\s(?:\d|(?:one|two|three|four|five|six|seven|eight|nine|ten|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)\b)|\.\d|(?:\s?[\^*+\u00d7√π_]|\()|\s?\\(?:sqrt|frac|pi|cdot"
    r"|times))",
    re.IGNORECASE,
)
CHINESE_NUMERAL = re.compile(
    rf"(?:(?<=[有是为得了下到共约年才只仅：:达卖于，。\s])|\A)(?!一(?:{CHINESE_COUNTED})[\u4e00-\u9fff])"
    rf"(?:{CHINESE_NUMBER})(?=多?(?:{CHINESE_COUNTED})|[，。、,.;；!！?？\s]|\Z)"
)
"""A number in Chinese characters that is counted, measured or ends its clause; no 一 of "a"."""
COPULA = re.compile(
    r"(?:=|≈|\\approx|\\text\{|[:\uff1a是为有得共约]|等于|\b(?:is|are|was|were|be|equals?|has|have|had"
    r"|profit of|gives?|gets?|spends?|costs?|needs?|"
    r"makes?|made|takes?|took|contains?|shows?|left|remains?|leaves|"
    r"(?:equal|up|amounts?|comes?) to|"
    r"(?:total|sum|value|height|length|width|age|area|volume|perimeter) of)\b)"
    r"[\s$¤\\(\[{*\"']*(?:(?:therefore|thus|then|approximately|about|around|roughly|only|exactly"
    r"|also|equal"
    r" to|"
    r"a total of|in total|estimated to be|likely|just|still|now|currently|given by|a|an|the"
    r" number|between)\b"
    r"[\s$¤\\(\[{*\"']*)*\Z",
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
JOINT = re.compile(
    r"(?:\s?[^\d\s,]{1,12}(?=\s*,?\s*or\b)|[^\d\s,]{0,12})\s*(?:,|&|,?\s*\band|,?\s*\bor"
    r"|,?\s*\bbut|或者?|和|、|与)\s*(?:maybe|perhaps|possibly|even|also|it"
    r" (?:may|might|could) be)?\s*",
    re.IGNORECASE,
)
BOUND = re.compile(
    r"(?:\b(?:at least|at most|(?:more|less|greater|fewer|larger|smaller|higher|lower|longer"
    r"|shorter|older|younger) than(?: or equal to)?|over|under|above|below|up to|no (?:more|less"
    r"|fewer) than|not(?: equal(?: to)?| even)?|never|hardly|barely|unlikely to be|different from"
    r"|exceeds?|between|but|except(?: for)?|without|unlike|other than|half of|(?:third|quarter"
    r"|fourth|fifth|tenth) of|twice|thrice|double|triple|times|(?:square|cube) root of|root of"
    r"|multiple of|divisible by|factor of|power of|closer to|than to|to say the answer is)"
    r"|[a-z]n't|至少有?|至多有?|最多有?|最少有?|没有(?:达到)?|不到|不足|超过|少于|大于|小于|不是|不等于"
    r"|[<>≤≥≠]|\\(?:ne|neq|le|leq|ge|geq|lt|gt)(?![a-zA-Z]))"
    r"\s?(?:a |an |the |be )?[\s$¤\\(\[{*\"']*\Z",
    re.IGNORECASE,
)
"""Words before a number that make it a bound, or deny it."""
BOLD = re.compile(r"(?<![\d)])\*\*|\*\*(?![\d(])")
"""Markdown's stars, and not a power of Python's."""
FIRST_WORD = re.compile(r"\s?(?!(?:and|or|but)\b)([^\W\d_]+|%|°)")
MINUS_BEFORE = re.compile(r"\b(?:minus|negative)\s\Z", re.IGNORECASE)
LEFT_SIDE = re.compile(r"((?:[^\s,;:=+*/^-]+\s?[-+*/^]\s?)*[^\s,;:=+*/^-]+)\s?=\s*\Z")
LABEL_IN_LINE = re.compile(r"(?:(?<=\s)|(?<=\()|\A)([A-Z])[.)]\s")
MORE_THAN = re.compile(r"(?:more|less|fewer) than|times", re.IGNORECASE)
OF_THE_ANSWER = re.compile(
    r"\b(?:answer|it|value|result|number|x)\s(?:is|was|=)\s?\W*\Z", re.IGNORECASE
)
VERB = re.compile(r"\b(?:is|are|was|were|remain|remains|fit|equals?)\b|是|为")
UNFINISHED = re.compile(
    r"\b(?:to|the|a|an|and|or|of|is|are|gives|which|that|then|so|we|by|with|in|for|need|get|add"
    r"|next)[:,]?\s*\Z",
    re.IGNORECASE,
)
"""The end of a text that breaks off."""
FORMULA_STARTS = re.compile(
    r"\b(?:is|are|was|at|be|becomes?|equals?|gives?|get|in"
    r"|by)\b[\s:$]{0,3}(?=[\s$\\(\[{<0-9a-zA-Z-])|:\s"
)
FORMULA_SIGNS = re.compile(
    r"[(\[{=<>≤≥π√^]|\\(?:le|ge|in|cup|begin|pm|frac|sqrt|pi)|\d\s?(?:,|\band\b|\bor\b)\s?\d"
)
WORDS = re.compile(r"(?<![\\a-zA-Z{])(?!(?:sqrt|sin|cos|tan|log|exp|pi|or|and)\b)[a-zA-Z]{3,}")
CHANGED = re.compile(
    r"\s?(?:[a-z]+\s)?(?:or (?:more|fewer|less|so|above|below|over|under)"
    r"|or (?:even )?(?:higher|greater|larger|bigger|lower|smaller|longer|shorter|older|younger)"
    r"|at (?:least|most)"
    r"|and (?:up|above|over|below)"
    r"|more than|less than|fewer than|more(?=\W*\Z)|squared|cubed|plus|minus|times"
    r"|divided by|is wrong"
    r"|is incorrect|is not|isn't|if|unless|is a factor|percent of|out of"
    r"|remainder|to the (?:power|\w+ power)|raised to|choose|modulo|以上|以下|左右|倍)",
    re.IGNORECASE,
)
"""Words behind a number that make it another, a bound, or no answer."""
REASON = re.compile(r"(?<=\d)[^\d.]{0,30}?,?\s(?:because|since|as there|as it)\b", re.IGNORECASE)
DOUBTS = re.compile(
    r"(?<!no )(?<!without a )(?<!without )\bdoubt|\b(?:incorrect|wrong|false) to\b|\bunlikely\b"
    r"|\bsome say\b|\bnobody knows\b",
    re.IGNORECASE,
)
CORRECTED = re.compile(
    r"[.!?,;]\s+(?:actually|wait|no,|sorry|correction|scratch that"
    r"|i mean|oops|hold on|now it is)\b[,:.]?\s*(?:no,?\s*)?",
    re.IGNORECASE,
)
"""Where a text takes back what it said."""
NOT_BUT = re.compile(
    r"\A(?:it(?: is|'s) |es |ce n'est )?(?:not|nicht|pas|no|non|não|не)\s.{1,40}?,?\s"
    r"(?:but|sondern|mais|sino|ma|mas|а)\s(?:rather\s)?|\A不是.{1,20}?(?:[，,]\s?而?|而)是",
    re.IGNORECASE,
)
"""What a statement denies before what it says: "not 4 but 5"."""
DENIED_BEHIND = re.compile(
    r"(?:,|，|;)\s*(?:(?:and|und|et|y|e|а|而)\s?)?(?:\b(?:not|nicht|pas|no|non|não|не)\b|不是)\s?.*\Z",
    re.IGNORECASE | re.DOTALL,
)
"""What a statement denies at its end: "Paris, not London"."""
BRACKETED = re.compile(r"\s?\([^()]*\d[^()]*\)")
YEAR = re.compile(r"(?:1[5-9]|20)\d\d")
DATES = re.compile(r"\b(?:in|of|since|from|year|until|during|after|before|by)\s\Z", re.IGNORECASE)
BLANK = re.compile(r"(?:(?<=\s)|\A)_{2,}(?=[\s.,;:?!]|\Z)|\(_+\)")
"""A gap of the question that is left open."""
QUOTED_NUMBER = re.compile(r"(?<!\w)(['\"\u2018\u201c])(\d[\d.,]*)['\"\u2019\u201d](?!\w)")
DESCRIBES = re.compile(r"\b(?:where|(?:at|in|for|on) which)\s", re.IGNORECASE)
"""The opening of a clause that describes what was named before it."""
IN_TOTAL = re.compile(r"\b(?:for|making) a total of\s\Z", re.IGNORECASE)
TABLE_LINE = re.compile(r"\s*\d{1,2}[.)]\s+(?P<of>[^\d\n:=]{1,40}):\s*(?P<number>-?[\d.,]+)\s*")
SUMS_UP = re.compile(
    r"\b(?:total|sum|answer|result|altogether|mean|median|mode|range|average|difference)\b",
    re.IGNORECASE,
)
LABELS = re.compile(
    r"\b(?:figure|step|object|table|question|image|bar|group|number|option|subject|set|part"
    r"|problem|no\.?)\s\Z",
    re.IGNORECASE,
)
