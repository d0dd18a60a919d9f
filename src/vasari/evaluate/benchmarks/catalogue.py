"""Records of the known benchmarks: data source, prompt wordings, prompt clusters, categories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vasari.core.errors import ConfigError
from vasari.evaluate.benchmarks.forms import (
    BARE,
    PAPER,
    QuestionForm,
    mathverse_query,
    mathverse_reasoning,
    mathvision_query,
    mathvista_query,
    mmmu_direct,
    mmmu_reasoning,
    short_answer,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """Description of a benchmark, published or a user's: source, prompt wordings, categories."""

    name: str
    """Name by which the scoring protocols know the benchmark."""
    title: str
    source: str
    """Name of the reader in `vasari.data.sources`, or the path of a YAML description."""
    split: str
    """The split on which results are reported."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """Number of prompts of each split as published; a folder with fewer is not the benchmark."""
    forms: Mapping[str, QuestionForm]
    """Ways to ask, by name; every benchmark has `paper`, `official` and `bare`."""
    cluster: str = "image"
    """What several prompts share: a field of their metadata, or `image` for those that show the
    same picture."""
    categories: Mapping[str, str]
    """How results are split: heading -> field of the metadata, or `category` or `difficulty` of the
    prompt."""
    official: str
    """How far the official scorer goes without an LLM."""


def _forms(official: QuestionForm, **others: QuestionForm) -> dict[str, QuestionForm]:
    return {"paper": PAPER, "official": official, **others, "bare": BARE}


MATHVERSE = Benchmark(
    name="mathverse",
    title="MathVerse",
    source="mathverse",
    split="testmini",
    sizes={"testmini": 3940, "testmini_text_only": 788},
    forms=_forms(
        QuestionForm(mathverse_query, "", "arXiv:2403.14624, query_wo"),
        official_cot=QuestionForm(mathverse_reasoning, "", "arXiv:2403.14624, query_cot"),
    ),
    # Five versions of one problem: 788 problems, not 3,940 independent ones.
    cluster="problem_index",
    categories={
        "version": "problem_version",
        "subject": "category",
        "subfield": "subfield",
        "question type": "question_type",
    },
    official="official extraction and scoring are GPT's: nothing is decided without a judge",
)

MATHVISTA = Benchmark(
    name="mathvista",
    title="MathVista",
    source="mathvista",
    split="testmini",
    sizes={"testmini": 1000},
    forms=_forms(QuestionForm(mathvista_query, "", "arXiv:2310.02255, query")),
    categories={
        "task": "category",
        "grade": "difficulty",
        "skill": "skills",
        "question type": "question_type",
        "answer type": "answer_type",
        "context": "context",
    },
    official=(
        "GPT extracts where the quick rules find nothing: responses that are no bare answer stay"
        " undecided"
    ),
)

MATHVISION = Benchmark(
    name="mathvision",
    title="MathVision",
    source="mathvision",
    split="test",
    sizes={"test": 3040, "testmini": 304},
    forms=_forms(QuestionForm(mathvision_query, "", "arXiv:2402.14804")),
    categories={"subject": "category", "level": "difficulty"},
    official="deterministic",
)

LOGICVISTA = Benchmark(
    name="logicvista",
    title="LogicVista",
    source="logicvista",
    split="test",
    sizes={"test": 448},
    forms=_forms(QuestionForm(BARE.text, "", "arXiv:2407.04973: the question alone")),
    categories={"skill": "category", "capability": "capability"},
    official=(
        "GPT extracts the letters: only empty and single-sign responses are decided without it"
    ),
)

CHARTQA = Benchmark(
    name="chartqa",
    title="ChartQA",
    source="chartqa",
    split="test",
    sizes={"test": 2500},
    forms=_forms(
        QuestionForm(short_answer, "", "arXiv:2203.10244 prescribes none; as harnesses ask")
    ),
    categories={"origin": "category"},
    official="deterministic on the whole response: it must be the bare answer",
)

DYNAMATH = Benchmark(
    name="dynamath",
    title="DynaMath",
    source="dynamath",
    split="test",
    sizes={"test": 501},
    forms=_forms(QuestionForm(BARE.text, "", "arXiv:2411.00836: the question alone")),
    categories={"subject": "category", "level": "difficulty", "answer type": "answer_type"},
    official=(
        "no official rule is re-implemented: its scores are over ten variants of each seed question"
    ),
)

MMMU_PRO = Benchmark(
    name="mmmu_pro",
    title="MMMU-Pro",
    source="mmmu_pro",
    split="test",
    sizes={"test": 1730, "test_4_options": 1730},
    forms=_forms(
        QuestionForm(mmmu_direct, "", "arXiv:2409.02813, direct"),
        official_cot=QuestionForm(mmmu_reasoning, "", "arXiv:2409.02813, chain of thought"),
    ),
    categories={"subject": "category", "difficulty": "difficulty"},
    official="where no letter can be read it draws one at random: those responses stay undecided",
)

BENCHMARKS: Mapping[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (MATHVERSE, MATHVISTA, MATHVISION, LOGICVISTA, CHARTQA, DYNAMATH, MMMU_PRO)
}
"""Benchmarks by name; the first five in the order of table 2 of arXiv:2509.21268."""

PAPER_COLUMNS: tuple[str, ...] = ("mathverse", "mathvista", "mathvision", "logicvista", "chartqa")
"""Benchmarks that are the columns of table 2 of arXiv:2509.21268; its last column averages them."""


def find_benchmark(name: str, *, source: str | None = None) -> Benchmark:
    """Return the `Benchmark` called `name`, or a new one for a user's prompts read from `source`.

    Raises:
        ConfigError: No benchmark has this name, and no source is given.
    """
    if source is not None and name not in BENCHMARKS:
        return Benchmark(
            name=name,
            title=name,
            source=source,
            split="test",
            forms=_forms(BARE),
            categories={"category": "category", "difficulty": "difficulty"},
            official="none: it is a set of your own",
        )
    if name not in BENCHMARKS:
        raise ConfigError(
            f"there is no benchmark {name!r}; there are {', '.join(BENCHMARKS)}, or give the set"
            " `prompts` (a file of yours) or a `source` of vasari.data.sources"
        )
    return BENCHMARKS[name]
