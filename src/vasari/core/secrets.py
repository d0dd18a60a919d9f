r"""Keys of servers, replaced by "[key]" in every text that goes into a file, a log or an error.

A text of our own is searched for whole keys. What a server says is searched for every piece of
eight characters: it may repeat a key in part, and it is cut to a length before it is shown. Keys
are also found in other letter case, escaped (`%2D`, `\u002d`, `&#45;`), in base64 and in hex.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

BLOT = "[key]"

SHORTEST_KEY = 8
"""A shorter key could be part of ordinary words, and replacing it would damage texts."""

PIECE = 8
"""Shortest piece of a key that is replaced in what a server says."""

_ENCODED_PIECE = 16
"""The same of base64 and hex, which need more characters for as much of a key."""

_WORD = 12
"""Letters alone, or digits alone, are a word or a number of an answer unless they are as many."""

_GRAM = 5

# Of lower case. Every way begins with one of three letters, so that the search can skip the others.
_ESCAPED = re.compile(
    r"%(?P<url>[0-9a-f]{2})|\\\\*(?:u00|x)(?P<json>[0-9a-f]{2})|&#x(?P<hex>[0-9a-f]{1,4});"
    r"|&#(?P<decimal>[0-9]{1,5});|\\\\*(?P<sign>[/+=_.-])"
)


@dataclass(frozen=True)
class _Form:
    """A key as it may be written, in lower case."""

    text: str
    piece: int
    """Shortest piece of it that gives the key away."""

    @cached_property
    def pieces(self) -> frozenset[str]:
        return frozenset(self._pieces(self.piece))

    @cached_property
    def grams(self) -> tuple[str, ...]:
        """Short parts, of which every piece holds one: texts with none need no further look."""
        step = self.piece - _GRAM + 1
        return tuple(self.text[at : at + _GRAM] for at in range(0, len(self.text), step))

    def _pieces(self, length: int) -> Iterator[str]:
        for start in range(len(self.text) - length + 1):
            yield self.text[start : start + length]


_forms: dict[str, tuple[_Form, ...]] = {}


def protect(key: str) -> None:
    """Replace a key from now on in files, and in all texts given to `blot` and `blot_pieces`."""
    if len(key) >= SHORTEST_KEY and key not in _forms:
        encoded = {key.encode().hex()} | {
            # Base64 has three forms of a text, by the place where it begins.
            form(b"\0" * before + key.encode())[before + (before > 0) :].rstrip(b"=")[:-1].decode()
            for before in range(3)
            for form in (base64.standard_b64encode, base64.urlsafe_b64encode)
        }
        _forms[key] = (
            _Form(key.lower(), PIECE),
            *(_Form(one.lower(), min(_ENCODED_PIECE, len(one))) for one in sorted(encoded)),
        )


def blot(text: str) -> str:
    """Return a text of our own with whole keys replaced by "[key]"."""
    return _blotted(text, whole=True, words=False) if _forms else text


def blot_bytes(content: bytes) -> bytes:
    """Return the content of a file of our own with whole keys replaced by "[key]"."""
    for key in _forms:
        if key.encode() in content:
            content = content.replace(key.encode(), BLOT.encode())
    return content


def blot_pieces(text: str, *, words: bool = False) -> str:
    """Return what a server said with every piece of a key (8 characters) replaced by "[key]".

    Args:
        text: It may have been cut.
        words: Spare a word or a number that a key happens to contain: the text is an answer, not a
            message about the request.
    """
    return _blotted(text, whole=False, words=words) if _forms else text


def _blotted(text: str, *, whole: bool, words: bool) -> str:
    plain = text.lower()
    if len(plain) != len(text):  # a few letters have two in lower case
        plain = "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)
    escaped = any(sign in plain for sign in "%\\&")
    read = _ESCAPED.sub(_letter, plain) if escaped else plain
    spans = [
        span
        for forms in _forms.values()
        for form in forms
        if (form.text in read if whole else any(gram in read for gram in form.grams))
        for span in _found(read, form, whole=whole)
        if not (words and _is_word(read[span[0] : span[1]], form))
    ]
    if not spans:
        return text
    places = _places(plain) if escaped else range(len(text) + 1)
    pieces, at = [], 0
    for start, end in _joined(spans):
        pieces += [text[at : places[start]], BLOT]
        at = places[end]
    return "".join([*pieces, text[at:]])


def _found(read: str, form: _Form, *, whole: bool) -> Iterator[tuple[int, int]]:
    """Where a text holds the longest pieces of a key: first character, and one behind the last."""
    if whole:
        at = read.find(form.text)
        while at >= 0:
            yield at, at + len(form.text)
            at = read.find(form.text, at + 1)
        return
    length = form.piece
    starts = (at for at in range(len(read)) if read[at : at + length] in form.pieces)
    yield from _joined((at, at + length) for at in starts)


def _joined(spans: Iterator[tuple[int, int]] | list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans in order, with those that overlap made one."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    return joined


def _is_word(piece: str, form: _Form) -> bool:
    return len(piece) < min(_WORD, len(form.text)) and (piece.isalpha() or piece.isdigit())


def _letter(match: re.Match[str]) -> str:
    groups = match.groupdict()
    if groups["sign"]:
        return str(groups["sign"])
    number = groups["url"] or groups["json"] or groups["hex"]
    return chr(int(number, 16) if number else int(groups["decimal"])).lower()[:1]


def _places(plain: str) -> list[int]:
    """Where each letter of the text without escapes begins in the text; last, its length."""
    places, at = [], 0
    for match in _ESCAPED.finditer(plain):
        places += [*range(at, match.start()), match.start()]
        at = match.end()
    return [*places, *range(at, len(plain) + 1)]
