"""Turn conversations into rows: LLaVA, ShareGPT, OpenAI messages and LLaMA-Factory's formats.

A conversation gives one row: its first question and the answer to it. Later turns refer to earlier
ones, so they make no prompt of their own. A system message is kept beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vasari.core.errors import DataError
from vasari.data.json_rows import json_document
from vasari.data.rows import SUFFIXES, read_rows
from vasari.data.sources.columns import column_value
from vasari.data.stored_row import StoredRow
from vasari.data.values import IMAGE_MARK

_ASKERS = frozenset({"human", "user"})
_ANSWERERS = frozenset({"gpt", "assistant", "model", "bot", "chatgpt"})


@dataclass(frozen=True, slots=True)
class _Names:
    """Column names and role tags of a LLaMA-Factory data set; the defaults are LLaMA-Factory's."""

    messages: str = "conversations"
    images: str = "images"
    role: str = "from"
    content: str = "value"
    asker: str = "human"
    answerer: str = "gpt"
    system: str = "system"


def conversation_rows(path: Path, _folder: Path, shown: str) -> Iterator[StoredRow]:
    """Yield one row per conversation: `id`, `question`, `answer`, `images`, `system`, `num_turns`.

    `conversations` or `messages` are read; a turn is {from, value} or {role, content}; a content is
    text or a list of parts (text, image, image_url). Images that no part names are those of the
    row's `images` or `image`.
    """
    return _converted(path, shown, _conversation)


def llamafactory_rows(path: Path, folder: Path, shown: str) -> Iterator[StoredRow]:
    """Yield the rows of all local data sets that LLaMA-Factory's `dataset_info.json` lists.

    Data sets on a hub are left out. Formats alpaca and sharegpt. Data sets of preference pairs, and
    rows with sound or video, are refused with a reason.

    Raises:
        DataError: The file is no mapping of data sets.
    """
    catalogue = json_document(path, shown=shown)
    if not isinstance(catalogue, dict):
        raise DataError(f"expected a mapping of data sets, got {type(catalogue).__name__}")
    for name, entry in catalogue.items():
        file_name = entry.get("file_name") if isinstance(entry, dict) else None
        if not isinstance(file_name, str):
            continue
        below = f"{shown.rpartition('/')[0]}/{file_name}".lstrip("/")
        if not _stays_below(below, folder):
            yield StoredRow(f"{shown}: {name}", problem=f"the path {file_name!r} leaves the folder")
            continue
        files = (
            [folder / below] if (folder / below).is_file() else sorted((folder / below).glob("*"))
        )
        for file in (
            file for file in files if file.is_file() and file.name.lower().endswith(SUFFIXES)
        ):
            own = file.relative_to(folder).as_posix()
            if _stays_below(own, folder):
                yield from _data_set(file, entry, name=name, shown=own)
            else:
                yield StoredRow(own, problem="it is a link that leaves the folder")


def _stays_below(below: str, folder: Path) -> bool:
    try:
        return (folder / below).resolve().is_relative_to(folder.resolve())
    # A null character or a lone surrogate in the name, and a link that leads in a circle.
    except (ValueError, OSError, RuntimeError):
        return False


def _data_set(
    file: Path, entry: Mapping[str, Any], *, name: str, shown: str
) -> Iterator[StoredRow]:
    if entry.get("ranking"):
        yield StoredRow(shown, problem=f"{name} holds preference pairs, not answers")
        return
    columns, tags = _texts(entry.get("columns")), _texts(entry.get("tags"))
    sharegpt = entry.get("formatting") == "sharegpt"
    names = _Names(
        messages=columns.get("messages", "conversations"),
        images=columns.get("images", "images"),
        role=tags.get("role_tag", "from"),
        content=tags.get("content_tag", "value"),
        asker=tags.get("user_tag", "human"),
        answerer=tags.get("assistant_tag", "gpt"),
        system=tags.get("system_tag", "system"),
    )

    def convert(row: Mapping[str, Any]) -> dict[str, Any]:
        for kind in ("audios", "videos"):
            if column_value(row, columns.get(kind, kind)):
                raise DataError(f"the row has {kind}, which are not read")
        return (_sharegpt(row, names) if sharegpt else _alpaca(row, columns)) | {"dataset": name}

    yield from _converted(file, shown, convert)


def _converted(
    path: Path, shown: str, convert: Callable[[dict[str, Any]], dict[str, Any]]
) -> Iterator[StoredRow]:
    for row in read_rows(path, shown=shown):
        if row.values is None:
            yield row
            continue
        kept = {name: row.values.get(name) for name in ("id", "_key")}
        try:
            yield StoredRow(row.where, convert(row.values) | kept)
        except DataError as error:
            yield StoredRow(row.where, problem=str(error))


def _conversation(row: Mapping[str, Any]) -> dict[str, Any]:
    turns = row.get("conversations") or row.get("messages")
    first = turns[0] if isinstance(turns, list) and turns else None
    if not isinstance(turns, list) or not isinstance(first, Mapping):
        raise DataError(
            f"there is no list 'conversations' or 'messages' (found: {', '.join(list(row)[:8])})"
        )
    named = _Names(role="role", content="content") if "role" in first else _Names()
    return _turns(row, turns, named)


def _sharegpt(row: Mapping[str, Any], names: _Names) -> dict[str, Any]:
    turns = row.get(names.messages)
    if not isinstance(turns, list) or not turns:
        raise DataError(f"there is no list {names.messages!r} (found: {', '.join(list(row)[:8])})")
    return _turns(row, turns, names)


def _turns(row: Mapping[str, Any], turns: Sequence[Any], names: _Names) -> dict[str, Any]:
    said = [_turn(turn, names) for turn in turns]
    start = next((place for place, (who, _, _) in enumerate(said) if who == "asks"), None)
    if start is None or start + 1 >= len(said) or said[start + 1][0] != "answers":
        raise DataError("no question with an answer after it")
    question, parts = said[start][1], said[start][2]
    images = list(parts) or _first_images(row, said, start, names)
    system = next((text for who, text, _ in said[:start] if who == "system"), row.get("system"))
    return {
        "question": question,
        "answer": said[start + 1][1],
        "images": images,
        "system": system,
        "num_turns": sum(1 for who, _, _ in said if who == "answers"),
    }


def _first_images(
    row: Mapping[str, Any], said: Sequence[tuple[str, str, Any]], start: int, names: _Names
) -> list[Any]:
    """Return the images of a row's first question: those its text marks, or all without marks."""
    value = row.get(names.images) or row.get("image")
    images = value if isinstance(value, list) else [] if not value else [value]
    marks = [text.count(IMAGE_MARK) for _, text, _ in said]
    if not any(marks):
        return images
    if sum(marks) != len(images):
        raise DataError(f"the conversation marks {sum(marks)} images, the row has {len(images)}")
    before = sum(marks[:start])
    return images[before : before + marks[start]]


def _turn(turn: Any, names: _Names) -> tuple[str, str, list[Any]]:
    """Return the role ("asks", "answers", "system", else ""), the text and the images of a turn."""
    if not isinstance(turn, Mapping) or not isinstance(role := turn.get(names.role), str):
        raise DataError(f"a turn must be an object with {names.role!r} and {names.content!r}")
    role_name = role.lower()
    asks, answers = role_name in _ASKERS | {names.asker}, role_name in _ANSWERERS | {names.answerer}
    who = (
        "asks"
        if asks
        else "answers"
        if answers
        else "system"
        if role_name in ("system", names.system)
        else ""
    )
    content = turn.get(names.content)
    if isinstance(content, str):
        return who, content, []
    if not isinstance(content, list):
        raise DataError(
            f"{names.content!r} must be text or a list of parts, got {type(content).__name__}"
        )
    texts, images = [], []
    for part in content:
        text, image = _part(part)
        texts.append(text)
        images += image
    return who, "".join(texts), images


def _part(part: Any) -> tuple[str, list[Any]]:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text":
        value = part.get("text", part.get("value"))
        if isinstance(value, str):
            return value, []
    elif kind in ("image", "image_url"):
        value = part.get("image_url", part.get("image", part.get("value", part.get("url"))))
        value = value.get("url") if isinstance(value, Mapping) and "url" in value else value
        return IMAGE_MARK, [] if value is None else [value]
    raise DataError(f"a part of type {str(kind)[:20]!r} is not read; text, image and image_url are")


def _alpaca(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    texts = {}
    for name, default in (
        ("prompt", "instruction"),
        ("query", "input"),
        ("response", "output"),
        ("system", "system"),
    ):
        value = row.get(columns.get(name, default))
        if not isinstance(value, str | None):
            raise DataError(
                f"{columns.get(name, default)!r} must be text, got {type(value).__name__}"
            )
        texts[name] = value or ""
    images = row.get(columns.get("images", "images")) or []
    return {
        "question": "\n".join(filter(None, (texts["prompt"], texts["query"]))),
        "answer": texts["response"],
        "images": images if isinstance(images, list) else [images],
        "system": texts["system"],
        "num_turns": 1,
    }


def _texts(value: Any) -> dict[str, str]:
    return (
        {key: text for key, text in value.items() if isinstance(text, str)}
        if isinstance(value, Mapping)
        else {}
    )
