"""Build prompts, with their provenance, from the rows of a described data set."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase
from typing import Any, get_args

from vasari.core.errors import DataError, ImageError
from vasari.core.records import COLUMNS, AnswerKind, ImageRef, Prompt
from vasari.data.images import resolve_path
from vasari.data.references import single
from vasari.data.sources.answers import listed, plain_text, reference_answer, split_choices
from vasari.data.sources.columns import column_value, first_value, is_empty
from vasari.data.sources.spec import Layout, SourceSpec
from vasari.data.values import IMAGE_MARK, image_value, is_unicode

NO_LICENCE = "none stated"
"""Licence of a description that states none; the `licence` column of each row then counts."""

_SHORT = 200
_MOST_SEEN = 4096  # pictures
_LONE_LETTER = re.compile(r"[A-J]")


@dataclass(frozen=True, slots=True)
class Builder:
    """Converter of a public data set's rows to prompts, by the columns that `layout` names."""

    spec: SourceSpec
    layout: Layout
    folder: Path
    images: bool = True
    """Whether to look up image files; False keeps only their names, in the metadata."""
    called: str = ""
    """Name of the source in ids and metadata; that of its description when empty."""
    _seen: dict[str, ImageRef] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Pictures found and looked at lately, by their paths: often several rows ask about one."""

    @property
    def name(self) -> str:
        """Name of the source in ids and metadata."""
        return self.called or self.spec.name

    def prompt(self, row: Mapping[str, Any], *, split: str) -> Prompt:
        """Return the prompt made from one row of the data set.

        Raises:
            DataError: The row has no question or no answer, a value of a wrong type, or an image
                that cannot be used.
        """
        fields = self.layout.fields
        question = plain_text(self._wanted(row, "question"), "the question")
        question, choices = self._choices(row, question)
        value = self._wanted(row, "answer")
        if self.layout.answer_as not in ("first", "most"):
            value = single(value)
        if not isinstance(value, list | dict):
            value = self.layout.answer_names.get(str(value), value)
        answer = reference_answer(value, choices, self.layout.answer_as)
        refs, names = self._images(row)
        if self.images and question.count(IMAGE_MARK) not in (0, len(refs)):
            raise DataError(
                f"the question marks {question.count(IMAGE_MARK)} images, the row has {len(refs)}"
            )
        columns = self._own_columns(row)
        metadata: dict[str, Any] = {COLUMNS: columns} if columns else {}
        if names and not self.images:
            metadata["image_names"] = names
        if (
            isinstance(value, str)
            and value.strip() != answer
            and (choices or self._is_short(value))
        ):
            metadata["native_answer"] = value.strip()
        provenance = self._provenance(row, split, columns)
        return Prompt(
            id=f"{self.name}/{provenance['native_id']}",
            question=question,
            answer=answer,
            images=refs,
            choices=choices,
            kind=_kind(first_value(row, fields.kind), answer, choices, self.layout),
            category=provenance["category"],
            difficulty=plain_text(first_value(row, fields.difficulty), "the difficulty"),
            solution=plain_text(_joined(first_value(row, fields.solution)), "the solution") or None,
            metadata=metadata | provenance,
        )

    def _is_short(self, value: str) -> bool:
        """Whether an answer is the reference with something around it, and no whole solution."""
        return self.layout.answer_as != "boxed" and len(value) <= _SHORT

    def _wanted(self, row: Mapping[str, Any], field: str) -> Any:
        """Return the value of a field that every row must have."""
        columns = getattr(self.layout.fields, field)
        value = first_value(row, columns)
        if value is None or (isinstance(value, str) and not value.strip()):
            raise DataError(
                f"there is no {field} (columns asked: {_shown(columns)}; found: {_shown(row)})"
            )
        return value

    def _provenance(
        self, row: Mapping[str, Any], split: str, columns: Mapping[str, Any]
    ) -> dict[str, str]:
        """Return a prompt's provenance (source, id, split, ...); the row may state its licence."""
        fields = self.layout.fields
        native_id = first_value(row, fields.id)
        category = plain_text(_joined(first_value(row, fields.category)), "the category")
        stated = columns.get("licence") or columns.get("license")
        return {
            "source": self.name,
            "native_id": plain_text(
                f"{row['_file']}#{row['_row']}" if native_id is None else native_id, "the id"
            ),
            "split": split,
            "licence": str(stated)
            if stated and self.spec.licence == NO_LICENCE
            else self.spec.licence,
            "domain": self.spec.domain,
            "category": category or ("" if self.spec.domain == "any" else self.spec.domain),
            "tier": self.spec.tier,
        }

    def _choices(self, row: Mapping[str, Any], question: str) -> tuple[str, tuple[str, ...] | None]:
        if self.layout.choices_as == "in_question":
            return split_choices(question)
        value = first_value(row, self.layout.fields.choices)
        if value is None:
            return question, None
        if self.layout.choices_as == "literal":
            value = listed(value)
        if isinstance(value, Mapping):
            # Options under their letters; Parquet gives a mapping every key that any row has.
            value = [option for option in value.values() if option is not None]
        if (
            isinstance(value, int)
            and not isinstance(value, bool)
            and 0 < value <= len(ascii_uppercase)
        ):
            value = list(ascii_uppercase[:value])
        if not isinstance(value, list):
            raise DataError(f"the choices must be a list, got {type(value).__name__}")
        if not 1 <= len(value) <= len(ascii_uppercase):
            raise DataError(f"{len(value)} choices; 1 to {len(ascii_uppercase)} are read")
        if self.layout.choices_as == "letters":
            return question, tuple(ascii_uppercase[: len(value)])
        return question, tuple(plain_text(option, "an option") for option in value)

    def _images(self, row: Mapping[str, Any]) -> tuple[tuple[ImageRef, ...], list[str]]:
        """Return a row's images, each with its header checked, and the names the row gives them."""
        values: list[Any] = []
        for column in self.layout.fields.images:
            group = [
                column_value(row, one) for one in ((column,) if isinstance(column, str) else column)
            ]
            values = [
                entry
                for value in group
                for entry in (value if isinstance(value, list) else [value])
            ]
            values = [entry for entry in values if not is_empty(entry)]
            if values:
                break
        names = [name for name in (_name(value) for value in values) if name]
        if not self.images:
            return (), names
        return (
            tuple(self._image(value, place) for place, value in enumerate(values, start=1)),
            names,
        )

    def _image(self, value: Any, place: int) -> ImageRef:
        known = self._seen.get(value) if isinstance(value, str) else None
        if known is not None:
            return known
        where = f"image {place}"
        ref = image_value(value, where=where, find=lambda path: self._found(path, where=where))
        if isinstance(value, str):
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen[value] = ref
        return ref

    def _found(self, path: str, *, where: str) -> Path:
        """Return the image's file in the first image folder that has it.

        The file never lies outside the data set's folder.
        """
        error: ImageError | None = None
        for below in self.layout.image_folders:
            name = f"{below}/{path}" if below and not Path(path).is_absolute() else path
            try:
                return resolve_path(name, where=where, root=self.folder)
            except ImageError as found:
                error = error or found
        raise error or ImageError(f"{where}: the layout names no image folder")

    def _own_columns(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that the description keeps of a row, as far as JSON can store them."""
        facts: dict[str, Any] = {}
        if self.layout.keep_other_columns:
            named = {column for group in _columns(self.layout) for column in group}
            others = {
                name: v for name, v in row.items() if name not in named and not name.startswith("_")
            }
            facts = {
                name: v
                for name, v in (others | _own_metadata(others.pop("metadata", None))).items()
                if _plain(v) and is_unicode(name)
            }
        for name, columns in self.layout.fields.metadata.items():
            value = first_value(row, columns)
            if not is_empty(value) and (
                _plain(value) or (isinstance(value, list) and all(_plain(v) for v in value))
            ):
                facts[name] = value
        return facts


def _columns(layout: Layout) -> list[Sequence[str]]:
    fields = layout.fields
    flat = [column for one in fields.images for column in ((one,) if isinstance(one, str) else one)]
    return [
        fields.question,
        fields.answer,
        fields.id,
        flat,
        fields.choices,
        fields.category,
        fields.difficulty,
        fields.solution,
        fields.kind,
    ]


def _kind(
    stated: Any, answer: str, choices: Sequence[str] | None, layout: Layout
) -> AnswerKind | None:
    if isinstance(stated, str) and stated in get_args(AnswerKind):
        return stated  # type: ignore[return-value]
    if choices and layout.answer_as not in ("text", "boxed", "first", "most"):
        return "choice"
    return (
        "choice" if layout.choices_as == "in_question" and _LONE_LETTER.fullmatch(answer) else None
    )


def _joined(value: Any) -> Any:
    return ", ".join(str(part) for part in value) if isinstance(value, list) else value


def _own_metadata(value: Any) -> dict[str, Any]:
    """Return a row's `metadata` value as a mapping, from JSON text or an object; else empty."""
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    # Of a prompt that Vasari wrote, which has its file's columns there.
    columns = value.get(COLUMNS)
    return {**value, **columns} if isinstance(columns, dict) else value


def _plain(value: Any) -> bool:
    if isinstance(value, str):
        return is_unicode(value)
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def _name(value: Any) -> str:
    path = value.get("path") if isinstance(value, Mapping) else value
    return path if isinstance(path, str) and _plain(path) else ""


def _shown(names: Any) -> str:
    texts = [str(name)[:40] for name in names if not str(name).startswith("_")]
    texts = [text if text.isprintable() else repr(text) for text in texts]
    return ", ".join(texts[:12]) + (", ..." if len(texts) > 12 else "") or "none"
