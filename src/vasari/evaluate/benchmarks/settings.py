"""Settings of an evaluation on benchmarks, and the files of its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vasari.core.settings import Settings
from vasari.evaluate.benchmarks.catalogue import Benchmark, find_benchmark
from vasari.evaluate.benchmarks.forms import QuestionForm, filled_in, find_form
from vasari.evaluate.protocols import check_names
from vasari.evaluate.settings import Positive, RolloutSettings

PassName = Literal["shown", "blind"]
"""Name of a pass over the prompts: with the images, or the control without them."""

SET_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"


class BenchmarkSet(Settings):
    """Settings of one set of prompts: a benchmark, part of a benchmark, or a user's own prompts."""

    folder: str = "."
    """Folder with the unpacked files of the set, relative to the recipe."""
    prompts: str | None = None
    """For a set of your own: a file of prompts (.jsonl or .parquet, docs/data.md) in the folder."""
    template: str | None = None
    """The user's turn, in place of that of `prompt`: a text with `{question}` and, for choices,
    `{options}` in it."""
    categories: Mapping[str, str] | None = None
    """How results are split: heading -> field of the metadata, `category` or `difficulty`; None: as
    the benchmark's are."""
    benchmark: str | None = None
    """Which benchmark; None: the one that the set is named after."""
    source: str | None = None
    """For a set of your own: a name of vasari.data.sources, or the path of a YAML description,
    relative to the recipe."""
    split: str | None = None
    """Which split; None: the one on which results are reported."""
    only: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """A subset: field of the metadata, `category` or `difficulty` -> values that are kept."""
    limit: Positive | None = None
    """Number of prompts, drawn with the seed; None: all."""

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if self.prompts is not None and (self.source is not None or self.split is not None):
            raise ValueError("`prompts` is a file of your own and has no source and no split")
        return self


class BenchmarkSettings(RolloutSettings):
    """Settings of an evaluation on benchmarks: prompt sets, prompt wording, sampling, scoring."""

    shown_as: ClassVar[str] = "shown"

    sets: Mapping[Annotated[str, Field(pattern=SET_NAME)], BenchmarkSet]
    """Sets of prompts by name, such as `mathvision`."""
    prompt: str = "paper"
    """How questions are put: `paper` (arXiv:2509.21268, table 8), `official`, `bare`; MathVerse and
    MMMU-Pro also have `official_cot`."""
    system_prompt: str | None = None
    """System prompt in place of the one that belongs to `prompt`: `mmr1`, `none`, or a text; for
    models trained to a format."""
    protocols: tuple[str, ...] = ("paper", "official", "vasari")
    """How outputs are scored, side by side; the first one's numbers are in the table. Or your own
    scorer, as `package.module:attribute`."""
    num_rollouts: Positive = 1
    """Number of rollouts per prompt."""
    temperature: Annotated[float, Field(ge=0)] = 0.0
    """0 is greedy decoding, which suits one rollout."""
    max_tokens: Positive = 4096
    """Longest rollout, in tokens. Raising it regenerates the rollouts that were cut."""
    pass_at: tuple[Positive, ...] = (1, 2, 4, 8, 16, 32)
    """Which pass@k and maj@k are reported; those above `num_rollouts` are left out."""
    blind: Literal["removed", "blank"] | None = None
    """A control: prompts with images are asked once more, without them or with white pages."""
    batch_rollouts: Positive = 8
    """Rollouts that a model in this process generates at once."""
    workers: Positive = 1
    """Processes that share the scoring."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.sets:
            raise ValueError("sets: name at least one benchmark")
        check_names(self.protocols)
        for name in self.sets:
            self.form(name)
        if self.num_rollouts > 1 and self.temperature == 0:
            raise ValueError(
                "several rollouts at temperature 0 are one rollout several times; give a"
                " temperature"
            )
        return self

    def benchmark(self, set_name: str) -> Benchmark:
        """Return the `Benchmark` of the set `set_name`, with the settings' categories if given."""
        chosen = self.sets[set_name]
        found = find_benchmark(chosen.benchmark or set_name, source=chosen.source or chosen.prompts)
        if chosen.categories is None:
            return found
        return replace(found, categories=dict(chosen.categories))

    def form(self, set_name: str) -> QuestionForm:
        """Return the wording in which the model is asked the questions of the set `set_name`."""
        found = find_form(self.benchmark(set_name).forms, self.prompt, where=f"set {set_name!r}")
        template = self.sets[set_name].template
        if template is None:
            return found
        return replace(found, text=filled_in(template), source="the recipe")


class BenchmarkDir:
    """Paths of the files in the result folder of an evaluation on benchmarks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.recipe = root / "recipe.json"
        """File that says what was asked, of which model, by which version."""
        self.scores = root / "scores.json"
        """File of all scores with their intervals."""
        self.by_prompt = root / "by_prompt.jsonl"
        """File with one line per prompt, holding its verdicts, for paired comparisons."""
        self.bad_rows = root / "bad_rows.jsonl"
        """File of the rows that could not be read as prompts, with the reason."""
        self.failures = root / "failures.jsonl"
        """File of the rollouts for which no answer came, with the reason."""
        self.responses = root / "responses"
        """Folder of a server's responses, unless another store is named."""
        self.categories = root / "categories.md"
        """File of accuracies by each benchmark's own categories."""

    def table(self, suffix: str) -> Path:
        """Return the path of the result table with the suffix `.md`, `.tex` or `.html`."""
        return self.root / f"table{suffix}"

    def of_pass(self, name: str) -> Path:
        """Return the folder of results with images (`shown`: the root) or without (`blind`)."""
        return self.root if name == "shown" else self.root / "blind"

    def outputs(self, name: str) -> Path:
        """Return the path of the model outputs (one line per rollout), with or without images."""
        return self.of_pass(name) / "outputs.jsonl"

    def scoring(self, name: str) -> Path:
        """Return the folder for scoring the outputs with images (`shown`) or without (`blind`)."""
        return self.of_pass(name) / "scoring"
