import errno
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from vasari.core.errors import StateError, StorageError
from vasari.model.transformers_policy import TransformersPolicy
from vasari.train import checkpoints
from vasari.train.checkpoints import (
    complete_checkpoints,
    guard_saving,
    mark_complete,
    restore_weights,
    save_model,
)


def checkpoint(folder, step, *, complete=True):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "weights").write_text("w")
    if complete:
        mark_complete(folder, step)
    return path


def test_complete_checkpoints_come_oldest_first_by_number(tmp_path):
    for step in (100, 20, 3):
        checkpoint(tmp_path, step)
    assert [path.name for path in complete_checkpoints(tmp_path)] == [
        "checkpoint-3",
        "checkpoint-20",
        "checkpoint-100",
    ]


def test_a_checkpoint_that_was_cut_off_is_removed(tmp_path):
    kept = checkpoint(tmp_path, 1)
    cut = checkpoint(tmp_path, 2, complete=False)
    assert complete_checkpoints(tmp_path) == [kept]
    assert not cut.exists()


@pytest.mark.parametrize("name", ["checkpoint-best", "checkpoint-1.bak", "best"])
def test_other_folders_are_left_alone(tmp_path, name):
    (tmp_path / name).mkdir()
    assert complete_checkpoints(tmp_path) == []
    assert (tmp_path / name).is_dir()


def test_a_process_that_wrote_nothing_marks_nothing(tmp_path):
    mark_complete(tmp_path, 5)
    assert list(tmp_path.iterdir()) == []


def wrapped(inner: Exception) -> Exception:
    outer = RuntimeError("while saving")
    outer.__cause__ = inner
    return outer


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError(errno.EROFS, "Read-only file system"),
        SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        ),
        RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 128 vs 22"),
        wrapped(OSError(errno.ENOSPC, "No space left on device")),
    ],
    ids=["full", "quota", "read-only", "safetensors", "torch", "cause"],
)
def test_a_disk_that_refuses_is_one_error_that_names_what_is_left(tmp_path, error):
    checkpoint(tmp_path, 4)
    cut = checkpoint(tmp_path, 6, complete=False)
    with (
        pytest.raises(StorageError, match="the last complete checkpoint is checkpoint-4"),
        guard_saving(tmp_path),
    ):
        raise error
    assert not cut.exists()


def test_a_disk_that_refuses_the_first_checkpoint_says_so(tmp_path):
    with (
        pytest.raises(StorageError, match="no checkpoint was complete yet"),
        guard_saving(tmp_path),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    "error", [ValueError("bad"), OSError(errno.ENOENT, "gone"), RuntimeError("shape mismatch")]
)
def test_other_errors_pass_as_they_are(tmp_path, error):
    with pytest.raises(type(error), match=str(error.args[-1])) as caught, guard_saving(tmp_path):
        raise error
    assert caught.value is error


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def test_a_saved_model_replaces_the_old_one_whole(tiny_model, tiny_processor, tmp_path):
    best = tmp_path / "best"
    save_model(tiny_model, tiny_processor, best)
    with torch.no_grad():
        tiny_model.lm_head.weight.add_(1.0)
    save_model(tiny_model, tiny_processor, best)
    assert torch.equal(weights(best)["model.embed_tokens.weight"], tiny_model.lm_head.weight)
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


def test_a_full_disk_leaves_the_old_model_to_be_loaded(
    tiny_model, tiny_processor, tmp_path, largest_file, image_prompts
):
    best = tmp_path / "best"
    save_model(tiny_model, tiny_processor, best)
    before = weights(best)
    with torch.no_grad():
        tiny_model.lm_head.weight.add_(1.0)
    with largest_file(50_000), pytest.raises(StorageError, match="the disk refused the checkpoint"):
        save_model(tiny_model, tiny_processor, best)
    assert all(torch.equal(value, before[name]) for name, value in weights(best).items())
    assert [path.name for path in tmp_path.iterdir()] == ["best"]
    TransformersPolicy.load(str(best), system="")


def test_weights_come_back_under_the_names_that_they_have_in_memory(
    tiny_model, tiny_processor, fresh_policy, tmp_path
):
    """The file calls the layers `model.layers`, the model `model.language_model.layers`."""
    with torch.no_grad():
        for weight in tiny_model.parameters():
            weight.add_(0.1)
    save_model(tiny_model, tiny_processor, tmp_path / "moved")
    other = fresh_policy().model
    restore_weights(other, tmp_path / "moved")
    expected = tiny_model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in other.state_dict().items())


def test_a_checkpoint_that_lacks_weights_is_refused(tiny_model, tiny_processor, tmp_path):
    folder = tmp_path / "moved"
    save_model(tiny_model, tiny_processor, folder)
    kept = {
        name: value
        for name, value in weights(folder).items()
        if not name.startswith("model.layers.1.")
    }
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StateError, match="lacks the weights"):
        restore_weights(tiny_model, folder)


def test_a_crash_between_the_two_renames_loses_no_model(
    tiny_model, tiny_processor, tmp_path, largest_file
):
    best = tmp_path / "best"
    save_model(tiny_model, tiny_processor, best)
    best.rename(tmp_path / ".best.vasari-old")
    with largest_file(50_000), pytest.raises(StorageError, match="the disk refused"):
        save_model(tiny_model, tiny_processor, best)
    assert weights(best)


def test_naming_what_is_left_removes_no_folder_of_a_users_own(tmp_path):
    own = tmp_path / "checkpoint-5" / "model.safetensors"
    own.parent.mkdir()
    own.write_bytes(b"a stock trainer's")
    assert checkpoints._what_is_left(tmp_path) == "no checkpoint was complete yet"
    assert own.exists()
