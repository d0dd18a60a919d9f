"""The folder of a stage: Parquet shards, dropped rows, counts, and a manifest when done.

A stage's folder belongs to its fingerprint: the hash of its settings and of the content of the
shards it reads. The same fingerprint finds its finished shards again; another one begins anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vasari.core.errors import StateError
from vasari.core.files import read_json, read_object, write_json
from vasari.core.records import Prompt
from vasari.core.secrets import blot
from vasari.curate.run.rows import ImageFacts, write_rows, write_table
from vasari.curate.stage import FAILED, Dropped

STAGE_SCHEMA = 2
"""Version of the shard files, part of every fingerprint: shards of an older version are remade."""

_SEEN_SECONDS = 90.0
"""How long a file of another machine may stay unseen: NFS remembers for up to a minute that a name
was not there."""

DROPPED_SCHEMA = pa.schema(
    [
        *(
            (name, pa.string())
            for name in ("id", "source", "stage", "branch", "reason", "collided_with", "detail")
        ),
    ]
)


_SHARD_FILE = re.compile(r"(begun|manifest|counts-\d+)\.json|(part|dropped)-\d+\.parquet")
_FOLDER = re.compile(r"\d\d+-\w+(-\w+)?")


def is_shard_file(name: str) -> bool:
    """Whether a file of this name is one that a stage writes in its folder."""
    return _SHARD_FILE.fullmatch(name) is not None


def is_stage_folder(folder: Path) -> bool:
    """Whether a folder was written by a stage: its name and the settings in it say so."""
    return _FOLDER.fullmatch(folder.name) is not None and any(
        "fingerprint" in read_object(folder / name) for name in ("manifest.json", "begun.json")
    )


def remove_stage_folder(folder: Path) -> None:
    """Remove what a stage wrote in a folder, and the folder if nothing else is in it.

    Raises:
        StateError: Something lies there that no stage wrote.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise StateError(f"{folder}: is no folder of a stage; move it away, and run again")
    if not folder.exists():
        return
    names = [path.name for path in folder.iterdir()]
    if any(map(is_shard_file, names)) and not is_stage_folder(folder):
        raise StateError(
            f"{folder}: holds files that no stage has written; move it away, and run again"
        )
    # What says whose folder it is goes last.
    for name in sorted(names, key=lambda name: name in ("manifest.json", "begun.json")):
        if is_shard_file(name):
            (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # others have files there
        folder.rmdir()


class StageFolder:
    """Folder with the output of one curation stage: shards of kept rows, dropped rows, counts."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        branch: str,
        settings: Mapping[str, Any],
        inputs: Sequence[str] = (),
        title: str = "",
        asks: bool = False,
    ) -> None:
        self.folder = folder
        self.name = name
        self.title = title or name.replace("_", " ")
        """Title in reports."""
        self.asks = asks
        """Whether the stage asks a model."""
        self.branch = branch
        """Set that the stage helps to build: "both", "sft" or "rl"."""
        state = {
            "schema": STAGE_SCHEMA,
            "stage": name,
            "branch": branch,
            "settings": settings,
            "inputs": list(inputs),
        }
        self.state = json.loads(json.dumps(state, sort_keys=True, default=str))
        self.fingerprint = hashlib.blake2b(
            json.dumps(self.state, sort_keys=True).encode(), digest_size=16
        ).hexdigest()

    @property
    def manifest(self) -> Path:
        """Path of the stage's manifest: settings, shard hashes and row counts, written last."""
        return self.folder / "manifest.json"

    @property
    def is_done(self) -> bool:
        """Whether an earlier run has finished the stage, with these settings and inputs."""
        found = read_object(self.manifest)
        return (
            found.get("fingerprint") == self.fingerprint
            and isinstance(found.get("counts"), dict)
            and not self._damaged(found)
        )

    def open(self, *, retry_failed: bool = False) -> bool:
        """Return whether the stage is done already; if it is not, prepare its folder.

        Shards that an earlier run finished stay, unless they were damaged since.

        Args:
            retry_failed: Do those shards again in which requests failed for good: the answers are
                kept, so only those are asked again.

        Raises:
            StateError: Files lie there that no stage has written.
        """
        finished = read_object(self.manifest)
        if retry_failed:
            self._forget_failed()
        if self.is_done:
            return True
        if finished.get("fingerprint") == self.fingerprint:
            for name in self._damaged(finished):
                self._counts(_number(name)).unlink(missing_ok=True)
        begun = self.folder / "begun.json"
        if read_object(begun).get("fingerprint") == self.fingerprint:
            self.manifest.unlink(missing_ok=True)
        else:
            remove_stage_folder(self.folder)
            write_json(begun, {"fingerprint": self.fingerprint} | self.state)
        return False

    def _damaged(self, finished: Mapping[str, Any]) -> list[str]:
        """Names of the shard files of a finished stage that are missing, or not as written."""
        shards = finished.get("shards")
        if not isinstance(shards, dict):
            return []
        return [
            name
            for name, digest in shards.items()
            if not is_shard_file(name)
            or not self.has(_number(name))
            or file_hash(self.folder / name) != digest
            or not _is_table(self._dropped(_number(name)))
        ]

    def part(self, number: int) -> Path:
        """Path of the file with the prompts of shard `number` that the stage keeps."""
        return self.folder / f"part-{number:05d}.parquet"

    def has(self, number: int) -> bool:
        """Whether the stage has finished shard `number`: its counts, written last, are whole."""
        return "notes" in read_object(self._counts(number)) and self.part(number).is_file()

    def write(
        self,
        number: int,
        *,
        given: Counter[str],
        kept: Sequence[Prompt],
        facts: Mapping[str, ImageFacts],
        dropped: Sequence[tuple[str, Dropped]],
        notes: Mapping[str, int],
        root: Path,
        failures: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Write the stage's files for one shard: kept prompts, dropped rows, then row counts.

        Args:
            number: Number of the shard.
            given: Number of its rows, by source.
            kept: Prompts that the stage keeps.
            facts: Digests and hashes of their images, by path.
            dropped: The other rows, each with its source.
            notes: What else is counted.
            root: Folder of the run.
            failures: Requests that brought no answer.
        """
        write_rows(self.part(number), kept, facts, root)
        rows = [
            {
                "id": drop.id,
                "source": source,
                "reason": drop.reason,
                "collided_with": drop.collided_with,
                # A table cannot hold halves of characters.
                "detail": blot(drop.detail.encode("utf-8", "replace").decode()),
                "stage": self.name,
                "branch": self.branch,
            }
            for source, drop in dropped
        ]
        write_table(self._dropped(number), pa.Table.from_pylist(rows, schema=DROPPED_SCHEMA))
        reasons: dict[str, Counter[str]] = {}
        for source, drop in dropped:
            reasons.setdefault(source, Counter())[drop.reason] += 1
        counts = {
            "given": given,
            "kept": Counter(source_of(prompt) for prompt in kept),
            "dropped": reasons,
            "notes": dict(notes),
            "failures": list(failures),
        }
        write_json(self._counts(number), counts)

    def close(self, num_shards: int) -> None:
        """Write the manifest (settings, shard hashes, row counts), which marks the stage as done.

        Raises:
            StateError: A shard that another machine says it has finished does not appear here.
        """
        self._await(num_shards, _SEEN_SECONDS)
        total = self._tally(range(num_shards))
        parts = {
            self.part(number).name: file_hash(self.part(number)) for number in range(num_shards)
        }
        write_json(
            self.manifest,
            self.state | {"fingerprint": self.fingerprint, "counts": total, "shards": parts},
        )

    def so_far(self, num_shards: int) -> Mapping[str, Any] | None:
        """Counts of the shards that a run which was stopped has finished; None without any row."""
        if read_object(self.folder / "begun.json").get("fingerprint") != self.fingerprint:
            return None
        found = self._tally([number for number in range(num_shards) if self.has(number)])
        return found if sum(found["given"].values()) else None

    def _tally(self, numbers: Iterable[int]) -> dict[str, Any]:
        """The counts of shards together."""
        given: Counter[str] = Counter()
        kept: Counter[str] = Counter()
        notes: Counter[str] = Counter()
        dropped: dict[str, Counter[str]] = {}
        for number in numbers:
            counts = read_json(self._counts(number))
            given.update(counts["given"])
            kept.update(counts["kept"])
            notes.update(counts["notes"])
            for source, reasons in counts["dropped"].items():
                dropped.setdefault(source, Counter()).update(reasons)
        return {
            "given": dict(sorted(given.items())),
            "kept": dict(sorted(kept.items())),
            "dropped": {
                source: dict(sorted(reasons.items())) for source, reasons in sorted(dropped.items())
            },
            "notes": dict(sorted(notes.items())),
        }

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """Content of the finished stage's manifest: settings, shard hashes and row counts."""
        found: Mapping[str, Any] = read_json(self.manifest)
        return found

    @cached_property
    def parts(self) -> tuple[Path, ...]:
        """Paths of the shard files that the finished stage wrote, in order."""
        return tuple(self.folder / name for name in sorted(self.content["shards"]))

    @property
    def hashes(self) -> tuple[str, ...]:
        """Content hashes of the shard files that the finished stage wrote, in order."""
        return tuple(self.content["shards"][path.name] for path in self.parts)

    @property
    def counts(self) -> Mapping[str, Any]:
        """Row counts of the stage by source: `given`, `kept`, `dropped` by reason; and `notes`."""
        found: Mapping[str, Any] = self.content["counts"]
        return found

    @property
    def num_kept(self) -> int:
        """Number of prompts that the finished stage kept."""
        return sum(self.counts["kept"].values())

    @property
    def failures(self) -> Iterator[Mapping[str, Any]]:
        """Yield the stage's requests that brought no answer, shard by shard."""
        for number in range(len(self.parts)):
            yield from read_object(self._counts(number)).get("failures", ())

    def _forget_failed(self) -> None:
        """Count those shards as not finished in which a request or a prompt failed for good."""
        begun = read_object(self.folder / "begun.json")
        if begun.get("fingerprint") != self.fingerprint:
            return
        counts = sorted(self.folder.glob("counts-*.json"))
        failed = [path for path in counts if _num_failed(read_object(path))]
        if failed:
            self.manifest.unlink(missing_ok=True)  # first: a manifest needs all its shards
        for path in failed:
            path.unlink()

    def _await(self, num_shards: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for number in range(num_shards):
            while not self.has(number):
                if time.monotonic() > deadline:
                    raise StateError(
                        f"{self._counts(number)}: a worker has finished this shard, and"
                        f" {seconds:.0f} seconds later it is not to be seen here: --out must be on"
                        " a disk that all machines share"
                    )
                time.sleep(0.05)

    def _dropped(self, number: int) -> Path:
        return self.folder / f"dropped-{number:05d}.parquet"

    def _counts(self, number: int) -> Path:
        return self.folder / f"counts-{number:05d}.json"


def source_of(prompt: Prompt) -> str:
    """Name of the source that a prompt's metadata state; "" if they state none."""
    return str(prompt.metadata.get("source", ""))


def dropped_tables(outputs: Iterable[StageFolder]) -> Iterator[pa.Table]:
    """Yield the Arrow tables of dropped rows, one for each shard of each stage."""
    for output in outputs:
        for path in output.parts:
            place = path.with_name(path.name.replace("part-", "dropped-"))
            try:
                yield pq.read_table(place, schema=DROPPED_SCHEMA)
            except (OSError, pa.ArrowException) as error:
                raise StateError(
                    f"{place}: a table of dropped rows cannot be read ({error}); remove it, and run"
                    " again"
                ) from error


def file_hash(path: Path) -> str:
    """Hash of a file's content: 128 bits (BLAKE2b) in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _num_failed(counts: Mapping[str, Any]) -> int:
    """Number of failed requests, and of failed prompts: counts whose names end in "_failed"."""
    dropped = sum(
        n
        for reasons in counts.get("dropped", {}).values()
        for name, n in reasons.items()
        if name.endswith(FAILED)
    )
    notes = sum(n for name, n in counts.get("notes", {}).items() if name.endswith(FAILED))
    return int(len(counts.get("failures", ())) + dropped + notes)


def _number(name: str) -> int:
    """Number of the shard in the name of its file."""
    return int(re.sub(r"\D", "", name) or 0)


def _is_table(path: Path) -> bool:
    """Whether a Parquet file has its end, where its columns are listed."""
    try:
        pq.read_metadata(path)
    except (OSError, pa.ArrowException):
        return False
    return True
