"""A training whose answers are scripted: with the same pool and seed, every binding draws the same.

`expected_draws` drives the bare contract of a sampler; `draws.json` holds what it gave, and what
TRL's binding, verl's and slime's must give. A rollout is a function of its prompt, of how often that
prompt was rolled out before (refreshes count), and of its place in the group. Words are tokens
(`tokenizer`), so that lengths and n-grams are the same everywhere.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vasari.records import GroupOutcome, Prompt
from vasari.sample import PromptSampler, make_sampler, prompt_features
from vasari.verify import verify

NUM_PROMPTS = 24
SEED = 7
PROMPTS_A_BATCH = 4
ROLLOUTS_A_PROMPT = 4
NUM_BATCHES = 10
UNVERIFIABLE = 22
"""Place of the prompt whose reference nobody can read."""

SAMPLERS: Mapping[str, Mapping[str, Any]] = {
    "uniform": {},
    "weighted_passes": {"coherence": False},
    "vas": {"refresh_every": 4, "num_refresh_rollouts": 8},
    "progress": {"coherence": False},
}
"""Settings by the sampler's name. `vas` scores the whole pool before batches 0, 4 and 8. Coherence
reads log-probabilities, and those are each trainer's own."""

RECORDED = Path(__file__).parent / "draws.json"

_FILLERS = ("so", "then", "we", "add", "both", "and", "get", "it", "now", "here")
_WORDS = (
    *("<pad>", "<eos>", "<user>", "<assistant>", "<system>", "the", "answer", "is", "What"),
    *("+", "=", "?", *_FILLERS, *map(str, range(100))),
)
PAD, END = 0, 1
"""Tokens that pad, and that end a rollout."""


def prompts() -> list[Prompt]:
    """The pool: sums of two categories, one of which has no readable reference."""
    return [
        Prompt(
            id=f"sum-{place:02d}",
            question=f"What is {place} + {3 * place % 11} ?",
            answer="?" if place == UNVERIFIABLE else str(place + 3 * place % 11),
            kind="number",
            category="odd" if place % 2 else "even",
        )
        for place in range(NUM_PROMPTS)
    ]


class Script:
    """Writes rollouts, and counts how often each prompt was rolled out."""

    def __init__(self, visits: Mapping[int, int] | None = None) -> None:
        self.visits = Counter(visits or {})
        """Groups of each prompt so far, by its place in the pool."""

    def group(self, place: int, num_rollouts: int) -> list[str]:
        """The texts of the next group of this prompt."""
        visit = self.visits[place]
        self.visits[place] += 1
        return [text_of(place, visit, n, num_rollouts) for n in range(num_rollouts)]


def text_of(place: int, visit: int, n: int, num_rollouts: int) -> str:
    """Rollout `n` of the group that is the prompt's `visit`th, counted from 0."""
    right = place + 3 * place % 11
    solved = n < round(_share_solved(place, visit) * num_rollouts)
    draw = zlib.crc32(f"{place}-{visit}-{n % (2 + place % 5)}".encode())
    fillers = [_FILLERS[(draw >> 3 * k) % len(_FILLERS)] for k in range(1 + draw % 7)]
    return f"{' '.join(fillers)} the answer is {right if solved else right + 1 + n}"


def _share_solved(place: int, visit: int) -> float:
    """Some are always solved, some never, some half of the time, some are learnt, some forgotten."""
    return (1.0, 0.0, 0.5, min(1.0, 0.25 * visit), 0.25, max(0.0, 0.75 - 0.25 * visit))[place % 6]


def token_ids(text: str) -> list[int]:
    """The tokens of a rollout, with the end token."""
    return [*(_WORDS.index(word) for word in text.split()), END]


def text_from(ids: Sequence[int]) -> str:
    """The text of a rollout's tokens."""
    return " ".join(_WORDS[token] for token in ids if token not in (PAD, END))


def tokenizer() -> Any:
    """A tokenizer of transformers for which every word is a token, with a chat template."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({word: n for n, word in enumerate(_WORDS)}, unk_token="<pad>"))
    words.pre_tokenizer = WhitespaceSplit()
    made = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<eos>", unk_token="<pad>"
    )
    made.chat_template = (
        "{% for m in messages %}{{ '<' + m['role'] + '> ' + m['content'] + ' ' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<assistant> ' }}{% endif %}"
    )
    return made


def model_config() -> Any:
    """Configuration of a Llama of one thin layer over the tokenizer's words; of a Qwen verl asks for
    the marks of its chat template."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(tokenizer()),
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        eos_token_id=END,
        pad_token_id=PAD,
        architectures=["LlamaForCausalLM"],
    )


def outcome(place: int, texts: Sequence[str], *, purpose: Any, batch: int) -> GroupOutcome:
    """A group as samplers see it: a reward of 1 for a correct rollout, 0 else."""
    prompt = prompts()[place]
    verdicts = [verify(text, prompt) for text in texts]
    return GroupOutcome(
        index=place,
        rewards=np.array([verdict.value for verdict in verdicts]),
        verdicts=np.array([verdict.value for verdict in verdicts]),
        token_ids=[np.array(token_ids(text), dtype=np.int32) for text in texts],
        answers=[verdict.extraction for verdict in verdicts],
        purpose=purpose,
        batch=batch,
    )


def sampler(name: str) -> PromptSampler:
    """The sampler of this name over the pool, as each binding makes it from its settings."""
    pool = prompts()
    return make_sampler(
        name,
        num_prompts=NUM_PROMPTS,
        seed=SEED,
        prompt_ids=[prompt.id for prompt in pool],
        features=prompt_features(pool),
        **SAMPLERS[name],
    )


def expected_draws(name: str, num_batches: int = NUM_BATCHES) -> list[list[int]]:
    """The prompts of each batch, as places in the pool: what the bare contract draws."""
    choose, script, drawn = sampler(name), Script(), []

    def observe(places: Sequence[int], num_rollouts: int, *, purpose: str, batch: int) -> None:
        choose.observe(
            [
                outcome(place, script.group(place, num_rollouts), purpose=purpose, batch=batch)
                for place in places
            ]
        )

    for batch in range(num_batches):
        due = choose.due(batch).tolist()
        if due:
            observe(due, choose.num_rollouts_due, purpose="refresh", batch=batch)
        places = choose.draw(PROMPTS_A_BATCH).indices.tolist()
        observe(places, ROLLOUTS_A_PROMPT, purpose="train", batch=batch)
        drawn.append(places)
    return drawn


def recorded_draws(name: str) -> list[list[int]]:
    """What `draws.json` says of the sampler of this name."""
    found: list[list[int]] = json.loads(RECORDED.read_text())[name]
    return found


if __name__ == "__main__":
    lines = ",\n".join(f'  "{name}": {json.dumps(expected_draws(name))}' for name in SAMPLERS)
    RECORDED.write_text(f"{{\n{lines}\n}}\n")
