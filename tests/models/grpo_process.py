"""One GRPO training on written rollouts: `python grpo_process.py JSON`, also under torchrun.

Sampled tokens depend on the number of processes; here a prompt's rollouts are always the same, and
what is learned from them has to be.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def written(prompts: list[Any], trainer: Any) -> dict[str, Any]:
    """Rollouts in the place of generated ones: their tokens follow from prompt and place."""
    vocabulary = trainer.accelerator.unwrap_model(trainer.model).config.get_text_config().vocab_size
    ends = trainer.eos_token_ids[0]
    # Special tokens may stand for images, which no completion has.
    words = sorted(set(range(vocabulary // 2)) - set(trainer._tokenizer.added_tokens_decoder))
    ids, _, _ = trainer._tokenize_prompts(prompts)
    completions = []
    for place, prompt in enumerate(ids):
        digest = hashlib.blake2b(np.array(prompt).tobytes(), digest_size=8).digest()
        rng = np.random.default_rng([*digest, place % trainer.num_generations])
        tokens = rng.choice(words, size=rng.integers(2, 6)).tolist()
        completions.append([*tokens, ends] if place % 2 else tokens)
    return {"prompt_ids": list(ids), "completion_ids": completions, "logprobs": None}


def main(settings: dict[str, Any]) -> None:
    """Train as the settings say, and save the weights."""
    sys.path.insert(0, str(Path(__file__).parent))
    from stand_ins import SYSTEM, mixed_pool

    from vasari.records import Outcome, Verdict
    from vasari.sample import make_sampler
    from vasari.train.processes import start_processes
    from vasari.train.run_grpo import GrpoTraining
    from vasari.train.settings import GrpoSettings

    def odd_length(_: Any, text: str) -> Verdict:
        return Verdict(Outcome.CORRECT if len(text) % 2 else Outcome.INCORRECT)

    with start_processes():
        prompts = mixed_pool(2)
        trainer = GrpoTraining(
            model_path=settings["model"],
            prompts=prompts,
            sampler=make_sampler("uniform", num_prompts=len(prompts), seed=0),
            settings=GrpoSettings.model_validate(settings["grpo"]),
            system=SYSTEM,
            out=Path(settings["out"]),
            seed=0,
            verify=odd_length,
        ).make_trainer()
        assert trainer.accelerator.num_processes == settings["processes"]
        trainer.rollout_func = written
        trainer.train()
        trainer.save_whole(Path(settings["out"]) / "last")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
