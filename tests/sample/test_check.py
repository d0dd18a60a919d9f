"""The checker must find each kind of broken sampler."""

from collections.abc import Mapping

import numpy as np
import pytest

from vasari.records import Draw
from vasari.sample import PromptSampler, check_prompt_sampler, make_sampler


class Plain(PromptSampler):
    """A user's sampler: uniform, without passes."""

    name = "plain"

    def due(self, step):
        return np.zeros(0, dtype=np.int64)

    def metrics(self) -> Mapping[str, float]:
        return {}

    def _draw(self, num_prompts):
        return Draw(
            self._rng.choice(self.num_prompts, size=num_prompts, replace=False),
            ("uniform",) * num_prompts,
        )

    def _observe(self, groups):
        pass

    def _state(self):
        return {}

    def _restore(self, state, origin):
        pass


class Duplicates(Plain):
    def _draw(self, num_prompts):
        return Draw(
            self._rng.integers(self.num_prompts, size=num_prompts), ("uniform",) * num_prompts
        )


class TooFew(Plain):
    def _draw(self, num_prompts):
        return super()._draw(max(1, num_prompts - 1))


class SmallIntegers(Plain):
    def _draw(self, num_prompts):
        return Draw(super()._draw(num_prompts).indices.astype(np.int32), ("uniform",) * num_prompts)


class Outside(Plain):
    def _draw(self, num_prompts):
        return Draw(
            super()._draw(num_prompts).indices + self.num_prompts, ("uniform",) * num_prompts
        )


class Random(Plain):
    def _draw(self, num_prompts):
        self._rng = np.random.default_rng()
        return super()._draw(num_prompts)


class Forgetful(Plain):
    """Its draws depend on a count that it does not save."""

    def __init__(self, **pool):
        super().__init__(**pool)
        self.count = 0

    def _draw(self, num_prompts):
        self.count += 1
        draw = super()._draw(num_prompts)
        return Draw((draw.indices + self.count) % self.num_prompts, draw.roles)


class Sharing(Plain):
    """Its state is its own array, not a copy."""

    def __init__(self, **pool):
        super().__init__(**pool)
        self.shift = np.zeros(1, dtype=np.int64)

    def _draw(self, num_prompts):
        self.shift += 1
        draw = super()._draw(num_prompts)
        return Draw((draw.indices + self.shift[0]) % self.num_prompts, draw.roles)

    def _state(self):
        return {"shift": self.shift}

    def _restore(self, state, origin):
        self.shift = np.array(state["shift"])


class Trusting(Plain):
    def load_state_dict(self, state, *, remap=False):
        self._rng.bit_generator.state = state["rng"]


class Brittle(Plain):
    """Fails on groups whose verdicts are all unverifiable."""

    def _observe(self, groups):
        for group in groups:
            if np.isnan(group.verdicts).all():
                raise AssertionError("no verdict")


class Talkative(Plain):
    def metrics(self):
        return {"sampler/state": "fine"}


class Endless(Plain):
    def draw(self, num_prompts):
        return Draw(np.arange(num_prompts) % self.num_prompts, ("uniform",) * num_prompts)


class Asking(Plain):
    def due(self, step):
        return np.zeros(2, dtype=np.int64)


class Scoring(Plain):
    """Remembers a number of each prompt, and says it."""

    def __init__(self, **pool):
        super().__init__(**pool)
        self.known = np.zeros(self.num_prompts)

    def scores(self):
        return self.known.copy()

    def _observe(self, groups):
        for group in groups:
            self.known[group.index] += np.nansum(group.verdicts)

    def _state(self):
        return {"known": self.known.copy()}

    def _restore(self, state, origin):
        known = np.array(state["known"])
        self.known = (
            known if origin is None else np.where(origin >= 0, known[np.maximum(origin, 0)], 0.0)
        )


class ByCategory(Scoring):
    def scores(self):
        return self.known[:3]


class Lists(Scoring):
    def scores(self):
        return self.known.tolist()


class Drawing(Scoring):
    """Its scores take from the generator that its draws take from."""

    def scores(self):
        return self.known + self._rng.random(self.num_prompts)


class Counting(Plain):
    def metrics(self):
        return {"sampler/random": float(self._rng.random())}


class InPlace(Scoring):
    """Maps a changed pool by position instead of by id."""

    def _restore(self, state, origin):
        self.known = np.array(state["known"])


def test_a_sampler_that_reads_answers_and_keeps_scores_passes():
    class Answers(Scoring):
        def _observe(self, groups):
            for group in groups:
                self.known[group.index] += len(set(group.answers))

    check_prompt_sampler(Scoring)
    check_prompt_sampler(Answers)


def test_a_users_sampler_passes():
    check_prompt_sampler(Plain)


def test_a_maker_may_fix_the_pool():
    check_prompt_sampler(lambda: make_sampler("vas", num_prompts=20, seed=0, refresh="online"))
    check_prompt_sampler(
        lambda num_prompts, seed: make_sampler(
            "vas", num_prompts=num_prompts, seed=seed, refresh="online"
        )
    )


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Duplicates, "a prompt stands twice in one batch"),
        (TooFew, "has indices of shape"),
        (SmallIntegers, "must be an int64 array"),
        (Outside, "lies outside the pool"),
        (Random, "two samplers of one seed"),
        (ByCategory, "scores of 40 prompts have shape"),
        (Lists, "scores must be an array or None"),
        (Drawing, "metrics or scores change the sampler's state"),
        (Counting, "metrics or scores change the sampler's state"),
        (InPlace, "_restore must use origin"),
        (Forgetful, "does not decide as the one that was saved"),
        (Sharing, "it shares its arrays"),
        (Trusting, "state of another pool was loaded"),
        (Brittle, "no verdict"),
        (Talkative, "metrics must be numbers"),
        (Endless, "larger than the pool"),
        (Asking, "due names a prompt twice"),
        (object, "not a PromptSampler"),
    ],
)
def test_a_broken_sampler_is_found(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_prompt_sampler(broken)


def test_replacement_is_known_to_the_checker():
    with pytest.raises(AssertionError, match="stands twice"):
        check_prompt_sampler(lambda **pool: make_sampler("vas", preset="paper", **pool))
    check_prompt_sampler(lambda **pool: make_sampler("vas", preset="paper", **pool), unique=False)
