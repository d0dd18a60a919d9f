"""Small copy of a recipe's model, taught the form of an answer, so that rewards are not all 0."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from vasari.core.progress import stage
from vasari.core.records import Prompt
from vasari.model.chat import target_text
from vasari.model.processor import load_processor
from vasari.model.small_copy import SmallCopy, rewrite_weights, write_small_copy
from vasari.model.transformers_policy import load_model
from vasari.run.recipe import ModelSettings
from vasari.train.settings import SftSettings
from vasari.train.sft import train_supervised
from vasari.train.trl_settings import SftTrlSettings

STEPS = 60
"""Steps for which the form of an answer is taught."""
_BATCH = 8
_SOLUTION = "Look."


def make_small_model(
    settings: ModelSettings,
    source: str,
    prompts: Mapping[str, Sequence[Prompt]],
    folder: Path,
    *,
    seed: int,
) -> SmallCopy:
    """Write a small copy of the recipe's model, which answers in the right form, into a folder.

    A model with random weights never earns a reward, and training on equal rewards changes nothing.

    Args:
        settings: The recipe's settings of the model.
        source: Folder or hub name of the recipe's model.
        prompts: By split; what is taught, and what a tokenizer is trained on.
        folder: Of the small model.
        seed: Of its weights.
    """
    known = [prompt for split in prompts.values() for prompt in split]
    copy = write_small_copy(source, folder, texts=_texts(known, settings.system), seed=seed)
    taught = [
        dataclasses.replace(prompt, solution=_SOLUTION, metadata={}) for prompt in prompts["train"]
    ]
    scratch = folder.with_name("teaching")
    with stage("small model") as tell:
        train_supervised(
            load_model(str(folder), dtype="float32"),
            load_processor(str(folder)),
            train=taught,
            validation=taught[:_BATCH],
            settings=SftSettings(
                epochs=STEPS * _BATCH / len(taught),
                batch_prompts=_BATCH,
                micro_batch=_BATCH,
                validate_every=STEPS,
                trl=SftTrlSettings(learning_rate=5e-3, dataloader_num_workers=0),
            ),
            system=settings.system,
            out=scratch,
            seed=seed,
            tell=tell,
        )
    rewrite_weights(scratch / "model", folder)
    shutil.rmtree(scratch)
    return copy


def _texts(prompts: Sequence[Prompt], system: str) -> list[str]:
    texts = [f"system user assistant model {system}"] * len(prompts)
    for prompt in prompts:
        short = dataclasses.replace(prompt, solution=_SOLUTION, metadata={})
        texts += [prompt.question, *(prompt.choices or ()), target_text(short)]
        texts += [prompt.solution] if prompt.solution else []
    return texts
