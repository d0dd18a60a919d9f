"""Rollouts that share the reading of their prompt are those of transformers' own `generate`."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from stand_ins import STAND_INS, SYSTEM, inputs_of, mixed_pool  # noqa: E402
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig  # noqa: E402

from vasari.core.errors import StateError  # noqa: E402
from vasari.model.base import Decoding  # noqa: E402
from vasari.model.sampling import nothing_added_by, sampling  # noqa: E402
from vasari.model.shared_prefill import generate_shared, is_shareable  # noqa: E402
from vasari.model.transformers_policy import TransformersPolicy  # noqa: E402


def policy_of(folder):
    return TransformersPolicy.load(str(folder), system=SYSTEM, dtype="float32")


def pool_for(name):
    """Prompts with no, one, one and two images, and with three; or those without alone."""
    pool = mixed_pool(1)
    images = tuple(image for prompt in pool for image in prompt.images)[:3]
    pool.append(dataclasses.replace(pool[-1], id="three", question="Which is it?", images=images))
    return pool if STAND_INS[name].has_images else [p for p in pool if not p.images]


def settings_of(policy, temperature, *, top_p=1.0, early_ends=False):
    drawn = sampling(
        policy.model,
        policy.processor,
        Decoding(temperature=temperature, top_p=top_p, max_tokens=24),
    )
    if early_ends:
        # An untrained model ends a rollout once in hundreds of tokens; here one token in eight does.
        vocabulary = policy.model.config.get_text_config().vocab_size
        drawn.eos_token_id = [*drawn.eos_token_id, *range(0, vocabulary, 8)]
    return drawn


def both_ways(policy, pool, sources, drawn):
    """Sequences of `generate`, which is given each prompt as often as it has rollouts, and ours."""
    sequences, states = [], []
    for shared in (False, True):
        torch.manual_seed(5)
        prompts = pool if shared else [pool[source] for source in sources]
        inputs = inputs_of(policy, prompts)
        with torch.no_grad(), nothing_added_by(policy.model):
            if shared:
                made = generate_shared(policy.model, inputs, torch.tensor(sources), drawn).sequences
            else:
                made = policy.model.generate(**inputs, generation_config=drawn)
        sequences.append(made)
        states.append(torch.random.get_rng_state())
    return sequences, states


@pytest.mark.parametrize("early_ends", [False, True], ids=["late-ends", "early-ends"])
@pytest.mark.parametrize("temperature", [0.0, 1.0], ids=["greedy", "sampled"])
@pytest.mark.parametrize("name", STAND_INS)
def test_rollouts_are_those_of_generate_token_by_token(
    name, temperature, early_ends, family_folder
):
    policy, pool = policy_of(family_folder(name)), pool_for(name)
    drawn = settings_of(policy, temperature, early_ends=early_ends)
    # Prompts with none to three images, of unequal lengths, unequally often.
    sources = [place for place in range(len(pool)) for _ in range(2 + place % 2)]
    (expected, found), states = both_ways(policy, pool, sources, drawn)
    assert found.tolist() == expected.tolist()
    # What is drawn next is the same too.
    assert torch.equal(*states)


@pytest.mark.parametrize("name", STAND_INS)
def test_tokens_are_drawn_as_often_as_a_plain_forward_pass_says(name, family_folder):
    """Goodness of fit, by a chi-squared test: prompts side by side against each prompt alone."""
    policy, pool = policy_of(family_folder(name)), pool_for(name)
    draws, temperature = 800, 0.7
    decoding = Decoding(num_rollouts=draws, temperature=temperature, max_tokens=1)
    groups = policy.generate(pool, decoding.model_copy(update={"batch_rollouts": 10_000}), seed=7)
    never = sampling(policy.model, policy.processor, decoding).suppress_tokens or []
    for prompt, group in zip(pool, groups, strict=True):
        with torch.no_grad(), nothing_added_by(policy.model):
            logits = policy.model(**inputs_of(policy, [prompt])).logits[0, -1].double()
        logits[never] = -torch.inf
        expected = draws * (logits / temperature).softmax(-1).numpy()
        counts = np.bincount([int(own.token_ids[0]) for own in group], minlength=len(expected))
        assert not counts[never].any()
        # Rare tokens together, in classes of at least ten expected draws.
        order = np.argsort(-expected)
        classes = (np.cumsum(expected[order]) // 10).astype(int)
        classes = np.unique(np.minimum(classes, classes[-1] - 1), return_inverse=True)[1]
        seen, theirs = (np.bincount(classes, own[order]) for own in (counts, expected))
        assert len(seen) > 4
        statistic = float(((seen - theirs) ** 2 / theirs).sum())
        freedom = torch.tensor(float(len(seen) - 1))
        assert torch.special.gammaincc(freedom / 2, torch.tensor(statistic / 2)) > 1e-4


def test_rows_leave_when_they_end(family_folder):
    policy = policy_of(family_folder("qwen2_5_vl"))
    pool = pool_for("qwen2_5_vl")
    sizes: list[int] = []
    policy.model.register_forward_pre_hook(
        lambda _, __, given: sizes.append(len(given["input_ids"])), with_kwargs=True
    )
    drawn = settings_of(policy, 1.0, early_ends=True)
    inputs = inputs_of(policy, pool)
    torch.manual_seed(5)
    with torch.no_grad(), nothing_added_by(policy.model):
        generate_shared(policy.model, inputs, torch.arange(5).repeat_interleave(4), drawn)
    # Five prompts are read; twenty rows are written, and fewer and fewer of them.
    assert sizes[:2] == [5, 20]
    assert sizes[1:] == sorted(sizes[1:], reverse=True)
    assert sizes[-1] < 4


def test_a_nucleus_is_that_of_generate(family_folder):
    policy, pool = policy_of(family_folder("qwen2_5_vl")), pool_for("qwen2_5_vl")
    drawn = settings_of(policy, 0.7, top_p=0.5)
    (expected, found), _ = both_ways(policy, pool, [0, 0, 1, 2, 3, 3, 3], drawn)
    assert found.tolist() == expected.tolist()


def test_a_repetition_penalty_is_that_of_generate(family_folder):
    policy, pool = policy_of(family_folder("qwen2_5_vl")), pool_for("qwen2_5_vl")
    drawn = settings_of(policy, 1.0, early_ends=True)
    drawn.repetition_penalty = 1.3
    assert is_shareable(drawn)
    sources = [0, 0, 1, 1, 2, 3, 3, 3]
    (expected, found), _ = both_ways(policy, pool, sources, drawn)
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("name", "value"),
    [("num_beams", 2), ("no_repeat_ngram_size", 3), ("cache_implementation", "static")],
    ids=["beams", "ngrams", "static-cache"],
)
def test_other_settings_of_generation_are_left_to_generate(name, value, family_folder):
    drawn = settings_of(policy_of(family_folder("qwen2_5_vl")), 1.0)
    assert is_shareable(drawn)
    setattr(drawn, name, value)
    assert not is_shareable(drawn)


SMALL = {
    "mamba": {"num_hidden_layers": 2, "hidden_size": 32, "state_size": 4},
    "recurrent_gemma": {
        "num_hidden_layers": 3,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_attention_heads": 2,
        "lru_width": 32,
        "attention_window_size": 8,
    },
    "jamba": {
        "num_hidden_layers": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "num_experts": 2,
        "use_mamba_kernels": False,
    },
}
"""Text models with states: in a cache of their own, in their modules, in the usual cache."""


@pytest.mark.parametrize("name", SMALL)
def test_models_with_states_draw_what_generate_draws(name):
    config = AutoConfig.for_model(name, vocab_size=64, **SMALL[name])
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    drawn = GenerationConfig(
        do_sample=True, top_k=0, max_new_tokens=12, eos_token_id=[1, 2, 3], pad_token_id=0
    )
    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])
    sources = torch.tensor([0, 0, 0, 1, 1])
    torch.manual_seed(5)
    expected = model.generate(input_ids=ids[sources], generation_config=drawn)
    torch.manual_seed(5)
    found = generate_shared(model, {"input_ids": ids}, sources, drawn).sequences
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("temperature", [0.0, 1.0], ids=["greedy", "sampled"])
def test_logits_that_are_no_numbers_end_it_in_one_line(temperature, family_folder):
    policy = policy_of(family_folder("qwen2_5_vl"))
    with torch.no_grad():
        policy.model.model.language_model.layers[0].self_attn.q_proj.weight[0, 0] = torch.nan
    with pytest.raises(StateError, match=r"qwen2_5_vl: the model's logits are infinite or no num"):
        policy.generate(pool_for("qwen2_5_vl")[:1], Decoding(temperature=temperature), seed=0)


def test_a_cache_that_has_to_grow_gives_the_same_rollouts(family_folder, monkeypatch):
    policy, pool = policy_of(family_folder("qwen2_5_vl")), pool_for("qwen2_5_vl")
    monkeypatch.setattr("vasari.model.shared_prefill._GrowingLayer._least", 2)
    monkeypatch.setattr("vasari.model.shared_prefill._GrowingLayer._room", 0.0)
    drawn = settings_of(policy, 1.0, early_ends=True)
    (expected, found), _ = both_ways(policy, pool, [0, 1, 1, 1, 2, 2, 3], drawn)
    assert found.tolist() == expected.tolist()
