"""A recipe that evaluates one model on benchmarks, and the steps that carry out the recipe."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from vasari.core.errors import ConfigError
from vasari.core.files import read_object
from vasari.core.folders import refuse_foreign
from vasari.core.plugins import names_from_a_file
from vasari.core.progress import stage
from vasari.core.settings import Named, Settings, parse_settings, read_content
from vasari.evaluate.benchmarks.job import (
    BenchmarkPlan,
    collect_benchmarks,
    open_folder,
    plan_benchmarks,
    score_benchmarks,
)
from vasari.evaluate.benchmarks.settings import BenchmarkDir, BenchmarkSettings
from vasari.evaluate.collect import Collected
from vasari.evaluate.rescore_settings import read_judge
from vasari.model.base import Policy
from vasari.model.families import use_family
from vasari.model.named import check_named_policy, find_policy
from vasari.model.path import fingerprint, require_training, resolve_model

if TYPE_CHECKING:  # asking a server needs packages that a model in this process does not
    from vasari.model.endpoint_policy import EndpointModel, EndpointPolicy


class LocalModel(Settings):
    """Settings of a model that runs in this process with transformers."""

    path: str
    """A folder relative to the recipe (such as `runs/own/rl/vas/best`), a hub name, or
    `vasari:tiny-base`."""
    max_pixels: Annotated[int, Field(ge=784)] | None = None
    """Most pixels of an image that the model gets, as in training recipes."""
    dtype: str = "auto"
    """`auto`, `bfloat16`, `float32`, ..."""
    thinking: bool | None = None
    """Whether the chat template asks for a reasoning (its `enable_thinking`); None: its default."""
    family: str | None = None
    """`package.module:attribute` of a `vasari.model.families.Family`, for a family of one's own."""

    @field_validator("family")
    @classmethod
    def _exists(cls, family: str | None) -> str | None:
        if family is not None:
            with names_from_a_file():
                use_family(family)
        return family


class BenchmarkRecipe(Settings):
    """Settings of one evaluation: a model, and the benchmarks that the model is evaluated on."""

    name: str
    """Name of the folder of the results."""
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
    """YAML file of an LLM that is asked about undecided verdicts, relative to the recipe."""
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
        """Name of the evaluated model as shown in tables."""
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
        """Return the checked settings of the OpenAI-compatible server that serves the model.

        Raises:
            ConfigError: A setting is unknown or out of range.
            MissingExtraError: The packages for asking a server are not installed.
        """
        from vasari.model.endpoint_policy import EndpointModel  # noqa: PLC0415  (an extra)

        return parse_settings(
            EndpointModel, self.endpoint or {}, where="endpoint", show_values=False
        )


def is_benchmark_recipe(content: dict[str, Any]) -> bool:
    """Whether a recipe evaluates a model on benchmarks (it has the key `benchmarks`)."""
    return "benchmarks" in content


def load_benchmark_recipe(path: Path, overrides: Sequence[str] = ()) -> BenchmarkRecipe:
    """Return a benchmark recipe, read from a file and checked, after `key.sub=value` overrides.

    Raises:
        ConfigError: The file is missing or not YAML, a key is unknown, or a value is out of range;
            names each.
        StateError: Its model's folder does not exist.
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
    if recipe.model is not None and not recipe.model.path.startswith("vasari:"):
        found = {"path": resolve_model(recipe.model.path, path.parent)}
        recipe = recipe.model_copy(update={"model": recipe.model.model_copy(update=found)})
    return recipe


def plan_recipe(recipe: BenchmarkRecipe, *, folder: Path) -> BenchmarkPlan:
    """Read the prompts of a recipe's benchmarks (paths relative to `folder`) and plan the rollouts.

    Raises:
        ConfigError: A setting is wrong.
        DataError: A benchmark's files are missing or of another shape.
        MissingExtraError: A model in this process needs packages that are not installed.
    """
    if recipe.model is not None:
        require_training()
    read_judge(recipe.judge, folder)  # a mistake in it is told before anything is generated
    with stage("read benchmarks") as tell:
        return plan_benchmarks(recipe.benchmarks, folder=folder, tell=tell)


def forecast_recipe(recipe: BenchmarkRecipe, plan: BenchmarkPlan, out: Path) -> list[str]:
    """Return text lines that estimate what a recipe's rollouts cost, without generating any."""
    if recipe.policy is not None:
        return [
            f"{plan.num_rollouts:,} rollouts by policy {recipe.policy.name!r}, whose cost is not"
            " known here"
        ]
    if recipe.endpoint is None:
        return [
            f"{plan.num_rollouts:,} rollouts by a model in this process, which costs nothing but"
            " time"
        ]
    with _server(recipe, plan, out, temporary=True) as policy:
        lines = []
        for item in plan.passes:
            asked = [entry.asked for entry in item.entries]
            found = policy.forecast(asked, item.decoding, seed=item.seed)
            lines.append(f"{item.set_name}, {item.name}: {found}")
        return lines


def collect_recipe(
    recipe: BenchmarkRecipe, plan: BenchmarkPlan, out: Path, *, resume: bool
) -> Collected:
    """Generate the rollouts of a benchmark recipe that the result folder `out` does not hold yet.

    Raises:
        ConfigError: The folder holds another evaluation, or outputs and `resume` is False.
        StateError: Files in the folder cannot be read.
        StorageError: The disk refused.
    """
    refuse_foreign(out, is_ours=_is_evaluation, command="an evaluation on benchmarks")
    with _policy(recipe, plan, out) as policy:
        open_folder(BenchmarkDir(out), plan, model=_model_facts(recipe), resume=resume)
        with stage("rollouts") as tell:
            return collect_benchmarks(policy, plan, out, name=recipe.shown_name, tell=tell)


def _is_evaluation(root: Path) -> bool:
    """Whether a folder with files is that of an evaluation, or has only a server's responses."""
    names = {path.name for path in root.iterdir()}
    return "vasari" in read_object(root / "recipe.json") or names == {"responses"}


def score_recipe(
    recipe: BenchmarkRecipe, plan: BenchmarkPlan, collected: Collected, out: Path, *, folder: Path
) -> dict[str, Any]:
    """Score a benchmark recipe's rollouts in the result folder `out`, and return the scores."""
    judge = read_judge(recipe.judge, folder)
    with stage("scoring") as tell:
        return score_benchmarks(
            plan, collected, out, name=recipe.shown_name, judge=judge, tell=tell
        )


def _model_facts(recipe: BenchmarkRecipe) -> dict[str, Any]:
    """Return facts that distinguish the recipe's model from other models."""
    if recipe.model is not None:
        weights = fingerprint(Path(resolve_model(recipe.model.path)))
        return {
            "weights": weights,
            "max_pixels": recipe.model.max_pixels,
            "dtype": recipe.model.dtype,
            **({} if recipe.model.thinking is None else {"thinking": recipe.model.thinking}),
        }
    if recipe.policy is not None:
        return {"policy": recipe.policy.name, "settings": recipe.policy.settings}
    server = recipe.server()
    # Not the address: the same model is served elsewhere tomorrow.
    return {"server": server.model, "extra": dict(server.extra), "detail": server.detail}


@contextlib.contextmanager
def _policy(recipe: BenchmarkRecipe, plan: BenchmarkPlan, out: Path) -> Iterator[Policy]:
    if recipe.model is not None:
        # Torch takes seconds to import.
        from vasari.model.transformers_policy import TransformersPolicy  # noqa: PLC0415

        with stage("load model"):
            model = TransformersPolicy.load(
                resolve_model(recipe.model.path),
                system=plan.system,
                max_pixels=recipe.model.max_pixels,
                dtype=recipe.model.dtype,
                thinking=recipe.model.thinking,
            )
        yield model
    elif recipe.policy is not None:
        with names_from_a_file():
            made = find_policy(recipe.policy.name, recipe.policy.settings, system=plan.system)
        yield made
    else:
        with _server(recipe, plan, out) as policy:
            yield policy


@contextlib.contextmanager
def _server(
    recipe: BenchmarkRecipe, plan: BenchmarkPlan, out: Path, *, temporary: bool = False
) -> Iterator[EndpointPolicy]:
    """Yield a policy that asks the recipe's server; `temporary` leaves no new folder on disk."""
    from vasari.endpoint import ResponseStore  # noqa: PLC0415  (an extra)
    from vasari.model.endpoint_policy import EndpointPolicy  # noqa: PLC0415

    settings = recipe.server()
    place = Path(settings.store) if settings.store else BenchmarkDir(out).responses
    with contextlib.ExitStack() as stack:
        if temporary and not place.exists():
            place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        store = stack.enter_context(ResponseStore(place))
        yield EndpointPolicy(settings, store, system=plan.system)
