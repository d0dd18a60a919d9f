"""Does choosing prompts make a small VLM learn more from the same number of rollouts?

    # times, variances and what 12 runs can show, with seeds and a cold start of its own
    python benchmarks/sample_efficiency.py pilot [--pools heterogeneous one_skill_once]
    # the pre-registered study (benchmarks/sample_efficiency/PREREGISTRATION.md); resumable
    python benchmarks/sample_efficiency.py run --jobs 2
    # the write-up of finished cells; then pack them to be committed
    python benchmarks/sample_efficiency.py analyse
    python benchmarks/sample_efficiency.py export
    # cells packed at another checkout; arms outside the pre-registered comparison
    python benchmarks/sample_efficiency.py import
    python benchmarks/sample_efficiency.py explore --arms uniform vas beta --pools heterogeneous

GRPO of the small VLM for every pool, arm and run (a cold start and a seed): a cell. A finished cell
is not repeated and a broken one goes on from its checkpoint; give the same --out. Accuracy on clean
held-out prompts, greedy and sampled, is measured at marks of the budget, which counts rollouts of
all purposes. Another size of model: --set model.path=FOLDER, with an --out of its own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from sample_efficiency.archive import export_cells, import_cells
from sample_efficiency.arms import chosen_arms
from sample_efficiency.options import options
from sample_efficiency.planning import Planned, distinct_cells, explored_beside, plan
from sample_efficiency.workers import run_cells
from sample_efficiency.write_up import write_pilot, write_study
from vasari.core.errors import VasariError
from vasari.model.path import require_training
from vasari.run.recipe import load_recipe


def train(chosen: argparse.Namespace, planned: Sequence[Planned]) -> bool:
    """Run the missing cells (training runs) and return whether all ended well."""
    cells = distinct_cells(planned)
    missing = [cell for cell in cells if not cell.done()]
    print(f"{len(cells) - len(missing)} of {len(cells)} cells are done", flush=True)
    return not run_cells(missing, jobs=chosen.jobs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command says; return 1 if a cell failed, 2 for impossible settings."""
    ok = True
    try:
        chosen = options(arguments, description=__doc__ or "")
        if chosen.command == "import":
            print(import_cells(chosen.cells, chosen.out))
            return 0
        if chosen.command == "export":
            print(export_cells(chosen.out, chosen.cells))
            return 0
        require_training()
        if chosen.run_cell is not None:
            # Torch takes seconds to import.
            from sample_efficiency.cell import run_cell  # noqa: PLC0415

            run_cell(chosen.run_cell)
            return 0
        recipe = load_recipe(chosen.recipe, chosen.overrides)
        arms = chosen_arms(chosen.arms, chosen.define)
        training = chosen.command != "analyse"
        planned = plan(chosen, recipe, arms, train=training)
        if training:
            ok = train(chosen, planned)
        if chosen.command == "pilot":
            print(write_pilot(chosen, planned))
        else:
            print(write_study(chosen, planned, explored_beside(chosen, recipe)))
    except VasariError as error:
        print(error, file=sys.stderr)
        return 2
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
