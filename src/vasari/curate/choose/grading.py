"""Sorts prompts into difficulty bins by the pass rate of a strong model: easy, medium or hard.

Bins as in arXiv:2509.21268, section 5: easy at a pass rate of 0.8 or more, hard at 0.2 or less,
else medium; easy prompts are dropped. Curtailed sampling: once every way in which the remaining
rollouts can end leads to the same bin, they are not drawn, so the bin is the one that all rollouts
would have given. Unverifiable rollouts leave the count.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from vasari.core.errors import ConfigError, DataError
from vasari.core.settings import Settings

MAX_ROLLOUTS = 128
"""Most rollouts a prompt: the table of decisions has about num_rollouts^3 / 6 entries (350,000 at
the limit)."""


Bin = Literal["easy", "medium", "hard"]

Decision = Literal["bin", "keep"]
"""What must be certain before drawing stops: the difficulty bin, or only whether it is kept."""


class Difficulty(enum.StrEnum):
    """Difficulty bin of a prompt; UNGRADED if too few of its rollouts could be verified."""

    EASY = "easy"
    MEDIUM = "medium"
    HARD = "hard"
    UNGRADED = "ungraded"


class GradingSettings(Settings):
    """Settings of grading: the answering model, rollouts per prompt, limits of difficulty bins."""

    model: str | None = None
    """Name of the model of a recipe that answers."""
    verdicts: str | None = None
    """JSON lines {"id", "verdicts": [1, 0, null]} of rollouts that were drawn elsewhere, in place
    of a model."""
    num_rollouts: int = Field(default=8, ge=1, le=MAX_ROLLOUTS)
    """Most rollouts per prompt; fewer are drawn when they settle the bin."""
    easy_from: float = 0.8
    """Least pass rate of an easy prompt."""
    hard_to: float = 0.2
    """Largest pass rate of a hard prompt."""
    min_verifiable: int = Field(default=1, ge=1)
    """With fewer verifiable rollouts than this a prompt is UNGRADED, and not kept."""
    keep: tuple[Bin, ...] = ("medium", "hard")
    """Difficulty bins whose prompts are kept."""
    system: str = "mmr1"
    """System prompt of the answering model: `mmr1`, `small`, `none`, or a text."""
    seed: int | None = None
    """Seed sent to the server; None for servers that take none."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 0.0 <= self.hard_to < self.easy_from <= 1.0:
            raise ValueError(
                f"bins need 0 <= hard_to < easy_from <= 1, got hard_to={self.hard_to},"
                f" easy_from={self.easy_from}"
            )
        if self.min_verifiable > self.num_rollouts:
            raise ValueError(
                f"min_verifiable must be in [1, {self.num_rollouts}], got {self.min_verifiable}"
            )
        return self


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one prompt's correct, incorrect and unverifiable rollouts so far."""

    num_correct: int = 0
    num_incorrect: int = 0
    num_unverifiable: int = 0

    @property
    def num_drawn(self) -> int:
        """Number of rollouts of the prompt drawn so far, unverifiable rollouts included."""
        return self.num_correct + self.num_incorrect + self.num_unverifiable

    def with_verdict(self, verdict: float) -> Tally:
        """Return the rollout counts after one more verdict: 1 correct, 0 not, nan unverifiable.

        Raises:
            DataError: The verdict is another number.
        """
        if math.isnan(verdict):
            return Tally(self.num_correct, self.num_incorrect, self.num_unverifiable + 1)
        if verdict not in (0.0, 1.0):
            raise DataError(f"a verdict must be 1, 0 or nan, got {verdict}")
        right = int(verdict)
        return Tally(
            self.num_correct + right, self.num_incorrect + 1 - right, self.num_unverifiable
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """A prompt's difficulty bin, whether it is kept, and its pass rate, from rollouts so far."""

    tally: Tally
    difficulty: Difficulty | None
    """The bin; None when it was only decided that the prompt is kept, or dropped, whichever of
    several bins it is in."""
    kept: bool | None
    """Whether the bin is one of those kept; None while undecided. UNGRADED is not kept."""
    pass_rate: float
    """Correct / verifiable rollouts drawn; nan without any. Where sampling was curtailed it leans
    to the side that ended it."""
    low: float
    """Lower end of the Wilson 95% interval of that pass rate, as if the number of rollouts had been
    fixed."""
    high: float
    """Upper end of that interval."""
    least: float
    """Least pass rate that the full number of rollouts could still have shown; nan when none is
    verifiable."""
    most: float
    """Largest pass rate that the full number of rollouts could still have shown."""


class Grader:
    """Assigns prompts to difficulty bins by rollout verdicts; says how many rollouts to draw.

    It holds no prompt's state, so one grader serves any number of prompts.

    Example:
        >>> Grader(GradingSettings(num_rollouts=8)).grade([0, 1, 0, 1, 1, 1, 1, 1]).tally.num_drawn
        4
    """

    def __init__(self, settings: GradingSettings, *, decide: Decision = "bin") -> None:
        """Set the difficulty bins, and whether the bin or only keep-or-drop must be certain.

        Raises:
            ConfigError: `decide` is neither "bin" nor "keep".
        """
        if decide not in get_args(Decision):
            raise ConfigError(f"decide must be 'bin' or 'keep', got {decide!r}")
        self.settings, self.decide = settings, decide
        # As written, not as stored: 0.8 as a binary fraction is a little above 4/5, and 4 of 5 is
        # easy.
        self._easy = Fraction(str(settings.easy_from))
        self._hard = Fraction(str(settings.hard_to))
        self._reachable, self._wave = self._tables()

    def bin_of(self, num_correct: int, num_incorrect: int) -> Difficulty:
        """Difficulty bin of a prompt with these final counts of correct and incorrect rollouts."""
        verifiable = num_correct + num_incorrect
        if verifiable < self.settings.min_verifiable:
            return Difficulty.UNGRADED
        rate = Fraction(num_correct, verifiable)
        if rate >= self._easy:
            return Difficulty.EASY
        return Difficulty.HARD if rate <= self._hard else Difficulty.MEDIUM

    def reachable(self, tally: Tally) -> frozenset[Difficulty]:
        """Difficulty bins that a prompt can still end in, given its rollout counts so far."""
        return self._reachable[self._key(tally)]

    def next_wave(self, tally: Tally) -> int:
        """Number of a prompt's rollouts to draw next; 0 when its bin, or keep or drop, is sure.

        The fewest after which anything can be decided.

        Drawing wave by wave in parallel costs no rollout more than drawing one by one.
        """
        return self._wave[self._key(tally)]

    def grade_of(self, tally: Tally) -> Grade:
        """Grade a prompt by the counts of its rollouts drawn so far."""
        bins = self.reachable(tally)
        keeps = {found in self.settings.keep for found in bins}
        verifiable = tally.num_correct + tally.num_incorrect
        left = self.settings.num_rollouts - tally.num_drawn
        low, high = wilson_interval(tally.num_correct, verifiable)
        some = verifiable + left
        return Grade(
            tally=tally,
            difficulty=next(iter(bins)) if len(bins) == 1 else None,
            kept=keeps.pop() if len(keeps) == 1 else None,
            pass_rate=tally.num_correct / verifiable if verifiable else math.nan,
            low=low,
            high=high,
            least=tally.num_correct / some if some else math.nan,
            most=(tally.num_correct + left) / some if some else math.nan,
        )

    def grade(self, verdicts: Iterable[float]) -> Grade:
        """Grade a prompt from its rollouts' verdicts (1, 0 or nan), reading only those needed.

        Raises:
            DataError: The verdicts end before anything is decided.
        """
        tally, source = Tally(), iter(verdicts)
        while self.next_wave(tally):
            try:
                tally = tally.with_verdict(float(next(source)))
            except StopIteration:
                raise DataError(
                    f"{tally.num_drawn} verdicts do not decide the {self.decide}; "
                    f"give up to {self.settings.num_rollouts} a prompt"
                ) from None
        return self.grade_of(tally)

    def _key(self, tally: Tally) -> tuple[int, int, int]:
        if tally.num_drawn > self.settings.num_rollouts:
            raise DataError(
                f"{tally.num_drawn} rollouts of one prompt; the settings allow"
                f" {self.settings.num_rollouts}"
            )
        return tally.num_correct, tally.num_incorrect, tally.num_unverifiable

    def _tables(
        self,
    ) -> tuple[dict[tuple[int, int, int], frozenset[Difficulty]], dict[tuple[int, int, int], int]]:
        """Reachable bins and next waves of every tally, computed from the full ones backwards."""
        reachable: dict[tuple[int, int, int], frozenset[Difficulty]] = {}
        wave: dict[tuple[int, int, int], int] = {}
        num = self.settings.num_rollouts
        sets: dict[
            frozenset[Difficulty], frozenset[Difficulty]
        ] = {}  # 15 possible sets, shared by all entries
        for drawn in range(num, -1, -1):
            for right in range(drawn + 1):
                for wrong in range(drawn - right + 1):
                    key = (right, wrong, drawn - right - wrong)
                    if drawn == num:
                        bins = frozenset([self.bin_of(right, wrong)])
                    else:
                        after = [
                            (right + 1, wrong, key[2]),
                            (right, wrong + 1, key[2]),
                            (right, wrong, key[2] + 1),
                        ]
                        bins = frozenset().union(*(reachable[k] for k in after))
                    reachable[key] = sets.setdefault(bins, bins)
                    wave[key] = 0 if self._decided(bins) else 1 + min(wave[k] for k in after)
        return reachable, wave

    def _decided(self, bins: frozenset[Difficulty]) -> bool:
        if self.decide == "bin":
            return len(bins) == 1
        # A prompt that may yet turn out ungraded is dropped for another reason than an easy one:
        # that too must be certain.
        if Difficulty.UNGRADED in bins:
            return len(bins) == 1
        return len({found in self.settings.keep for found in bins}) == 1


def wilson_interval(
    num_correct: int, num_verifiable: int, z: float = 1.959963984540054
) -> tuple[float, float]:
    """Wilson (1927) interval (low, high) of a pass rate; (0, 1) if no rollout was verifiable.

    `(p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n)` with the pass rate p of n verifiable
    rollouts, 95% by default.

    Raises:
        DataError: More correct than verifiable rollouts, or a negative count.
    """
    if not 0 <= num_correct <= num_verifiable:
        raise DataError(
            f"need 0 <= num_correct <= num_verifiable, got {num_correct} of {num_verifiable}"
        )
    if num_verifiable == 0:
        return 0.0, 1.0
    n, p = num_verifiable, num_correct / num_verifiable
    middle, scale = p + z * z / (2 * n), 1 + z * z / n
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # Rounding may put an end of it a last digit beside a rate of 0 or 1.
    return min(p, max(0.0, (middle - half) / scale)), max(p, min(1.0, (middle + half) / scale))
