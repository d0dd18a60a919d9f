"""Does a control without the picture say anything about a model that has never been without one?

    python benchmarks/blind_control.py RUN [--arm vas]

Answers the test prompts of a finished quickstart three times, greedily and at temperature 1: with
their pictures, with white pages in their place, and without any image. A control is of use when the
model still answers in its form: then what it scores is what the text gives away, to be held against
the majority answer.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

import numpy as np

import vasari
from result_files import MACHINE, result_file
from vasari.cli.main import quiet_libraries
from vasari.core.files import read_json
from vasari.data.prompt_file import read_prompts
from vasari.evaluate.majority import score_majority
from vasari.model.base import Decoding, Images
from vasari.run.recipe import parse_recipe
from vasari.score import format_ok
from vasari.verify import verify_answer


def main() -> None:
    """Answer the test prompts with and without pictures, print a table and write it to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a finished quickstart")
    parser.add_argument("--arm", default="vas")
    arguments = parser.parse_args()
    quiet_libraries()
    # torch takes seconds to import.
    from vasari.model.transformers_policy import TransformersPolicy  # noqa: PLC0415

    recipe = parse_recipe(
        read_json(arguments.run / "settings.json")["recipe"], where=str(arguments.run)
    )
    prompts = read_prompts(arguments.run / "prompts" / "test.parquet")
    majority = score_majority(prompts, read_prompts(arguments.run / "prompts" / "train.parquet"))
    policy = TransformersPolicy.load(
        str(arguments.run / "rl" / arguments.arm / "best"), system=recipe.model.system
    )
    lines = [
        (
            "| picture | temperature | accuracy | minus majority answer, points | in the paper's"
            " format |"
        ),
        "| --- " * 5 + "|",
    ]
    for shown in get_args(Images):
        for temperature in (0.0, 1.0):
            decoding = Decoding(
                num_rollouts=1, temperature=temperature, max_tokens=80, images=shown
            )
            said = [group[0].text for group in policy.generate(prompts, decoding, seed=0)]
            verdicts = [
                verify_answer(text, prompt.answer, prompt.choices, prompt.kind).value
                for text, prompt in zip(said, prompts, strict=True)
            ]
            accuracy, form = (
                float(np.nansum(verdicts)) / len(prompts),
                float(np.mean([format_ok(text) for text in said])),
            )
            gap = 100 * (accuracy - majority.accuracy)
            lines.append(
                f"| {shown} | {temperature:g} | {accuracy:.3f} | {gap:+.1f} | {form:.2f} |"
            )
    text = "\n".join(lines)
    print(text)
    result = result_file("blind_control")
    result.write_text(
        f"# Two blind controls of the quickstart's model\n\n{text}\n\n{len(prompts)} test prompts,"
        f" one rollout each; the majority answer solves {majority.accuracy:.3f}.\n\n`python"
        f" benchmarks/blind_control.py RUN --arm {arguments.arm}`, vasari {vasari.__version__},"
        f" {MACHINE}.\n"
    )
    print(f"written to {result}")


if __name__ == "__main__":
    main()
