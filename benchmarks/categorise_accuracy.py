"""How often does a classifier name MathVision's own category of a problem, beside baselines?

    python benchmarks/categorise_accuracy.py --mathvision DIR
    python benchmarks/categorise_accuracy.py --mathvision DIR --base-url http://localhost:8000/v1
    --model NAME [--images]

DIR holds MathVision's test.jsonl (3,040 problems in 16 subjects, MIT), translated to the paper's
thirteen categories. Without a server: the largest category for all, and naive Bayes over the words
of the question, 10-fold. With one: the stage `categorise`, whose answers are kept in --store, so
that it can be stopped and continued. --images takes the problems whose pictures are there
(testmini), and shows them. Prints a table and writes it.
"""

from __future__ import annotations

import argparse
import math
import platform
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import vasari
from result_files import MACHINE, RESULTS, result_file
from vasari.curate.ask.categorise import (
    MATHVISION_SUBJECTS,
    CategoriseSettings,
    CategoryAccuracy,
    compare_categories,
    measure_categories,
)
from vasari.curate.match.question_text import read_question
from vasari.curate.stage import AskedModel
from vasari.data.sources import BadRow, read_source
from vasari.endpoint import EndpointSettings, ResponseStore, Sampling
from vasari.model.chat import user_text
from vasari.records import Prompt

FOLDS = 10


def problems(folder: Path, *, images: bool) -> list[Prompt]:
    """Read MathVision's problems; with `images`, only those whose picture is in the folder."""
    rows = read_source(
        "mathvision", folder, split="testmini" if images else "test", allow_test=True, images=images
    )
    return [row for row in rows if not isinstance(row, BadRow)]


def naive_bayes(texts: Sequence[Sequence[str]], gold: Sequence[str], *, seed: int = 0) -> list[str]:
    """Predict categories by naive Bayes with add-one smoothing, under 10-fold cross-validation."""
    fold = np.random.default_rng(seed).permutation(len(texts)) % FOLDS
    named = [""] * len(texts)
    for held in range(FOLDS):
        words: dict[str, Counter[str]] = {}
        seen: Counter[str] = Counter()
        for place, (text, category) in enumerate(zip(texts, gold, strict=True)):
            if fold[place] != held:
                words.setdefault(category, Counter()).update(set(text))
                seen[category] += 1
        size = len(set().union(*words.values()))
        totals = {category: counts.total() + size for category, counts in words.items()}
        for place in np.flatnonzero(fold == held):
            scores = {
                category: (
                    math.log(seen[category])
                    + sum(
                        math.log((counts[word] + 1) / totals[category])
                        for word in set(texts[place])
                    )
                )
                for category, counts in words.items()
            }
            named[place] = max(scores, key=lambda category: (scores[category], category))
    return named


def row(name: str, found: CategoryAccuracy) -> str:
    """Return one line of the table."""
    return (
        f"| {name} | {found.num_prompts:,} | {found.accuracy:.3f} [{found.low:.3f},"
        f" {found.high:.3f}] | {found.macro_recall:.3f} | {found.num_unreadable} |"
    )


def report(given: argparse.Namespace) -> str:
    """Run all measurements and return them as Markdown."""
    prompts = problems(given.mathvision, images=given.images)[: given.limit]
    gold = [MATHVISION_SUBJECTS.get(prompt.category, prompt.category) for prompt in prompts]
    largest = Counter(gold).most_common(1)[0][0]
    bayes = compare_categories(
        gold, naive_bayes([read_question(user_text(prompt)).words for prompt in prompts], gold)
    )
    lines = [
        "# Categories against MathVision's subjects",
        "",
        (
            "The thirteen categories of arXiv:2509.21268, appendix B; MathVision's metric and"
            " transformation geometry count as plane geometry, analytic geometry as functions."
            " Accuracy with its Wilson 95% interval; recall: mean over categories."
        ),
        "",
        "| classifier | prompts | accuracy | mean recall | unreadable |",
        "| --- | --- | --- | --- | --- |",
        row(f"always {largest}", compare_categories(gold, [largest] * len(gold))),
        row("naive Bayes over the question's words, 10-fold", bayes),
    ]
    detail, table = "naive Bayes", bayes
    if given.base_url:
        settings = EndpointSettings(base_url=given.base_url, api_key_env=given.key_env)
        with ResponseStore(given.store) as store:
            model = AskedModel(
                settings=settings,
                store=store,
                model=given.model,
                sampling=Sampling(temperature=0.0, max_tokens=64),
            )
            table = measure_categories(prompts, model, CategoriseSettings(with_images=given.images))
        detail = given.model
        lines.append(row(f"{given.model}, {'text and images' if given.images else 'text'}", table))
    versions = (
        f"vasari {vasari.__version__}, NumPy {np.__version__}, Python {platform.python_version()},"
        f" {MACHINE}"
    )
    lines += [
        "",
        f"By category, {detail}:",
        "",
        table.table(),
        "",
        f"`python benchmarks/categorise_accuracy.py`, {versions}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print the table and write it to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mathvision", type=Path, required=True)
    parser.add_argument("--base-url")
    parser.add_argument("--model", default="")
    parser.add_argument("--key-env", help="the environment variable that holds the server's key")
    parser.add_argument("--images", action="store_true")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--store", type=Path, default=Path("categorise_answers"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    text = report(given)
    print(text)
    result_file("categorise_accuracy", given.out).write_text(text)


if __name__ == "__main__":
    main()
