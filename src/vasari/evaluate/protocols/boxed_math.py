r"""DeepSeekMath's scorer, which scores answers to GSM8K and Gaokao cloze questions.

From deepseek-ai/DeepSeek-Math, `evaluation/`, MIT.

Known bugs that are kept: 20 is credited for 2000 and for 0.2 (a reference is also tried as a
percentage), the letter j becomes i, "inf" in any word becomes infinity, and a formula in LaTeX is
equal only when it is spelled alike, since the LaTeX parser that the scorer asks first was not
installed where the published runs were scored.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from vasari.evaluate.protocols.latex_braces import brace_fractions
from vasari.evaluate.protocols.plain_expression import (
    NotPlainError,
    are_equal,
    constant_value,
    parse_plain,
)
from vasari.verify.limits import LimitExceededError

MAX_ANSWER_CHARS = 10_000
"""Characters of an answer that are read; a longer one is over the limit."""

_TOLERANCE = 1e-3
_MAX_PARTS = 100
_NUMBER = re.compile(r"-?\d*\.?\d+")
_OUTPUT = "```output"
_BRACKETED = re.compile(r"[(\[].+[)\]]")
_MATRIX = re.compile(r"\\begin\{[pb]matrix\}(.*)\\end\{[pb]matrix\}", re.DOTALL)


def boxed_contents(text: str) -> list[str]:
    r"""Return the contents of every `boxed{...}` in a text that has its closing brace.

    A percent sign behind a box keeps its brace, as in the original.
    """
    contents = []
    for piece in text.split("boxed{")[1:]:
        depth = 0
        for place, character in enumerate(piece):
            if character == "{":
                depth += 1
            elif character == "}":
                depth -= 1
                if depth < 0:
                    contents.append(
                        piece[: place + 1] if piece[place + 1 : place + 2] == "%" else piece[:place]
                    )
                    break
    return contents


def last_answer(response: str) -> str:
    """Return the final answer that DeepSeekMath's GSM8K rule reads in a response.

    Read in this order: "final answer is $...$. I hope", the last box, "the answer is", program
    output, the last number.
    """
    found = [_cleaned(answer) for answer in _stated(response)]
    return found[-1] if found else ""


def split_answers(boxes: Sequence[str]) -> list[str]:
    """Split boxed answers at semicolons and commas outside brackets; drop repeated answers.

    As the Gaokao cloze rule does.
    """
    parts: list[str] = []
    for box in boxes:
        rest = box.strip("$") + ";"
        while rest:
            place = _first_cut(rest)
            if place is None:
                break
            part, rest = rest[:place].strip(), rest[place + 1 :].strip()
            if part not in parts:
                parts.append(part)
    return parts


def cloze_is_correct(parts: Sequence[str], answers: Sequence[str]) -> bool:
    """Whether the last of the answers in a response equal all reference answers, in order."""
    last = parts[-len(answers) :]
    return len(last) == len(answers) and all(
        is_correct(part, answer) for part, answer in zip(last, answers, strict=True)
    )


def is_correct(prediction: str, answer: str) -> bool:
    """Whether two answers are numbers within 0.001, equal texts, or equal formulas.

    Formulas are compared by `math_equal`, unions part by part.

    Raises:
        LimitExceededError: A formula is too long or a number too large.
    """
    if "\\cup" in prediction and "\\cup" in answer:
        found, expected = prediction.split("\\cup")[:_MAX_PARTS], answer.split("\\cup")[:_MAX_PARTS]
        table = [[is_correct(part, reference) for reference in expected] for part in found]
        return all(map(any, table)) and all(map(any, zip(*table, strict=True)))
    first, second = _number(prediction), _number(answer)
    if first is not None and second is not None and abs(first - second) < _TOLERANCE:
        return True
    return (answer != "" and prediction == answer) or math_equal(prediction, answer)


def math_equal(prediction: str, answer: str) -> bool:
    """Whether two answers are equal as numbers, tuples, matrices, equations or formulas.

    Numbers may be percentages.
    """
    if prediction == answer:
        return True
    first, second = _digits(prediction), _digits(answer)
    if first is not None and second is not None:
        return any(
            math.isclose(item, first, abs_tol=_TOLERANCE)
            for item in (second / 100, second, second * 100)
        )
    if not prediction:
        return False
    prediction, answer = prediction.strip(), answer.strip()
    bracketed = _BRACKETED.match(prediction) and _BRACKETED.match(answer)
    if bracketed and _parts_equal(prediction[1:-1].split(","), answer[1:-1].split(",")):
        return True
    if _matrices_equal(prediction, answer) or _equations_equal(
        prediction.split("="), answer.split("=")
    ):
        return True
    return _symbolic_equal(prediction, answer)


def _equations_equal(left: Sequence[str], right: Sequence[str]) -> bool:
    """Whether two equations are equal up to their sign, or `x = value` equals the other answer."""
    if len(left) == 2 and len(right) == 2:
        found, expected = (f"{sides[0].strip()} - ({sides[1].strip()})" for sides in (left, right))
        return _symbolic_equal(found, expected) or _symbolic_equal(f"-({found})", expected)
    if len(left) == 2 and len(right) == 1:
        return len(left[0].strip()) <= 2 and math_equal(left[1], right[0])
    if len(right) == 2 and len(left) == 1:
        return len(right[0].strip()) <= 2 and math_equal(left[0], right[1])
    return False


def _stated(response: str) -> list[str]:
    if "final answer is $" in response and "$. I hope" in response:
        return [response.split("final answer is $", 1)[1].split("$. I hope", 1)[0].strip()]
    if "boxed" in response:
        return boxed_contents(response)
    if "he answer is" in response:
        return [response.rsplit("he answer is", maxsplit=1)[-1].strip()]
    if _OUTPUT in response:
        output = response.rsplit(_OUTPUT, maxsplit=1)[-1].split("```", maxsplit=1)[0].strip()
        if output:
            return [output]
    return _NUMBER.findall(response.replace(",", ""))[-1:]


def _cleaned(answer: str) -> str:
    answer = answer.strip().split("\n")[0]
    if len(answer) > MAX_ANSWER_CHARS:
        raise LimitExceededError(f"an answer is longer than {MAX_ANSWER_CHARS} characters")
    return strip_answer(answer.lstrip(":").rstrip(".").rstrip("/"))


def strip_answer(text: str) -> str:
    """Return an answer without units, sizing, `$` and spaces, its LaTeX arguments in braces."""
    text = text.strip().replace("\n", "").rstrip(".").replace("\\!", "")
    if text.startswith("\\text{") and text.endswith("}"):
        text = text.split("{", 1)[1][:-1]
    for old, new in (
        ("tfrac", "frac"),
        ("dfrac", "frac"),
        ("cfrac", "frac"),
        ("\\left", ""),
        ("\\right", ""),
    ):
        text = text.replace(old, new)
    text = re.sub(r"\\text{.*?}$", "", text).strip() or text
    text = text.replace("^{\\circ}", "").strip().replace("^\\circ", "").strip()
    text = re.sub(r"\{(c|m)?m\}(\^(2|3))?", "", text).strip()
    text = re.sub(r"p\.m\.$", "", text).strip()
    text = re.sub(r"(\d)\s*t$", r"\1", text).strip()
    for old, new in (
        ("\\$", ""),
        ("$", ""),
        ("x\\in", ""),
        ("\\%", "%"),
        (" .", " 0."),
        ("{.", "{0."),
        ("\\cdot", ""),
    ):
        text = text.replace(old, new)
    text = text.replace("infinity", "\\infty")
    if "\\infty" not in text:
        text = text.replace("inf", "\\infty")
    text = text.replace("+\\inity", "\\infty").replace("\\mathbf", "").replace("\\mathrm", "")
    text = re.sub(r"\\mbox{.*?}", "", text)
    if "j" in text and "i" not in text:
        text = text.replace("j", "i")
    text = re.sub(r"(\d+)\.0+([^\d])", r"\1\2", text)
    text = re.sub(r"(\d+)\.0+$", r"\1", text)
    if not text:
        return text
    if text[0] == ".":
        text = "0" + text
    for name in ("sqrt", "tan"):
        text = re.sub(rf"\\{name}(-?[0-9.a-zA-Z]+)", rf"\\{name}{{\1}}", text)
        text = re.sub(rf"\\{name}\s+(\w+)$", rf"\\{name}{{\1}}", text)
    text = _slash_as_fraction(brace_fractions(text.replace(" ", "")))
    return re.sub(r"(\\|,|\.)+$", "", text)


def _slash_as_fraction(text: str) -> str:
    sides = text.split("/")
    if len(sides) != 2:
        return text
    try:
        spelled = [side if "sqrt" in side else str(int(side)) for side in sides]
    except ValueError:
        return text
    return f"\\frac{{{spelled[0]}}}{{{spelled[1]}}}" if text == "/".join(spelled) else text


def _first_cut(text: str) -> int | None:
    depth = 0
    for place, character in enumerate(text):
        if character == ";" or (character == "," and depth == 0):
            return place
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
    return None


def _number(text: str) -> float | None:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return None


def _digits(text: str) -> float | None:
    """Return the text as a number, a percentage as a share; None for other text."""
    value = _number(text)
    if value is None and text.replace(",", "").endswith("%"):
        share = _number(text.replace(",", "")[:-1].removesuffix("\\"))
        return None if share is None else share / 100
    return value


def _parts_equal(found: Sequence[str], expected: Sequence[str]) -> bool:
    if len(found) != len(expected) or len(found) > _MAX_PARTS:
        return False
    return all(math_equal(part, reference) for part, reference in zip(found, expected, strict=True))


def _matrices_equal(prediction: str, answer: str) -> bool:
    found, expected = _MATRIX.fullmatch(prediction), _MATRIX.fullmatch(answer)
    if found is None or expected is None:
        return False
    rows, references = (
        [row.strip() for row in match.group(1).split("\\\\") if row.strip()]
        for match in (found, expected)
    )
    if len(rows) != len(references) or len(rows) > _MAX_PARTS:
        return False
    return all(
        _parts_equal(row.split("&"), reference.split("&"))
        for row, reference in zip(rows, references, strict=True)
    )


def _symbolic_equal(first: str, second: str) -> bool:
    try:
        left, right = parse_plain(first), parse_plain(second)
    except NotPlainError:
        return False
    if are_equal(left, right):
        return True
    found, expected = constant_value(left), constant_value(right)
    return (
        found is not None
        and expected is not None
        and math.isclose(found, expected, abs_tol=_TOLERANCE)
    )
