"""A model folder that lacks files is refused with what is missing."""

import io
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from vasari.core.errors import StateError
from vasari.model.config import load_config
from vasari.model.processor import load_processor
from vasari.model.transformers_policy import load_model


@pytest.mark.parametrize(
    ("without", "message"),
    [
        (("tokenizer.json",), r"lacks the files of a tokenizer \(tokenizer\.json or tokenizer"),
        (
            ("preprocessor_config.json", "processor_config.json"),
            r"lacks the files of an image processor \(preprocessor_config\.json or proc",
        ),
    ],
    ids=["no tokenizer", "no image processor"],
)
def test_a_folder_without_files_of_its_processor_is_told_which(
    tiny_folder, tmp_path, without, message
):
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    for name in without:
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(StateError, match=message + r".*copy them from the model") as caught:
        load_processor(str(folder))
    assert "\n" not in str(caught.value)


def test_a_folder_without_weights_is_told_so(tiny_folder, tmp_path):
    folder = shutil.copytree(
        tiny_folder, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors")
    )
    with pytest.raises(StateError, match=r"no weights \(model\.safetensors"):
        load_model(str(folder))


@pytest.mark.parametrize("renamed", ["one", "all"])
def test_weights_that_would_be_random_are_told(tiny_folder, tmp_path, renamed):
    """Under other names than the model's, as another library or a trainer's wrapper saves them."""
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    path = folder / "model.safetensors"
    weights = load_file(path)
    first = next(name for name in weights if "down_proj" in name)
    names = [first] if renamed == "one" else list(weights)
    save_file(
        {f"policy.{n}" if n in names else n: w for n, w in weights.items()},
        path,
        metadata={"format": "pt"},
    )
    with pytest.raises(StateError, match=r"lack \d+ of the model's weights .*random") as caught:
        load_model(str(folder))
    assert "\n" not in str(caught.value)


def test_a_file_is_no_model(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("name: x")
    with pytest.raises(StateError, match=r"recipe\.yaml: is a file; give the folder of a model"):
        load_config(str(file))


def test_a_folder_with_models_in_it_names_them(tmp_path, tiny_folder):
    best = tmp_path / "run" / "rl" / "vas" / "best"
    best.parent.mkdir(parents=True)
    best.symlink_to(tiny_folder)
    with pytest.raises(StateError, match=r"has no config\.json; it has the models .*rl/vas/best$"):
        load_config(str(tmp_path / "run"))


class Hostile:
    """What a pickle runs when it is loaded: writes a file."""

    def __init__(self, path):
        self._path = str(path)

    def __reduce__(self):
        return open, (self._path, "w")


def _packed(content):
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("pytorch_model.bin", lambda mark: _packed({"a": Hostile(mark)})),
        ("pytorch_model.bin", lambda mark: pickle.dumps(Hostile(mark))),
        ("pytorch_model.bin", lambda mark: pickle.dumps({"a": 1}, 0)),
        ("pytorch_model.bin", lambda mark: _packed([1])),
        ("pytorch_model.bin", lambda mark: _packed({"a": torch.zeros(9)})[:200]),
        ("pytorch_model.bin", lambda mark: b"hello world"),
        ("pytorch_model.bin", lambda mark: b""),
        ("model.safetensors", lambda mark: b""),
        ("model.safetensors", lambda mark: b"version https://git-lfs.github.com/spec/v1\n"),
    ],
)
def test_weights_that_are_no_weights_are_refused_in_one_line_and_run_nothing(
    tiny_folder, tmp_path, name, make
):
    folder = shutil.copytree(
        tiny_folder, tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors")
    )
    (folder / name).write_bytes(make(tmp_path / "run"))
    with pytest.raises(StateError, match=r"its weights are|no model can be loaded") as caught:
        load_model(str(folder))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value).removeprefix(str(folder))) > 40
    assert not (tmp_path / "run").exists()
