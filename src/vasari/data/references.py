r"""Take a reference answer out of what data sets put around it: a list, a box, dollars, a tag.

A training target writes the answer into a box of its own, and a verifier compares the answer, so a
wrapper that stays is a wrong target (`\boxed{\boxed{5}}`). Taken off is what is certain; an
interval, a set, a matrix and an option in brackets (`[5]`, `{5}`, `[A]`) stay as they are.
"""

from __future__ import annotations

import re
from typing import Any

from vasari.core.errors import DataError

_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_BOXED = re.compile(r"\\(?:boxed|fbox|(?:framebox|bbox)(?:\s?\[[^\[\]]*\]){0,2})\s*\{")
_BARE_BOX = re.compile(r"\\boxed\s+([^\s{}$\\]+)")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_GSM8K = re.compile(r"(?:^|\n)[ \t]*####[ \t]*(\S[^\n]*)\s*$")
# A text "['5']": the quotes inside tell that it is a list, and no interval.
_LISTED = re.compile(r"""\[\s*(?:'([^']*)'|"([^"]*)")\s*\]""")
_MOST_LAYERS = 32
_MATHS = (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"))


def single(value: Any) -> Any:
    """Return the entry of a list of one, however deep; another value as it is.

    Raises:
        DataError: A list of several: which one counts is not known.
    """
    while isinstance(value, list | tuple):
        if not value:
            return None
        if len(value) > 1:
            raise DataError(
                f"the answer is a list of {len(value)}, and which of them counts is not known;"
                " `answer_as: first` or `most` in a description says it"
            )
        value = value[0]
    return value


def unwrapped(text: str) -> str:
    r"""Return a reference answer without what is around it.

    Taken off, again and again: `<answer>5</answer>` and `\boxed{5}`, with any text around them;
    GSM8K's `#### 5` at the end of a text; `$5$`, `$$5$$`, `\(5\)`, `\[5\]`, and a text "['5']",
    around the whole answer.

    Raises:
        DataError: Two boxes or two tags hold different answers, or a box is not closed.
    """
    text = text.strip()
    for _ in range(_MOST_LAYERS):
        inner = _of_box(_of_tag(text)).strip()
        if found := _GSM8K.search(inner):
            inner = found.group(1)
        inner = _of_maths(inner).strip()
        if listed := _LISTED.fullmatch(inner):
            inner = _unescaped(listed.group(1) or listed.group(2) or "").strip()
        if inner == text:
            return text
        text = inner
    raise DataError(f"the answer is wrapped more than {_MOST_LAYERS} times")


def last_boxed(text: str) -> str:
    r"""Return the content of the last \boxed{...} of a text; "" if missing or not closed."""
    start = next((found.end() for found in reversed(list(_BOXED.finditer(text)))), None)
    end = None if start is None else _end(text, start)
    return "" if end is None else text[start:end].strip()


def _unescaped(text: str) -> str:
    """Return an entry of a list written as text; its backslashes are doubled all or none."""
    single_left = re.sub(r"\\\\", "", text)
    return text if "\\" in single_left else text.replace("\\\\", "\\")


def _of_tag(text: str) -> str:
    found = [inner.strip() for inner in _TAGGED.findall(text)]
    return _agreed(found, "<answer> tags") if found else text


def _of_box(text: str) -> str:
    if "box" not in text:
        return text
    boxes = _boxes(text)
    if not boxes:
        return _BARE_BOX.sub(r"\1", text) if _BARE_BOX.fullmatch(text) else text
    if None in boxes:
        raise DataError(f"the answer has a box that is not closed: {text[-60:]!r}")
    return _agreed([box.strip() for box in boxes if box is not None], "boxes")


def _agreed(found: list[str], what: str) -> str:
    if len(set(found)) > 1:
        shown = "; ".join(repr(one[:30]) for one in dict.fromkeys(found))
        raise DataError(f"the answer has {len(found)} {what} that differ: {shown[:150]}")
    return found[0]


def _boxes(text: str) -> list[str | None]:
    """Contents of the outermost boxes of a text, in order; None for one that is not closed."""
    boxes: list[str | None] = []
    place = 0
    while opened := _BOXED.search(text, place):
        end = _end(text, opened.end())
        if end is None:
            return [*boxes, None]
        boxes.append(text[opened.end() : end])
        place = end
    return boxes


def _end(text: str, start: int) -> int | None:
    """Return where the brace closes that was opened before `start`; None if it does not."""
    depth = 1
    for brace in _BRACE.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(brace.group(), 0)
        if depth == 0:
            return brace.start()
    return None


def _of_maths(text: str) -> str:
    for opening, closing in _MATHS:
        inner = text[len(opening) : -len(closing)]
        bare = inner.replace(r"\$", "")  # an amount: $\$5$
        if (
            text.startswith(opening)
            and text.endswith(closing)
            and inner.strip()
            and opening not in bare
            and closing not in bare
            and not inner.endswith("\\")
            # "\[1, 2\]" may be an interval whose brackets are escaped.
            and not (opening in (r"\(", r"\[") and "," in inner)
        ):
            return inner
    return text
