"""Rescore stored outputs: read, score in order, write as we go, continue after a kill, tally."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import vasari
from vasari.core.errors import ConfigError, DataError, StateError
from vasari.core.files import append_lines, read_json, write_bytes, write_json
from vasari.core.progress import Tell, silent
from vasari.evaluate.outputs import keep_lines
from vasari.evaluate.protocols import StoredOutput, scoring_protocol
from vasari.evaluate.rescore.disagree import all_pairs
from vasari.evaluate.rescore.lines import file_facts
from vasari.evaluate.rescore.readers import BadRow, read_outputs
from vasari.evaluate.rescore.settings import RescoreDir, RescoreSettings
from vasari.evaluate.rescore.tally import Scores
from vasari.evaluate.rescore.verdict_file import (
    read_verdicts,
)
from vasari.evaluate.rescore.work import score_in_order

SCHEMA_VERSION = 1


def rescore(
    settings: RescoreSettings, out: Path, *, overwrite: bool = False, tell: Tell = silent
) -> dict[str, Any]:
    """The scores of stored outputs, as written to `out/scores.json`, beside every verdict in the
    order of the input.

    A killed rescoring of the same files by the same protocols continues behind the last verdict on
    disk. With a judge the rules come first, then all that they leave undecided is asked; what was
    bought is kept, so the same command goes on.

    Args:
        settings: What to score, and how.
        out: Folder of the results; made when it is missing.
        overwrite: Discard another rescoring that lies there.
        tell: Told the outputs done and their number (an estimate: bad rows are counted in), then
            those judged.

    Raises:
        ConfigError: The folder holds another rescoring.
        DataError: An input cannot be read, or holds no output at all.
        StorageError: The disk refused.
    """
    folder = RescoreDir(out)
    total = _prepare(settings, folder, overwrite=overwrite)
    done = _resume_at(settings, folder)
    stream = islice(_outputs(settings), done, None)
    for chunk in score_in_order(stream, settings.protocols, workers=settings.workers):
        for name, lines in zip(settings.protocols, chunk, strict=True):
            append_lines(_rule_file(settings, folder, name), lines)
        done += len(chunk[0])
        tell(done, max(done, total))
    if done == 0:
        raise DataError(
            f"{', '.join(map(str, settings.files))}: no row holds an output;"
            f" {_first_reason(settings)}"
        )
    judge = None
    if settings.judge is not None:
        # Needs what a server needs.
        from vasari.evaluate.rescore.judging import judge_undecided  # noqa: PLC0415

        judge = judge_undecided(
            settings, settings.judge, folder, lambda: _outputs(settings), tell=tell
        )
    return _tally(settings, folder, judge)


def _rule_file(settings: RescoreSettings, folder: RescoreDir, name: str) -> Path:
    """Where the rules of a protocol write their verdicts."""
    place = folder.by_rules if name in settings.judged else folder.verdicts
    return place(settings.protocols, name)


def _prepare(settings: RescoreSettings, folder: RescoreDir, *, overwrite: bool) -> int:
    """Lines to expect; the folder holds these settings afterwards."""
    facts = {str(path): file_facts(path) for path in settings.files}
    asked = {
        "schema": SCHEMA_VERSION,
        "vasari": vasari.__version__,
        "files": [
            {"path": path.name, "digest": facts[str(path)].digest} for path in settings.files
        ],
        "protocols": list(settings.protocols),
        "benchmark": settings.benchmark,
    }
    if settings.judge is not None:
        asked["judge"] = settings.judge.identity()
    scorers = {name: code for name in settings.protocols if (code := scoring_protocol(name).code)}
    if scorers:
        asked["scorers"] = scorers
    if folder.settings.exists() and not overwrite:
        try:
            found = read_json(folder.settings)
        except (OSError, ValueError) as error:
            raise StateError(
                f"{folder.settings}: cannot be read; score again with --overwrite"
            ) from error
        if found != asked:
            only_code = isinstance(found, dict) and {**found, "scorers": scorers} == asked
            what = (
                f"verdicts by older code of {', '.join(scorers)}"
                if only_code
                else "another rescoring"
            )
            raise ConfigError(
                f"{folder.root}: holds {what}; choose another --out, or replace it with --overwrite"
            )
    else:
        others = set(folder.root.glob("verdicts*.jsonl")) if folder.root.is_dir() else set()
        if others and not overwrite:
            raise ConfigError(
                f"{folder.root}: holds other verdicts; choose another --out, or replace them with"
                " --overwrite"
            )
        for path in (*others, folder.scores, folder.bad_rows, folder.disagreements):
            path.unlink(missing_ok=True)
        write_json(folder.settings, asked)
    return sum(fact.num_lines for fact in facts.values())


def _resume_at(settings: RescoreSettings, folder: RescoreDir) -> int:
    """How many outputs every protocol has a verdict on."""
    paths = [_rule_file(settings, folder, name) for name in settings.protocols]
    done = min(keep_lines(path) for path in paths)
    for path in paths:
        keep_lines(path, done)
    return done


def _rows(settings: RescoreSettings) -> Iterator[StoredOutput | BadRow]:
    for path in settings.files:
        yield from read_outputs(path, benchmark=settings.benchmark)


def _outputs(settings: RescoreSettings) -> Iterator[StoredOutput]:
    return (row for row in _rows(settings) if isinstance(row, StoredOutput))


def _first_reason(settings: RescoreSettings) -> str:
    bad = next((row for row in _rows(settings) if isinstance(row, BadRow)), None)
    return "the files are empty" if bad is None else f"{bad.file}:{bad.line}: {bad.reason}"


def _tally(
    settings: RescoreSettings, folder: RescoreDir, judge: dict[str, Any] | None
) -> dict[str, Any]:
    """Scores of all verdicts on disk, written with the lists of disagreements and of bad rows."""
    names = settings.protocols
    scores = {name: Scores() for name in names}
    pairs = list(all_pairs(names))
    verdicts = [read_verdicts(folder.verdicts(names, name)) for name in names]
    num_bad = 0
    with ExitStack() as stack:
        bad_rows = stack.enter_context(_Staged(folder.bad_rows))
        differing = stack.enter_context(_Staged(folder.disagreements)) if pairs else None
        for row in _rows(settings):
            if isinstance(row, BadRow):
                num_bad += 1
                bad_rows.write(
                    json.dumps({"file": row.file, "line": row.line, "reason": row.reason}) + "\n"
                )
                continue
            found = [next(stream) for stream in verdicts]
            for name, verdict in zip(names, found, strict=True):
                scores[name].add(row, verdict.outcome, verdict.decided_by)
            for pair, verdict in zip(pairs, found[1:], strict=True):
                line = pair.add(row, found[0], verdict)
                if line is not None and differing is not None:
                    differing.write(line)
    result: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "num_bad_rows": num_bad,
        "protocols": {name: scores[name].as_json() for name in names},
        "disagreements": [pair.as_json() for pair in pairs],
    }
    if judge is not None:
        result["judge"] = judge
    write_json(folder.scores, result)
    return result


class _Staged:
    """A text file that appears whole, or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[str] = []

    def __enter__(self) -> _Staged:
        return self

    def write(self, line: str) -> None:
        self._lines.append(line)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            write_bytes(self._path, "".join(self._lines).encode())
