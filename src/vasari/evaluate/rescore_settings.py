"""Settings of a rescoring, and the paths of the files in its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vasari.core.errors import ConfigError
from vasari.evaluate.protocols import check_names, scoring_protocol
from vasari.evaluate.verdicts import verdict_file

if TYPE_CHECKING:  # asking needs packages that rescoring does not
    from vasari.verify.judge import JudgeSettings

MAX_WORKERS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class RescoreSettings:
    """Settings of a rescoring: files of stored outputs, scoring protocols, processes, LLM judge."""

    files: tuple[Path, ...]
    """Read in this order; verdicts are in the same order."""

    protocols: tuple[str, ...] = ("vasari",)
    """Names of the protocols, each once; the first one's verdicts are in `verdicts.jsonl`."""

    benchmark: str = ""
    """Benchmark of rows that name none; empty: from the file's name."""

    workers: int = 1
    """Number of processes; 1 scores in this process."""

    judge: JudgeSettings | None = None
    """An LLM that is asked about what the rules of `paper` and `vasari` leave undecided."""

    def __post_init__(self) -> None:
        if not self.files:
            raise ConfigError("nothing to rescore: give at least one file")
        if len({path.resolve() for path in self.files}) < len(self.files):
            raise ConfigError("a file is given twice")
        check_names(self.protocols)
        if not 1 <= self.workers <= MAX_WORKERS:
            raise ConfigError(f"workers must be from 1 to {MAX_WORKERS}, got {self.workers}")
        if self.judge is not None and not self.judged:
            raise ConfigError(
                f"no protocol takes a judge: {', '.join(self.protocols)}; paper and vasari do"
            )

    @property
    def judged(self) -> tuple[str, ...]:
        """Names of protocols whose undecided verdicts go to an LLM judge; empty if no judge."""
        return tuple(
            name
            for name in self.protocols
            if self.judge is not None and scoring_protocol(name).takes_judge
        )


class RescoreDir:
    """Paths of the files in a rescoring's result folder, except the files of final verdicts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.settings = root / "settings.json"
        """What was asked, with a digest of every input."""
        self.scores = root / "scores.json"
        """Accuracies with intervals, and counts."""
        self.bad_rows = root / "bad_rows.jsonl"
        """Rows that hold no output, each with its file, line and reason."""
        self.disagreements = root / "disagreements.jsonl"
        """Outputs on which two protocols differ, with what each read and why."""

    def by_rules(self, settings: RescoreSettings, name: str) -> Path:
        """Return the path of the verdicts that a protocol's rules gave, before any LLM judge."""
        path = verdict_file(self.root, settings.protocols, name)
        return path.with_suffix(".rules.jsonl") if name in settings.judged else path


def read_judge(path: str | Path | None, folder: Path = Path()) -> JudgeSettings | None:
    """Return an LLM judge's settings from the YAML file `folder / path`; None if `path` is None.

    Raises:
        ConfigError: The file is missing, or a setting is wrong.
        MissingExtraError: The packages for asking a server are not installed.
    """
    if path is None:
        return None
    from vasari.verify.judge import load_judge  # noqa: PLC0415  (needs what a server needs)

    return load_judge(folder / path)
