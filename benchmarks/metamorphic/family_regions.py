"""Intervals, inequalities and unions of intervals."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from metamorphic.drafts import Draft, Rule, Stated, equal, one_of, tex, wrong
from metamorphic.numerals import exact_text, integer, shortest_decimal
from metamorphic.values import Piece, Region


def brackets(piece: Piece, *, number: str = "plain", sized: bool = False) -> str:
    r"""Return an interval in brackets, `(1, 2]`."""
    low = r"-\infty" if piece.low is None else _end(piece.low, number)
    high = r"\infty" if piece.high is None else _end(piece.high, number)
    opening, closing = "[" if piece.low_in else "(", "]" if piece.high_in else ")"
    if sized:
        return rf"\left{opening}{low}, {high}\right{closing}"
    return f"{opening}{low}, {high}{closing}"


def inequality(piece: Piece, style: str = "plain") -> str:
    r"""Return an interval as `1 < x \le 2`; styles: plain, leq, character, turned, close."""
    less, less_eq, more, more_eq = {
        "leq": ("<", r"\leq", ">", r"\geq"),
        "character": ("<", "≤", ">", "≥"),
    }.get(style, ("<", r"\le", ">", r"\ge"))
    low = None if piece.low is None else _end(piece.low, "plain")
    high = None if piece.high is None else _end(piece.high, "plain")
    if low is None:
        parts = ["x", less_eq if piece.high_in else less, str(high)]
    elif high is None:
        parts = ["x", more_eq if piece.low_in else more, low]
    elif style == "turned":
        parts = [
            high,
            more_eq if piece.high_in else more,
            "x",
            more_eq if piece.low_in else more,
            low,
        ]
    else:
        parts = [
            low,
            less_eq if piece.low_in else less,
            "x",
            less_eq if piece.high_in else less,
            high,
        ]
    if style == "turned" and len(parts) == 3:
        turned = {less: more, more: less, less_eq: more_eq, more_eq: less_eq}
        parts = [parts[2], turned[parts[1]], parts[0]]
    return " ".join(parts)


def _end(number: Fraction, style: str) -> str:
    return shortest_decimal(number) if style == "decimal" else exact_text(number)


def _bounded(rng: Random, *, halves: bool = False) -> Piece:
    """A half-open interval: an open or closed one may be read as a point or a list."""
    low = Fraction(rng.randrange(-20, 20), 1)
    high = low + rng.randrange(1, 20)
    if halves:
        low += Fraction(rng.choice((1, 3)), rng.choice((2, 4)))
        high += Fraction(rng.choice((1, 3)), 4) + 1
    closed = rng.random() < 0.5
    return Piece(low, closed, high, not closed)


def _ray(rng: Random) -> Piece:
    end, included = Fraction(rng.randrange(-30, 31)), rng.random() < 0.5
    return (
        Piece(end, included, None, False)
        if rng.random() < 0.5
        else Piece(None, False, end, included)
    )


def _any_piece(rng: Random) -> Piece:
    return _bounded(rng) if rng.random() < 0.5 else _ray(rng)


def _interval(piece: Piece) -> Stated:
    return tex(brackets(piece), Region((piece,)))


def _interval_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        piece = _any_piece(rng)
        value = Region((piece,))
        if style == "decimal ends":
            piece = _bounded(rng, halves=True)
            value = Region((piece,))
            return Draft(_interval(piece), tex(brackets(piece, number="decimal"), value))
        text = {
            "sized brackets": lambda: brackets(piece, sized=True),
            "no spaces": lambda: brackets(piece).replace(" ", ""),
            "x in": lambda: r"x \in " + brackets(piece),
            "inequality": lambda: inequality(piece),
            "inequality, leq": lambda: inequality(piece, "leq"),
            "inequality turned": lambda: inequality(piece, "turned"),
            "inequality in characters": lambda: inequality(piece, "character"),
            "set-builder": lambda: rf"\{{x \mid {inequality(piece)}\}}",
            "set-builder with a colon": lambda: rf"\{{x : {inequality(piece)}\}}",
        }[style]()
        return Draft(_interval(piece), tex(text, value))

    return equal("interval", f"as {style}", draft)


def _inequality_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        piece = _any_piece(rng)
        if style == "both ends open or closed":
            included = rng.random() < 0.5
            piece = _bounded(rng)
            piece = Piece(piece.low, included, piece.high, included)
        value = Region((piece,))
        reference = tex(inequality(piece), value)
        text = {
            "interval": lambda: brackets(piece),
            "both ends open or closed": lambda: brackets(piece),
            "leq": lambda: inequality(piece, "leq"),
            "turned": lambda: inequality(piece, "turned"),
            "characters": lambda: inequality(piece, "character"),
            "no spaces": lambda: inequality(piece, "character").replace(" ", ""),
        }[style]()
        return Draft(reference, tex(text, value))

    return equal("inequality", f"as {style}", draft)


def _other_piece(piece: Piece, change: str, rng: Random) -> Piece:
    low, high = piece.low, piece.high
    if change == "open for closed":
        return Piece(
            low, low is not None and not piece.low_in, high, high is not None and not piece.high_in
        )
    if change == "other side":
        return Piece(high, piece.high_in, low, piece.low_in)
    step = rng.choice((1, 2))
    if change == "another end":
        if high is None or (low is not None and rng.random() < 0.5):
            return Piece((low or Fraction(0)) - step, piece.low_in, high, piece.high_in)
        return Piece(low, piece.low_in, high + step, piece.high_in)
    # Signs of both ends, so that the interval is mirrored.
    return Piece(
        None if high is None else -high, piece.high_in, None if low is None else -low, piece.low_in
    )


def _wrong(kind: str, change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        piece = _ray(rng) if change == "other side" else _any_piece(rng)
        while change == "mirrored" and (piece.low or 0) + (piece.high or 0) == 0:
            piece = _any_piece(rng)
        reference = (
            _interval(piece) if kind == "interval" else tex(inequality(piece), Region((piece,)))
        )
        if change == "an end only":
            ends = [end for end in (piece.low, piece.high) if end is not None]
            return Draft(reference, integer(int(rng.choice(ends))))
        other = _other_piece(piece, change, rng)
        text = brackets(other) if rng.random() < 0.5 else inequality(other)
        return Draft(reference, tex(text, Region((other,))))

    return wrong(kind, change, draft)


_CHANGES = ("open for closed", "another end", "other side", "mirrored", "an end only")


def _two(rng: Random) -> tuple[Piece, Piece]:
    """A ray to the left and a ray to the right or a bounded interval, with a gap between."""
    end = Fraction(rng.randrange(-20, 10))
    left = Piece(None, False, end, rng.random() < 0.5)
    start = end + rng.randrange(2, 12)
    if rng.random() < 0.6:
        return left, Piece(start, rng.random() < 0.5, None, False)
    closed = rng.random() < 0.5
    return left, Piece(start, closed, start + rng.randrange(1, 9), not closed)


def _union(pieces: tuple[Piece, ...], joint: str = r" \cup ") -> Stated:
    return tex(joint.join(map(brackets, pieces)), Region(pieces))


def _union_as(style: str) -> Rule:
    def draft(rng: Random) -> Draft:
        pieces = _two(rng)
        value = Region(pieces)
        text = {
            "other order": lambda: _union(pieces[::-1]).text,
            "no spaces": lambda: _union(pieces, r"\cup").text.replace(" ", ""),
            "sized brackets": lambda: r" \cup ".join(brackets(p, sized=True) for p in pieces),
            "inequalities": lambda: r" \text{ or } ".join(map(inequality, pieces)),
            "x in": lambda: r"x \in " + _union(pieces).text,
            "character": lambda: _union(pieces, " ∪ ").text,
        }[style]()
        return Draft(_union(pieces), tex(text, value))

    return equal("union", f"as {style}", draft)


def _union_wrong(change: str) -> Rule:
    def draft(rng: Random) -> Draft:
        left, right = _two(rng)
        reference = _union((left, right))
        other: tuple[Piece, ...] = {
            "one part only": (rng.choice((left, right)),),
            "gap for the outside": (
                Piece(left.high, not left.high_in, right.low, not right.low_in),
            ),
            "open for closed": (Piece(None, False, left.high, not left.high_in), right),
            "another end": (left, _other_piece(right, "another end", rng)),
            "everything": (Piece(None, False, None, False),),
        }[change]
        if change == "another end":
            right_ = other[1]
            if right_.low is not None and left.high is not None and right_.low <= left.high:
                other = (_other_piece(left, "open for closed", rng), right)
        return Draft(reference, tex(r" \cup ".join(map(brackets, other)), Region(other)))

    return wrong("union", change, draft)


RULES = (
    one_of(
        "spellings",
        (_interval_as(s) for s in ("sized brackets", "no spaces", "x in", "decimal ends")),
    ),
    one_of(
        "as inequality",
        (
            _interval_as(style)
            for style in (
                "inequality",
                "inequality, leq",
                "inequality turned",
                "inequality in characters",
            )
        ),
    ),
    one_of("set-builder", (_interval_as(s) for s in ("set-builder", "set-builder with a colon"))),
    one_of("spellings", (_inequality_as(s) for s in ("leq", "turned", "characters", "no spaces"))),
    one_of("as interval", (_inequality_as(s) for s in ("interval", "both ends open or closed"))),
    *(
        rule
        for kind in ("interval", "inequality")
        for rule in (
            _wrong(kind, "open for closed"),
            one_of("another end", (_wrong(kind, c) for c in ("another end", "an end only"))),
            one_of("other side", (_wrong(kind, c) for c in ("other side", "mirrored"))),
        )
    ),
    one_of(
        "spellings",
        (_union_as(s) for s in ("no spaces", "sized brackets", "x in", "character")),
    ),
    _union_as("other order"),
    _union_as("inequalities"),
    one_of("ends", (_union_wrong(c) for c in ("open for closed", "another end"))),
    one_of(
        "other parts",
        (_union_wrong(c) for c in ("one part only", "gap for the outside", "everything")),
    ),
)
