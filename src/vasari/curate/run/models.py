"""The models that a recipe names, with their stored answers, limits and spending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vasari.curate.ask.asking import Appeal
from vasari.curate.recipe import CurationRecipe
from vasari.curate.run.reading import data_path
from vasari.curate.stage import AskedModel
from vasari.endpoint import RETRIABLE, EndpointSettings, RateLimits, ResponseStore
from vasari.endpoint.cost import Usage, money_spent
from vasari.endpoint.transport import protect_keys
from vasari.verify.judge import Judged, JudgeItem, JudgeSettings, judge_all


class Models:
    """Context manager that holds a recipe's models, each with the store of its answers.

    A store is opened when its model is first asked, and closed at the end of the context.
    """

    def __init__(
        self, recipe: CurationRecipe, *, base: Path, root: Path, retry_failed: bool = False
    ) -> None:
        protect_keys(recipe.key_variables())
        self._recipe, self._base = recipe, base
        self._retry = tuple(sorted(RETRIABLE)) if retry_failed else ()
        self._folder = (
            root / "responses" if recipe.responses is None else data_path(recipe.responses, base)
        )
        self._asked: dict[str, AskedModel] = {}
        self._judge = "judge" if "judge" not in recipe.models else "the judge"
        self._stores: dict[str, ResponseStore] = {}
        self._priced: dict[str, tuple[EndpointSettings, str]] = {}
        self._limits: dict[tuple[object, ...], RateLimits] = {}

    def __enter__(self) -> Models:
        return self

    def __exit__(self, *_: object) -> None:
        for store in self._stores.values():
            store.close()

    def __call__(self, name: str) -> AskedModel:
        """Return the model that the recipe lists under `name`."""
        if name not in self._asked:
            entry = self._recipe.models[name]
            store = self._stores[name] = ResponseStore(self._folder / name)
            self._asked[name] = AskedModel(
                settings=entry.endpoint,
                store=store,
                model=entry.model,
                sampling=entry.sampling(),
                retry_failed=self._retry,
                limits=self._limits_of(entry.endpoint),
            )
        return self._asked[name]

    @property
    def appeal(self) -> Appeal | None:
        """Function that asks the judge model where rules gave no verdict; None without a judge."""
        judge = self._recipe.judge
        return None if judge is None else partial(self._ask_judge, judge)

    def _ask_judge(self, settings: JudgeSettings, items: Sequence[JudgeItem]) -> Judged:
        if self._judge not in self._stores:
            self._stores[self._judge] = ResponseStore(self._judge_folder(settings))
        limits = self._limits_of(settings.endpoint)
        return judge_all(items, settings, self._stores[self._judge], limits=limits)

    def _limits_of(self, endpoint: EndpointSettings) -> RateLimits:
        """The limits of a server, shared by all entries with its address, key and limits.

        A server counts by account, whatever the recipe calls its models.
        """
        minute = (endpoint.requests_per_minute, endpoint.tokens_per_minute)
        return self._limits.setdefault(
            (endpoint.base_url, endpoint.api_key_env, *minute), RateLimits.of(endpoint)
        )

    @property
    def stopped_by(self) -> str:
        """Why a run of requests ended early, in the words of the last one that did; "" if none."""
        return next((one.stopped_by for one in self._limits.values() if one.stopped_by), "")

    def take_failures(self) -> list[dict[str, Any]]:
        """Return a row for each request that brought no answer since the last call, in order."""
        rows = [
            {"asked": name} | failure.summary()
            for name, store in self._stores.items()
            for failure in store.take_failures()
        ]
        return sorted(rows, key=lambda row: (row["asked"], row["id"], row["key"], row["index"]))

    def spending(self) -> dict[str, Any]:
        """Total requests, tokens and money of all answers in the store of each model.

        That is what the run has cost from its beginning, and other runs that share the store.
        """
        judge = self._recipe.judge
        for name, entry in self._recipe.models.items():
            self._open_stored(name, self._folder / name, entry.endpoint, entry.model)
        if judge is not None:
            self._open_stored(self._judge, self._judge_folder(judge), judge.endpoint, judge.model)
        return {
            name: _spent(store.usage, *self._priced[name])
            for name, store in sorted(self._stores.items())
        }

    def _open_stored(self, name: str, folder: Path, endpoint: EndpointSettings, model: str) -> None:
        """Open the store of a model that was asked by an earlier run alone."""
        self._priced[name] = endpoint, model
        if name not in self._stores and folder.is_dir():
            self._stores[name] = ResponseStore(folder)

    def _judge_folder(self, judge: JudgeSettings) -> Path:
        return self._folder / "judge" if judge.store is None else self._base / judge.store


def _spent(used: Mapping[str, Usage], endpoint: EndpointSettings, model: str) -> dict[str, Any]:
    money = money_spent(endpoint.prices, used)
    return {
        "model": model,
        "requests": sum(one.requests for one in used.values()),
        "input_tokens": sum(one.input_tokens for one in used.values()),
        "output_tokens": sum(one.output_tokens for one in used.values()),
        "money": str(money) if model in endpoint.prices else None,
    }
