"""Registry of the scoring protocols by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from vasari.core.errors import ConfigError, DataError
from vasari.core.plugins import code_digest, names_from_a_file, resolve
from vasari.core.records import Outcome, Verdict
from vasari.evaluate.protocols.official import official_verdict
from vasari.evaluate.protocols.paper import paper_verdict
from vasari.evaluate.protocols.stored_output import StoredOutput
from vasari.evaluate.protocols.user_rule import user_rule
from vasari.evaluate.protocols.vasari_rule import training_verdict, vasari_verdict
from vasari.verify.limits import LimitExceededError


@dataclass(frozen=True, slots=True)
class ScoringProtocol:
    """A named rule that gives each stored model output a verdict (correct or not)."""

    name: str
    summary: str
    rule: Callable[[StoredOutput], Verdict]
    takes_judge: bool = False
    """Whether an LLM may judge what the rules leave undecided."""
    code: str = ""
    """Digest of the file that a user's scorer is defined in; empty for ours, which the version of
    Vasari stands for."""

    def verdict(self, output: StoredOutput) -> Verdict:
        """Return the verdict on a stored output: UNVERIFIABLE on an error, INCORRECT past a limit.

        Of several `alternatives` any one is right: the verdict is that on the first alternative
        that is found correct, else on the first that can be read.

        Raises:
            DataError: The output is no `StoredOutput`.
            MissingExtraError: The rule needs a package that is not installed.
        """
        if not isinstance(output, StoredOutput):
            raise DataError(
                f"a verdict is on a StoredOutput, which read_row makes of a row, got"
                f" {type(output).__name__}"
            )
        found = self._verdict(output)
        for answer in output.alternatives:
            if found.outcome is Outcome.CORRECT:
                break
            verdict = self._verdict(replace(output, answer=answer))
            if verdict.outcome is Outcome.CORRECT or found.outcome is Outcome.UNVERIFIABLE:
                found = verdict
        return found

    def _verdict(self, output: StoredOutput) -> Verdict:
        try:
            return self.rule(output)
        except LimitExceededError as error:
            return Verdict(Outcome.INCORRECT, None, "limit", str(error))
        except (
            ValueError,
            ArithmeticError,
            TypeError,
            LookupError,
            RecursionError,
            MemoryError,
        ) as error:
            return Verdict(
                Outcome.UNVERIFIABLE, None, "error", f"{type(error).__name__}: {error}"[:200]
            )


PROTOCOLS: Mapping[str, ScoringProtocol] = {
    "official": ScoringProtocol(
        "official", "the benchmark's own scorer, its bugs included", official_verdict
    ),
    "paper": ScoringProtocol(
        "paper",
        "Math-Verify, MathRuler's rule, exact match, most similar option",
        paper_verdict,
        True,
    ),
    "vasari": ScoringProtocol("vasari", "our verifier on the raw response", vasari_verdict, True),
}
"""Every protocol by name; a user's own is `package.module:attribute`."""


AS_IN_TRAINING = ScoringProtocol(
    "training", "our verifier with the prompt's own fields", training_verdict
)
"""How a run's own test sets are scored."""


def scoring_protocol(name: str) -> ScoringProtocol:
    """Return the scoring protocol called `name`, or a user's scorer `package.module:attribute`.

    Raises:
        ConfigError: There is no such protocol, its code was not allowed, or it is no scorer.
    """
    found = resolve(name, PROTOCOLS, kind="protocol")
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    return ScoringProtocol(
        name, "a scorer of your own", user_rule(name, found), code=code_digest(name, found)
    )


def check_names(protocols: Sequence[str]) -> None:
    """Raise unless every named scoring protocol exists and is named only once.

    Raises:
        ConfigError: None is named, one is named twice or unknown, or its code was not allowed.
    """
    if not protocols or len(set(protocols)) < len(protocols):
        raise ConfigError(
            f"name at least one protocol, and each once, got {', '.join(protocols) or 'none'}"
        )
    with names_from_a_file():
        for name in protocols:
            scoring_protocol(name)


def file_name_of(protocol: str) -> str:
    """Return a protocol's name as written in file names; no two protocols get the same."""
    # No name of Python has a hyphen in it, and some file systems take no colon.
    return protocol.replace(":", "-")
