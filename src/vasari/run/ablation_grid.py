"""The grid of the paper's table 4, and the settings of the sampler "vas" in each of its cells."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vasari.core.errors import ConfigError
from vasari.run.recipe import Recipe, SamplerSettings
from vasari.sample.registry import vas_settings
from vasari.sample.vas import VAS_PRESETS, VarianceAwareSettings

UNIFORM = "uniform"
"""Cell of plain GRPO, to which every other is compared."""
BASE = "vas"
"""Cell with the base settings, which every parameter's rows share."""

PaperValue = float | tuple[float, float]

# arXiv:2509.21268, table 4, column Avg over five benchmarks: a single run of each.
TABLE_4: tuple[tuple[str, PaperValue, float], ...] = (
    ("mix_ratio", 0.2, 51.5),
    ("mix_ratio", 0.5, 51.7),
    ("mix_ratio", 0.8, 52.0),
    ("mix_ratio", 1.0, 51.7),
    ("refresh_every", 4, 51.2),
    ("refresh_every", 7, 51.5),
    ("refresh_every", 14, 52.3),
    ("refresh_every", 28, 51.7),
    ("refresh_every", 35, 52.2),
    ("refresh_every", 56, 50.9),
    ("num_refresh_rollouts", 8, 51.7),
    ("num_refresh_rollouts", 16, 51.3),
    ("num_refresh_rollouts", 32, 51.6),
    ("weights", (0.0, 1.0), 51.0),
    ("weights", (0.2, 0.8), 51.5),
    ("weights", (0.5, 0.5), 51.7),
    ("weights", (0.8, 0.2), 52.3),
    ("weights", (1.0, 0.0), 51.2),
)
"""Parameter, its value in the paper, and the paper's accuracy in percent."""

# arXiv:2509.21268, table 3 (Qwen2.5-VL-3B), column Avg. The paper does not name table 4's model.
PAPER_GRPO, PAPER_COLD_START = 51.8, 48.7

PARAMETERS = tuple(dict.fromkeys(parameter for parameter, _, _ in TABLE_4))
"""Ablated parameters; `weights` are alpha and beta."""

_PAPER = VAS_PRESETS["paper-ablation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the table: one value of one parameter."""

    parameter: str
    paper_value: str
    """The value in the paper."""
    value: str
    """The value here."""
    paper: float
    """The paper's accuracy in percent."""
    cell: str
    """Name of the cell that gives its numbers; rows with one name are trained once."""

    @property
    def key(self) -> str:
        """Parameter and value of the paper, as `--only` names them."""
        return f"{self.parameter}={self.paper_value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Rows of the table and the distinct cells that they need."""

    base: VarianceAwareSettings
    rows: tuple[Row, ...]
    cells: Mapping[str, VarianceAwareSettings | None]
    """Settings by name, `uniform` (None) first."""

    def chosen(self, only: Sequence[str]) -> Grid:
        """Return the rows of these parameters, or of these `parameter=value`, with their cells.

        Raises:
            ConfigError: The table has no such row.
        """
        known = {*PARAMETERS, *(row.key for row in self.rows)}
        for name in only:
            if name not in known:
                raise ConfigError(
                    f"--only has {name!r}, and table 4 does not; it has {', '.join(PARAMETERS)},"
                    f" or one value as in {', '.join(row.key for row in self.rows[::4])}"
                )
        rows = tuple(
            row for row in self.rows if not only or row.parameter in only or row.key in only
        )
        used = {UNIFORM, *(row.cell for row in rows)}
        cells = {name: settings for name, settings in self.cells.items() if name in used}
        return Grid(base=self.base, rows=rows, cells=cells)


def ablation_grid(recipe: Recipe) -> Grid:
    """Return all rows of table 4 around a recipe's own settings of the sampler "vas".

    Mixture ratios and weights are the paper's. Refresh intervals and rollouts keep the paper's
    proportion to the base (T = 28 and N = 8 there), because a recipe's training is as long as it
    is: base T = 14 gives 2 to 28. A recipe that has no settings of `vas` gets the paper's base.

    Raises:
        ConfigError: The recipe has no `grpo` section.
    """
    if recipe.grpo is None:
        raise ConfigError(f"recipe {recipe.name!r} has no `grpo` section: there is nothing to vary")
    batches = recipe.grpo.steps // recipe.grpo.updates_per_batch
    given = recipe.sampler.name == BASE or BASE in recipe.sampler.others
    base = vas_settings(**(recipe.sampler.of(BASE) if given else {"preset": "paper-ablation"}))
    cells: dict[str, VarianceAwareSettings | None] = {UNIFORM: None, BASE: base}
    names = {_in_effect(base, batches): BASE}
    rows = []
    for parameter, paper_value, paper in TABLE_4:
        changes = _changes(parameter, paper_value, base)
        settings = dataclasses.replace(base, **changes)
        value = _spelled(*changes.values())
        name = f"{BASE}-{parameter}-{value}".replace("/", "-")
        cell = names.setdefault(_in_effect(settings, batches), name)
        cells.setdefault(cell, settings)
        rows.append(
            Row(
                parameter=parameter,
                paper_value=_spelled(
                    *(paper_value if isinstance(paper_value, tuple) else (paper_value,))
                ),
                value=value,
                paper=paper,
                cell=cell,
            )
        )
    return Grid(base=base, rows=tuple(rows), cells=cells)


def cell_recipe(
    recipe: Recipe, settings: VarianceAwareSettings | None, *, seed: int | None = None
) -> Recipe:
    """Return the recipe with a cell's sampler, and with a seed if one is given."""
    sampler = (
        SamplerSettings(name=UNIFORM)
        if settings is None
        else SamplerSettings(name=BASE, settings=dataclasses.asdict(settings))
    )
    own = recipe.seed if seed is None else seed
    return recipe.model_copy(update={"sampler": sampler, "seed": own})


def _changes(parameter: str, value: PaperValue, base: VarianceAwareSettings) -> dict[str, Any]:
    """Settings that a row changes in the base."""
    if isinstance(value, tuple):
        return dict(zip(("alpha", "beta"), value, strict=True))
    if parameter == "mix_ratio":
        return {parameter: value}
    scaled = getattr(base, parameter) * value / getattr(_PAPER, parameter)
    return {parameter: max(1, math.floor(scaled + 0.5))}


def _in_effect(settings: VarianceAwareSettings, batches: int) -> VarianceAwareSettings:
    """Settings that are equal for cells whose trainings would be the same."""
    if settings.refresh == "online":
        return dataclasses.replace(settings, refresh_every=1, num_refresh_rollouts=1)
    # No second refresh comes: how much later it would have come is no difference.
    return dataclasses.replace(settings, refresh_every=min(settings.refresh_every, max(1, batches)))


def _spelled(*values: Any) -> str:
    return "/".join(f"{value:g}" for value in values)
