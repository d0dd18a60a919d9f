"""Writes the SFT and RL sets in the file formats that other trainers read.

* `sharegpt`: LLaMA-Factory's multimodal JSON (`messages`, `images`), pictures as files, and its
`dataset_info.json`.
* `trl`: conversational `prompt` (and `completion`) with `images`, as TRL's SFT and GRPO trainers
take it.
* `easyr1`: `problem` with `<image>` marks, `answer`, `images`.
* `verl`: `data_source`, `prompt`, `images`, `ability`, `reward_model`, `extra_info`.
* `slime`: `prompt` with `<image>` marks, `label`, `images` as data URIs, `metadata`.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq

import vasari
from vasari.core.errors import StorageError
from vasari.core.files import read_json, write_bytes, write_json
from vasari.core.records import Prompt
from vasari.curate.out.export_folder import (
    DATASET_INFO,
    MADE_FROM,
    entries,
    files_of,
    files_written,
    is_export_image,
    remove_export,
)
from vasari.curate.out.reader_rules import SHAREGPT_COLUMNS, SHAREGPT_TAGS
from vasari.curate.recipe import ExportName
from vasari.curate.run.shards import file_hash
from vasari.data.prompt_file import stored_images
from vasari.model.chat import MMR1_SYSTEM_PROMPT, chat_messages, target_text
from vasari.model.template_tokens import IMAGE_MARK

_TEXT = pa.string()
_PICTURES = pa.list_(pa.struct([("bytes", pa.binary()), ("path", _TEXT)]))
_TURNS = pa.list_(pa.struct([("role", _TEXT), ("content", _TEXT)]))
_PARTS = pa.list_(
    pa.struct(
        [("role", _TEXT), ("content", pa.list_(pa.struct([("type", _TEXT), ("text", _TEXT)])))]
    )
)
_SUFFIX = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"RIFF": "webp", b"GIF8": "gif"}
_ROWS_PER_GROUP = 256

EXPORT_SCHEMA = 1
"""Version of the export formats; a new version makes existing exports again."""

Row = dict[str, Any]


def write_exports(
    folder: Path,
    names: Sequence[ExportName],
    sets: Mapping[str, Sequence[Prompt]],
    *,
    content: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, str]:
    """Write curated sets in other trainers' formats; return file hashes by path in `folder`.

    An export that is there already, whole and made from the same content, is left as it is; files
    of others that an earlier run left are removed. What no export wrote is left, unless it has the
    name of a file that is written (`export_folder.refuse_exports_of_others`).

    Args:
        folder: Folder of all exports; each export has its own folder in it.
        names: Which exports to write.
        sets: The prompts of each set.
        content: What each set was read from, as hashes. Without it everything is written afresh.

    Raises:
        StorageError: The disk refused.
    """
    hashes: dict[str, str] = {}
    filled = {kind: prompts for kind, prompts in sets.items() if len(prompts)}
    wanted = {name for name in names if filled}
    try:
        for other in get_args(ExportName):
            if other not in wanted:
                remove_export(folder / other, files_written(folder / other) & files_of(other))
        with contextlib.suppress(OSError):
            folder.rmdir()  # unless something is in it
        for name in names if filled else ():
            place = folder / name
            made_from = (
                ""
                if content is None
                else _fingerprint(name, {kind: content[kind] for kind in filled})
            )
            found = _left_whole(place, made_from) if made_from else None
            if found is None:
                found = _write_afresh(place, name, filled, made_from)
            hashes |= {f"{name}/{file}": value for file, value in found.items()}
    except OSError as error:
        raise StorageError(
            f"{folder}: an export could not be written: {error.strerror or error}"
        ) from error
    return hashes


def _write_afresh(
    folder: Path, name: ExportName, sets: Mapping[str, Sequence[Prompt]], fingerprint: str
) -> dict[str, str]:
    """Write an export and return the hashes of its files.

    The file that says what they were made from is written last.
    """
    remove_export(folder, files_of(name))
    # Says whose files these are, should the run be killed now.
    begun = {"fingerprint": "", "files": dict.fromkeys(files_of(name), ""), "beside": {}}
    write_json(folder / MADE_FROM, begun | {"images": 0})
    written = [
        path for kind, prompts in sets.items() for path in _write(folder, name, kind, prompts)
    ]
    hashes = {path.relative_to(folder).as_posix(): file_hash(path) for path in written}
    beside = {path.name: file_hash(path) for path in folder.glob(DATASET_INFO)}
    images = sum(map(is_export_image, entries(folder / "images")))
    write_json(
        folder / MADE_FROM,
        {"fingerprint": fingerprint, "files": hashes, "beside": beside, "images": images},
    )
    return hashes


def _left_whole(folder: Path, fingerprint: str) -> dict[str, str] | None:
    """The hashes of an export's files if it is there, unchanged and of this content; else None."""
    try:
        made = read_json(folder / MADE_FROM)
        files: dict[str, str] = made["files"]
        if made["fingerprint"] != fingerprint:
            return None
        if any(
            file_hash(folder / file) != value for file, value in (files | made["beside"]).items()
        ):
            return None
        images = [path for path in entries(folder / "images") if is_export_image(path)]
        if len(images) != made["images"] or any(
            path.stem != _digest(path.read_bytes()) for path in images
        ):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # damaged, edited or missing: it is made again
    return files


def _fingerprint(name: ExportName, content: Mapping[str, Sequence[str]]) -> str:
    """Digest of all that an export's bytes depend on: format, version of Vasari, and sets."""
    state = [
        EXPORT_SCHEMA,
        vasari.__version__,
        name,
        MMR1_SYSTEM_PROMPT,
        [[kind, list(of)] for kind, of in content.items()],
    ]
    return hashlib.blake2b(json.dumps(state).encode(), digest_size=16).hexdigest()


def marked_question(prompt: Prompt) -> str:
    """Return the question with its options and one `<image>` mark for each picture.

    A mark stands where the question has it, else in front.

    Raises:
        DataError: The question marks another number of images than the prompt has.
    """
    (turn,) = chat_messages(prompt, system="")
    return "".join(
        IMAGE_MARK if part["type"] == "image" else part["text"] for part in turn["content"]
    )


def sharegpt_row(prompt: Prompt, kind: str, image_names: Sequence[str]) -> Row:
    """Convert a prompt to a row of LLaMA-Factory's multimodal JSON.

    In the RL set the reference answer stands in place of a completion.
    """
    target = target_text(prompt) if kind == "sft" else f"\\boxed{{{prompt.answer}}}"
    turns = (
        ("system", MMR1_SYSTEM_PROMPT),
        ("user", marked_question(prompt)),
        ("assistant", target),
    )
    return {
        "messages": [{"role": role, "content": text} for role, text in turns],
        "images": list(image_names),
    }


def trl_row(prompt: Prompt, kind: str) -> Row:
    """Convert a prompt to a row of TRL's conversational format, with text and image parts.

    In the RL set the reference answer is in the column `solution`.
    """
    row: Row = {
        "id": prompt.id,
        "prompt": chat_messages(prompt, system=MMR1_SYSTEM_PROMPT),
        "images": stored_images(prompt),
    }
    if kind == "sft":
        row["completion"] = [
            {"role": "assistant", "content": [{"type": "text", "text": target_text(prompt)}]}
        ]
    else:
        row["solution"] = prompt.answer
    return row


def easyr1_row(prompt: Prompt, _: str) -> Row:
    """Convert a prompt to a row for EasyR1, whose own template adds the instructions."""
    return {
        "problem": marked_question(prompt),
        "answer": prompt.answer,
        "images": stored_images(prompt),
    }


def verl_row(prompt: Prompt, kind: str) -> Row:
    """Convert a prompt to a row for verl, with its answer as ground truth of the rule reward."""
    turns = (("system", MMR1_SYSTEM_PROMPT), ("user", marked_question(prompt)))
    return {
        "data_source": str(prompt.metadata.get("source", "")),
        "prompt": [{"role": role, "content": text} for role, text in turns],
        "images": stored_images(prompt),
        "ability": prompt.category,
        "reward_model": {"style": "rule", "ground_truth": prompt.answer},
        "extra_info": {
            "split": "train",
            "index": prompt.id,
            "answer": prompt.answer,
            "question": prompt.question,
            "set": kind,
            "choices": list(prompt.choices or ()),
            "kind": prompt.kind,
            "difficulty": prompt.difficulty,
        },
    }


def slime_row(prompt: Prompt, kind: str) -> Row:
    """Convert a prompt to a row for slime; its metadata is what `vasari.slime` verifies by."""
    turns = (("system", MMR1_SYSTEM_PROMPT), ("user", marked_question(prompt)))
    return {
        "prompt": [{"role": role, "content": text} for role, text in turns],
        "label": prompt.answer,
        "images": [_data_uri(image["bytes"]) for image in stored_images(prompt)],
        "metadata": {
            "id": prompt.id,
            "question": prompt.question,
            "kind": prompt.kind,
            "choices": list(prompt.choices) if prompt.choices else None,
            "category": prompt.category,
            "difficulty": prompt.difficulty,
            "set": kind,
        },
    }


_EASYR1 = (("problem", _TEXT), ("answer", _TEXT), ("images", _PICTURES))
_VERL = (
    ("data_source", _TEXT),
    ("prompt", _TURNS),
    ("images", _PICTURES),
    ("ability", _TEXT),
    ("reward_model", pa.struct([("style", _TEXT), ("ground_truth", _TEXT)])),
    (
        "extra_info",
        pa.struct(
            [
                *((name, _TEXT) for name in ("split", "index", "answer", "question", "set")),
                ("choices", pa.list_(_TEXT)),
                ("kind", _TEXT),
                ("difficulty", _TEXT),
            ]
        ),
    ),
)
_SLIME = (
    ("prompt", _TURNS),
    ("label", _TEXT),
    ("images", pa.list_(_TEXT)),
    (
        "metadata",
        pa.struct(
            [
                (name, pa.list_(_TEXT) if name == "choices" else _TEXT)
                for name in ("id", "question", "kind", "choices", "category", "difficulty", "set")
            ]
        ),
    ),
)
_TRL_SFT = (("id", _TEXT), ("prompt", _PARTS), ("completion", _PARTS), ("images", _PICTURES))
_TRL_RL = (("id", _TEXT), ("prompt", _PARTS), ("solution", _TEXT), ("images", _PICTURES))
_PARQUET: Mapping[
    str, tuple[Callable[[Prompt, str], Row], Mapping[str, tuple[tuple[str, Any], ...]]]
] = {
    "trl": (trl_row, {"sft": _TRL_SFT, "rl": _TRL_RL}),
    "easyr1": (easyr1_row, {"sft": _EASYR1, "rl": _EASYR1}),
    "verl": (verl_row, {"sft": _VERL, "rl": _VERL}),
    "slime": (slime_row, {"sft": _SLIME, "rl": _SLIME}),
}


def _write(folder: Path, name: ExportName, kind: str, prompts: Sequence[Prompt]) -> list[Path]:
    if name == "sharegpt":
        return _write_sharegpt(folder, kind, prompts)
    make, columns = _PARQUET[name]
    path = folder / f"{kind}.parquet"
    schema = pa.schema(columns[kind]).with_metadata(
        {"huggingface": json.dumps(_image_features(pa.schema(columns[kind])))}
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, len(prompts), _ROWS_PER_GROUP):
            rows = [make(prompt, kind) for prompt in prompts[start : start + _ROWS_PER_GROUP]]
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    return [path]


def _write_sharegpt(folder: Path, kind: str, prompts: Sequence[Prompt]) -> list[Path]:
    path = folder / f"{kind}.json"
    with path.open("w", encoding="utf-8") as file:
        for place, prompt in enumerate(prompts):
            row = sharegpt_row(
                prompt,
                kind,
                [_image_file(folder, image["bytes"]) for image in stored_images(prompt)],
            )
            file.write(("[\n" if place == 0 else ",\n") + json.dumps(row, ensure_ascii=False))
        file.write("\n]\n")
    info = folder / DATASET_INFO
    known = json.loads(info.read_text()) if info.exists() else {}
    known[f"vasari_{kind}"] = {
        "file_name": path.name,
        "formatting": "sharegpt",
        "columns": SHAREGPT_COLUMNS,
        "tags": SHAREGPT_TAGS,
    }
    write_json(info, known)
    return [path]


def _image_file(folder: Path, data: bytes) -> str:
    """Write an image once, by the hash of its bytes, and return its name below the folder."""
    name = f"images/{_digest(data)}.{_suffix(data)}"
    if not (folder / name).exists():
        write_bytes(folder / name, data)
    return name


def _suffix(data: bytes) -> str:
    return next((name for magic, name in _SUFFIX.items() if data.startswith(magic)), "img")


def _data_uri(data: bytes) -> str:
    kind = {"jpg": "jpeg"}.get(_suffix(data), _suffix(data))
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _digest(data: bytes) -> str:
    """The name of an image's file, from its bytes."""
    return hashlib.sha256(data).hexdigest()[:32]


def _image_features(schema: pa.Schema) -> Row:
    """Feature metadata for `datasets` that says which columns are images."""
    return {
        "info": {"features": {field.name: _feature(field.name, field.type) for field in schema}}
    }


def _feature(name: str, kind: pa.DataType) -> Any:
    if name == "images" and not pa.types.is_string(kind.value_type):
        return {"feature": {"_type": "Image"}, "_type": "List"}
    if pa.types.is_list(kind):
        return {"feature": _feature("", kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {field.name: _feature("", field.type) for field in kind}
    return {"dtype": "string", "_type": "Value"}
