"""A checker that every scoring protocol must pass, ours or a user's."""

from __future__ import annotations

from typing import Any

from vasari.errors import StateError
from vasari.evaluate.protocols.registry import ScoringProtocol, scoring_protocol
from vasari.evaluate.protocols.stored_output import StoredOutput
from vasari.evaluate.protocols.user_rule import user_rule
from vasari.records import Outcome, Verdict

_RESPONSES = (
    "<think>It is 12.</think><answer>\\boxed{12}</answer>",
    "The answer is 12.",
    "12",
    "13",
    "1 2",
    "",
    " \n\t",
    "\\boxed{" * 2000,
    "9" * 5000,
    "x" * 200_000,
    "\x00\ud800 \u202e12",
    "The answer is not 12.",
    "<answer></answer>",
    "A",
    "(B)",
)


def check_protocol(protocol: Any) -> None:
    """Return if a scoring protocol decides what it may and decides it twice alike; say what is broken if not.

    Args:
        protocol: Its name (`official`, `package.module:attribute`, ...), or a scorer as `user_rule` takes it.

    Raises:
        AssertionError: It is broken; the message says on which response.
    """
    if isinstance(protocol, str):
        checked = scoring_protocol(protocol)
    else:
        name = getattr(protocol, "__name__", "scorer")
        checked = ScoringProtocol(name, "a scorer", user_rule(name, protocol))
    for output in _outputs():
        once, again = (_verdict(checked, output) for _ in range(2))
        if once != again:
            raise AssertionError(f"two verdicts on the response {output.response[:60]!r}: {once.outcome} and {again.outcome}")
    empty = _verdict(checked, _output("", "12"))
    if empty.outcome is Outcome.CORRECT:
        raise AssertionError("an empty response was found correct")


def _verdict(protocol: ScoringProtocol, output: StoredOutput) -> Verdict:
    try:
        return protocol.verdict(output)
    except StateError as error:
        raise AssertionError(f"on the response {output.response[:60]!r}: {error}") from error


def _outputs() -> list[StoredOutput]:
    plain = [_output(response, "12") for response in _RESPONSES]
    chosen = [_output(response, "B", choices=("12", "13")) for response in _RESPONSES]
    return [*plain, *chosen]


def _output(response: str, answer: str, **facts: Any) -> StoredOutput:
    return StoredOutput(benchmark="own", id="one", response=response, answer=answer, question="How many?", **facts)
