"""YAML description of a data set: which files hold its rows, and which columns make a prompt."""

from __future__ import annotations

from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from vasari.core.errors import ConfigError, DataError
from vasari.core.settings import Settings, read_yaml

Tier = Literal["verified", "mapped", "unknown"]
"""Whether a layout was tested on real files, made from documentation alone, or is not known."""

RowFormat = Literal["auto", "raven", "arc", "wikitables", "conversations", "llamafactory"]
"""How a file becomes rows; `auto` goes by its suffix."""

AnswerForm = Literal[
    "auto", "text", "letter", "index0", "index1", "option", "boxed", "first", "most"
]
"""What the answer column holds; see `Layout.answer_as`."""

_MAPPED = Path(__file__).with_name("mapped")

SOURCES: tuple[str, ...] = tuple(sorted(path.stem for path in _MAPPED.glob("*.yaml")))
"""Names of the data sets that `read_source` knows; it also takes the path of a description."""

TIER_NOTES: dict[Tier, str] = {
    "verified": "read and tested on real files",
    "mapped": "mapped, not seen on real files",
    "unknown": "its layout is not known: nothing is read",
}


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Columns = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
"""Alternatives, one or a list; the first that says something counts. See
`vasari.data.sources.columns` for their language."""

ImageColumns = Annotated[tuple[str | tuple[str, ...], ...], BeforeValidator(_as_tuple)]
"""As `Columns`; an alternative that is itself a list is several columns whose images are joined."""

Patterns = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]


class Fields(Settings):
    """For each field of a prompt, the columns of a data set's row that the field is read from."""

    question: Columns
    answer: Columns
    id: Columns = ()
    """Id of the row; without a column, its file and row number."""
    images: ImageColumns = ()
    choices: Columns = ()
    category: Columns = ()
    difficulty: Columns = ()
    solution: Columns = ()
    kind: Columns = ()
    """How the answer is compared, where the rows say it in our words; else it follows from the
    choices."""
    metadata: dict[str, Columns] = Field(default_factory=dict)
    """Further columns to keep in the prompt's metadata, by the name that they get."""


class Layout(Settings):
    """How a published data set is stored: its files, their format, columns and splits."""

    title: str = "files"
    files: dict[str, Patterns]
    """Split -> patterns of its files below the folder; "*" for files whose rows say their split
    (`split_field`)."""
    fields: Fields
    format: RowFormat = "auto"
    rows: str = ""
    """Where the rows are in a JSON document ("data", "questions"); empty: the document is the list
    or the mapping."""
    each: str = ""
    """A list or mapping within a row that gives one prompt an entry; the entry's fields come before
    the row's."""
    split_field: str = ""
    split_values: dict[str, Patterns] = Field(default_factory=dict)
    """Split name in Vasari -> values of `split_field` in the file, where they differ."""
    split_ranges: dict[str, tuple[int, int]] = Field(default_factory=dict)
    """Split name in Vasari -> first and last id number of the split, where only the id tells."""
    image_folders: Patterns = ("",)
    """Folders below the data set's where an image may lie; the first that has it counts."""
    answer_as: AnswerForm = "auto"
    """auto: a letter or an option's text where there are choices, else text. index0, index1: the
    option counted from 0 or 1. boxed: the last \\boxed{} of a solution. first, most: of a list, the
    first or the most frequent."""
    answer_names: dict[str, str] = Field(default_factory=dict)
    """Code in the file -> the answer that it stands for."""
    choices_as: Literal["texts", "letters", "in_question", "literal"] = "texts"
    """letters: the options are pictures. in_question: the options follow "Choices:" in the
    question. literal: the list is written as text, ['a', 'b']."""
    keep_other_columns: bool = False
    """Whether columns that no field names join the metadata, if they hold text or numbers."""

    @field_validator("files")
    @classmethod
    def _stays_below(cls, files: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if not files or not all(files.values()):
            raise ValueError("at least one split with at least one pattern is needed")
        for pattern in (pattern for patterns in files.values() for pattern in patterns):
            path = PurePosixPath(pattern)
            if path.is_absolute() or ".." in path.parts or not pattern:
                raise ValueError(f"the pattern {pattern!r} must stay below the folder")
        return files

    @model_validator(mode="after")
    def _splits_are_told(self) -> Layout:
        if "*" in self.files and not (self.split_field or self.split_ranges):
            raise ValueError('files of all splits ("*") need split_field or split_ranges')
        return self

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits (such as "train") that a data set in this file layout may have."""
        named = [split for split in self.files if split != "*"]
        told = [*self.split_values, *self.split_ranges] or (
            ["train", "val", "test"] if "*" in self.files else []
        )
        return tuple(dict.fromkeys([*named, *told]))


class SourceSpec(Settings):
    """Description of a public data set: name, licence, and how its published files are laid out."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$")
    title: str
    licence: str
    """Licence as the publisher states it, or "none stated"."""
    domain: Literal["math", "science", "chart", "document", "general", "puzzle", "any"] = "any"
    tier: Tier = "mapped"
    test_only: bool = False
    """Published for testing alone: reading it needs `allow_test=True`."""
    about: str = ""
    """What a user of the data set should know."""
    pickles: str = ""
    """Where to find a safe form of the files, when the native form is a pickle."""
    layouts: tuple[Layout, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that the data set may have, in any of its published file layouts."""
        return tuple(dict.fromkeys(split for layout in self.layouts for split in layout.splits))

    @property
    def tier_note(self) -> str:
        """How far reading this data set was tested (its `tier`), in words for data cards."""
        return TIER_NOTES[self.tier]

    @model_validator(mode="before")
    @classmethod
    def _one_layout_may_stand_at_the_top(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "fields" not in data or "layouts" in data:
            return data
        own = {
            key: value
            for key, value in data.items()
            if key in Layout.model_fields and key != "title"
        }
        return {key: value for key, value in data.items() if key not in own} | {"layouts": [own]}

    @model_validator(mode="after")
    def _layout_is_known(self) -> SourceSpec:
        if bool(self.layouts) == (self.tier == "unknown"):
            raise ValueError("a source has layouts unless its tier is unknown")
        return self


def read_spec(path: Path) -> SourceSpec:
    """Return the description of a data set (`SourceSpec`) that a YAML file holds.

    Raises:
        DataError: The file is missing, no YAML, or not a description.
    """
    try:
        return SourceSpec.model_validate(read_yaml(path, what="description"))
    except ConfigError as error:
        raise DataError(str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the description"
        raise DataError(
            f"{path}: {place}: {first['msg']}; docs/sources.md shows a description"
        ) from error


_shipped = cache(read_spec)


def describe_source(name: str) -> SourceSpec:
    """Return the description of a data set, found by a shipped name or by the path of a YAML file.

    Raises:
        ConfigError: No source has this name.
        DataError: The YAML file is missing or not a description.
    """
    if name.endswith((".yaml", ".yml")):
        return read_spec(Path(name))
    if name not in SOURCES:
        raise ConfigError(
            f"there is no source {name!r}; there are {', '.join(SOURCES)}, or the path of a YAML"
            " description"
        )
    return _shipped(_MAPPED / f"{name}.yaml")
