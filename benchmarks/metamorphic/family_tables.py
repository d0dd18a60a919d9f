"""Matrices, column vectors and numbers in other bases."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from random import Random

from metamorphic.drafts import Draft, Rule, Stated, equal, one_of, said, tex, wrong
from metamorphic.numerals import exact_text, integer, shortest_decimal
from metamorphic.values import Grid, InBase

Rows = tuple[tuple[Fraction, ...], ...]


def _matrix(rows: Rows, style: str = "pmatrix") -> Stated:
    cells = [
        [shortest_decimal(n) if style == "decimals" else exact_text(n) for n in row] for row in rows
    ]
    return tex(_written(cells, style), Grid(rows))


def _written(cells: Sequence[Sequence[str]], style: str) -> str:
    close = style == "no spaces"
    body = ("\\\\" if close else r" \\ ").join(("&" if close else " & ").join(row) for row in cells)
    if style == "lines":
        body = "\n" + " \\\\\n".join(" & ".join(row) for row in cells) + "\n"
    if style == "array":
        columns = "c" * len(cells[0])
        return rf"\left[\begin{{array}}{{{columns}}}{body}\end{{array}}\right]"
    if style == "array in parentheses":
        columns = "c" * len(cells[0])
        return rf"\left(\begin{{array}}{{{columns}}} {body} \end{{array}}\right)"
    name = "bmatrix" if style == "bmatrix" else "pmatrix"
    space = "" if close else " "
    return rf"\begin{{{name}}}{space}{body}{space}\end{{{name}}}"


def _rows(rng: Random, *, column: bool = False) -> Rows:
    """No row or column alike and not symmetric, so that a change of order is seen."""
    height, width = (rng.choice((2, 3)), 1) if column else rng.choice(((2, 2), (2, 3), (3, 2)))
    sizes = rng.sample(range(1, 40), height * width)
    numbers = [Fraction(rng.choice((-1, 1, 1)) * size) for size in sizes]
    return tuple(tuple(numbers[i * width : (i + 1) * width]) for i in range(height))


def _halved(rows: Rows) -> Rows:
    return ((rows[0][0] + Fraction(1, 2), *rows[0][1:]), *rows[1:])


def _matrix_as(kind: str, style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        rows = _rows(rng, column=kind == "vector")
        if style == "decimals":
            rows = _halved(rows)
        return Draft(_matrix(rows), _matrix(rows, style))

    return equal(kind, f"as {style}", draft)


def _matrix_wrong(kind: str, change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        rows = _rows(rng, column=kind == "vector")
        while kind == "vector" and change == "a row less" and len(rows) < 3:
            rows = _rows(rng, column=True)
        first = rows[0]
        other: Rows = {
            "transposed": tuple(zip(*rows, strict=True)),
            "rows swapped": rows[::-1],
            "another entry": ((first[0] + 50, *first[1:]), *rows[1:]),
            "another sign": (*rows[:-1], (*rows[-1][:-1], -rows[-1][-1])),
            "a row more": (*rows, first),
            "a row less": rows[1:],
        }[change]
        style = rng.choice(("pmatrix", "bmatrix", "no spaces"))
        return Draft(_matrix(rows), _matrix(other, style))

    return wrong(kind, change, draft)


def _digits(number: int, base: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, base)
        digits = "0123456789ABCDEF"[rest] + digits
    return digits or "0"


def _based(number: int, base: int, style: str = "plain") -> Stated:
    digits = _digits(number, base)
    value = InBase(digits, base)
    if style == "in words":
        return said(f"{digits} in base {base}", value)
    if style == "in brackets":
        return said(f"{digits} (base {base})", value)
    text = {
        "braces": f"{digits}_{{{base}}}",
        "text": rf"{digits}_{{\text{{{base}}}}}",
        "parentheses": f"({digits})_{{{base}}}",
    }.get(style, f"{digits}_{base}" if base < 10 else f"{digits}_{{{base}}}")
    return tex(text, value)


def _based_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        base, number = rng.choice((2, 2, 3, 5, 8, 16)), rng.randrange(20, 5000)
        return Draft(_based(number, base), _based(number, base, style))

    return equal("base", f"as {style}", draft)


def _based_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        base, number = rng.choice((2, 3, 5, 8)), rng.randrange(20, 5000)
        reference = _based(number, base)
        style = rng.choice(("plain", "braces"))
        if change == "same digits, another base":
            other = rng.choice([b for b in (3, 5, 8, 10, 16) if b > base])
            digits = _digits(number, base)
            return Draft(reference, tex(f"{digits}_{{{other}}}", InBase(digits, other)))
        if change == "another number":
            return Draft(reference, _based(number + rng.choice((-1, 1, base)), base, style))
        return Draft(reference, integer(number + 1))

    return wrong("base", change, draft)


_STYLES = ("bmatrix", "array", "array in parentheses", "no spaces", "lines", "decimals")

RULES = (
    *(
        rule
        for kind in ("matrix", "vector")
        for rule in (
            one_of("another environment", (_matrix_as(kind, style) for style in _STYLES[:3])),
            one_of("spellings", (_matrix_as(kind, style) for style in _STYLES[3:])),
            _matrix_wrong(kind, "rows swapped"),
            one_of(
                "another entry", (_matrix_wrong(kind, c) for c in ("another entry", "another sign"))
            ),
            one_of(
                "more or fewer rows", (_matrix_wrong(kind, c) for c in ("a row more", "a row less"))
            ),
        )
    ),
    _matrix_wrong("matrix", "transposed"),
    one_of("spellings", (_based_as(style) for style in ("braces", "text", "parentheses"))),
    one_of("in words", (_based_as(style) for style in ("in words", "in brackets"))),
    _based_wrong("same digits, another base"),
    one_of(
        "another number", (_based_wrong(c) for c in ("another number", "another decimal number"))
    ),
)
