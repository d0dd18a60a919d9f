"""Rescore stored model outputs: score in order, store each verdict, then count the verdicts."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from hashlib import blake2b, file_digest
from itertools import islice
from pathlib import Path
from typing import Any

import vasari
from vasari.core.errors import ConfigError, DataError, StateError
from vasari.core.files import append_lines, read_json, write_json, write_json_lines
from vasari.core.progress import Tell, silent
from vasari.core.records import Verdict
from vasari.evaluate.disagree import Disagreements
from vasari.evaluate.outputs import keep_lines
from vasari.evaluate.protocols import StoredOutput, scoring_protocol
from vasari.evaluate.readers import BadRow, count_lines, read_outputs
from vasari.evaluate.rescore_settings import RescoreDir, RescoreSettings
from vasari.evaluate.tally import Tally
from vasari.evaluate.verdicts import of_line, read_verdicts, score_in_order, verdict_file

SCHEMA_VERSION = 1


def rescore(
    settings: RescoreSettings, out: Path, *, overwrite: bool = False, tell: Tell = silent
) -> dict[str, Any]:
    """Score stored model outputs anew; write every verdict and `scores.json`; return the scores.

    A killed rescoring of the same files by the same protocols continues behind the last verdict on
    disk. With a judge the rules come first, then all that they leave undecided is asked; what was
    bought is kept, so the same command goes on.

    Args:
        settings: What to score, and how.
        out: Folder of the results; made when it is missing.
        overwrite: Discard another rescoring in the folder.
        tell: Called with the outputs done and their number (an estimate: bad rows are counted in),
            then with those judged.

    Raises:
        ConfigError: The folder holds another rescoring.
        DataError: An input cannot be read, or holds no output at all.
        StorageError: The disk refused.
    """
    folder = RescoreDir(out)
    total = sum(map(count_lines, settings.files))
    _prepare(settings, folder, overwrite=overwrite)
    paths = [folder.by_rules(settings, name) for name in settings.protocols]
    done = min(map(keep_lines, paths))  # outputs that every protocol has a verdict on
    for path in paths:
        keep_lines(path, done)
    if settings.judge is None:
        _score(settings, paths, done, lambda scored: tell(scored, max(scored, total)))
        return _count(settings, folder, None)
    # Needs what a server needs.
    from vasari.evaluate.judging import UndecidedOutputs, judge_undecided  # noqa: PLC0415

    with UndecidedOutputs(settings.judged) as undecided:
        _score(
            settings, paths, done, lambda scored: tell(scored, max(scored, total)), undecided.add
        )
        judge = judge_undecided(settings, settings.judge, folder, undecided, tell=tell)
    return _count(settings, folder, judge)


def _score(
    settings: RescoreSettings,
    paths: Sequence[Path],
    done: int,
    scored: Callable[[int], None],
    take: Callable[[StoredOutput, Mapping[str, Verdict]], None] | None = None,
) -> None:
    """Score the outputs behind the first `done`; hand all, with the rules' verdicts, to `take`.

    Raises:
        DataError: There is no output at all.
    """
    names, outputs = settings.protocols, _outputs(settings)
    stored = zip(*map(read_verdicts, paths), strict=True) if done else ()
    for output, found in zip(islice(outputs, done), stored, strict=True):
        if take is not None:
            take(output, dict(zip(names, (verdict for _, verdict in found), strict=True)))
    waiting: deque[StoredOutput] = deque()  # Read, and not scored yet.

    def read() -> Iterator[StoredOutput]:
        for output in outputs:
            waiting.append(output)
            yield output

    for chunk in score_in_order(read(), names, workers=settings.workers):
        for path, lines in zip(paths, chunk, strict=True):
            append_lines(path, lines)
        for rows in zip(*chunk, strict=True):
            output = waiting.popleft()
            if take is not None:
                take(output, dict(zip(names, (of_line(row)[1] for row in rows), strict=True)))
        done += len(chunk[0])
        scored(done)
    if done == 0:
        raise DataError(
            f"{', '.join(map(str, settings.files))}: no row holds an output;"
            f" {_first_reason(settings)}"
        )


def _prepare(settings: RescoreSettings, folder: RescoreDir, *, overwrite: bool) -> None:
    """Check that the folder holds these settings, or write them and remove other verdicts."""
    asked = _asked(settings)
    if folder.settings.exists() and not overwrite:
        try:
            found = read_json(folder.settings)
        except (OSError, ValueError) as error:
            raise StateError(
                f"{folder.settings}: cannot be read; score again with --overwrite"
            ) from error
        if found == asked:
            return
        what = "another rescoring"
        scorers = asked.get("scorers", {})
        if isinstance(found, dict) and {**found, "scorers": scorers} == asked:
            what = f"verdicts by older code of {', '.join(scorers)}"
        raise ConfigError(
            f"{folder.root}: holds {what}; choose another --out, or replace it with --overwrite"
        )
    others = {*folder.root.glob("verdicts*.jsonl"), folder.bad_rows, folder.disagreements}
    others = {path for path in (*others, folder.scores) if os.path.lexists(path)}
    if others and not overwrite:
        raise ConfigError(
            f"{folder.root}: holds other verdicts ({', '.join(sorted(p.name for p in others))});"
            " choose another --out, or replace them with --overwrite"
        )
    for path in others:
        path.unlink()
    write_json(folder.settings, asked)


def _asked(settings: RescoreSettings) -> dict[str, Any]:
    """Return everything that decides a verdict, as kept in `settings.json`."""
    asked: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "vasari": vasari.__version__,
        "files": [{"path": path.name, "digest": _digest(path)} for path in settings.files],
        "protocols": list(settings.protocols),
        "benchmark": settings.benchmark,
    }
    if settings.judge is not None:
        asked["judge"] = settings.judge.identity()
    scorers = {name: code for name in settings.protocols if (code := scoring_protocol(name).code)}
    return asked | ({"scorers": scorers} if scorers else {})


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, lambda: blake2b(digest_size=16)).hexdigest()


def _rows(settings: RescoreSettings) -> Iterator[StoredOutput | BadRow]:
    for path in settings.files:
        yield from read_outputs(path, benchmark=settings.benchmark)


def _outputs(settings: RescoreSettings) -> Iterator[StoredOutput]:
    return (row for row in _rows(settings) if isinstance(row, StoredOutput))


def _first_reason(settings: RescoreSettings) -> str:
    bad = next((row for row in _rows(settings) if isinstance(row, BadRow)), None)
    return "the files are empty" if bad is None else f"{bad.file}:{bad.line}: {bad.reason}"


def _count(
    settings: RescoreSettings, folder: RescoreDir, judge: dict[str, Any] | None
) -> dict[str, Any]:
    """Count all verdicts on disk; write scores, disagreements and bad rows."""
    names = settings.protocols
    tallies = [Tally() for _ in names]
    pairs = [Disagreements(names[0], other) for other in names[1:]]
    streams = [read_verdicts(verdict_file(folder.root, names, name)) for name in names]
    bad_rows: list[dict[str, Any]] = []
    differing: list[dict[str, Any]] = []
    for row in _rows(settings):
        if isinstance(row, BadRow):
            bad_rows.append(asdict(row))
            continue
        verdicts = [next(stream)[1] for stream in streams]
        for tally, verdict in zip(tallies, verdicts, strict=True):
            tally.add(row, verdict)
        found = [
            pair.add(row, verdicts[0], verdict)
            for pair, verdict in zip(pairs, verdicts[1:], strict=True)
        ]
        differing += filter(None, found)
    result: dict[str, Any] = {
        "schema": SCHEMA_VERSION,
        "num_bad_rows": len(bad_rows),
        "protocols": {name: tally.as_json() for name, tally in zip(names, tallies, strict=True)},
        "disagreements": [pair.as_json() for pair in pairs],
    }
    if judge is not None:
        result["judge"] = judge
    write_json_lines(folder.bad_rows, bad_rows)
    if pairs:
        write_json_lines(folder.disagreements, differing)
    write_json(folder.scores, result)
    return result
