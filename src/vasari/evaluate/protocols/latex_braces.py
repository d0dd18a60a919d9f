r"""Add the braces that LaTeX lets one leave out: `\frac12` becomes `\frac{1}{2}`."""

from __future__ import annotations


def brace_fractions(text: str) -> str:
    r"""Return the text with one-character `\frac` arguments in braces: `\frac12` as `\frac{1}{2}`.

    A `\frac` that is followed by a brace stays as it is. The whole text is unchanged if fewer than
    two characters follow any other `\frac`.
    """
    first, *rest = text.split("\\frac")
    pieces = [first]
    for part in rest:
        if part.startswith("{"):
            pieces.append("\\frac" + part)
        elif len(part) < 2:
            return text
        else:
            pieces.append(
                f"\\frac{{{part[0]}}}"
                + (part[1:] if part[1] == "{" else f"{{{part[1]}}}{part[2:]}")
            )
    return "".join(pieces)


def brace_roots(text: str) -> str:
    r"""Return the text with one-character `\sqrt` arguments in braces: `\sqrt2` as `\sqrt{2}`."""
    first, *rest = text.split("\\sqrt")
    return first + "".join(
        "\\sqrt" + (part if part[:1] in ("", "{") else f"{{{part[0]}}}{part[1:]}") for part in rest
    )


def slash_as_fraction(text: str) -> str:
    r"""Return `a/b` of two integers as `\frac{a}{b}`, and any other text unchanged."""
    sides = text.split("/")
    if len(sides) != 2:
        return text
    try:
        spelled = [str(int(side)) for side in sides]
    except ValueError:
        return text
    return f"\\frac{{{spelled[0]}}}{{{spelled[1]}}}" if text == "/".join(spelled) else text
