"""A check that every scoring protocol must pass, built in or a user's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vasari.core.errors import StateError
from vasari.core.records import Outcome, Verdict
from vasari.evaluate.protocols.registry import ScoringProtocol, scoring_protocol
from vasari.evaluate.protocols.stored_output import StoredOutput
from vasari.evaluate.protocols.user_rule import user_rule

_BLANK = ("", " \n\t")

_STATED = (
    "<think>It is 12.</think><answer>\\boxed{12}</answer>",
    "The answer is 12.",
    "12",
    "(B)",
    "13",
    "A",
    "1 2",
    "12.0",
    "120",
    "\uff11\uff12",  # 12 in the digits of Chinese typography
    "\u0661\u0662",  # 12 in Arabic digits
    "The answer is not 12.",
    "12 or 13",
    "I cannot say.",
)
"""Right, wrong and nearly right."""

_HOSTILE = (
    "<answer></answer>",
    "\\boxed{" * 2_000,
    "\\frac{" * 2_000 + "1",
    "[" * 20_000,  # deeper than a JSON parser goes
    '{"answer": ',
    "(" * 2_000 + ")" * 2_000,
    "9" * 5_000,  # more digits than int() takes
    "1e999999",
    "9**9**5",
    "nan",
    "-inf",
    "x" * 200_000,
    "1 " * 5_000,
    # a null byte, half a character, and the sign that turns the direction of writing
    "\x00\ud800 \u202e12",
    "[red]12[/red] <script>12</script> | `12`",
    "__import__('os').getcwd()",
)
"""Malformed, long, deep, and what a careless parser takes for more than text."""


def check_protocol(protocol: Any, *, right: StoredOutput | None = None) -> None:
    """Run a scoring protocol on right, wrong and hostile responses; raise if any check fails.

    The protocol decides about 60 responses (half of that with `right`), right, wrong, nearly right,
    malformed, empty, very long and hostile, and decides them again in the reverse order. Each
    verdict is one that a scorer may return and the same both times; none is an exception of the
    scorer; an empty response is not correct. A scorer that takes long here takes long on a model
    that repeats itself.

    Args:
        protocol: Its name (`official`, `package.module:attribute`, ...), or a scorer as `user_rule`
            takes it.
        right: An output that it must find correct, whose response is then replaced by the others.
            Without one, the references are 12, and B of two options.

    Raises:
        AssertionError: It is broken; the message says on which response.
        ConfigError: There is no such protocol, or it cannot be called with what an output has.
    """
    checked = scoring_protocol(protocol) if isinstance(protocol, str) else _as_protocol(protocol)
    outputs = _outputs(right)
    verdicts = [_verdict(checked, output) for output in outputs]
    for output, once in reversed(list(zip(outputs, verdicts, strict=True))):
        again = _verdict(checked, output)
        if once != again:
            raise AssertionError(
                f"two verdicts on {_shown(output)}: {once.outcome.value}, then"
                f" {again.outcome.value}"
            )
    if right is not None and verdicts[0].outcome is not Outcome.CORRECT:
        raise AssertionError(
            f"{_shown(right)} must be correct, and is {verdicts[0].outcome.value}:"
            f" {verdicts[0].reason}"
        )
    for output, verdict in zip(outputs, verdicts, strict=True):
        if not output.response.strip() and verdict.outcome is Outcome.CORRECT:
            raise AssertionError("an empty response was found correct")


def _as_protocol(scorer: Any) -> ScoringProtocol:
    name = getattr(scorer, "__name__", "scorer")
    return ScoringProtocol(name, "a scorer of your own", user_rule(name, scorer))


def _verdict(protocol: ScoringProtocol, output: StoredOutput) -> Verdict:
    try:
        verdict = protocol.verdict(output)
    except StateError as error:
        raise AssertionError(f"on {_shown(output)}: {error}") from error
    if verdict.decided_by == "error":
        raise AssertionError(
            f"on {_shown(output)} it raised {verdict.reason}; no response may make a scorer fail:"
            " return False, or None where the reference cannot be read (`right` gives the check a"
            " reference of your kind)"
        )
    return verdict


def _shown(output: StoredOutput) -> str:
    return f"the response {output.response[:60]!r} to the reference {output.answer[:60]!r}"


def _outputs(right: StoredOutput | None) -> list[StoredOutput]:
    """Return the outputs to score; `right` comes first if it is given."""
    responses = (*_STATED, *_BLANK, *_HOSTILE)
    if right is not None:
        return [right, *(replace(right, response=response) for response in responses)]
    number = StoredOutput(benchmark="own", id="1", response="", answer="12", question="How many?")
    choice = replace(number, id="2", answer="B", choices=("13", "12"))
    return [
        replace(output, response=response) for output in (number, choice) for response in responses
    ]
