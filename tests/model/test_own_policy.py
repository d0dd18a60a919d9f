"""A policy of a user's: what its checker finds, and how a recipe's name becomes one."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from vasari.core.errors import ConfigError
from vasari.core.plugins import VARIABLE, names_from_a_file
from vasari.core.progress import silent
from vasari.model.base import Decoding
from vasari.model.check import check_policy
from vasari.model.named import POLICIES, check_named_policy, find_policy
from vasari.model.scripted import ScriptedPolicy
from vasari.records import Prompt, Rollout

EXAMPLES = Path(__file__).parents[2] / "examples"


class Reads:
    """Answers with the question and the sizes of the images it is shown, a token a byte; sometimes
    in other words."""

    def generate(self, prompts, decoding, *, seed, tell=silent):
        groups = []
        for prompt in prompts:
            rng = np.random.default_rng([seed if decoding.temperature else 0, *prompt.id.encode()])
            groups.append(
                [self.rollout(prompt, decoding, rng) for _ in range(decoding.num_rollouts)]
            )
            tell(len(groups), len(prompts))
        return groups

    def rollout(self, prompt, decoding, rng):
        looks = [len(image.data) for image in prompt.images] if decoding.images == "shown" else []
        return self.told(
            f"{prompt.id} {looks} {rng.integers(1000) if decoding.temperature else ''}", decoding
        )

    def told(self, text, decoding):
        ids = [*text.encode(), 0]
        return Rollout(
            text=text[: decoding.max_tokens],
            token_ids=np.array(ids[: decoding.max_tokens], dtype=np.int32),
            truncated=len(ids) > decoding.max_tokens,
        )


def each(change):
    """The policy with every rollout changed."""

    class Changed(Reads):
        def rollout(self, prompt, decoding, rng):
            return change(super().rollout(prompt, decoding, rng))

    return Changed()


def groups(change):
    """The policy with its list of groups changed."""

    class Changed(Reads):
        def generate(self, prompts, decoding, *, seed, tell=silent):
            return change(super().generate(prompts, decoding, seed=seed, tell=tell))

    return Changed()


class Forgetful(Reads):
    """Draws from a generator that goes on from call to call."""

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def rollout(self, prompt, decoding, rng):
        return self.told(f"{self.rng.integers(10**9)}", decoding)


class Peeks(Reads):
    """Looks at the images whatever the setting says."""

    def rollout(self, prompt, decoding, rng):
        return self.told(f"{prompt.id} {[sum(image.data) for image in prompt.images]}", decoding)


class Sorts(Reads):
    """Answers longest questions first, and forgets to put the groups back."""

    def generate(self, prompts, decoding, *, seed, tell=silent):
        ordered = sorted(prompts, key=lambda prompt: -len(prompt.question))
        return super().generate(ordered, decoding, seed=seed, tell=tell)


class Unlimited(Reads):
    def told(self, text, decoding):
        return Rollout(
            text=text, token_ids=np.array([*text.encode(), 0], dtype=np.int32), truncated=False
        )


class Hurries(Reads):
    """Says something else where there is less room."""

    def told(self, text, decoding):
        return super().told("~" * 9 if decoding.max_tokens < 9 else text, decoding)


class Backwards(Reads):
    def generate(self, prompts, decoding, *, seed, tell=silent):
        made = super().generate(prompts, decoding, seed=seed)
        for done in range(len(prompts), 0, -1):
            tell(done, len(prompts))
        return made


def padded(rollout):
    missing = 50 - len(rollout.token_ids)
    return dataclasses.replace(rollout, token_ids=np.pad(rollout.token_ids, (0, max(0, missing))))


def without_end(rollout):
    return (
        rollout
        if rollout.truncated
        else dataclasses.replace(rollout, token_ids=rollout.token_ids[:-1])
    )


BROKEN = {
    "no list": (groups(iter), "generate gave a list_iterator, not a list of groups"),
    "a group too few": (groups(lambda made: made[1:]), "5 groups for 6 prompts"),
    "a rollout too few": (
        groups(lambda made: [group[:1] for group in made]),
        "'check-plain': 1 rollouts; 3 were asked for",
    ),
    "one group for all": (
        groups(lambda made: made[:1] * len(made)),
        "are those of other prompts: keep their order",
    ),
    "another order": (Sorts(), "are those of other prompts: keep their order"),
    "something for nothing": (groups(lambda made: made or None), "no prompts must give no groups"),
    "a text": (
        each(lambda rollout: rollout.text),
        "a rollout is a vasari.records.Rollout, got str",
    ),
    "bytes": (
        each(lambda r: dataclasses.replace(r, text=r.text.encode())),
        "the text of a rollout is a str, got bytes",
    ),
    "wide tokens": (
        each(lambda r: dataclasses.replace(r, token_ids=r.token_ids.astype(np.int64))),
        r"must be an int32 array \[tokens\], got int64",
    ),
    "a list of tokens": (
        each(lambda r: dataclasses.replace(r, token_ids=r.token_ids.tolist())),
        r"must be an int32 array \[tokens\], got list",
    ),
    "no tokens": (
        each(lambda r: dataclasses.replace(r, token_ids=r.token_ids[:0])),
        "a rollout that ended by itself has at least its end token",
    ),
    "padding": (each(padded), "token 0 ends one rollout and is inside another"),
    "no end token": (each(without_end), r"token \d+ ends one rollout and is inside another"),
    "truncated unknown": (
        each(lambda r: dataclasses.replace(r, truncated=None)),
        "truncated is a bool, got None",
    ),
    "never truncated": (
        each(lambda r: dataclasses.replace(r, truncated=False)),
        "truncated is False, but should be True",
    ),
    "no limit": (Unlimited(), "cut after 2 tokens: .* tokens"),
    "another rollout under a limit": (
        Hurries(),
        "greedy tokens are not the first of the rollout that was not cut",
    ),
    "probability": (
        each(lambda r: dataclasses.replace(r, confidence=0.9)),
        "confidence is a log-probability, at most 0",
    ),
    "nan": (
        each(lambda r: dataclasses.replace(r, confidence=float("nan"))),
        "confidence is a log-probability",
    ),
    "random state of its own": (Forgetful(), "the same seed gave other rollouts"),
    "peeks": (Peeks(), "images: blank gives other rollouts for other images"),
    "tells backwards": (Backwards(), "tell takes the number done, rising, and the total"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_policy_is_named_with_what_is_broken(case):
    policy, message = BROKEN[case]
    with pytest.raises(AssertionError, match=message):
        check_policy(policy)


def test_rollouts_longer_than_asked_for_are_found():
    with pytest.raises(AssertionError, match=r"a rollout has \d+ tokens; at most 8 were asked for"):
        check_policy(Unlimited(), max_tokens=8)


def test_texts_that_are_not_those_of_the_tokens_are_found():
    class Numbered(Reads):
        count = 0

        def told(self, text, decoding):
            self.count = (self.count + 1) % 18
            return dataclasses.replace(super().told("same", decoding), text=f"{self.count}")

    with pytest.raises(AssertionError, match="rollouts of the same tokens have other texts"):
        check_policy(Numbered())


def test_a_policy_that_refuses_blind_controls_passes():
    class Sees(Peeks):
        def generate(self, prompts, decoding, *, seed, tell=silent):
            if decoding.images != "shown":
                raise ConfigError(f"images must be shown, got {decoding.images}")
            return super().generate(prompts, decoding, seed=seed, tell=tell)

    check_policy(Sees())


SOUND = {
    "reads": Reads,
    "constant": lambda: find_policy("constant", {"text": "\\boxed{A}"}),
    "scripted": lambda: ScriptedPolicy(
        lambda prompt, rng: f"{prompt.id} {len(prompt.images)} {rng.integers(9)}"
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_policy_passes(name):
    check_policy(SOUND[name]())


@pytest.mark.slow
def test_a_transformers_model_passes(tiny_policy):
    check_policy(tiny_policy, max_tokens=12)


def test_a_model_behind_a_server_passes(scripted_server, tmp_path):
    from vasari.endpoint import ResponseStore
    from vasari.model.endpoint_policy import EndpointModel, EndpointPolicy

    def answer(body):
        words = f"It says {scripted_server.text_of(body)}, I think.".split()
        limit = body["max_tokens"]
        return (" ".join(words[:limit]), "length" if len(words) > limit else "stop")

    scripted_server.script = answer
    with ResponseStore(tmp_path / "store") as store:
        settings = EndpointModel(model="small", base_url=scripted_server.url)
        check_policy(EndpointPolicy(settings, store), counts_tokens=False)


# By name.


@pytest.fixture
def my_policies(tmp_path, monkeypatch):
    """Writes the module `my_policies`, which a file may name."""

    def write(text: str) -> None:
        (tmp_path / "my_policies.py").write_text(text)

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(VARIABLE, "my_policies")
    monkeypatch.delitem(sys.modules, "my_policies", raising=False)
    yield write
    sys.modules.pop("my_policies", None)


def test_a_class_is_made_with_its_settings_and_the_system_prompt(my_policies):
    my_policies(
        "class Mine:\n"
        "    def __init__(self, system, words=3): self.system, self.words = system, words\n"
        "    def generate(self, prompts, decoding, *, seed, tell=None): return []\n"
    )
    with names_from_a_file():
        check_named_policy("my_policies:Mine", {"words": 5})
        made = find_policy("my_policies:Mine", {"words": 5}, system="Think.")
    assert (made.system, made.words) == ("Think.", 5)


def test_a_function_may_make_it_and_an_object_may_be_it(my_policies):
    my_policies(
        "from vasari.model.scripted import ScriptedPolicy\n"
        "def says(word): return ScriptedPolicy(lambda prompt, rng: word)\n"
        "HI = says('hi')\n"
    )
    prompt = Prompt(id="p", question="?", answer="1")
    with names_from_a_file():
        texts = [
            find_policy(name, settings)
            .generate([prompt], Decoding(num_rollouts=1), seed=0)[0][0]
            .text
            for name, settings in (("my_policies:says", {"word": "yes"}), ("my_policies:HI", {}))
        ]
    assert texts == ["yes", "hi"]


@pytest.mark.parametrize(
    ("text", "name", "settings", "message"),
    [
        (
            "class Mine: ...",
            "my_policies:Mine",
            {},
            "policy 'my_policies:Mine' gave a Mine without `generate`",
        ),
        (
            "def mine(): ...",
            "my_policies:mine",
            {},
            "policy 'my_policies:mine' gave a NoneType without `generate`",
        ),
        (
            "def mine(): 1 / 0",
            "my_policies:mine",
            {},
            "policy 'my_policies:mine' cannot be made: ZeroDivisionError",
        ),
        (
            "def mine(): ...",
            "my_policies:mine",
            {"words": 1},
            "policy 'my_policies:mine' has no setting 'words'; it has: none",
        ),
        (
            "def mine(words): ...",
            "my_policies:mine",
            {},
            "policy 'my_policies:mine' needs the setting 'words'",
        ),
        (
            "mine = 7",
            "my_policies:mine",
            {},
            "policy 'my_policies:mine' is a int, which cannot be called with settings",
        ),
        (
            "class A:\n    def generate(self): ...\nmine = A()",
            "my_policies:mine",
            {"words": 1},
            "policy 'my_policies:mine' is made already and takes no settings; got 'words'",
        ),
        (
            "",
            "magic",
            {},
            "policy must be one of constant, or your own as package.module:attribute; got 'magic'",
        ),
        ("", "constant", {}, "policy 'constant' needs the setting 'text'"),
    ],
)
def test_what_is_no_policy_is_one_line(my_policies, text, name, settings, message):
    my_policies(text)
    with pytest.raises(ConfigError) as refused:
        find_policy(name, settings)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_wrong_setting_is_found_before_a_policy_is_made(my_policies):
    my_policies(
        "class Mine:\n    def __init__(self, words=1): raise SystemExit('made')\n    def"
        " generate(self): ...\n"
    )
    with pytest.raises(ConfigError, match="has no setting 'word'; it has: words"):
        check_named_policy("my_policies:Mine", {"word": 2})
    check_named_policy("my_policies:Mine", {"words": 2})


def test_every_policy_of_ours_is_named_in_sight():
    assert list(POLICIES) == ["constant"]
