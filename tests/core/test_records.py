import math

import numpy as np
import pytest

from vasari.core.errors import DataError
from vasari.records import (
    Draw,
    GroupOutcome,
    ImageRef,
    Outcome,
    Prompt,
    Verdict,
    pool_fingerprint,
    prompt_digests,
)


def group(**changes):
    fields = {"index": 3, "rewards": [2.0, 0.0], "verdicts": [1, 0], "token_ids": [[5, 6, 7], [8]]}
    return GroupOutcome(**(fields | changes))


@pytest.mark.parametrize(("outcome", "value"), [(Outcome.CORRECT, 1.0), (Outcome.INCORRECT, 0.0)])
def test_a_verdict_is_a_number(outcome, value):
    assert Verdict(outcome).value == value


def test_an_unverifiable_verdict_is_neither_right_nor_wrong():
    assert math.isnan(Verdict(Outcome.UNVERIFIABLE).value)


def test_a_group_holds_vectors_of_floats():
    made = group()
    assert (made.rewards.dtype, made.verdicts.dtype) == (np.float64, np.float64)
    assert (made.num_rollouts, made.num_tokens) == (2, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rewards": [1.0]}, "vectors of one length"),
        ({"rewards": [], "verdicts": [], "token_ids": ()}, "at least 1"),
        ({"rewards": [[1.0, 0.0]], "verdicts": [[1, 0]]}, "vectors of one length"),
        ({"verdicts": [0.5, 0]}, "verdicts must be 0, 1 or nan"),
        ({"token_ids": [[1]]}, "1 token sequences for 2 rollouts"),
        ({"purpose": "warmup"}, "got 'warmup'"),
    ],
)
def test_an_impossible_group_is_refused(changes, message):
    with pytest.raises(DataError, match=f"prompt 3.*{message}"):
        group(**changes)


def test_unverifiable_rollouts_are_kept_in_a_group():
    assert group(rewards=[math.nan, 1.0], verdicts=[math.nan, 1]).num_rollouts == 2


def test_an_image_needs_bytes_or_a_path():
    with pytest.raises(DataError, match="its bytes or a path"):
        ImageRef()


def test_a_prompt_without_images_is_ordinary():
    assert Prompt(id="a", question="2+2?", answer="4").images == ()


def test_a_draw_is_as_long_as_its_batch():
    assert len(Draw(np.arange(3), ("uniform",) * 3)) == 3


def test_digests_are_the_same_on_every_machine():
    # blake2b of "a" with an 8-byte digest, from `b2sum -l 64`, read as little-endian.
    expected = int.from_bytes(bytes.fromhex("40f89e395b66422f"), "little")
    assert prompt_digests(["a"]).tolist() == [expected]


def test_no_ids_have_no_digests():
    assert prompt_digests([]).shape == (0,)


def test_a_fingerprint_knows_the_order():
    one, other = (prompt_digests(ids) for ids in (["a", "b"], ["b", "a"]))
    assert pool_fingerprint(one) != pool_fingerprint(other)


def test_a_padded_array_of_tokens_is_refused() -> None:
    with pytest.raises(DataError, match="padding cannot be told from tokens"):
        GroupOutcome(
            index=0,
            rewards=np.ones(2),
            verdicts=np.ones(2),
            token_ids=np.zeros((2, 5), dtype=np.int32),
        )  # type: ignore[arg-type]
