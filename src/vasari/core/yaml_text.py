"""Read YAML that a stranger may have written: each problem in one line, with its place."""

from __future__ import annotations

from typing import Any

import yaml

MAX_VALUES = 100_000
"""Most values of a text with its aliases unfolded: a few lines of them can stand for billions."""

_LARGEST = 2**64
_MOST_DIGITS = 19
_SHOWN = 40


class NotYamlError(ValueError):
    """A text is no YAML, or says what no file of settings can: where, and why."""


def load_yaml(text: str) -> Any:
    """Return what a YAML text holds: mappings, lists, texts, numbers, dates, truth values, None.

    Raises:
        NotYamlError: It is malformed or nested too deeply, a key stands twice in a mapping, a value
            cannot be held (a date that does not exist, a number beyond 64 bits), or aliases unfold
            to more than `MAX_VALUES`.
    """
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _count(node, {})
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except RecursionError as error:
        raise NotYamlError("it is nested too deeply") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise NotYamlError(where + _line(error.problem or error.context or "")) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotYamlError(
            f"line {line}: the character {chr(error.character)!r} is not allowed"
        ) from error
    except yaml.YAMLError as error:
        raise NotYamlError(_line(str(error))) from error


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, whose errors all say where; what a value says is not executed."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep=deep)
            if isinstance(value, str):
                value.encode()
        # PyYAML's constructors raise any of these on a value that is not of its tag.
        except (LookupError, ValueError, OverflowError, TypeError, AttributeError) as error:
            raise _problem(node, f"{_shown(node)} cannot be read: {_reason(node)}") from error
        if type(value) is int and abs(value) >= _LARGEST:
            raise _problem(node, f"{_shown(node)} cannot be read: {_reason(node)}")
        return value


def _reason(node: yaml.Node) -> str:
    kind = node.tag.rpartition(":")[2]
    if kind == "int" and len(str(node.value)) > _MOST_DIGITS:
        return "a whole number has at most 64 bits"
    return {
        "timestamp": "there is no such date",
        "str": "it is not valid Unicode",
    }.get(kind, f"it is no {kind}")


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """Return the number of values of a node with its aliases unfolded; check its keys."""
    place = id(node)
    if place in known:
        if not known[place]:
            raise _problem(node, "an alias stands within what it names")
        return known[place]
    known[place] = 0
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
        children = [child for pair in node.value for child in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    known[place] = 1 + sum(_count(child, known) for child in children)
    if known[place] > MAX_VALUES:
        raise _problem(node, f"with its aliases it holds more than {MAX_VALUES:,} values")
    return known[place]


def _check_keys(node: yaml.MappingNode) -> None:
    seen: dict[str, yaml.Node] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            first = seen.setdefault(key.value, key)
            if first is not key:
                line = first.start_mark.line + 1
                raise _problem(key, f"the key {_shown(key)} stands twice, first in line {line}")


def _problem(node: yaml.Node, text: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=node.start_mark)


def _shown(node: yaml.Node) -> str:
    text = str(node.value)
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _line(text: str) -> str:
    return " ".join(text.split())[:300]
