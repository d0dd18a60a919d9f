"""The scripted policy keeps a policy's contract, and its pass rates are what was asked for."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vasari.model.base import Decoding
from vasari.model.scripted import (
    END_TOKEN,
    ScriptedPolicy,
    scripted_rollout,
)
from vasari.records import ImageRef, Prompt

NUMBER = Prompt(
    id="a", question="How many?", answer="12", kind="number", images=(ImageRef(path="one.png"),)
)
LETTER = Prompt(
    id="b", question="Which?", answer="B", kind="choice", choices=("red", "green", "blue")
)
WORD = Prompt(id="c", question="Which colour?", answer="red", kind="text")


@given(st.text(max_size=60), st.integers(1, 40))
def test_a_rollout_is_a_prefix_of_its_text_and_ends_unless_it_is_truncated(text, max_tokens):
    rollout = scripted_rollout(text, max_tokens=max_tokens)
    assert text.startswith(rollout.text)
    assert len(rollout.token_ids) <= max_tokens
    assert (rollout.token_ids[-1] == END_TOKEN) != rollout.truncated
    assert rollout.truncated or rollout.text == text


@given(st.text(max_size=40), st.text(max_size=40))
def test_different_texts_have_different_tokens(one, other):
    same = np.array_equal(
        scripted_rollout(one, max_tokens=99).token_ids,
        scripted_rollout(other, max_tokens=99).token_ids,
    )
    assert same == (one == other)


def test_tokens_are_words_signs_and_white_space():
    assert len(scripted_rollout("two  words, one end", max_tokens=99).token_ids) == len(
        ["two", "  ", "words", ",", " ", "one", " ", "end", "END"]
    )


def test_the_same_seed_gives_the_same_rollouts_whatever_prompts_stand_beside():
    policy = ScriptedPolicy(lambda prompt, rng: str(rng.integers(10**9)))
    decoding = Decoding(num_rollouts=3)
    together = policy.generate([NUMBER, LETTER], decoding, seed=5)
    alone = policy.generate([LETTER], decoding, seed=5)
    other = policy.generate([LETTER], decoding, seed=6)
    assert [r.text for r in together[1]] == [r.text for r in alone[0]] != [r.text for r in other[0]]


def test_greedy_rollouts_are_equal_and_do_not_depend_on_the_seed():
    policy = ScriptedPolicy(lambda prompt, rng: str(rng.integers(10**9)))
    greedy = Decoding(num_rollouts=4, temperature=0)
    texts = {r.text for seed in (1, 2) for r in policy.generate([NUMBER], greedy, seed=seed)[0]}
    assert len(texts) == 1


def test_the_blind_control_takes_the_images_away():
    policy = ScriptedPolicy(lambda prompt, rng: f"{len(prompt.images)} images")
    seen = [
        policy.generate([NUMBER], Decoding(num_rollouts=1, images=flag), seed=0)[0][0].text
        for flag in ("shown", "removed")
    ]
    assert seen == ["1 images", "0 images"]


def test_progress_counts_prompts():
    told = []
    ScriptedPolicy(lambda prompt, rng: "").generate(
        [NUMBER, LETTER], Decoding(), seed=0, tell=lambda d, t, note="": told.append((d, t))
    )
    assert told == [(1, 2), (2, 2)]
