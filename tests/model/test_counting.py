"""Parameters counted from a config, beside published numbers and loaded weights."""

import pytest

from vasari.model.counting import count_parameters, model_without_weights, open_config
from vasari.model.path import resolve_model
from vasari.model.transformers_policy import load_model

# Elements of all tensors in the published safetensors files.
PUBLISHED = {
    "Qwen/Qwen2.5-VL-3B-Instruct": 3_754_622_976,
    "Qwen/Qwen2.5-VL-7B-Instruct": 8_292_166_656,
    "Qwen/Qwen2.5-VL-32B-Instruct": 33_452_718_336,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_papers_models_have_as_many_parameters_as_their_published_weights(name):
    count = count_parameters(model_without_weights(open_config(name)))
    assert count.total == count.trained == PUBLISHED[name]


def test_parts_of_the_7b_model_are_those_of_its_published_weights():
    count = count_parameters(model_without_weights(open_config("Qwen/Qwen2.5-VL-7B-Instruct")))
    assert count.by_part == {
        "embeddings": 544_997_376,
        "language model": 6_525_621_760,
        "output head": 544_997_376,
        "vision": 676_550_144,
    }


def test_the_shipped_base_has_as_many_parameters_as_its_weights():
    path = resolve_model("vasari:tiny-base")
    loaded = sum(weight.numel() for weight in load_model(path).parameters())
    assert count_parameters(model_without_weights(open_config(path))).total == loaded


@pytest.mark.parametrize("freeze_vision", [False, True])
@pytest.mark.parametrize("rank", [0, 4])
def test_trained_parameters_are_those_that_training_gives_gradients(
    tiny_folder, freeze_vision, rank
):
    from vasari.train.settings import LoraSettings, TrainedWeights
    from vasari.train.weights import prepare_weights

    lora = LoraSettings(rank=rank) if rank else None
    settings = TrainedWeights(freeze_vision=freeze_vision, lora=lora)
    model = prepare_weights(load_model(str(tiny_folder)), settings)
    expected = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    shapes = model_without_weights(
        open_config(str(tiny_folder)), lambda m: prepare_weights(m, settings)
    )
    assert count_parameters(shapes).trained == expected


def test_an_unknown_hub_name_is_refused_with_what_to_do(monkeypatch):
    from vasari.core.errors import StateError

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(StateError, match=r"run `hf download no-such/model` where"):
        open_config("no-such/model")
