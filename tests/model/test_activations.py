"""Bytes that a model keeps, beside those of the tensors that PyTorch really keeps."""

import dataclasses
import functools
import io

import pytest
import torch
from PIL import Image
from stand_ins import mixed_pool
from torch.autograd.graph import saved_tensors_hooks

from vasari.data.images import open_image
from vasari.model.activations import (
    cache_bytes,
    language_kept,
    model_shapes,
    vision_kept,
)
from vasari.model.config import load_config
from vasari.model.counting import model_class
from vasari.model.processor import load_processor
from vasari.model.prompt_tokens import TokenCounter
from vasari.model.transformers_policy import load_model
from vasari.records import ImageRef
from vasari.train.settings import LoraSettings, SftSettings
from vasari.train.weights import prepare_weights

FAMILIES = ["qwen2_5_vl", "qwen3_vl", "gemma3", "internvl3", "smolvlm2", "llava_next", "qwen3_text"]
SEQUENCES, LENGTH = 2, 160


def saved_bytes(model, run, *, autocast):
    """Bytes of all tensors kept for the backward pass, but for weights and their copies."""
    weights = [weight for weight in model.parameters() if weight.ndim > 1]
    shapes = {tuple(w.shape) for w in weights} | {tuple(w.shape[::-1]) for w in weights}
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    found, kept = {}, []

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and tuple(tensor.shape) not in shapes:
            found[storage.data_ptr()] = storage.nbytes()
        kept.append(tensor)  # so that no address is used twice
        return tensor

    with (
        saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=autocast),
    ):
        run()
    return sum(found.values())


def decode(model, dtype):
    """Runs the language model over random inputs that have a gradient."""
    hidden = model.config.get_text_config().hidden_size
    inputs = torch.randn(SEQUENCES, LENGTH, hidden, dtype=dtype, requires_grad=True)
    return lambda: model.get_decoder()(inputs_embeds=inputs, use_cache=False)


@pytest.fixture
def untrained(family_folder):
    def make(name, attention="sdpa"):
        config = load_model(str(family_folder(name))).config
        return model_class(config).from_config(config, attn_implementation=attention).float()

    return make


@pytest.mark.parametrize("precision", ["float32", "autocast", "bfloat16"])
@pytest.mark.parametrize("name", FAMILIES)
def test_activations_are_within_a_third_of_what_autograd_keeps(untrained, name, precision):
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    model = untrained(name).to(dtype).train()
    kept = language_kept(model, precision)
    measured = saved_bytes(model, decode(model, dtype), autocast=precision == "autocast")
    # The norm behind the last layer is none of the layers.
    tokens = SEQUENCES * LENGTH
    measured -= 8 * tokens * model.config.get_text_config().hidden_size
    computed = kept.of(tokens, length=LENGTH, checkpointing=False)
    assert 0.9 < measured / computed < 1.33


@pytest.mark.parametrize("precision", ["float32", "autocast"])
def test_attention_weights_count_where_they_are_computed_one_by_one(untrained, precision):
    model = untrained("qwen2_5_vl", "eager").train()
    measured = saved_bytes(model, decode(model, torch.float32), autocast=precision == "autocast")
    computed = language_kept(model, precision).of(
        SEQUENCES * LENGTH, length=LENGTH, checkpointing=False
    )
    assert 0.9 < measured / computed < 1.33


@pytest.mark.parametrize("name", ["qwen2_5_vl", "gemma3"])
def test_frozen_weights_keep_fewer_activations(untrained, name):
    settings = SftSettings(lora=LoraSettings(rank=8), freeze_vision=True)
    model = prepare_weights(untrained(name), settings).get_base_model().train()
    measured = saved_bytes(model, decode(model, torch.float32), autocast=True)
    computed = language_kept(model, "autocast").of(
        SEQUENCES * LENGTH, length=LENGTH, checkpointing=False
    )
    assert 0.9 < measured / computed < 1.33
    assert model_shapes(model).vision_is_frozen
    assert model_shapes(model).head_is_frozen


@pytest.mark.parametrize("precision", ["float32", "autocast"])
@pytest.mark.parametrize("name", ["qwen2_5_vl", "internvl3", "smolvlm2"])
def test_more_vision_layers_keep_what_autograd_keeps_of_them(family_folder, name, precision):
    folder = str(family_folder(name))
    measured, computed = [], []
    for depth in (1, 4):
        model, inputs, patches = encoder(folder, depth)
        autocast = precision == "autocast"
        run = functools.partial(model.model.get_image_features, **inputs)
        measured.append(saved_bytes(model, run, autocast=autocast))
        kept = vision_kept(model, precision)
        computed.append(kept.of(patches, length=patches, checkpointing=False))
    assert 0.75 < (measured[1] - measured[0]) / (computed[1] - computed[0]) < 1.4


def encoder(folder, depth):
    """An untrained model with so many vision layers, an encoded image, and its patches."""
    config = load_config(folder)
    vision = config.vision_config
    vision.update({"depth" if hasattr(vision, "depth") else "num_hidden_layers": depth})
    if hasattr(vision, "fullatt_block_indexes"):
        vision.fullatt_block_indexes = list(range(depth))
    counter = TokenCounter(load_processor(folder), config, system="")
    data = io.BytesIO()
    # A number of patches that no weight has as its size.
    Image.new("RGB", (140, 112)).save(data, "PNG")
    prompt = dataclasses.replace(mixed_pool(1)[1], images=(ImageRef(data=data.getvalue()),))
    image = [{"type": "image", "image": open_image(prompt.images[0])}]
    encoded = load_processor(folder).apply_chat_template(
        [{"role": "user", "content": image}], tokenize=True, return_dict=True, return_tensors="pt"
    )
    texts = ("input_ids", "attention_mask", "mm_token_type_ids")
    inputs = {key: value for key, value in encoded.items() if key not in texts}
    model = model_class(config).from_config(config).float().train()
    return model, inputs, counter.count(prompt).patches


@pytest.mark.parametrize("name", ["qwen2_5_vl", "gemma3", "llava_next", "qwen3_text"])
def test_a_cache_has_the_bytes_of_the_keys_and_values_that_generation_keeps(family_folder, name):
    model = load_model(str(family_folder(name)), dtype="float32").eval()
    # Generation under autocast keeps float32 too: docs/scale.md.
    for autocast in (False, True):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            cache = model(input_ids=torch.randint(20, 90, (3, 10)), use_cache=True).past_key_values
        measured = sum(
            tensor.untyped_storage().nbytes()
            for layer in cache.layers
            for tensor in (layer.keys, layer.values)
        )
        assert measured == 3 * cache_bytes(model.config, length=10, width=4)


def test_layers_without_keys_and_values_are_left_out_of_a_cache(family_folder):
    config = load_model(str(family_folder("qwen3_5"))).config
    text = config.get_text_config()
    assert text.layer_types.count("full_attention") < text.num_hidden_layers
    expected = 2 * text.num_key_value_heads * text.head_dim * 4 * 10
    expected *= text.layer_types.count("full_attention")
    assert cache_bytes(config, length=10, width=4) == expected
