"""Settings read from a YAML file: overridden from the command line, checked, and then frozen."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vasari.core.errors import ConfigError
from vasari.core.yaml_text import NotYamlError, load_yaml

MAX_FILE_BYTES = 4 * 2**20
"""Largest file of settings that is read."""

_SHOWN = 200


class Settings(BaseModel):
    """Base class of settings read from a file: immutable, and unknown keys are errors."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_truth_values(cls, content: Any) -> Any:
        """Refuse `true` and `false` where a number is meant: pydantic would read 1 and 0."""
        if isinstance(content, dict):
            for name, field in cls.model_fields.items():
                if isinstance(content.get(name), bool) and not _takes_bool(field.annotation):
                    raise ValueError(f"{name}: expected no true or false, got {content[name]}")
        return content


def _takes_bool(annotation: Any) -> bool:
    """Whether a bool is among the values that a type allows."""
    if annotation in (Any, bool, object, None):
        return True
    arguments = get_args(annotation)
    if get_origin(annotation) is Literal:
        return any(isinstance(value, bool) for value in arguments)
    if get_origin(annotation) is Annotated:
        return _takes_bool(arguments[0])
    return annotation not in (int, float) and (
        not arguments
        or get_origin(annotation) not in (Union, UnionType)
        or any(_takes_bool(argument) for argument in arguments if argument is not type(None))
    )


class Named(Settings):
    """Name and settings of a component, e.g. a sampler, that a recipe chooses."""

    name: str
    """Name of a built-in component, or the user's own as `package.module:attribute`."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the component, by name."""

    @model_validator(mode="before")
    @classmethod
    def _from_a_bare_name(cls, content: Any) -> Any:
        return {"name": content} if isinstance(content, str) else content


Parsed = TypeVar("Parsed", bound=Settings)


def read_yaml(path: Path, *, what: str) -> dict[str, Any]:
    """Return the keys and values of a YAML file, unchecked.

    Args:
        path: The file.
        what: What the file is, for the error message: "recipe".

    Raises:
        ConfigError: The file is missing, not YAML, or holds something else than keys and values.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise ConfigError(f"{what} {path} has more than {MAX_FILE_BYTES:,} bytes")
        content = load_yaml(data.decode("utf-8-sig"))
    except (OSError, ValueError) as error:
        absent = what == "recipe" and isinstance(error, FileNotFoundError)
        told = "; `vasari recipe` lists those that ship, and writes one here" if absent else ""
        raise ConfigError(f"{what} {path}{why_not_read(error)}{told}") from error
    if not isinstance(content, dict):
        raise ConfigError(
            f"{what} {path}: expected keys and values at the top, got {type(content).__name__}"
        )
    return content


def why_not_read(error: OSError | ValueError) -> str:
    """Return why a YAML file cannot be read, to stand behind its name in a message."""
    if isinstance(error, OSError):
        return f": {error.strerror or error}"
    if isinstance(error, UnicodeDecodeError):
        line = error.object.count(b"\n", 0, error.start) + 1
        return f" is not UTF-8: byte 0x{error.object[error.start]:02x} in line {line}"
    return f" is not YAML: {error}"


def read_content(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Return the content of a recipe's YAML file after `key.sub=value` overrides, unchecked.

    Raises:
        ConfigError: The file is missing or not YAML, or an override has no place in it.
    """
    content = read_yaml(path, what="recipe")
    for override in overrides:
        _override(content, override)
    return content


def parse_settings(
    kind: type[Parsed], content: dict[str, Any], *, where: str, show_values: bool = True
) -> Parsed:
    """Return an instance of the settings class `kind`, made from checked keys and values.

    Args:
        kind: The settings class.
        content: Keys and values.
        where: Whose settings they are, for the error message.
        show_values: Quote refused values. False where one may be a server's key, pasted into the
            wrong field.

    Raises:
        ConfigError: A key is unknown, or a value is out of range; names each.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        rows = "; ".join(_explain(kind, row, show_value=show_values) for row in error.errors())
        raise ConfigError(f"{where}: {rows}") from error


def _explain(kind: type[Settings], error: Any, *, show_value: bool) -> str:
    place = ".".join(str(part) for part in error["loc"]) or "the whole"
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        *parents, key = (str(part) for part in error["loc"])
        near = difflib.get_close_matches(key, _keys_at(kind, parents), 1)
        meant = f"; do you mean {'.'.join([*parents, *near])!r}?" if near else "; leave it out"
        return f"unknown key {place!r}{meant}"
    got = (
        f", got {_cut(repr(error.get('input')))}"
        if show_value and error["type"] not in ("value_error", "missing")
        else ""
    )
    return f"{place}: {error['msg'].removeprefix('Value error, ')}{got}"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def _keys_at(kind: type[Settings], parents: Sequence[str]) -> list[str]:
    """Keys that settings of a class have at a place within them, as a file writes them."""
    found: list[Any] = [kind]
    for parent in parents:
        found = [
            inner
            for one in found
            for name, annotation in _fields_of(one).items()
            if name == parent
            for inner in _classes_in(annotation)
            # A position in a list, and a member of a union, are no keys.
        ] or found
    return [name for one in found for name in _fields_of(one)]


def _fields_of(kind: Any) -> dict[str, Any]:
    """Types of the fields of a settings class or dataclass, by their keys in a file."""
    if issubclass(kind, BaseModel):
        return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
    return {field.name: None for field in dataclasses.fields(kind)}


def _classes_in(annotation: Any) -> list[Any]:
    """Settings classes and dataclasses that a type is made of."""
    if isinstance(annotation, type) and (
        issubclass(annotation, BaseModel) or dataclasses.is_dataclass(annotation)
    ):
        return [annotation]
    return [found for part in get_args(annotation) for found in _classes_in(part)]


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set takes key=value, e.g. grpo.steps=50; got {_cut(repr(override))}")
    shown = _cut(repr(override))
    try:
        value = load_yaml(text)
    except NotYamlError as error:
        raise ConfigError(f"--set {shown}: the value is not YAML: {error}") from error
    *parents, last = key.split(".")
    node = content
    for parent in parents:
        child = node.setdefault(parent, {})
        if child is None:
            child = node[parent] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"--set {shown}: {parent!r} holds a value, not settings")
        node = child
    node[last] = value
