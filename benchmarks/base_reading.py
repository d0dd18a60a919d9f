"""What does the base model read, and what does it work out in a text, by kind of question?

    python benchmarks/base_reading.py [--model src/vasari/assets/tiny_base] [--pictures 120]

Asks about validation pictures, which no training saw: every fact of a picture, and questions about
lists of named numbers. An answer counts when each of its tokens is the most likely one after the
tokens before it. Prints one table and writes it to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

import vasari
from result_files import MACHINE, result_file
from vasari.cli.main import quiet_libraries
from vasari.data.tasks.pool import PoolSettings, make_pool
from vasari.model.processor import load_processor
from vasari.model.transformers_policy import load_model
from vasari.train.prompt_data import ChatCollator
from vasari.train.settings import SftSettings

SHIPPED = Path(vasari.__file__).parent / "assets" / "tiny_base"
FAMILIES = ("bars", "dice", "shapes")
BATCH = 64


def kind_of_ask(question: str) -> str:
    """Return the kind of calculation that a question on a list of named numbers asks for."""
    asked = question.rsplit(". ", maxsplit=1)[-1]
    if "A)" in asked:
        return "an option's letter"
    for word, kind in (
        ("far apart", "far apart, two sums"),
        ("taller", "how many are above"),
        ("more than", "which are above"),
        ("more", "the larger of two"),
        ("exactly", "which are equal"),
        ("minus shortest", "largest minus smallest"),
        ("minus second", "largest minus second"),
        ("sum of all", "sum of all"),
    ):
        if word in asked:
            return kind
    if "plus" in asked:
        return "sum and difference of three" if "minus" in asked else "sum of two"
    return "difference of two" if "minus" in asked else "the largest or smallest"


def kind(question: str, family: str) -> str:
    """Return the kind of question, under which the table counts it."""
    if "Read:" in question:
        return f"{family}: what the question needs"
    if re.search(r"\d\. ", question):
        return f"text: {kind_of_ask(question)}"
    return f"{family}: {'a line' if re.search(r'row|column', question) else 'a colour'}"


def answered(
    model: Any, processor: Any, batch: dict[str, torch.Tensor]
) -> Iterator[list[tuple[str, bool]]]:
    """Yield each conversation's questions, with whether the model's greedy answer is right."""
    labels = batch.pop("labels")[:, 1:].numpy()
    with torch.no_grad():
        likely = model(**batch).logits[:, :-1].argmax(-1).numpy()
    for told, guessed, ids in zip(labels, likely, batch["input_ids"].numpy(), strict=True):
        spoken = np.flatnonzero(told != -100)
        answers = np.split(spoken, np.flatnonzero(np.diff(spoken) > 1) + 1)
        ends = [0, *(int(answer[-1]) + 1 for answer in answers)]
        questions = [
            processor.tokenizer.decode(ids[end : int(answer[0]) + 1])
            for end, answer in zip(ends, answers, strict=False)
        ]
        yield [
            (q, bool((told[a] == guessed[a]).all()))
            for q, a in zip(questions, answers, strict=True)
        ]


def main() -> None:
    """Run the benchmark, print its tables and write them to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=SHIPPED)
    parser.add_argument("--pictures", type=int, default=120)
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    quiet_libraries()
    model, processor = load_model(str(arguments.model)).eval(), load_processor(str(arguments.model))
    settings = PoolSettings(families=FAMILIES, num_prompts=arguments.pictures, shape="dynamath")
    prompts = make_pool(settings, split="validation", seed=arguments.seed)
    sft = SftSettings(target="facts", reads=True, facts_per_image=1, named_sums_per_image=5)
    collator = ChatCollator(prompts, processor, sft, system="", seed=arguments.seed)
    found: dict[str, list[bool]] = defaultdict(list)
    for first in range(0, len(prompts), BATCH):
        rows = range(first, min(first + BATCH, len(prompts)))
        conversations = answered(model, processor, collator([{"index": row} for row in rows]))
        for row, conversation in zip(rows, conversations, strict=True):
            for question, ok in conversation:
                found[kind(question, prompts[row].category or "")].append(ok)
    lines = ["| question | asked | right |", "| --- | --- | --- |"]
    lines += [f"| {name} | {len(ok)} | {np.mean(ok):.2f} |" for name, ok in sorted(found.items())]
    text = "\n".join(lines)
    print(text)
    result = result_file("base_reading")
    if arguments.model != SHIPPED:
        return
    result.write_text(
        f"# What the shipped base reads\n\n{text}\n\n{arguments.pictures} validation pictures; an"
        " answer is right when each token of it is the most likely one.\n\n`python"
        f" benchmarks/base_reading.py --pictures {arguments.pictures} --seed {arguments.seed}`,"
        f" vasari {vasari.__version__}, torch {torch.__version__}, {MACHINE}.\n"
    )
    print(f"\nwritten to {result}")


if __name__ == "__main__":
    main()
