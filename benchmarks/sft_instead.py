"""What would supervised training have taught, had it been given what GRPO was?

    python benchmarks/quickstart.py --seeds 0 1 2 --compare --out runs/benchmark_quickstart
    python benchmarks/sft_instead.py runs/benchmark_quickstart/seed{0,1,2} --out runs/sft_instead

From the cold start of each finished quickstart two more models are trained, by supervision alone:

* `more_sft`: more worked solutions of the same levels, by the same teacher, none of them twice;
* `rejection`: as many rollouts as GRPO drew, on its prompts and at its temperature; the correct
  ones are what is taught.

Work is counted, not clocked. A token that is generated costs a forward pass, one that is trained on
three. So `rejection` is taught as many sequences as GRPO was, and `more_sft`, which generates none,
a third more. (GRPO reads a prompt once for its whole group; that is not held against it here.)
Finished models are kept.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import vasari
from result_files import MACHINE, result_file
from sample_efficiency.study import required
from vasari.cli.main import quiet_libraries
from vasari.core.errors import ConfigError
from vasari.core.files import read_json, write_json
from vasari.core.progress import stage
from vasari.data.prompt_file import read_prompts
from vasari.data.tasks.pool import make_pool
from vasari.evaluate.run import evaluate_policy
from vasari.evaluate.seeds import seed_mean
from vasari.model.chat import target_text
from vasari.records import Prompt
from vasari.report.inputs import read_run
from vasari.report.taught import PARTS, taught_and_untaught
from vasari.run.evaluation import TEST_SETS
from vasari.run.layout import RunDir
from vasari.run.prompts import SPLITS
from vasari.run.recipe import Recipe, parse_recipe
from vasari.train.settings import SftSettings
from vasari.verify import verify_answer

GENERATE, TRAIN = 1, 3
"""Forward passes that a token costs when it is generated, and when it is trained on."""
ARMS = ("more_sft", "rejection")
MEASURES = {"greedy": "greedy", "accuracy": "sampled", "pass_at": "pass@4"}
Taught = dict[str, list[Prompt]]
"""Prompts by split."""
_FORM = re.compile(r"<think>(.+)</think><answer>\\boxed\{(.*)\}</answer>", re.DOTALL)
_VALIDATION = 128
"""Correct rollouts of other prompts that choose the best weights of `rejection`."""


_HOW = (__doc__ or "").find("From the cold start")


def demonstrations(recipe: Recipe, num_prompts: int) -> list[Prompt]:
    """Return new worked solutions of the levels that the cold start is taught."""
    tasks, _ = required(recipe)
    settings = dataclasses.replace(tasks.pool_of("cold_start"), num_prompts=num_prompts)
    return make_pool(settings, split="train", seed=recipe.seed * 1000 + 77, stream="more_sft")


def correct_rollouts(recipe: Recipe, model: Path, pool: Sequence[Prompt]) -> list[Prompt]:
    """Return the correct ones of a group for every prompt, each as a prompt that teaches it."""
    # torch takes seconds to import.
    from vasari.model.transformers_policy import TransformersPolicy  # noqa: PLC0415

    _, grpo = required(recipe)
    policy = TransformersPolicy.load(str(model), system=recipe.model.system)
    decoding = grpo.decoding(grpo.rollouts_per_prompt)
    with stage("rejection sampling") as tell:
        groups = policy.generate(pool, decoding, seed=recipe.seed, tell=tell)
    found = []
    for prompt, group in zip(pool, groups, strict=True):
        for place, rollout in enumerate(group):
            verdict = verify_answer(rollout.text, prompt.answer, kind=prompt.kind)
            taught = as_solution(prompt, rollout.text, place)
            if verdict.value == 1.0 and taught is not None:
                found.append(taught)
    return found


def as_solution(prompt: Prompt, text: str, place: int) -> Prompt | None:
    """Return the prompt with a rollout as its worked solution; None if it is not of the form."""
    parts = _FORM.fullmatch(text)
    if parts is None:
        return None
    taught = dataclasses.replace(
        prompt,
        id=f"{prompt.id}-{place}",
        solution=parts[1],
        metadata={**prompt.metadata, "final": parts[2]},
    )
    return taught if target_text(taught) == text else None


def train(recipe: Recipe, sft: SftSettings, source: RunDir, out: Path, taught: Taught) -> Path:
    """Train a quickstart's cold start on examples, and return the folder of the weights."""
    from vasari.run.folder import open_run  # noqa: PLC0415
    from vasari.run.training import run_sft  # noqa: PLC0415

    own = recipe.model_copy(
        update={
            "grpo": None,
            "sft": sft,
            "model": recipe.model.model_copy(
                update={"path": str((source.cold_start / "model").resolve())}
            ),
        }
    )
    return run_sft(own, open_run(own, out), taught, recipe_folder=out, resume=True)


def for_steps(sft: SftSettings, steps: int, num_examples: int, rate: float) -> SftSettings:
    """Return settings of supervised training of so many steps, which nothing ends earlier."""
    epochs = (steps - 0.5) * sft.batch_prompts / num_examples
    trl = sft.trl.model_copy(update={"learning_rate": rate})
    return sft.model_copy(update={"epochs": epochs, "patience": steps, "trl": trl})


def taught_by(
    arm: str, recipe: Recipe, source: RunDir, prompts: Taught, out: Path
) -> tuple[Taught, int]:
    """Return what an arm learns from and is validated on, and its number of trained sequences."""
    _, grpo = required(recipe)
    batches = grpo.steps // grpo.updates_per_batch
    num_rollouts = batches * grpo.prompts_per_batch * grpo.rollouts_per_prompt
    if arm == "more_sft":
        num_taught = num_rollouts * (GENERATE + TRAIN) // TRAIN
        examples = demonstrations(recipe, num_taught)
        return {"cold_start": examples, "validation": prompts["validation"]}, num_taught
    correct = correct_rollouts(recipe, source.cold_start / "model", prompts["train"])
    if len(correct) <= 2 * _VALIDATION:
        raise ConfigError(
            f"{source.root}: {len(correct)} rollouts of the cold start are correct and of the form"
            f" that is taught; more than {2 * _VALIDATION} are needed"
        )
    held_out = {_prompt_id(one) for one in correct[-_VALIDATION:]}
    split: Taught = {"cold_start": [], "validation": []}
    for one in correct:
        split["validation" if _prompt_id(one) in held_out else "cold_start"].append(one)
    counts = {"rollouts": num_rollouts, "correct": len(correct)}
    write_json(out / "rejection.json", counts | {name: len(found) for name, found in split.items()})
    return split, num_rollouts


def _prompt_id(rollout: Prompt) -> str:
    return rollout.id.rpartition("-")[0]


def run_arm(arm: str, rate: float, source: RunDir, out: Path) -> None:
    """Train one arm from a quickstart's cold start and evaluate it, where that is not done."""
    # torch takes seconds to import.
    from vasari.model.transformers_policy import TransformersPolicy  # noqa: PLC0415

    name = f"{arm}-{rate:g}"
    if (out / "evaluation" / f"{name}.json").exists():
        return
    recipe = parse_recipe(read_json(source.settings)["recipe"], where=str(source.root))
    if recipe.sft is None:
        raise ConfigError(f"{source.root}: its recipe has no `sft` section")
    prompts = {split: read_prompts(source.prompts / f"{split}.parquet") for split in SPLITS}
    taught, num_taught = taught_by(arm, recipe, source, prompts, out)
    steps = num_taught // recipe.sft.batch_prompts
    sft = for_steps(recipe.sft, steps, len(taught["cold_start"]), rate)
    model = train(recipe, sft, source, out / "models" / name, taught)
    with stage(f"evaluate {name}") as tell:
        evaluate_policy(
            TransformersPolicy.load(str(model), system=recipe.model.system),
            {split: prompts[split] for split in TEST_SETS},
            recipe.evaluate,
            name=name,
            out=out / "evaluation",
            reference=prompts["train"],
            tell=tell,
        )


def scores(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Return the mean of each measure by part of the test prompts, measure and model."""
    found = taught_and_untaught(read_run(folder), None)
    parts = {part: scored for part, scored in found.items() if scored}
    return {
        part: {
            measure: {
                model: value["mean"]
                for model, value in (
                    ("cold start", scored[measure]["cold_start"]),
                    *scored[measure]["by_arm"].items(),
                )
                if value
            }
            for measure in MEASURES
        }
        for part, scored in parts.items()
    }


def table(found: dict[str, dict[str, Any]]) -> str:
    """Return the means by seed as Markdown, and what GRPO with uniform prompts has more."""
    lines = [
        "| levels | measure | model | by run | GRPO, uniform, has more, points |",
        "| --- " * 5 + "|",
    ]
    for part in reversed(PARTS):
        for measure, words in MEASURES.items():
            runs = [one[part][measure] for one in found.values() if part in one]
            for model in dict.fromkeys(name for run in runs for name in run):
                values = [run.get(model) for run in runs]
                more = [
                    100 * (run["uniform"] - run[model])
                    for run in runs
                    if model in run and "uniform" in run
                ]
                shown = ", ".join("-" if value is None else f"{value:.3f}" for value in values)
                lines.append(
                    f"| {part} | {words} | {model} | {shown} |"
                    f" {'-' if model == 'uniform' else interval(more)} |"
                )
    return "\n".join(lines)


def interval(values: Sequence[float]) -> str:
    """Return a mean with its 95% t-interval over runs, or the mean alone of one run."""
    found = seed_mean(values)
    if found.low is None:
        return f"{found.mean:+.1f} ({found.n} run)"
    return f"{found.mean:+.1f} ({found.low:+.1f} to {found.high:+.1f})"


def main() -> None:
    """Train what is missing, print the table and write it to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished quickstarts")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3])
    parser.add_argument("--out", type=Path, default=Path("runs/sft_instead"))
    arguments = parser.parse_args()
    quiet_libraries()
    found = {}
    for source in map(RunDir, arguments.runs):
        out = arguments.out / source.root.name
        out.mkdir(parents=True, exist_ok=True)
        shutil.copy(source.settings, out)
        for folder in (source.prompts, source.evaluation):
            shutil.copytree(folder, out / folder.name, dirs_exist_ok=True)
        for rate in arguments.rates:
            for arm in arguments.arms:
                run_arm(arm, rate, source, out)
        found[source.root.name] = scores(out)
    text = table(found)
    print(text)
    result = result_file("sft_instead")
    rates = " ".join(f"{rate:g}" for rate in arguments.rates)
    result.write_text(
        f"# Supervised training in the place of GRPO\n\n{text}\n\n{(__doc__ or '')[_HOW:].strip()}"
        f"\n\nThe number in a model's name is its learning rate; intervals: 95%, Student's, over"
        " runs."
        f"\n\n`python benchmarks/sft_instead.py ... --rates {rates}`, vasari {vasari.__version__},"
        f" {MACHINE}.\n"
    )
    print(f"\nwritten to {result}")


if __name__ == "__main__":
    main()
