"""Categorisation stage: a model names each prompt's category; measures how often it is right.

Thirteen mathematical categories, those of arXiv:2509.21268.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import Field

from vasari.core.errors import DataError
from vasari.core.records import Prompt
from vasari.core.settings import Settings
from vasari.curate.ask.asking import ask_prompts, prompt_request
from vasari.curate.choose.grading import wilson_interval
from vasari.curate.stage import AskedModel, Reason, StageResult, sort_out
from vasari.endpoint import Request, Response
from vasari.verify import extract_answer
from vasari.verify.limits import LimitExceededError

# arXiv:2509.21268, appendix B: the thirteen names. What stands beside them is ours, and is what the
# model reads.
CATEGORIES: Final[Mapping[str, str]] = {
    "algebra": "equations, unknowns, sequences, divisibility and number theory",
    "arithmetic": "calculating with given numbers, money, time, fractions, percent",
    "combinatorial geometry": (
        "cutting, tiling, covering, packing or arranging shapes; how many shapes or pieces there"
        " can be"
    ),
    "combinatorics": (
        "how many ways there are: permutations, selections, paths, probability by counting"
    ),
    "counting": "counting the things that a picture shows",
    "descriptive geometry": "views, folding, nets, shadows, rotations of solids in the mind",
    "functions": "functions, their graphs, coordinates, analytic geometry",
    "graph theory": "networks of points and links: routes, maps, colourings, tournaments",
    "logic": "deductions from statements, puzzles with rules, games, weighings",
    "plane geometry": "lengths, angles, areas and transformations of plane figures",
    "solid geometry": "volumes, surfaces and lengths of solids",
    "statistics": "data, charts, tables, averages, empirical frequencies",
    "topology": "knots, links, what stays when a shape is bent or stretched",
}
"""Category name -> description of what belongs to the category."""

UNCATEGORISED: Final = "uncategorised"
"""Category of a prompt for which the model named no category of the list."""

MATHVISION_SUBJECTS: Final[Mapping[str, str]] = {
    "metric geometry - angle": "plane geometry",
    "metric geometry - area": "plane geometry",
    "metric geometry - length": "plane geometry",
    "transformation geometry": "plane geometry",
    "analytic geometry": "functions",
}
"""MathVision subject (arXiv:2402.14804) -> category name, where the two differ; the other eleven
subjects have the same names."""

CLASSIFIER_PROMPT: Final = (
    "You are shown a problem, with its picture or pictures if it has any. Do not solve it. Say"
    " which one of these categories it belongs to, by what is needed to solve it rather than by"
    " what it is about:\n{categories}\nReply with the name of one category in \\boxed{{}} and"
    " nothing else."
)

_SPACES = re.compile(r"[\s_]+")


class CategoriseSettings(Settings):
    """Settings of categorisation: the categories, and which prompts a model is asked about."""

    system: str = CLASSIFIER_PROMPT
    """The instructions; `{categories}` stands for the list, other braces are doubled."""
    categories: Mapping[str, str] = Field(default_factory=lambda: dict(CATEGORIES), min_length=2)
    """Category name in small letters -> description of what belongs to the category."""
    asked_domains: tuple[str, ...] = ("math", "any", "")
    """Domains (`metadata["domain"]`, "" where there is none) whose prompts are classified; others
    have their domain as their category, since their source says what they are: logic puzzles,
    charts, documents."""
    with_images: bool = True
    """Show the pictures; a classifier that reads the text alone is cheaper."""
    num_votes: int = Field(default=1, ge=1, le=33)
    """Answers per prompt; the most frequent category counts, and none if two tie."""
    drop_uncategorised: bool = False
    """Drop uncategorised prompts, with reason "uncategorised", instead of keeping them."""
    seed: int | None = None
    """Seed sent to the server; None for servers that take none."""

    def instructions(self) -> str:
        """Return the system prompt with the list of categories filled in."""
        return self.system.format(
            categories="\n".join(f"- {name}: {about}" for name, about in self.categories.items())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryAccuracy:
    """Accuracy of a classifier model against the categories that a data set gives."""

    num_prompts: int
    """Number of prompts with a known category."""
    accuracy: float
    """Share of those prompts that the classifier got right; unreadable replies and failed requests
    count as wrong."""
    low: float
    high: float
    """Wilson 95% interval of the accuracy."""
    majority: float
    """Share of the most frequent category: the accuracy of always naming it."""
    macro_recall: float
    """Mean recall over the categories: 1 / (number of categories) for any constant answer."""
    confusion: Mapping[str, Mapping[str, int]]
    """Gold category -> category named -> prompts, in alphabetical order; pairs that do not occur
    are left out."""
    num_unreadable: int
    """Number of prompts without a readable category."""

    def table(self) -> str:
        """Return the confusion table in Markdown, with a row for each gold category.

        Columns: number of prompts, share found, and the categories named instead.
        """
        lines = ["| gold | prompts | found | taken for |", "| --- | --- | --- | --- |"]
        for gold, named in self.confusion.items():
            total = sum(named.values())
            others = sorted(
                ((count, name) for name, count in named.items() if name != gold),
                key=lambda one: (-one[0], one[1]),
            )
            taken = ", ".join(f"{name} {count}" for count, name in others)
            lines.append(f"| {gold} | {total} | {named.get(gold, 0) / total:.2f} | {taken} |")
        return "\n".join(lines)


def categorise(
    prompts: Sequence[Prompt], model: AskedModel, settings: CategoriseSettings
) -> StageResult:
    """Set prompts' categories by a model; move old ones to `metadata["source_category"]`.

    A prompt whose category is not clear (unreadable reply, tie, failed request) is
    "uncategorised" and kept, unless `drop_uncategorised`. Counts: prompts by category as
    `category_...`, `unreadable_replies`, `classifier_failed` (prompts without any answer),
    `not_asked` and `unreadable` (prompts; their reasons when they are dropped), `by_source`.
    """
    wanted = [i for i, prompt in enumerate(prompts) if is_asked(prompt, settings)]
    named, counts = _named(prompts, wanted, model, settings)

    def decide(index: int, prompt: Prompt) -> Prompt | Reason:
        if index in named:
            category, why = named[index]
        else:
            category, why = str(prompt.metadata.get("domain") or prompt.category), ""
            counts["by_source"] += 1
        if category == UNCATEGORISED and settings.drop_uncategorised:
            return UNCATEGORISED, why
        counts[f"category_{category}"] += 1
        metadata = dict(prompt.metadata) | {"source_category": prompt.category}
        return dataclasses.replace(prompt, category=category, metadata=metadata)

    result = sort_out(prompts, decide)
    return dataclasses.replace(result, counts=counts)


def is_asked(prompt: Prompt, settings: CategoriseSettings) -> bool:
    """Whether a model is asked for a prompt's category; if not, its domain is its category."""
    return str(prompt.metadata.get("domain") or "") in settings.asked_domains


def categorise_request(prompt: Prompt, model: AskedModel, settings: CategoriseSettings) -> Request:
    """Build the request that asks the classifier model for the category of one prompt.

    Raises DataError where an image cannot be sent.
    """
    return prompt_request(
        prompt,
        model,
        system=settings.instructions(),
        seed=settings.seed,
        with_images=settings.with_images,
    )


def measure_categories(
    prompts: Sequence[Prompt],
    model: AskedModel,
    settings: CategoriseSettings,
    *,
    gold: Mapping[str, str] = MATHVISION_SUBJECTS,
) -> CategoryAccuracy:
    """Measure a model's accuracy on prompts whose category is known, such as MathVision's.

    Args:
        prompts: With their gold category in `category`, in the source's words.
        model: The classifier.
        settings: As in `categorise`; every prompt is asked about, whatever its domain.
        gold: The source's word -> ours, where they differ.

    Raises:
        DataError: No prompt, or a category that is none of ours after translation.
    """
    if not prompts:
        raise DataError("no prompt to measure a classifier on")
    golds = [gold.get(prompt.category, prompt.category) for prompt in prompts]
    if unknown := sorted(set(golds) - set(settings.categories)):
        raise DataError(
            f"gold categories {unknown} are none of {sorted(settings.categories)}; translate them"
            " with `gold`"
        )
    named, _ = _named(prompts, range(len(prompts)), model, settings)
    return compare_categories(golds, [named[index][0] for index in range(len(prompts))])


def compare_categories(gold: Sequence[str], named: Sequence[str]) -> CategoryAccuracy:
    """Accuracy of the categories that a model named, compared with each prompt's gold category.

    Raises:
        DataError: No prompt, or unequal numbers.
    """
    if not gold or len(gold) != len(named):
        raise DataError(
            f"{len(gold)} gold categories and {len(named)} named ones; there must be as many, at"
            " least one"
        )
    confusion: dict[str, Counter[str]] = {}
    for right, said in zip(gold, named, strict=True):
        confusion.setdefault(right, Counter())[said] += 1
    correct = sum(named_as[right] for right, named_as in confusion.items())
    low, high = wilson_interval(correct, len(gold))
    return CategoryAccuracy(
        num_prompts=len(gold),
        accuracy=correct / len(gold),
        low=low,
        high=high,
        majority=max(named_as.total() for named_as in confusion.values()) / len(gold),
        macro_recall=sum(
            named_as[right] / named_as.total() for right, named_as in confusion.items()
        )
        / len(confusion),
        confusion={right: dict(sorted(confusion[right].items())) for right in sorted(confusion)},
        num_unreadable=sum(said == UNCATEGORISED for said in named),
    )


def read_category(text: str, categories: Sequence[str] | Mapping[str, str]) -> str | None:
    r"""Parse a reply's category, bare or in `\boxed{}`; None if it is not in `categories`."""
    try:
        stated = extract_answer(text)
    except LimitExceededError:
        return None
    if stated.text is None:
        return None
    name = re.sub(r"\\text\s*\{([^{}]*)\}", r"\1", stated.text)
    name = _SPACES.sub(" ", name.strip(" \t\n.*\"'`")).casefold()
    return name if name in categories else None


def _named(
    prompts: Sequence[Prompt],
    wanted: Sequence[int],
    model: AskedModel,
    settings: CategoriseSettings,
) -> tuple[dict[int, tuple[str, str]], Counter[str]]:
    """Ask for categories: (category, why uncategorised) by position of the prompt, and counts."""
    found = ask_prompts(
        prompts,
        model,
        lambda prompt: categorise_request(prompt, model, settings),
        positions=wanted,
        num_responses=settings.num_votes,
    )
    named: dict[int, tuple[str, str]] = {}
    counts = found.lost("replies")
    for index in wanted:
        reason = found.unanswered(index, failed="classifier_failed", whole=True)
        if reason is not None:
            counts[reason[0]] += 1
            named[index] = UNCATEGORISED, ": ".join(reason)
            continue
        responses = found.answers[index].responses
        votes = [_vote(response, settings) for response in responses]
        counts["unreadable_replies"] += votes.count(None)
        category = _winner([vote for vote in votes if vote is not None])
        named[index] = (
            category or UNCATEGORISED,
            "" if category else f"replies: {[r.text[:60] for r in responses]}",
        )
    return named, counts


def _vote(response: Response, settings: CategoriseSettings) -> str | None:
    return None if response.truncated else read_category(response.text, settings.categories)


def _winner(votes: Sequence[str]) -> str | None:
    """The most frequent category; None without votes and where two tie."""
    ranked = Counter(votes).most_common(2)
    if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
        return None
    return ranked[0][0]
