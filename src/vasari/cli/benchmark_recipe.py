"""A recipe that evaluates one model on benchmarks: a folder of weights, a model behind a server, or
a policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from vasari.core.errors import ConfigError
from vasari.core.plugins import names_from_a_file
from vasari.core.settings import Named, Settings, parse_settings, read_content
from vasari.evaluate.benchmarks import BenchmarkSettings
from vasari.model.named import check_named_policy

if TYPE_CHECKING:  # asking a server needs packages that a model in this process does not
    from vasari.model.endpoint_policy import EndpointModel


class LocalModel(Settings):
    """A model that runs in this process, with transformers."""

    path: str
    """A folder (such as `runs/own/rl/vas/best`), a hub name, or `vasari:tiny-base`."""
    max_pixels: Annotated[int, Field(ge=784)] | None = None
    """Larger images are scaled down to this many pixels."""
    dtype: str = "auto"
    """`auto`, `bfloat16`, `float32`, ..."""


class BenchmarkRecipe(Settings):
    """One model, several benchmarks."""

    name: str
    """Names the folder of the results."""
    label: str | None = None
    """How tables call the model; None: its folder's name, the server's name for it, or the
    policy's."""
    model: LocalModel | None = None
    """A model in this process."""
    endpoint: dict[str, Any] | None = None
    """A model behind an OpenAI-compatible server: `EndpointModel`'s fields."""
    policy: Named | None = None
    """Something else that answers: `constant` (one text to everything), or the user's own as
    `package.module:attribute`."""
    judge: str | None = None
    """YAML file of an LLM that is asked about undecided verdicts, relative to the recipe; None asks
    nobody."""
    benchmarks: BenchmarkSettings
    """Which benchmarks, asked and scored how."""

    @field_validator("policy")
    @classmethod
    def _exists(cls, policy: Named | None) -> Named | None:
        if policy is not None:
            with names_from_a_file():
                check_named_policy(policy.name, policy.settings)
        return policy

    @model_validator(mode="after")
    def _check(self) -> Self:
        if sum(given is not None for given in (self.model, self.endpoint, self.policy)) != 1:
            raise ValueError(
                "give one of `model` (a folder of weights), `endpoint` (a server) and `policy`"
                " (your own code)"
            )
        return self

    @property
    def shown_name(self) -> str:
        """How tables call the model."""
        if self.label:
            return self.label
        if self.policy is not None:
            return self.policy.name.rpartition(":")[2]
        return (
            Path(self.model.path).name
            if self.model is not None
            else str((self.endpoint or {}).get("model", ""))
        )

    def server(self) -> EndpointModel:
        """The checked settings of the server.

        Raises:
            ConfigError: A setting is unknown or out of range.
            MissingExtraError: The packages for asking a server are not installed.
        """
        from vasari.model.endpoint_policy import EndpointModel  # noqa: PLC0415  (an extra)

        return parse_settings(
            EndpointModel, self.endpoint or {}, where="endpoint", show_values=False
        )


def is_benchmark_recipe(content: dict[str, Any]) -> bool:
    """Whether the content of a recipe asks for benchmarks."""
    return "benchmarks" in content


def load_benchmark_recipe(path: Path, overrides: Sequence[str] = ()) -> BenchmarkRecipe:
    """The checked recipe of a YAML file, with `key.sub=value` overrides applied before the check.

    Raises:
        ConfigError: The file is missing or not YAML, a key is unknown, or a value is out of range;
            names each.
        MissingExtraError: It names a server, and the packages for asking one are not installed.
    """
    content = read_content(path, overrides)
    if "prompts" in content:
        raise ConfigError(
            f"recipe {path}: `benchmarks` and `prompts` are two recipes: this one evaluates a"
            " model, that one trains it; give model.path the folder of the trained weights"
        )
    recipe = parse_settings(BenchmarkRecipe, content, where=f"recipe {path}")
    if recipe.endpoint is not None:
        recipe.server()
    return recipe
