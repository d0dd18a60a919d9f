"""Provider batch files (OpenAI's JSONL): requests out, results into the same store.

A batch is half the price at most providers and takes hours. What is in the store is not written;
what a result file brings is found by later runs as if it had been asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from vasari.core.errors import DataError, ImageError, StorageError
from vasari.endpoint.images import FindImage, encode_images_now
from vasari.endpoint.libraries import orjson
from vasari.endpoint.lookup import look_up
from vasari.endpoint.request import LimitField, Request, wire_body
from vasari.endpoint.response import Failure, NotACompletionError, error_text, parse_completion
from vasari.endpoint.store import ResponseStore
from vasari.endpoint.usage import Usage

MAX_REQUESTS = 50_000
"""Of one file (OpenAI's limit)."""

MAX_FILE_BYTES = 200 * 10**6
"""Of one file (OpenAI's limit)."""

MAX_LINE_BYTES = 4 * 10**6
"""Of one result; a longer line is a failure, and is not held in memory."""


@dataclass(frozen=True, slots=True)
class BatchFiles:
    """What was written."""

    paths: tuple[Path, ...]
    requests: int
    from_store: int
    """Left out, because the answer or a failure is there."""
    failures: tuple[Failure, ...]
    """Rows that could not be written: a missing image, an unreadable text."""


@dataclass(frozen=True, slots=True)
class BatchResults:
    """What a result file held."""

    answered: int
    failed: Mapping[str, int]
    """Failures by reason; they are in the store."""
    known: int
    """Answers that were there already: the file had been read before."""
    unknown: int
    """Lines that belong to no request of ours, or cannot be read."""


def write_batch(
    prefix: Path,
    requests: Iterable[Request],
    store: ResponseStore,
    *,
    num_responses: int = 1,
    images: FindImage | None = None,
    retry_failed: Collection[str] = (),
    limit_field: LimitField = "max_tokens",
    max_requests: int = MAX_REQUESTS,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> BatchFiles:
    """Write what is not in the store as `PREFIX-000.jsonl`, `PREFIX-001.jsonl`, ... within the
    provider's limits.

    Raises:
        StorageError: The disk refuses.
    """
    writer = _Files(prefix, max_requests=max_requests, max_bytes=max_file_bytes)
    seen: set[tuple[str, int]] = set()
    found = 0
    failures = []
    try:
        for request in requests:
            for index in range(num_responses):
                if (request.key, index) in seen:
                    continue
                seen.add((request.key, index))
                if look_up(store, request, index, retry_failed=retry_failed) is not None:
                    found += 1
                    continue
                try:
                    body = wire_body(
                        request,
                        index,
                        encode_images_now(request.images, images),
                        limit_field=limit_field,
                    )
                    writer.write(_line(request, index, body))
                except DataError as error:
                    reason = "image" if isinstance(error, ImageError) else "unreadable_request"
                    failures.append(
                        Failure(
                            reason=reason, detail=str(error), request_id=request.id, index=index
                        )
                    )
    except OSError as error:
        raise StorageError(f"{prefix}-*.jsonl: {error.strerror or error}") from error
    finally:
        writer.close()
    return BatchFiles(tuple(writer.paths), writer.count, found, tuple(failures))


def read_batch(path: Path, store: ResponseStore, *, model: str) -> BatchResults:
    """Take a result file (or the provider's error file) into the store; reading it again changes
    nothing.

    Args:
        path: The provider's output, JSON lines in any order.
        store: Where the answers go.
        model: The model as it was asked for, for the price.

    Raises:
        DataError: There is no such file.
        StorageError: The disk refuses to keep answers.
    """
    failed: Counter[str] = Counter()
    answered = known = unknown = 0
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    with file:
        for line in _lines(file):
            parsed = _parse(line)
            if parsed is None:
                unknown += 1
                continue
            key, index, limit, row = parsed
            before = store.get(key, index)
            if before is not None and not (before.truncated and before.limit != limit):
                known += 1
                continue
            outcome = _outcome(row)
            if isinstance(outcome, Failure):
                failed[outcome.reason] += 1
                store.add_failure(key, replace(outcome, index=index, limit=limit), model=model)
            else:
                answered += 1
                response = replace(outcome, index=index, limit=limit)
                store.add(key, response, model=model, usage=Usage.of(response, batch=True))
    return BatchResults(answered, dict(failed), known, unknown)


def _line(request: Request, index: int, body: bytes) -> bytes:
    # At most 64 characters, OpenAI's limit: 32 of the key, and the numbers.
    name = f"{request.key}.{index}.{request.sampling.max_tokens or 0}"
    row = {
        "custom_id": name,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": orjson.Fragment(body),
    }
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Lines, of which a too long one comes as its beginning."""
    while line := file.readline(MAX_LINE_BYTES):
        yield line
        while not line.endswith(b"\n") and (line := file.readline(MAX_LINE_BYTES)):
            pass


def _parse(line: bytes) -> tuple[str, int, int | None, dict[str, Any]] | None:
    """Key, number, limit and row; None for what is not ours."""
    try:
        row = orjson.loads(line)
        key, index, limit = row["custom_id"].split(".")
        if len(bytes.fromhex(key)) != 16:
            return None
        return key, int(index), int(limit) or None, row
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _outcome(row: dict[str, Any]) -> Any:
    """The response in a result row, or why there is none."""
    answer = row.get("response")
    status = answer.get("status_code") if isinstance(answer, dict) else None
    body = answer.get("body") if isinstance(answer, dict) else None
    if row.get("error"):
        return Failure(
            reason="refused", detail=f"batch: {error_text(row['error'])}", status=status, attempts=1
        )
    if status != 200:
        reason = (
            "rate_limited"
            if status == 429
            else "server_error"
            if status is None or status >= 500
            else "refused"
        )
        text = error_text(body.get("error") or body) if isinstance(body, dict) else error_text(body)
        return Failure(reason=reason, detail=f"batch: {status}: {text}", status=status, attempts=1)
    try:
        return parse_completion(orjson.dumps(body))
    except NotACompletionError as error:
        return Failure(reason=error.reason, detail=f"batch: {error}", status=status, attempts=1)


class _Files:
    """Numbered files that end where the provider's limits do."""

    def __init__(self, prefix: Path, *, max_requests: int, max_bytes: int) -> None:
        self._prefix = prefix
        self._max_requests, self._max_bytes = max_requests, max_bytes
        self._file: BinaryIO | None = None
        self._in_file = self._bytes = 0
        self.paths: list[Path] = []
        self.count = 0

    def write(self, line: bytes) -> None:
        if len(line) > self._max_bytes:
            raise DataError(
                f"one request has {len(line):,} bytes, more than a batch file may have"
                f" ({self._max_bytes:,})"
            )
        if (
            self._file is None
            or self._in_file >= self._max_requests
            or self._bytes + len(line) > self._max_bytes
        ):
            self._next()
        if self._file is not None:
            self._file.write(line)
        self._in_file += 1
        self._bytes += len(line)
        self.count += 1

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _next(self) -> None:
        self.close()
        path = self._prefix.with_name(f"{self._prefix.name}-{len(self.paths):03d}.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        self.paths.append(path)
        self._in_file = self._bytes = 0
