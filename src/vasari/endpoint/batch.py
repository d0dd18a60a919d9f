"""Providers' batch files (OpenAI's JSONL): writing requests, reading results into the store.

A batch is half the price at most providers and takes hours. Requests answered in the store are not
written; later runs find the answers of a result file as if they had asked for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from vasari.core.errors import DataError
from vasari.core.files import write_bytes
from vasari.core.secrets import blot_pieces
from vasari.endpoint.completion import error_codes, error_text, parse_completion
from vasari.endpoint.cost import Usage
from vasari.endpoint.images import encode_image
from vasari.endpoint.request import LimitField, Request, wire_body
from vasari.endpoint.response import Failure, NoAnswerError, Response, failure_of_status
from vasari.endpoint.reuse import Reuse
from vasari.endpoint.store import ResponseStore

MAX_REQUESTS = 50_000
"""Requests in one file, at most (OpenAI's limit)."""

MAX_FILE_BYTES = 200 * 10**6
"""Bytes of one file, at most (OpenAI's limit)."""

MAX_LINE_BYTES = 4 * 10**6
"""Bytes of one result, at most; a longer line is never held in memory and counts as unreadable."""


@dataclass(frozen=True, slots=True)
class BatchFiles:
    """Paths of the batch files that `write_batch` wrote, with counts of requests and failures."""

    paths: tuple[Path, ...]
    requests: int
    from_store: int
    """Answers and failures that were in the store, and so were not written."""
    failures: tuple[Failure, ...]
    """Rows that could not be written: a missing image, an unreadable text."""


@dataclass(frozen=True, slots=True)
class BatchResults:
    """Counts of new answers, failures, already stored answers, other lines in a result file."""

    answered: int
    failed: Mapping[str, int]
    """Failures by reason; they are in the store."""
    known: int
    """Answers that the store had already, as when a file is read twice."""
    unknown: int
    """Lines that were not written by `write_batch`, or cannot be read."""


def write_batch(
    prefix: Path,
    requests: Iterable[Request],
    store: ResponseStore,
    *,
    num_responses: int = 1,
    retry_failed: Collection[str] = (),
    limit_field: LimitField = "max_tokens",
    max_requests: int = MAX_REQUESTS,
    max_file_bytes: int = MAX_FILE_BYTES,
) -> BatchFiles:
    """Write batch files `PREFIX-000.jsonl`, ... with the requests that have no stored answer.

    A file ends at the provider's limits, and is held in memory until it is written whole.

    Raises:
        StorageError: The disk refuses.
    """
    paths: list[Path] = []
    failures: list[Failure] = []
    lines: list[bytes] = []
    count = size = found = 0

    def flush() -> None:
        path = prefix.with_name(f"{prefix.name}-{len(paths):03d}.jsonl")
        write_bytes(path, b"".join(lines))
        paths.append(path)
        lines.clear()

    wanted = store.look_up_all(requests, num_responses, Reuse(retry_failed=retry_failed))
    for request, index, outcome in wanted:
        if outcome is not None:
            found += 1
            continue
        try:
            encoded = [encode_image(image) for image in request.images]
            body = wire_body(request, index, encoded, limit_field=limit_field)
            line = _line(request, index, body, max_bytes=max_file_bytes)
        except DataError as error:
            failures.append(Failure.of_error(error, request_id=request.id, index=index))
            continue
        if lines and (len(lines) >= max_requests or size + len(line) > max_file_bytes):
            flush()
            size = 0
        lines.append(line)
        size += len(line)
        count += 1
    if lines:
        flush()
    return BatchFiles(tuple(paths), count, found, tuple(failures))


def read_batch(path: Path, store: ResponseStore, *, model: str) -> BatchResults:
    """Add the answers in a provider's batch result or error file to the store; safe to repeat.

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


def _line(request: Request, index: int, body: bytes, *, max_bytes: int) -> bytes:
    # At most 64 characters, OpenAI's limit: 32 of the key, and the numbers.
    name = f"{request.key}.{index}.{request.sampling.max_tokens or 0}"
    row = {
        "custom_id": name,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": orjson.Fragment(body),
    }
    line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    if len(line) > max_bytes:
        raise DataError(
            f"one request has {len(line):,} bytes, more than a batch file may have ({max_bytes:,})"
        )
    return line


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file; of a line that is too long, only the beginning.

    Not `vasari.data.rows`: a result is bounded to a few megabytes, and its file may have any name.
    """
    while line := file.readline(MAX_LINE_BYTES):
        yield line
        while not line.endswith(b"\n") and (line := file.readline(MAX_LINE_BYTES)):
            pass


def _parse(line: bytes) -> tuple[str, int, int | None, dict[str, Any]] | None:
    """Key, number, limit and content of a result; None for a request not of `write_batch`."""
    try:
        row = orjson.loads(line)
        key, index, limit = row["custom_id"].split(".")
        if len(bytes.fromhex(key)) != 16:
            return None
        return key, int(index), int(limit) or None, row
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _outcome(row: dict[str, Any]) -> Response | Failure:
    """The response in a result row, or why there is none."""
    answer = row.get("response")
    status = answer.get("status_code") if isinstance(answer, dict) else None
    status = status if isinstance(status, int) else None
    body = answer.get("body") if isinstance(answer, dict) else None
    if row.get("error"):
        detail, codes = error_text(row), error_codes(row)
        reason = failure_of_status(400, codes)
    elif status == 200:
        try:
            return parse_completion(orjson.dumps(body))
        except NoAnswerError as error:
            reason, detail = error.failure.reason, error.failure.detail
    else:
        detail = f"{status}: {error_text(body)}"
        reason = failure_of_status(status or 500, error_codes(body))
    if reason == "unauthorised":
        reason = "refused"  # no run that could stop: a failure of the row
    detail = f"batch: {blot_pieces(detail)}"
    return Failure(reason=reason, detail=detail, status=status, attempts=1)
