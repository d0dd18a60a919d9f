"""Rollouts of one process of several: `torchrun shared_process.py MODEL OUT`.

Draws them as TRL does and as we do, from the same random numbers, and writes both to OUT.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main(model: str, out: Path) -> None:
    """Draw, and write `rollouts-PROCESS.json`."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
    import torch
    from stand_ins import SYSTEM, mixed_pool
    from trl import GRPOTrainer

    from vasari.sample import make_sampler
    from vasari.train.processes import start_processes
    from vasari.train.run_grpo import GrpoTraining
    from vasari.train.settings import GrpoSettings
    from vasari.train.trl_forward import ImagesByRollout
    from vasari.train.trl_images import with_images

    grpo = {
        "steps": 2,
        "prompts_per_batch": 4,
        "rollouts_per_prompt": 4,
        "updates_per_batch": 1,
        "micro_batch": 4,
        "validate_every": 2,
        "save_every": 2,
        "trl": {"temperature": 1.0, "max_completion_length": 24},
    }
    with start_processes():
        pool = mixed_pool(1)
        trainer = GrpoTraining(
            model_path=model,
            prompts=pool,
            sampler=make_sampler("uniform", num_prompts=len(pool), seed=0),
            settings=GrpoSettings.model_validate(grpo),
            system=SYSTEM,
            out=out,
            seed=0,
        ).make_trainer()
        trainer.model_wrapped = trainer.accelerator.prepare(trainer.model)
        process = trainer.accelerator.process_index
        # The first process's rollouts end early: it does not wait for the other, nor that for it.
        every = 4 if process == 0 else 16
        vocabulary = trainer.model.config.get_text_config().vocab_size
        ends = [*trainer.eos_token_ids, *range(0, vocabulary, every)]
        trainer.eos_token_ids = trainer.generation_config.eos_token_id = ends
        rows = [trainer.train_dataset[2 * process + place // 4] for place in range(8)]
        drawn = {}
        for name, generate in (
            ("stock", GRPOTrainer._generate_single_turn),
            ("ours", ImagesByRollout._generate_single_turn),
        ):
            torch.manual_seed(3 + process)
            ids, images, fields = trainer._tokenize_prompts(with_images(rows))
            drawn[name], _ = generate(trainer, ids, images, fields, 4)
        (out / f"rollouts-{process}.json").write_text(json.dumps(drawn))
        trainer.accelerator.wait_for_everyone()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
