"""The models that a recipe names, with their stored answers, limits and spending."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vasari.core.files import write_json_lines
from vasari.curate.ask.asking import Appeal
from vasari.curate.recipe import CurationRecipe
from vasari.curate.run.reading import data_path
from vasari.curate.stage import AskedModel
from vasari.endpoint import RETRIABLE, EndpointSettings, RateLimits, ResponseStore
from vasari.endpoint.cost import money_spent
from vasari.verify.judge import Judged, JudgeItem, JudgeSettings, judge_all


class Models:
    """Context manager that holds a recipe's models, each with the store of its answers.

    A store is opened when its model is first asked, and closed at the end of the context.
    """

    def __init__(
        self, recipe: CurationRecipe, *, base: Path, root: Path, retry_failed: bool = False
    ) -> None:
        self._recipe, self._base = recipe, base
        self._retry = tuple(sorted(RETRIABLE)) if retry_failed else ()
        self._folder = (
            root / "responses" if recipe.responses is None else data_path(recipe.responses, base)
        )
        self._asked: dict[str, AskedModel] = {}
        self._judge: ResponseStore | None = None
        self._limits: dict[tuple[object, ...], RateLimits] = {}

    def __enter__(self) -> Models:
        return self

    def __exit__(self, *_: object) -> None:
        for model in self._asked.values():
            model.store.close()
        if self._judge is not None:
            self._judge.close()

    def __call__(self, name: str) -> AskedModel:
        """Return the model that the recipe lists under `name`."""
        if name not in self._asked:
            entry = self._recipe.models[name]
            store = ResponseStore(self._folder / name)
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
        if self._judge is None:
            self._judge = ResponseStore(
                self._folder / "judge" if settings.store is None else self._base / settings.store
            )
        return judge_all(items, settings, self._judge, limits=self._limits_of(settings.endpoint))

    def _limits_of(self, endpoint: EndpointSettings) -> RateLimits:
        """The limits of a server, shared by all entries with its address, key and limits.

        A server counts by account, whatever the recipe calls its models.
        """
        minute = (endpoint.requests_per_minute, endpoint.tokens_per_minute)
        return self._limits.setdefault(
            (endpoint.base_url, endpoint.api_key_env, *minute), RateLimits.of(endpoint)
        )

    def spending(self) -> dict[str, Any]:
        """Total requests, tokens and money that each model has cost, by its name in the recipe."""
        found = {}
        for name, model in self._asked.items():
            used = model.store.usage
            money = money_spent(model.settings.prices, used)
            found[name] = {
                "model": model.model,
                "requests": sum(one.requests for one in used.values()),
                "input_tokens": sum(one.input_tokens for one in used.values()),
                "output_tokens": sum(one.output_tokens for one in used.values()),
                "money": str(money) if model.model in model.settings.prices else None,
            }
        return found

    def write_dead_letters(self, path: Path) -> int:
        """Write a JSON line to `path` per request that failed for good; return their number."""
        failures = [
            {"asked": name} | failure.summary()
            for name, model in sorted(self._asked.items())
            for failure in model.store.failures()
        ]
        write_json_lines(path, failures)
        return len(failures)
