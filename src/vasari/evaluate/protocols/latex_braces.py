r"""Write the braces that LaTeX can do without: `\frac12` as `\frac{1}{2}`."""

from __future__ import annotations


def brace_fractions(text: str) -> str:
    r"""Put the two arguments of every `\frac` in braces.

    The text is unchanged if an argument has fewer than two characters.
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
    r"""Every `\sqrt` with its argument, one character, in braces."""
    first, *rest = text.split("\\sqrt")
    return first + "".join(
        "\\sqrt" + (part if part[:1] in ("", "{") else f"{{{part[0]}}}{part[1:]}") for part in rest
    )


def slash_as_fraction(text: str) -> str:
    r"""Write `a/b` of two plain integers as `\frac{a}{b}`; leave any other text unchanged."""
    sides = text.split("/")
    if len(sides) != 2:
        return text
    try:
        spelled = [str(int(side)) for side in sides]
    except ValueError:
        return text
    return f"\\frac{{{spelled[0]}}}{{{spelled[1]}}}" if text == "/".join(spelled) else text
