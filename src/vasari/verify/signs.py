r"""Signs of relations, sets, logic and geometry as one character each, whatever their spelling."""

from __future__ import annotations

import re

_SPELLINGS = {
    "≤": "le leq leqslant leqq", "≥": "ge geq geqslant geqq", "<": "lt", ">": "gt",
    "≠": "ne neq", "≈": "approx simeq", "≡": "equiv", "≅": "cong", "∼": "sim",
    "∈": "in", "∪": "cup bigcup", "∩": "cap bigcap", "∖": "setminus", "∅": "emptyset varnothing",
    "⊂": "subset", "⊆": "subseteq", "∞": "infty", "±": "pm", "∓": "mp",
    "→": "to rightarrow longrightarrow", "←": "leftarrow gets", "↔": "leftrightarrow",
    "⇒": "Rightarrow implies Longrightarrow", "⇔": "Leftrightarrow iff",
    "¬": "neg lnot", "∧": "wedge land", "∨": "vee lor", "∀": "forall", "∃": "exists",
    "∠": "angle measuredangle", "△": "triangle bigtriangleup", "⊥": "perp bot", "∥": "parallel",
    "∵": "because", "∴": "therefore", "…": "ldots dots cdots dotsc", "'": "prime",
    "|": "mid vert lvert rvert",
    "♯": "sharp", "♭": "flat", "°": "circ", "·": "cdot", "×": "times", "÷": "div", "⊙": "odot",
}  # fmt: skip
_BY_NAME = {name: sign for sign, names in _SPELLINGS.items() for name in names.split()}
_COMMAND = re.compile(r"\\([a-zA-Z]+)")
_LETTERS = re.compile(r"\\(?:mathbb|mathbf|Bbb|bold)\s*\{?\s*([RNZQC])\s*\}?")
_DOUBLE = {"R": "ℝ", "N": "ℕ", "Z": "ℤ", "Q": "ℚ", "C": "ℂ"}
_ASCII = re.compile(r"<=|>=|!=|=<|<->|->|<-(?=\s|[a-zA-Z])|=>|\+/?-(?=\s?[0-9\\√])|\+\-|\.\.\.")
_FROM_ASCII = {
    "<=": "≤", "=<": "≤", ">=": "≥", "!=": "≠", "->": "→", "<-": "←", "<->": "↔", "=>": "⇒",
    "+-": "±", "+/-": "±", "...": "…",
}  # fmt: skip
_ONE_SPELLING = str.maketrans("⩽⩾≦≧⟂‖∣∆⟹⟶〈〉", "≤≥≤≥⊥∥|△⇒→⟨⟩")
_BEFORE_NAME = re.compile(r"([∠△⊙¬])\s+")
_WORDS = re.compile(r"\b(?:(angle)|(triangle))\s(?=[A-Z]{1,3}\b)|\binfinity\b", re.IGNORECASE)


def with_signs(text: str) -> str:
    r"""Return a normalised text with one character for `\le`, `<=`, `\cup`, `\angle` and so on."""
    if "\\" in text:
        text = _LETTERS.sub(lambda match: _DOUBLE[match.group(1)], text)
        text = text.replace("\\langle", "⟨").replace("\\rangle", "⟩")
        text = text.replace("\\{", "{").replace("\\}", "}").replace("\\|", "∥")
        text = _COMMAND.sub(lambda match: _BY_NAME.get(match.group(1), match.group()), text)
    text = _ASCII.sub(lambda match: _FROM_ASCII.get(match.group(), match.group()), text)
    text = _WORDS.sub(_of_word, text)
    return text if text.isascii() else _BEFORE_NAME.sub(r"\1", text).translate(_ONE_SPELLING)


def _of_word(match: re.Match[str]) -> str:
    return "∠" if match.group(1) else "△" if match.group(2) else "∞"
