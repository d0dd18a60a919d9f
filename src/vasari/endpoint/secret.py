"""The key of a server: from the environment into one header, and blotted out of everything else."""

from __future__ import annotations

import os
from typing import Literal

from vasari.core.errors import ConfigError

BLOT = "[key]"

SHORTEST = 8
"""A shorter key could be part of ordinary words, and blotting it out would damage answers."""


class Secret:
    """A key that shows itself to nobody but the request header."""

    __slots__ = ("__value",)

    def __init__(self, value: str | None) -> None:
        self.__value = value

    @classmethod
    def from_environment(cls, name: str | None) -> Secret:
        """The key in this variable; none where no variable is named.

        Raises:
            ConfigError: The variable is not set, or what it holds cannot be a key.
        """
        if name is None:
            return cls(None)
        value = os.environ.get(name, "").strip()
        if not value:
            raise ConfigError(
                f"the environment variable {name} (api_key_env) is not set; it must hold the"
                " server's key"
            )
        if len(value) < SHORTEST or not value.isascii() or not value.isprintable() or " " in value:
            raise ConfigError(
                f"the environment variable {name} (api_key_env) holds no key: "
                f"a key has at least {SHORTEST} printable ASCII characters and no space"
            )
        return cls(value)

    def header(self, style: Literal["authorization", "api-key"]) -> dict[str, str]:
        """The header that carries it; empty without a key."""
        if self.__value is None:
            return {}
        return (
            {"Authorization": f"Bearer {self.__value}"}
            if style == "authorization"
            else {"api-key": self.__value}
        )

    def blot(self, text: str) -> str:
        """The text without the key: servers repeat it in their errors."""
        return (
            text
            if self.__value is None or self.__value not in text
            else text.replace(self.__value, BLOT)
        )

    def __repr__(self) -> str:
        return "Secret()" if self.__value is None else f"Secret({BLOT})"

    def __reduce__(self) -> str:
        raise TypeError("a key is not pickled")
