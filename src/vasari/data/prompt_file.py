"""Write prompts to Parquet files as Hugging Face `datasets` does; read Parquet and JSON lines.

A question may carry `<image>` marks, one for each image, where the images belong in the text. They
are kept as they stand: the policy's chat template replaces them, and puts images in front of a
question that has none.

Images that a file names by path stay paths, so a large set does not have to fit in memory; a path
is relative to the file's folder and may not leave it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from vasari.core.errors import ConfigError, DataError, ImageError
from vasari.core.files import writing
from vasari.core.records import COLUMNS as COLUMNS_KEY
from vasari.core.records import AnswerKind, ImageRef, Prompt
from vasari.data.images import open_image, read_image_bytes, resolve_path
from vasari.data.references import single, unwrapped
from vasari.data.rows import JSON_LINES, raise_problems, read_rows
from vasari.data.values import foreign_text, image_value, is_json, text_value

SCHEMA_VERSION = 1

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "question_id", "pid"),
    "question": ("question", "problem", "prompt", "query"),
    "answer": ("answer",),
    "images": ("images", "image"),
    "choices": ("choices", "options"),
    "kind": ("kind",),
    "category": ("category", "subject", "family"),
    "difficulty": ("difficulty", "level"),
    "solution": ("solution", "rationale"),
    "metadata": ("metadata",),
}
"""Field of a prompt -> columns it is read from; the first column that holds a value counts."""

SUFFIXES: tuple[str, ...] = (".parquet", *JSON_LINES)
"""Suffixes of prompt files."""

_ROWS_PER_GROUP = 256
_MAX_PROBLEMS = 10
_KNOWN = frozenset(name for names in COLUMNS.values() for name in names)
_TEXT = pa.string()
_SCHEMA = pa.schema(
    [
        ("id", _TEXT),
        ("question", _TEXT),
        ("answer", _TEXT),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", _TEXT)]))),
        ("choices", pa.list_(_TEXT)),
        ("kind", _TEXT),
        ("category", _TEXT),
        ("difficulty", _TEXT),
        ("solution", _TEXT),
        ("metadata", _TEXT),
    ]
)


def write_prompts(path: Path, prompts: Sequence[Prompt]) -> None:
    """Write prompts to one Parquet file that holds the bytes of all their images.

    `datasets.load_dataset("parquet", data_files=...)` decodes its images. The file appears under
    its name only when it is complete.

    Args:
        path: Ends in ".parquet".
        prompts: At least one, with ids that differ. Metadata must be JSON-able and is stored as
            JSON text.

    Raises:
        DataError: No prompts, an id twice, or a prompt that cannot be stored; `ImageError` for its
            image.
        StorageError: The disk refused.
    """
    if path.suffix != ".parquet":
        raise DataError(f"{path}: prompts are written to a file that ends in .parquet")
    if not prompts:
        raise DataError(f"{path}: there are no prompts to write")
    first: dict[str, int] = {}
    for place, prompt in enumerate(prompts):
        if first.setdefault(prompt.id, place) != place:
            raise DataError(
                f"{path}: prompts {first[prompt.id]} and {place} have the same id {prompt.id!r}"
            )
    schema = _SCHEMA.with_metadata(
        {
            "vasari": json.dumps({"schema": SCHEMA_VERSION}),
            "huggingface": json.dumps({"info": {"features": _hf_features()}}),
        }
    )
    try:
        with writing(path) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for start in range(0, len(prompts), _ROWS_PER_GROUP):
                rows = [_to_row(prompt) for prompt in prompts[start : start + _ROWS_PER_GROUP]]
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    except pa.ArrowException as error:
        raise DataError(f"{path}: a prompt cannot be stored: {error}") from error


def read_prompts(path: Path, *, limit: int | None = None) -> list[Prompt]:
    """Return the prompts of a Parquet or JSON-lines file, in file order.

    Fields go by the names in `COLUMNS`. What else the file says, in other columns that hold text,
    numbers or truth values and in `metadata`, is `Prompt.columns`; of a file that `write_prompts`
    wrote, `metadata` is restored as it was. Numbers become text (3.0 becomes "3"). A prompt without
    an id gets a digest of its question, answer and images. Each image's header is read, so that a
    missing or foreign file is found here and not hours later; `check_images` decodes them whole.

    Args:
        path: Ends in one of `SUFFIXES`.
        limit: Read only this many prompts.

    Raises:
        DataError: With `file:line` (or the row of a Parquet file, from 1): no question, no answer,
            an id twice, a value of the wrong type, bad JSON; or the file is missing, empty or of a
            newer schema.
        ImageError: An image is missing, is none, is too large, or lies outside the folder.
        ConfigError: `limit` is not positive.
    """
    path = Path(path)
    if limit is not None and limit < 1:
        raise ConfigError(f"limit must be at least 1, got {limit}")
    if not path.name.endswith(SUFFIXES):
        raise DataError(f"{path}: the suffix must be one of {', '.join(SUFFIXES)}")
    own = path.suffix == ".parquet" and _is_own(path)
    prompts: list[Prompt] = []
    seen: dict[str, str] = {}
    for row, values in raise_problems(read_rows(path)):
        prompt = _to_prompt(values, where=row.where, root=path.parent, own=own)
        if prompt.id in seen:
            raise DataError(
                f"{row.where}: the id {prompt.id!r} was already used at {seen[prompt.id]}"
            )
        seen[prompt.id] = row.where
        prompts.append(prompt)
        if len(prompts) == limit:
            break
    if not prompts:
        raise DataError(f"{path}: the file holds no prompts")
    return prompts


def check_images(
    prompts: Sequence[Prompt], *, progress: Callable[[int, int], None] | None = None
) -> None:
    """Check that every image of the prompts can be decoded; raise an `ImageError` otherwise.

    Args:
        prompts: Whose images to check.
        progress: Called with the prompts done and their total.

    Raises:
        ImageError: How many images fail, and the first ten of them.
    """
    problems: list[str] = []
    num_images = num_failed = 0
    for done, prompt in enumerate(prompts, start=1):
        for place, ref in enumerate(prompt.images, start=1):
            num_images += 1
            try:
                open_image(ref, where=f"prompt {prompt.id!r}, image {place}")
            except ImageError as error:
                num_failed += 1
                problems.append(str(error)) if len(problems) < _MAX_PROBLEMS else None
        if progress is not None:
            progress(done, len(prompts))
    if num_failed:
        more = [f"and {num_failed - len(problems)} more"] if num_failed > len(problems) else []
        raise ImageError(
            f"{num_failed} of {num_images} images cannot be used: " + "; ".join(problems + more)
        )


def _hf_features() -> dict[str, Any]:
    """Return the features in the form that `datasets` keeps in a Parquet file's metadata."""
    text = {"dtype": "string", "_type": "Value"}
    special = {
        "images": {"feature": {"_type": "Image"}, "_type": "List"},
        "choices": {"feature": text, "_type": "List"},
    }
    return {name: special.get(name, text) for name in _SCHEMA.names}


def stored_images(prompt: Prompt) -> list[dict[str, Any]]:
    """Return a prompt's images as dicts for a Parquet row: `bytes` (encoded), `path` (file name).

    Raises:
        ImageError: An image is missing, is none, or is too large.
    """
    images = []
    for place, ref in enumerate(prompt.images, start=1):
        data = read_image_bytes(ref, where=f"prompt {prompt.id!r}, image {place}")
        images.append({"bytes": data, "path": None if ref.path is None else Path(ref.path).name})
    return images


def _to_row(prompt: Prompt) -> dict[str, Any]:
    row = {name: getattr(prompt, name) for name in _SCHEMA.names}
    try:
        row["metadata"] = json.dumps(dict(prompt.metadata), ensure_ascii=False)
        "".join(
            [*(value for value in row.values() if isinstance(value, str)), *(prompt.choices or ())]
        ).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"prompt {prompt.id!r} cannot be stored: {error}") from error
    return row | {
        "images": stored_images(prompt),
        "choices": None if prompt.choices is None else list(prompt.choices),
    }


def _is_own(path: Path) -> bool:
    """Whether `write_prompts` wrote a Parquet file; False for files that are not Parquet.

    Raises:
        DataError: It did, with another schema version.
    """
    try:
        own = (pq.read_schema(path).metadata or {}).get(b"vasari")
        version = json.loads(own).get("schema") if own else SCHEMA_VERSION
    except (pa.ArrowException, OSError):
        return False
    except (ValueError, AttributeError):
        version = own
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{path}: the file has prompt schema {version!r}; this version reads {SCHEMA_VERSION}"
        )
    return bool(own)


def _to_prompt(row: Mapping[str, Any], *, where: str, root: Path, own: bool) -> Prompt:
    given = {name: _first(row, names) for name, names in COLUMNS.items()}
    label = where if given["id"] is None else f"{where}: prompt {str(given['id'])!r}"
    if not own:
        try:
            given["answer"] = single(given["answer"])
        except DataError as error:
            raise DataError(f"{label}: {error}") from error
    texts = {
        name: text_value(given[name], f"{label}: {name!r}")
        for name in COLUMNS
        if name not in ("images", "choices", "metadata")
    }
    choices = _choices(given["choices"], label)
    if not own:
        texts = {name: foreign_text(text, f"{label}: {name!r}") for name, text in texts.items()}
        options = [foreign_text(option, f"{label}: 'choices'") for option in choices or ()]
        choices = tuple(options) or None
        texts["answer"] = _reference(texts["answer"], label)
    for name in ("question", "answer"):
        if not texts[name].strip():
            who = label if given["id"] is not None else f"{where}: the prompt"
            raise DataError(f"{who} has no {name!r} (columns read: {', '.join(COLUMNS[name])})")
    if texts["kind"] and texts["kind"] not in get_args(AnswerKind):
        raise DataError(
            f"{label}: 'kind' must be one of {get_args(AnswerKind)}, got {texts['kind']!r}"
        )
    values = given["images"]
    if not isinstance(values, list):
        values = [] if values is None else [values]
    images = tuple(
        _image(value, where=f"{label}: image {place}", root=root)
        for place, value in enumerate(values, start=1)
    )
    return Prompt(
        id=texts["id"] or _content_id(texts["question"], texts["answer"], images, where=label),
        question=texts["question"],
        answer=texts["answer"],
        images=images,
        choices=choices,
        kind=texts["kind"] or None,  # type: ignore[arg-type]
        category=texts["category"],
        difficulty=texts["difficulty"],
        solution=texts["solution"] or None,
        metadata=_metadata(row, given["metadata"], label, own=own),
    )


def _reference(text: str, where: str) -> str:
    """Return a foreign file's reference answer without a box, dollars or tags around it."""
    bare = text.strip()
    try:
        inner = unwrapped(bare)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    return text if inner == bare else inner


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Return the first value that is not null, not nan, and not an empty text or list."""
    values = (row.get(name) for name in names)
    return next(
        (
            v
            for v in values
            if v not in (None, "", []) and not (isinstance(v, float) and math.isnan(v))
        ),
        None,
    )


def _choices(value: Any, where: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise DataError(f"{where}: 'choices' must be a list of texts, got {type(value).__name__}")
    if any(option is None for option in value):
        raise DataError(f"{where}: 'choices' holds an empty option: {value!r}")
    return tuple(text_value(option, f"{where}: 'choices'") for option in value)


def _metadata(row: Mapping[str, Any], value: Any, where: str, *, own: bool) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: 'metadata' is not valid JSON: {error}") from error
    if value is not None and not isinstance(value, dict):
        raise DataError(f"{where}: 'metadata' must be an object, got {type(value).__name__}")
    others = {name: v for name, v in row.items() if name not in _KNOWN}
    columns = {
        name: v
        for name, v in others.items()
        if isinstance(v, (str, int)) or (isinstance(v, float) and math.isfinite(v))
    }
    stated = value or {}
    if not own:
        stated = {name: v for name, v in stated.items() if is_json(v)}
        return {COLUMNS_KEY: columns | stated} if columns or stated else {}
    if columns:  # somebody has added them to a file that we wrote
        before = stated.get(COLUMNS_KEY)
        stated = stated | {COLUMNS_KEY: columns | (before if isinstance(before, dict) else {})}
    return stated


def _image(value: Any, *, where: str, root: Path) -> ImageRef:
    return image_value(
        value, where=where, find=lambda path: resolve_path(path, where=where, root=root)
    )


def _content_id(question: str, answer: str, images: Sequence[ImageRef], *, where: str) -> str:
    """Return an id of 16 hex digits made from a prompt's content, wherever its files lie."""
    digest = hashlib.blake2b(digest_size=8)
    parts = [
        question.encode(),
        answer.encode(),
        *(read_image_bytes(ref, where=where) for ref in images),
    ]
    for part in parts:
        digest.update(hashlib.blake2b(part, digest_size=16).digest())
    return digest.hexdigest()
