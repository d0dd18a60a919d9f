"""Convert the values of a data file's row into the texts and images of a prompt."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from vasari.core.errors import DataError
from vasari.core.records import ImageRef
from vasari.data.images import check_header

IMAGE_MARK = "<image>"
"""Mark in a question's text at the place of an image."""

_ESCAPES = {"\a": "a", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t", "\v": "v"}
# Only what begins no word: a page may begin with "rack", a line with "eq", a cell with "text".
_ESCAPED = re.compile(
    "\a(?=(?:lpha|ngle|pprox|rc(?:sin|cos|tan))(?![a-z]))"
    "|\b(?=(?:eta|oxed|inom|ar|ecause|egin|ullet|ot|f|igcirc|igcap|igcup)(?![a-z]))"
    "|\f(?=(?:rac|orall|box)(?![a-z]))|\n(?=(?:abla|otin)(?![a-z]))"
    "|\r(?=(?:ight|ightarrow|ho)(?![a-z]))|\v(?=(?:ec|arphi|arepsilon|artheta)(?![a-z]))"
    "|\t(?=(?:imes|heta|riangle|herefore|frac)(?![a-z])|ext(?:bf|it|rm)?\\{)"
)


def text_value(value: Any, name: str) -> str:
    """Return a value of a data file's row as text: 3.0 becomes "3", None becomes "".

    Args:
        value: Of a row.
        name: What it is, for the error message.

    Raises:
        DataError: It is neither text nor a number, or not valid Unicode.
    """
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise DataError(f"{name} is no finite number: {value}")
        return _digits(value, name)
    if not isinstance(value, str):
        raise DataError(f"{name} must be text or a number, got {type(value).__name__}")
    if not is_unicode(value):
        raise DataError(f"{name} is not valid UTF-8")
    return value


def foreign_text(text: str, name: str) -> str:
    r"""Return a text of a file that others wrote, with the backslashes that JSON took from LaTeX.

    "\frac" with one backslash is a form feed and "rac" to a reader of JSON.

    Raises:
        DataError: It holds a null character.
    """
    if "\0" in text:
        raise DataError(f"{name} holds a null character")
    return _ESCAPED.sub(lambda found: f"\\{_ESCAPES[found.group()]}", text)


def _digits(value: int | float | Decimal, name: str) -> str:
    try:
        return str(value)
    except ValueError as error:  # Python writes no whole number of more than 4,300 digits
        raise DataError(f"{name} is a number of too many digits") from error


def is_unicode(text: str) -> bool:
    """Whether a text can be encoded as UTF-8: False if it has lone surrogates, as JSON can."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def is_json(value: Any) -> bool:
    """Whether a value can be stored as JSON text: no bytes, dates, nan or lone surrogates in it."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def image_value(value: Any, *, where: str, find: Callable[[str], Path]) -> ImageRef:
    """Return the image that a row's value holds (bytes) or names (path), after checking its header.

    Args:
        value: A path, bytes, or an object with `bytes` or `path`, as `datasets` stores images.
        where: What image of what prompt, for the error message.
        find: Returns the file of a path, or raises an `ImageError`.

    Raises:
        DataError: It is none of these.
        ImageError: The image is missing, is none, is too large, or lies outside its folder.
    """
    given = (
        value
        if isinstance(value, Mapping)
        else {"bytes" if isinstance(value, bytes) else "path": value}
    )
    data, path = given.get("bytes"), given.get("path")
    typed = isinstance(data, bytes | None) and isinstance(path, str | None)
    if not typed or (data is None and path is None):
        raise DataError(
            f"{where}: expected a path, bytes, or an object with 'bytes' or 'path', got"
            f" {_shape(value)}"
        )
    if path is not None and not is_unicode(path):
        raise DataError(f"{where}: its path is not valid UTF-8")
    if data is None and path is not None:
        if path.startswith("data:"):
            raise DataError(
                f"{where}: base64 images are not read; give a path, or bytes in a Parquet file"
            )
        if path.startswith(("http://", "https://")):
            raise DataError(
                f"{where}: is an address, and nothing is fetched; download the images and give"
                " their paths"
            )
        path = str(find(path))
    ref = ImageRef(data=data, path=path)
    check_header(ref, where=where)
    return ref


def _shape(value: Any) -> str:
    if not isinstance(value, Mapping):
        return type(value).__name__
    kinds = ", ".join(f"{key!r}: {type(inner).__name__}" for key, inner in value.items())
    return f"an object with {kinds or 'no keys'}"
