"""Text in a standard spelling: one Unicode form, no LaTeX wrappers or markdown, not evaluated."""

from __future__ import annotations

import re
import unicodedata

_VULGAR = {
    "¼": " 1/4", "½": " 1/2", "¾": " 3/4", "⅓": " 1/3", "⅔": " 2/3",
    "⅕": " 1/5", "⅖": " 2/5", "⅗": " 3/5", "⅘": " 4/5",
    "⅙": " 1/6", "⅚": " 5/6", "⅛": " 1/8", "⅜": " 3/8", "⅝": " 5/8", "⅞": " 7/8",
}  # fmt: skip
_SUPERSCRIPTS = {character: f"^{digit}" for digit, character in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
_OTHERS = (
    dict.fromkeys("\u2212\u2010\u2011\u2013", "-")
    | dict.fromkeys("\u00ba\u02da", "°")
    | dict.fromkeys("\u2044\u2215", "/")
)
_QUOTES = dict.fromkeys("\u2018\u2019", "'") | dict.fromkeys("\u201c\u201d", '"')
# Before NFKC, which turns "2½" into "21/2" and "5²" into "52".
_INVISIBLE: dict[str, str | None] = dict.fromkeys(
    "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\ufeff\x96\x97"
)
_CHARACTERS = str.maketrans(_INVISIBLE | _VULGAR | _SUPERSCRIPTS | _OTHERS | _QUOTES)

_WRAPPER = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|mbox|operatorname|bf|rm)\s*\{([^{}]*)\}"
)
_DEGREES = re.compile(
    r"\^\s*\{\s*\\(?:circ|degree)\s*\}|\^\s*\\(?:circ|degree)(?![a-zA-Z])|\\degree(?![a-zA-Z])|\^\s*\{?\s*°\s*\}?"
)
_SIZING = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|big|Big|bigg|Bigg|limits|boldsymbol)(?![a-zA-Z])"
)
_SPACING = re.compile(r"\\(?:[,;: ]|quad(?![a-zA-Z])|qquad(?![a-zA-Z]))|~")
_DELIMITERS = re.compile(r"\\[()\[\]!$]|\$")
_FRACTION_NAME = re.compile(r"\\[dtc]frac(?![a-zA-Z])")
_SPACE = re.compile(r"\s+")
_EDGE = " \t\n*`"
_PUNCTUATION = re.compile(r"[^\w\s.+%°/^{}()\[\]\\<>=√∞≤≥≠±*\u00d7÷:-]")
_WORD_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
_ARTICLE = re.compile(r"^(?:the|a|an)\s+(?=\S)")
_WRAPPER_DEPTH = 4


def normalise(text: str) -> str:
    r"""Return an answer in a standard spelling (one Unicode form, no LaTeX wrappers); keeps case.

    Unicode forms are unified (NFKC, minus signs, vulgar fractions, superscripts as `^n`),
    `\text{...}` and its like, `$`, `\( \)`, sizing and spacing commands vanish, `^\circ` becomes
    `°`, markdown stars and quotes around the whole and a final full stop are dropped, white space
    becomes one space. The time is linear in the length.
    """
    text = unicodedata.normalize("NFKC", text.translate(_CHARACTERS))
    for _ in range(_WRAPPER_DEPTH):
        text, changed = _WRAPPER.subn(r"\1", text)
        if not changed:
            break
    text = _DEGREES.sub("°", text).replace("*°", "°")
    text = _SIZING.sub("", text)
    text = _SPACING.sub(" ", text)
    text = text.replace(r"\%", "%").replace("{,}", ",")
    text = _DELIMITERS.sub("", text)
    text = _FRACTION_NAME.sub(r"\\frac", text)
    text = _SPACE.sub(" ", text)
    return _strip_edges(text)


def loosen(text: str) -> str:
    """Return a normalised answer as plain words in lower case, for comparing answers as text.

    Lower case, no leading article, no quotes or commas, hyphens between letters as spaces.
    """
    words = _PUNCTUATION.sub(" ", _WORD_HYPHEN.sub(" ", text.casefold()))
    words = _SPACE.sub(" ", words).strip(" .")
    return _ARTICLE.sub("", words)


def compact(text: str) -> str:
    """Return a normalised formula without spaces, with one sign for products and one for powers."""
    text = (
        text.replace("\\cdot", "*")
        .replace("\\times", "*")
        .replace("\u00d7", "*")
        .replace("·", "*")
        .replace("**", "^")
    )
    return _SPACE.sub("", text)


def _strip_edges(text: str) -> str:
    while True:
        before = text
        text = text.strip(_EDGE).rstrip(".,;:。")
        if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
            text = text[1:-1]
        if text == before:
            return text
