"""Bandits over the categories of a pool: SEC, DUMP, and Thompson sampling of pass rates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from vasari.core.bounds import Bounds, Positive, PositiveCount, PositiveShare, Share, check_fields
from vasari.core.errors import StateError
from vasari.core.records import Draw, GroupOutcome
from vasari.sample.base import PromptSampler, draw_of
from vasari.sample.features import PoolFeatures
from vasari.sample.peers.category_passes import CategoryPasses
from vasari.sample.pool import read_array
from vasari.score.advantage import group_advantages
from vasari.score.value import group_value

BinsRule = Literal["sec", "dump", "thompson"]
"""Rule that gives a category's chance of being drawn; `BinsSampler` has the formulas."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BinsSettings:
    """Settings of the sampler "bins", a bandit over the categories of prompts."""

    rule: BinsRule = "sec"
    """Rule for a category's chance: "sec" and "dump" read advantages, "thompson" pass rates."""
    learning_rate: PositiveShare = 0.5
    """SEC's a, in (0, 1]: how far one batch moves a category's Q. Our choice."""
    temperature: Positive = 0.5
    """tau of the softmax over Q ("sec") or over the upper bounds ("dump"), above 0. Our choice for
    SEC."""
    window: PositiveCount = 300
    """Rollouts of a category over which DUMP averages |A|."""
    decay: PositiveShare = 0.95
    """Share of the Beta counts that "thompson" keeps at each `observe` with verdicts, in (0, 1]."""
    floor: Share = 0.05
    """Least weight of a category under "thompson", in [0, 1]: none is given up."""
    num_rollouts: Annotated[int, Bounds(least=2)] = 8
    """n of the weight `1 - p^n - (1 - p)^n` of "thompson": rollouts of a group."""

    def __post_init__(self) -> None:
        check_fields(self)


# DUMP averages the last 300 advantages of a source and divides by a temperature of 0.1 (the
# authors' released code).
BINS_PRESETS: dict[str, BinsSettings] = {
    "sec": BinsSettings(rule="sec"),
    "dump": BinsSettings(rule="dump", temperature=0.1),
    "thompson": BinsSettings(rule="thompson"),
}
"""Settings by the name that a recipe gives as `preset`."""

_BY_CATEGORY = ("value", "num_rollouts", "num_recent", "correct", "wrong", "quotas")
"""Names of the saved [categories] arrays; `x` stands for the attribute `_x`."""


@final
class BinsSampler(PromptSampler):
    """Sampler that draws categories by a bandit and, in a category, every prompt once per pass.

    Each place of a batch gets its category independently with the chances below; a category that
    has no prompts left for the batch is passed over. |A| is the size of a rollout's advantage, (r -
    mean) / std of its group's rewards (population std), 0 in a group of equal rewards; with 0/1
    rewards the mean of |A| over a group is 2 sqrt(p (1 - p)).

    * "sec" (Self-Evolving Curriculum, arXiv:2505.14970): `Q_c <- (1 - a) Q_c + a mean |A|` over the
      category's rollouts of one `observe`, from 0; chance `softmax(Q / tau)`.
    * "dump" (arXiv:2504.09710): chance `softmax(U / tau)` with `U_c = mean |A| + sqrt(2 ln N / (n_c
      + 1))`, the mean over the category's last `window` rollouts, n_c its rollouts so far and N
      their sum.
    * "thompson": a Beta(1, 1) prior and counts of verdicts that decay by `decay`; chances in
      proportion to `max(floor, 1 - p^n - (1 - p)^n)` at a p drawn from each category's Beta.

    As in the papers, categories that are worth the same are drawn equally often, whatever their
    sizes. One `observe` is one batch: hand in a batch's groups together. A group with fewer than
    two verifiable rewards has no advantages and teaches "sec" and "dump" nothing; n_c counts its
    rollouts nevertheless, or the bonus would seek broken references for ever. Without categories in
    the features the pool is one category, and the draw is uniform.
    """

    name: ClassVar[str] = "bins"

    def __init__(
        self,
        settings: BinsSettings | None = None,
        *,
        num_prompts: int,
        seed: int,
        prompt_ids: Iterable[str] | None = None,
        features: PoolFeatures | None = None,
    ) -> None:
        super().__init__(num_prompts=num_prompts, seed=seed, prompt_ids=prompt_ids)
        self.settings = settings or BinsSettings()
        """Settings that this sampler was made with."""
        if features is not None:
            features.check(self.num_prompts)
        if features is not None and len(features.categories):
            self._names, self._categories = (
                features.category_names,
                features.categories.astype(np.int64),
            )
        else:
            self._names, self._categories = ("",), np.zeros(self.num_prompts, dtype=np.int64)
        size = len(self._names)
        self._passes = CategoryPasses(self._categories, size)
        self._value = np.zeros(size)
        self._num_rollouts = np.zeros(size)
        self._recent = np.full(
            (size, self.settings.window if self.settings.rule == "dump" else 0), np.nan
        )
        self._num_recent = np.zeros(size, dtype=np.int64)
        self._correct = np.zeros(size)
        self._wrong = np.zeros(size)
        self._quotas = np.zeros(size, dtype=np.int64)

    @property
    def category_names(self) -> tuple[str, ...]:
        """Names of the pool's categories."""
        return self._names

    def category_scores(self) -> NDArray[np.float64]:
        """Return each category's score under the bandit: [categories], higher = drawn more often.

        It is Q for "sec", the upper bound U for "dump", and the weight for "thompson".
        """
        settings = self.settings
        if settings.rule == "sec":
            return self._value.copy()
        if settings.rule == "dump":
            bonus = np.sqrt(
                2.0 * math.log(max(1.0, self._num_rollouts.sum())) / (self._num_rollouts + 1.0)
            )
            known = ~np.isnan(self._recent)
            total = np.where(known, self._recent, 0.0).sum(axis=1)
            return np.asarray(total / np.maximum(1, known.sum(axis=1)) + bonus)
        return self._weights((1.0 + self._correct) / (2.0 + self._correct + self._wrong))

    def metrics(self) -> Mapping[str, float]:
        """Return log metrics: category scores, category mix of the last batch, passes over pool."""
        filled = self._passes.sizes > 0
        scores = self.category_scores()[filled]
        share = self._quotas[self._quotas > 0] / max(1, self._quotas.sum())
        return {
            "sampler/categories": float(filled.sum()),
            "sampler/category_score_min": float(scores.min()),
            "sampler/category_score_mean": float(scores.mean()),
            "sampler/category_score_max": float(scores.max()),
            # 1 when the batch is of one category, their number when it holds all alike.
            "sampler/categories_effective": (
                float(np.exp(-(share * np.log(share)).sum())) if share.size else 0.0
            ),
            "sampler/passes": float(self._passes.num_passes[filled].min()),
        }

    def _weights(self, rates: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(
            self.settings.floor, group_value(rates, self.settings.num_rollouts, "mix")
        )

    def _chances(self) -> NDArray[np.float64]:
        """Return each category's unnormalised chance to give the next prompt: [categories].

        A category without prompts has 0.
        """
        if self.settings.rule == "thompson":
            weights = self._weights(self._rng.beta(1.0 + self._correct, 1.0 + self._wrong))
        else:
            scores = np.where(self._passes.sizes > 0, self.category_scores(), -np.inf)
            weights = np.exp((scores - scores.max()) / self.settings.temperature)
        return np.where(self._passes.sizes > 0, weights, 0.0)

    def _draw(self, num_prompts: int) -> Draw:
        chances = self._chances()
        quotas = np.zeros(len(chances), dtype=np.int64)
        missing = num_prompts
        while missing:
            left = np.where(quotas < self._passes.sizes, chances, 0.0)
            if left.sum() <= 0.0:
                # What is left has chances that round to 0: every prompt of it alike.
                left = (self._passes.sizes - quotas).astype(np.float64)
            quotas = np.minimum(
                quotas + self._rng.multinomial(missing, left / left.sum()), self._passes.sizes
            )
            missing = num_prompts - int(quotas.sum())
        self._quotas = quotas
        prompts = self._rng.permutation(self._passes.draw(self._rng, quotas))
        has_choice = (self._passes.sizes > 0).sum() > 1
        return draw_of(promoted=prompts) if has_choice else draw_of(uniform=prompts)

    def _observe(self, groups: Sequence[GroupOutcome]) -> None:
        if not groups:
            return
        of = self._categories[[group.index for group in groups]]
        if self.settings.rule == "thompson":
            self._count(groups, of)
            return
        sizes = _advantage_sizes(groups)
        known = ~np.isnan(sizes)
        num_known = np.bincount(of, weights=known.sum(axis=1), minlength=len(self._names))
        total = np.bincount(
            of, weights=np.where(known, sizes, 0.0).sum(axis=1), minlength=len(self._names)
        )
        seen = num_known > 0
        rate = self.settings.learning_rate
        self._value[seen] += rate * (total[seen] / num_known[seen] - self._value[seen])
        self._num_rollouts += np.bincount(
            of, weights=[group.num_rollouts for group in groups], minlength=len(self._names)
        )
        if self.settings.rule == "dump":
            for category, row in zip(of, sizes, strict=True):
                self._remember(int(category), row[~np.isnan(row)])

    def _count(self, groups: Sequence[GroupOutcome], of: NDArray[np.int64]) -> None:
        correct = np.bincount(
            of, weights=[np.nansum(group.verdicts) for group in groups], minlength=len(self._names)
        )
        verified = [(~np.isnan(group.verdicts)).sum() for group in groups]
        if not sum(verified):
            return
        wrong = np.bincount(of, weights=verified, minlength=len(self._names)) - correct
        self._correct = self.settings.decay * self._correct + correct
        self._wrong = self.settings.decay * self._wrong + wrong

    def _remember(self, category: int, sizes: NDArray[np.float64]) -> None:
        window = self._recent.shape[1]
        sizes = sizes[-window:]
        places = (self._num_recent[category] + np.arange(len(sizes))) % window
        self._recent[category, places] = sizes
        self._num_recent[category] = (self._num_recent[category] + len(sizes)) % window

    def _state(self) -> dict[str, Any]:
        return {
            "names": list(self._names),
            "passes": self._passes.state(),
            "recent": self._recent.reshape(-1).copy(),
            **{name: getattr(self, f"_{name}").copy() for name in _BY_CATEGORY},
        }

    def _restore(self, state: Mapping[str, Any], origin: NDArray[np.int64] | None) -> None:
        names = [str(name) for name in state["names"]]
        known_as = self._known_as(names, same_pool=origin is None)
        found: dict[str, Any] = {
            name: _by_category(state, name, known_as, len(names)).astype(
                getattr(self, f"_{name}").dtype
            )
            for name in _BY_CATEGORY
        }
        found["passes"] = self._passes.restored(state["passes"], known_as, origin)
        found["recent"] = self._read_window(state, known_as, len(names))
        if (found["num_recent"] >= max(1, self._recent.shape[1])).any():
            raise StateError("saved window is written outside its length")
        for name, value in found.items():
            setattr(self, f"_{name}", value)

    def _read_window(
        self, state: Mapping[str, Any], known_as: NDArray[np.int64], num_saved: int
    ) -> NDArray[np.float64]:
        """Return each category's saved |advantages|: [categories, window]; nan for new ones."""
        window = self._recent.shape[1]
        flat = read_array(state, "recent", dtype=np.float64)
        if flat.size != window * num_saved:
            raise StateError(
                f"saved window holds {flat.size} advantages for {num_saved} categories of {window}"
            )
        saved = flat.reshape(num_saved, window)[np.maximum(known_as, 0)]
        return np.where((known_as >= 0)[:, None], saved, np.nan)

    def _known_as(self, saved: list[str], *, same_pool: bool) -> NDArray[np.int64]:
        """Return each category's number in the saved state: [categories], -1 for a new one."""
        if not saved or len(set(saved)) != len(saved):
            raise StateError(f"saved categories must be different names, got {saved}")
        if same_pool and tuple(saved) != self._names:
            raise StateError(
                f"saved state is of categories {saved}, these prompts have {list(self._names)}"
            )
        number = {name: place for place, name in enumerate(saved)}
        return np.array([number.get(name, -1) for name in self._names], dtype=np.int64)


def _advantage_sizes(groups: Sequence[GroupOutcome]) -> NDArray[np.float64]:
    """Return the absolute advantage |A| of each rollout, or nan: [groups, rollouts].

    nan where the rollout is unverifiable or padding, or one of fewer than two verifiable ones.
    """
    rewards = np.full((len(groups), max(2, *(group.num_rollouts for group in groups))), np.nan)
    for row, group in zip(rewards, groups, strict=True):
        row[: group.num_rollouts] = group.rewards
    known = ~np.isnan(rewards)
    known &= known.sum(axis=1, keepdims=True) >= 2
    return np.where(known, np.abs(group_advantages(rewards, scale="std", ddof=0)), np.nan)


def _by_category(
    state: Mapping[str, Any], key: str, known_as: NDArray[np.int64], num_saved: int
) -> NDArray[np.float64]:
    """Return a saved [categories] array in the order of the present categories; 0 for new ones."""
    saved = read_array(state, key, dtype=np.float64)
    if len(saved) != num_saved or not np.isfinite(saved).all() or (saved < 0).any():
        raise StateError(
            f"saved {key!r} must be {num_saved} finite numbers of at least 0, one for each category"
        )
    return np.where(known_as >= 0, saved[np.maximum(known_as, 0)], 0.0)
