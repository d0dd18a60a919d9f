"""What a rescoring was asked to do, and where its results lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vasari.core.errors import ConfigError
from vasari.core.plugins import names_from_a_file
from vasari.evaluate.protocols import file_name_of, scoring_protocol

if TYPE_CHECKING:  # asking needs packages that rescoring does not
    from vasari.verify.judge import JudgeSettings

MAX_WORKERS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class RescoreSettings:
    """Stored outputs, protocols, and how many processes share the work."""

    files: tuple[Path, ...]
    """Read in this order; verdicts lie in it."""

    protocols: tuple[str, ...] = ("vasari",)
    """By name, each once; the first one's verdicts are in `verdicts.jsonl`."""

    benchmark: str = ""
    """For rows that name none; empty: from the file's name."""

    workers: int = 1
    """Processes; 1 scores in this one."""

    judge: JudgeSettings | None = None
    """Asked about what the rules of `paper` and `vasari` leave undecided; None asks nobody."""

    def __post_init__(self) -> None:
        if not self.files:
            raise ConfigError("nothing to rescore: give at least one file")
        if not self.protocols or len(set(self.protocols)) < len(self.protocols):
            raise ConfigError(
                "name at least one protocol, and each once, got"
                f" {', '.join(self.protocols) or 'none'}"
            )
        with names_from_a_file():
            for name in self.protocols:
                scoring_protocol(name)
        if not 1 <= self.workers <= MAX_WORKERS:
            raise ConfigError(f"workers must be from 1 to {MAX_WORKERS}, got {self.workers}")
        if self.judge is not None and not self.judged:
            raise ConfigError(
                f"no protocol takes a judge: {', '.join(self.protocols)}; paper and vasari do"
            )

    @property
    def judged(self) -> tuple[str, ...]:
        """The protocols whose undecided verdicts go to the judge; none without one."""
        return tuple(
            name
            for name in self.protocols
            if self.judge is not None and scoring_protocol(name).takes_judge
        )


@dataclass(frozen=True, slots=True)
class RescoreDir:
    """The files of a rescoring."""

    root: Path

    @property
    def settings(self) -> Path:
        """What was asked, with a digest of every input."""
        return self.root / "settings.json"

    def verdicts(self, protocols: tuple[str, ...], name: str) -> Path:
        """A row an output: `verdicts.jsonl` of the first protocol, `verdicts.NAME.jsonl` of every
        other.
        """
        return self.root / (
            "verdicts.jsonl" if name == protocols[0] else f"verdicts.{file_name_of(name)}.jsonl"
        )

    def by_rules(self, protocols: tuple[str, ...], name: str) -> Path:
        """The verdicts before a judge was asked: `verdicts.rules.jsonl`, or
        `verdicts.NAME.rules.jsonl`.
        """
        path = self.verdicts(protocols, name)
        return path.with_name(f"{path.stem}.rules.jsonl")

    @property
    def judge(self) -> Path:
        """Every reply of the judge that was bought, unless its settings name another folder."""
        return self.root / "judge"

    @property
    def scores(self) -> Path:
        """Accuracies with intervals, and counts."""
        return self.root / "scores.json"

    @property
    def bad_rows(self) -> Path:
        """Rows that hold no output, each with its file, line and reason."""
        return self.root / "bad_rows.jsonl"

    @property
    def disagreements(self) -> Path:
        """Outputs on which two protocols differ, with what each read and why."""
        return self.root / "disagreements.jsonl"
