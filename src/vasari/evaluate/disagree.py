"""List the outputs on which two scoring protocols disagree, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vasari.core.records import Verdict
from vasari.evaluate.protocols import StoredOutput
from vasari.evaluate.verdicts import verdict_facts

_REASONS = {
    "judge": "{who} asked a judge",
    "nearest_option": "{who} takes the option nearest in spelling",
    "no_answer": "{who} finds no stated answer",
    "ambiguous": "{who} finds several different answers",
    "limit": "{who} refuses what exceeds a limit",
    "reference": "{who} cannot read the reference",
    "needs_llm": "{who} needs an extraction by an LLM",
    "random": "{who} draws a letter at random",
    "unsupported": "{who} has no rule for this benchmark",
    "error": "{who} fails on this output",
    "crashed": "{who} fails on this output",
}
"""What a rule means for a disagreement, the most telling first."""

_MAX_SHOWN = 300
"""Characters of a text in the list."""


@dataclass(slots=True)
class Disagreements:
    """Counts of how often the verdicts of two scoring protocols differ, by reason."""

    first: str
    second: str
    num_compared: int = 0
    reasons: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(outcome of the first, of the second, reason)."""

    def add(self, output: StoredOutput, first: Verdict, second: Verdict) -> dict[str, Any] | None:
        """Count two protocols' verdicts on an output; return a row on how they differ, or None."""
        self.num_compared += 1
        if first.outcome == second.outcome:
            return None
        reason = self.reason(first, second)
        self.reasons[first.outcome.value, second.outcome.value, reason] += 1
        return {
            "benchmark": output.benchmark,
            "model": output.model,
            "id": output.id,
            "reason": reason,
            self.first: _shown(first),
            self.second: _shown(second),
            "answer": output.answer[:_MAX_SHOWN],
            "choices": list(output.choices) if output.choices else None,
            "response_end": output.response[-_MAX_SHOWN:],
        }

    def reason(self, first: Verdict, second: Verdict) -> str:
        """Return a sentence that says why two verdicts on the same output differ."""
        for rule, sentence in _REASONS.items():
            for who, verdict in ((self.first, first), (self.second, second)):
                if verdict.decided_by == rule:
                    return sentence.format(who=who)
        for who, verdict in ((self.first, first), (self.second, second)):
            if verdict.decided_by == "scorer" and verdict.extraction is None:
                return f"{who} does not say what it read"
        if _plain(first.extraction) != _plain(second.extraction):
            return "they read different answers"
        for who, verdict in ((self.first, first), (self.second, second)):
            if who == "official" and verdict.decided_by == "value" and verdict.value == 1.0:
                return "official compares values rounded to two decimals"
        return (
            f"they compare the same answer by different rules ({first.decided_by},"
            f" {second.decided_by})"
        )

    def as_json(self) -> dict[str, Any]:
        """Return the counts of differing verdicts for a JSON file, most frequent reason first."""
        rows: Sequence[dict[str, Any]] = [
            {self.first: first, self.second: second, "reason": reason, "n": count}
            for (first, second, reason), count in self.reasons.most_common()
        ]
        return {
            "protocols": [self.first, self.second],
            "num_compared": self.num_compared,
            "num_differing": sum(self.reasons.values()),
            "reasons": rows,
        }


def _shown(verdict: Verdict) -> dict[str, str | None]:
    return {name: text and text[:_MAX_SHOWN] for name, text in verdict_facts(verdict).items()}


def _plain(text: str | None) -> str:
    return "".join(character for character in (text or "").casefold() if character.isalnum())
