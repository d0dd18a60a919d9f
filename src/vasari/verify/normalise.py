"""Text in a standard spelling: one Unicode form, no LaTeX wrappers or markdown, not evaluated."""

from __future__ import annotations

import functools
import re
import unicodedata

_VULGAR = {
    "¼": " 1/4", "½": " 1/2", "¾": " 3/4", "⅓": " 1/3", "⅔": " 2/3",
    "⅕": " 1/5", "⅖": " 2/5", "⅗": " 3/5", "⅘": " 4/5",
    "⅙": " 1/6", "⅚": " 5/6", "⅛": " 1/8", "⅜": " 3/8", "⅝": " 5/8", "⅞": " 7/8",
}  # fmt: skip
_OTHERS = (
    dict.fromkeys("\u2212\u2010\u2011\u2013", "-")
    | dict.fromkeys("\u00ba\u02da", "°")
    | dict.fromkeys("\u2044\u2215", "/")
)
_QUOTES = dict.fromkeys("\u2018\u2019\u2032\u02b9", "'") | dict.fromkeys("\u201c\u201d", '"')
# Before NFKC, which turns "2½" into "21/2" and "5²" into "52".
_INVISIBLE: dict[str, str | None] = dict.fromkeys(
    "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\ufeff\x96\x97"
)
_CHARACTERS = str.maketrans(_INVISIBLE | _VULGAR | _OTHERS | _QUOTES)
_RAISED = re.compile("[\u207a\u207b]?[\u2070\u00b9\u00b2\u00b3\u2074-\u2079]+")
_LOWERED = re.compile("[\u2080-\u2089]+")
_AS_DIGITS = str.maketrans(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207a\u207b\u2080\u2081\u2082\u2083\u2084\u2085\u2086\u2087\u2088\u2089",
    "0123456789+-0123456789",
)
_DASHED = re.compile(r"(?<![\w)\]}])\s?[\u2014\u2015](?=\s?[0-9.\\])")

DOLLAR = "¤"
"""Stands for a dollar sign that is a currency; all others are LaTeX's."""

_ESCAPED_DOLLAR = re.compile(r"\\\$(?=\s?[-+]?[0-9.])")
_LONE_DOLLAR = re.compile(r"\$(?=\s?[0-9.])")

_WRAPPER = re.compile(
    r"\\(?:text|textbf|textit|textrm|texttt|textsf|textcolor\s*\{[^{}]*\}|color\s*\{[^{}]*\}|ce|mathrm|mathbf|mathit|mathsf|mathtt|mbox|hbox"
    r"|operatorname|bf|rm)\*?\s*\{([^{}]*(?:\{[^{}]*\}[^{}]*){0,3})\}"
)
_HTML = re.compile(
    r"</?(?:b|i|em|strong|u|p|br|span|code|mark|small|big|center|output|final|result|solution"
    r"|response|conclusion)\s?/?>",
    re.IGNORECASE,
)
_DOUBLED = re.compile(r"\\\\(?=[a-zA-Z]{2})")
_ROW_BREAK = re.compile(r"\\\\(?:\[[^\]]{0,12}\])?")
_OVER = re.compile(r"\{([^{}]*)\\over(?![a-zA-Z])([^{}]*)\}|\A([^{}]*)\\over(?![a-zA-Z])([^{}]*)\Z")
_DEGREES = re.compile(
    r"\^\s*\{\s*\\(?:circ|degree)\s*\}|\^\s*\\(?:circ|degree)(?![a-zA-Z])|\\degree(?![a-zA-Z])"
    r"|\^\s*\{?\s*°\s*\}?"
)
_SIZING = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|[bB]igg?[lrm]?|limits|boldsymbol)(?![a-zA-Z])"
)
_SPACING = re.compile(r"\\(?:[,;: ]|quad(?![a-zA-Z])|qquad(?![a-zA-Z]))")
# A space of LaTeX, not the sign of negation in front of a letter.
_TILDE = re.compile(r"(?<=[^\s(,])~|~(?=\s)|(?<=[0-9}])\s~")
_DELIMITERS = re.compile(r"\\[()\[\]!$]|\$")
_FRACTION_NAME = re.compile(r"\\[dtc]frac(?![a-zA-Z])")
_BINOMIAL_NAME = re.compile(r"\\[dt]binom(?![a-zA-Z])")
_CHOOSE = re.compile(r"\{\s*([^{}\\]{1,40}?)\s*\\choose\s*([^{}\\]{1,40}?)\s*\}")
_SINGLE_NAME = re.compile(r"\{([a-zA-Z])\}(?=_)")
_BROKEN_LINE = re.compile(r"\\\\(?=\s*[a-zA-Z]\s*=)")
_MONEY_SIGNS = {"pounds": "£", "euro": "€", "textdollar": DOLLAR, "yen": "¥", "texteuro": "€"}
_MONEY = re.compile(r"\\(pounds|euro|textdollar|yen|texteuro)(?![a-zA-Z])")
# Ticks and crosses are answers.
_EMOJI = re.compile("[\U0001f000-\U0001faff\ufe0f\u2728\u2b50\u2b55]+")
_COMMAND_BEFORE = re.compile(r"\\[a-zA-Z]{1,12}\Z")
_EDGE = " \t\n`"
_STARS = re.compile(
    r"(?:[-•]\s+)?(?P<mark>\*{1,3}|__)(?P<inside>[^*_]+)(?P=mark)|\*\s+(?P<item>.+)"
    r"|(?:\*{2,3}(?=\S)|\*(?=\S[^*]*\*))(?P<opened>.+)"
    r"|(?P<before>.*[\s(:=$](?P<open>\*{1,3})\S[^*]*)(?P=open)",
    re.DOTALL,
)
"""Markdown's stars around a text, before the item of a list, or around its end; "a*" has none."""
_STARRED = re.compile(r"\^\s?\{?\s?(?:\*|\\ast(?![a-zA-Z]))\s?\}?|(?<=[a-zA-Z])\*\Z")
"""The star of a conjugate or a dual."""
_CLOSING_MARKS = re.compile(r"#{2,}\Z")  # "B###"; one alone is a name: C#.
_ARTICLE = re.compile(r"^(?:the|a|an)\s+(?=\S)")
_WORD_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
_BETWEEN_LETTERS = re.compile(r"(?<=[^\W\d_]{2})'(?=[^\W\d_])")
# Only what carries no meaning: signs such as those of "not", "angle" or "sharp" stay.
_PUNCTUATION = re.compile(r"[\"`,;!?。、，；！？]|\.(?=\s|\Z)|(?<!\S)'|(?<=[^\W\d_]{3})'(?!\S)")
_CHEMICAL = re.compile(r"_\{?([0-9]+)\}?|\^\{?([0-9]*[-+])\}?")
_WRAPPER_DEPTH = 4
_MAX_KEPT = 256


def normalise(text: str) -> str:
    r"""Return an answer in a standard spelling (one Unicode form, no LaTeX wrappers); keeps case.

    Unicode forms are unified (NFKC, minus signs, vulgar fractions, superscripts as `^n`, subscripts
    as `_n`), `\text{...}` and its like, `$`, `\( \)`, sizing and spacing commands and HTML's marks
    of emphasis vanish, `^\circ` becomes `°`, `{a \over b}` a fraction, a dollar sign that is a
    currency `¤`, markdown stars and quotes around the whole and a final full stop are dropped,
    white space becomes one space. The time is linear in the length.
    """
    return _normalised(text) if len(text) <= _MAX_KEPT else _normalise(text)


@functools.lru_cache(maxsize=16384)
def _normalised(text: str) -> str:
    """The same for a short text, kept: one answer is asked for in many places."""
    return _normalise(text)


def _normalise(text: str) -> str:
    if not text.isascii():
        text = _DASHED.sub("-", _LOWERED.sub(_lowered, _RAISED.sub(_raised, text)))
        text = unicodedata.normalize("NFKC", _EMOJI.sub(" ", text).translate(_CHARACTERS))
    if "\\" in text:
        text = _without_commands(text)
    if "}_" in text:
        text = _SINGLE_NAME.sub(r"\1", text)
    if "$" in text:
        if text.count("$") % 2:
            text = _LONE_DOLLAR.sub(DOLLAR, text, count=1)
        text = text.replace("$", "")
    if "<" in text:
        text = _HTML.sub(" ", text)
    if "°" in text:
        text = _DEGREES.sub("°", text).replace("*°", "°")
    if "~" in text:
        text = _TILDE.sub(" ", text)
    text = _strip_edges(" ".join(text.replace("{,}", ",").replace("...", "…").split()))
    return _STARRED.sub("^*", text) if "*" in text or "\\ast" in text else text


def _without_commands(text: str) -> str:
    text = _DEGREES.sub("°", _ESCAPED_DOLLAR.sub(DOLLAR, text))
    if "\\begin" in text:
        text = _ROW_BREAK.sub(r"\\cr ", text)
    else:
        text = _BROKEN_LINE.sub(", ", _DOUBLED.sub(r"\\", text))
    for _ in range(_WRAPPER_DEPTH):
        text, changed = _WRAPPER.subn(_unwrapped, text)
        if not changed:
            break
    text = _SIZING.sub("", text)
    text = _SPACING.sub(" ", text)
    text = text.replace(r"\%", "%")
    text = _DELIMITERS.sub("", text)
    if "frac" in text:
        text = _FRACTION_NAME.sub(r"\\frac", text)
    if "binom" in text:
        text = _BINOMIAL_NAME.sub(r"\\binom", text)
    if "}_" in text:
        text = _SINGLE_NAME.sub(r"\1", text)
    text = _MONEY.sub(lambda match: _MONEY_SIGNS[match.group(1)], text)
    if "\\choose" in text:
        text = _CHOOSE.sub(r"\\binom{\1}{\2}", text)
    if "\\over" in text:
        text = _OVER.sub(_as_fraction, text)
    return text


def _unwrapped(match: re.Match[str]) -> str:
    """What a wrapper holds, apart from a number in front of it if it is a word."""
    inside = match.group(1)
    before = match.string[match.start() - 1 : match.start()]
    word = inside[:3].isalpha() and len(inside) > 2
    if (before.isdigit() and word) or _COMMAND_BEFORE.search(
        match.string[max(0, match.start() - 14) : match.start()]
    ):
        return f" {inside}"
    return inside


def _as_fraction(match: re.Match[str]) -> str:
    top, bottom = (match.group(1) or match.group(3) or ""), (match.group(2) or match.group(4) or "")
    return f"\\frac{{{top.strip()}}}{{{bottom.strip()}}}"


def _raised(match: re.Match[str]) -> str:
    digits = match.group().translate(_AS_DIGITS)
    return f"^{digits}" if len(digits) == 1 else f"^{{{digits}}}"


def _lowered(match: re.Match[str]) -> str:
    digits = match.group().translate(_AS_DIGITS)
    return f"_{digits}" if len(digits) == 1 else f"_{{{digits}}}"


def loosen(text: str) -> str:
    """Return a normalised answer as plain words in lower case, for comparing answers as text.

    Lower case, no leading article, no quotes, commas, stops, question or exclamation marks, hyphens
    between letters as spaces. Every other sign stays: "p" and "¬p", "y'" and "y''", "C#" and "C"
    are different.
    """
    words = text.casefold()
    if "-" in words:
        words = _WORD_HYPHEN.sub(" ", words)
    if "'" in words:
        words = _BETWEEN_LETTERS.sub("", words)
    words = _PUNCTUATION.sub(" ", words)
    if "_" in words or "^" in words:
        words = _CHEMICAL.sub(r"\1\2", words)
    return _ARTICLE.sub("", " ".join(words.split()).strip(" ."))


def compact(text: str) -> str:
    """Return a normalised formula without spaces, with one sign for products and one for powers."""
    text = (
        text.replace("\\cdot", "*")
        .replace("\\times", "*")
        .replace("\u00d7", "*")
        .replace("·", "*")
        .replace("**", "^")
    )
    return "".join(text.split())


def _strip_edges(text: str) -> str:
    while True:
        before = text
        text = _CLOSING_MARKS.sub("", text.strip(_EDGE).rstrip(".,;:。"))
        if ("*" in text or "__" in text) and (starred := _STARS.fullmatch(text)):
            text = next(filter(None, starred.group("inside", "item", "opened", "before")))
        if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
            text = text[1:-1]
        if text == before:
            return text
