"""The grid of table 4 around a recipe's settings of `vas`, and its training in small."""

import itertools
import json
from pathlib import Path

import pytest

from vasari.core.errors import ConfigError, StateError
from vasari.report.ablation import write_ablation
from vasari.run.ablate import ablate
from vasari.run.ablation_grid import ablation_grid, cell_recipe
from vasari.run.recipe import load_recipe, parse_recipe
from vasari.sample import make_sampler
from vasari.sample.vas import VarianceAwareSettings

TINY = Path(__file__).parents[2] / "recipes" / "quickstart_tiny.yaml"


def recipe_of(**sampler):
    return parse_recipe(
        {
            "name": "small",
            "prompts": {"files": {"train": "train.jsonl"}},
            "model": {"path": "somewhere"},
            "grpo": {"steps": 120, "updates_per_batch": 2},
            "sampler": sampler,
        },
        where="test",
    )


def paper(**changes):
    """Settings of section 6.1's footnote, by hand, with changes."""
    footnote = {
        "mix_ratio": 0.5,
        "alpha": 0.5,
        "beta": 0.5,
        "num_refresh_rollouts": 8,
        "refresh_every": 28,
        "replacement": True,
    }
    return VarianceAwareSettings(**footnote | changes)


def test_without_settings_of_ones_own_the_cells_are_the_papers():
    grid = ablation_grid(recipe_of(name="uniform"))
    wanted = [
        *(paper(mix_ratio=ratio) for ratio in (0.2, 0.5, 0.8, 1.0)),
        *(paper(refresh_every=every) for every in (4, 7, 14, 28, 35, 56)),
        *(paper(num_refresh_rollouts=num) for num in (8, 16, 32)),
        *(
            paper(alpha=alpha, beta=beta)
            for alpha, beta in ((0.0, 1.0), (0.2, 0.8), (0.5, 0.5), (0.8, 0.2), (1.0, 0.0))
        ),
    ]
    assert [grid.cells[row.cell] for row in grid.rows] == wanted
    assert len(grid.cells) == 16  # uniform, and 15 distinct of 18
    assert grid.cells["uniform"] is None
    assert [row.value for row in grid.rows] == [row.paper_value for row in grid.rows]


def test_the_papers_rows_have_the_mean_that_the_table_gives():
    # The five benchmarks of each block's first row in table 4.
    first = {
        "mix_ratio": (46.3, 67.9, 23.2, 40.2, 79.9),
        "refresh_every": (47.4, 65.8, 23.8, 39.3, 79.6),
        "num_refresh_rollouts": (46.1, 66.4, 24.8, 41.7, 79.4),
        "weights": (46.8, 64.4, 24.3, 40.9, 78.8),
    }
    grid = ablation_grid(recipe_of(name="uniform"))
    for parameter, rows in itertools.groupby(grid.rows, key=lambda row: row.parameter):
        assert next(rows).paper == pytest.approx(sum(first[parameter]) / 5, abs=0.051)


def test_intervals_and_rollouts_keep_their_proportion_to_the_recipes_base():
    grid = ablation_grid(load_recipe(TINY))  # T = 3, N = 4, four batches
    values = {
        parameter: [row.value for row in grid.rows if row.parameter == parameter]
        for parameter in ("refresh_every", "num_refresh_rollouts")
    }
    assert values["refresh_every"] == ["1", "1", "2", "3", "4", "6"]
    assert values["num_refresh_rollouts"] == ["4", "8", "16"]
    # Neither T = 4 nor T = 6 sees a second refresh in four batches: one training.
    cells = [row.cell for row in grid.rows if row.value in ("4", "6")]
    assert len({*cells[:2]}) == 1


def test_online_scores_know_no_refresh():
    online = {"vas": {"refresh": "online"}}
    grid = ablation_grid(recipe_of(name="uniform", others=online))
    rows = [row for row in grid.rows if row.parameter in ("refresh_every", "num_refresh_rollouts")]
    assert {row.cell for row in rows} == {"vas"}


def test_a_cells_sampler_has_its_settings():
    recipe = recipe_of(name="progress", others={"vas": {"alpha": 0.7}})
    for settings in ablation_grid(recipe).cells.values():
        cell = cell_recipe(recipe, settings, seed=3)
        assert cell.seed == 3
        sampler = make_sampler(
            cell.sampler.name, num_prompts=4, seed=0, **cell.sampler.of(cell.sampler.name)
        )
        assert getattr(sampler, "settings", None) == settings


def test_rows_are_chosen_by_parameter_or_value():
    grid = ablation_grid(recipe_of(name="uniform"))
    found = grid.chosen(["num_refresh_rollouts", "weights=1/0"])
    assert list(found.cells) == [
        "uniform",
        "vas",
        "vas-num_refresh_rollouts-16",
        "vas-num_refresh_rollouts-32",
        "vas-weights-1-0",
    ]
    with pytest.raises(ConfigError, match=r"'lambda'.*mix_ratio"):
        grid.chosen(["lambda"])


SMALL = (
    "prompts.tasks.num_cold_start=32",
    "prompts.tasks.num_train=8",
    "prompts.tasks.num_validation=2",
    "prompts.tasks.num_test=4",
    "prompts.tasks.num_held_out_style=0",
    "grpo.steps=4",
    "grpo.rollouts_per_prompt=4",
    "grpo.trl.max_completion_length=16",
    "evaluate.max_tokens=16",
)


@pytest.mark.slow
def test_two_cells_are_trained_once_and_kept(tmp_path):
    out, told = tmp_path / "ablation", []

    def run(*, resume, only=("mix_ratio=0.5",), overrides=()):
        ablate(
            TINY,
            out,
            [*SMALL, *overrides],
            seeds=[5],
            only=only,
            which="last",
            resume=resume,
            on_cell=lambda: told.append(write_ablation(out)),
        )

    run(resume=False)
    stages = sorted((out / "seed-5" / "stages").glob("*.json"))
    assert {"rl-uniform.json", "rl-vas.json"} < {path.name for path in stages}
    trained = {path: path.read_bytes() for path in stages if path.name != "evaluate.json"}
    found = json.loads((out / "ablation.json").read_text())
    # Two batches of eight prompts x four rollouts; all eight scored once by four rollouts each.
    assert found["cells"]["vas"]["rollouts"] == {
        "train": 64,
        "refresh": 32,
        "screen": 0,
        "discarded": 0,
    }
    assert found["cells"]["uniform"]["rollouts"]["refresh"] == 0
    assert 0 <= found["cells"]["vas"]["accuracy"]["greedy"]["5"] <= 1
    evaluated = json.loads((out / "seed-5" / "evaluation" / "last" / "vas.json").read_text())
    score = evaluated["sets"]["test"]["sampled"]["accuracy"]["mean"]
    assert found["cells"]["vas"]["accuracy"]["sampled"] == {"5": score}
    assert (out / "figure2.svg").exists()

    with pytest.raises(StateError, match="pass --resume"):
        run(resume=False)
    with pytest.raises(StateError, match="cell vas was made with"):
        run(resume=True, overrides=["sampler.others.vas.alpha=0.9"])
    run(resume=True)
    assert {path: path.read_bytes() for path in trained} == trained
    assert len(told) == 4
