"""What a batch costs beside the model: no image is decoded twice, nor encoded anew for a rollout."""

from collections import Counter

import pytest

from vasari.data.images import open_image
from vasari.train import prompt_data


@pytest.fixture
def opened(monkeypatch):
    """How often each image was decoded."""
    counts = Counter()

    def counted(ref, *, where):
        counts[where] += 1
        return open_image(ref, where=where)

    monkeypatch.setattr(prompt_data, "open_image", counted)
    return counts


@pytest.mark.parametrize("updates", [1, 2])
def test_a_batch_decodes_each_image_once(
    updates, opened, make_trainer, first_batch, digit_prompts, tmp_path
):
    trainer = make_trainer(
        digit_prompts[:3], tmp_path, updates_per_batch=updates, micro_batch=3, save_every=2
    )
    processor, encoded = trainer.processing_class.image_processor, []
    read = type(processor).__call__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            type(processor),
            "__call__",
            lambda own, images, *args, **kwargs: (
                encoded.extend(len(own) if isinstance(own, list) else 1 for own in images),
                read(own, images, *args, **kwargs),
            )[1],
        )
        first_batch(trainer)
    expected = {f"prompt {p.id!r}": len(p.images) for p in digit_prompts[:3] if p.images}
    assert opened == expected
    assert sum(encoded) == sum(expected.values())


def test_a_whole_training_decodes_an_image_once_a_batch(
    opened, make_trainer, digit_prompts, tmp_path
):
    trainer = make_trainer(
        digit_prompts[:3], tmp_path, steps=4, updates_per_batch=2, micro_batch=3, save_every=2
    )
    trainer.train()
    assert trainer.loop.run.batch == 2
    assert set(opened.values()) <= {2, 4}
    assert opened == {f"prompt {p.id!r}": 2 * len(p.images) for p in digit_prompts[:3] if p.images}
