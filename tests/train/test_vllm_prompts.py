"""What TRL's vLLM is given in the place of what the trainer hands over, without generating."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from PIL import Image

from vasari.core.errors import ConfigError, StateError
from vasari.model.encoded_prompts import encoded
from vasari.train.vllm_prompts import VllmPrompts


class Generation:
    """TRL's `VLLMGeneration` up to where it asks vLLM, which says to have read `read`."""

    def __init__(self, *, mode="colocate", read=None, most=500):
        self.mode = mode
        self.max_completion_length = 10
        self.accelerator = SimpleNamespace(is_main_process=True)
        config = SimpleNamespace(max_model_len=most)
        self.llm = SimpleNamespace(llm_engine=SimpleNamespace(model_config=config))
        info = {"model_config": {"max_model_len": most}}
        self.vllm_client = SimpleNamespace(get_server_info=lambda: info)
        self.read = read
        self.given = None

    def _place_features(self, features, prompt_ids):
        places = [{"offset": prompt_ids.index(4), "length": prompt_ids.count(4)}]
        return features and {**features, "mm_placeholders": {"image": places}}

    def generate(self, prompts, images, num_generations, profiler=None):
        self.given = prompts, images
        return self.read or prompts, [[1]] * len(prompts), [[[0.0]]] * len(prompts), None


@pytest.fixture
def messages():
    image = {"type": "image", "image": Image.new("RGB", (56, 56))}
    return [{"role": "user", "content": [image, {"type": "text", "text": "How many?"}]}]


@pytest.fixture
def known(tiny_processor, messages):
    """The wrapped generation with the prompt known to it, and the prompt's tokens."""
    ids, _ = encoded(tiny_processor, messages)

    def make(**options):
        generation = Generation(**options)
        trainer = SimpleNamespace(vllm_generation=generation, processing_class=tiny_processor)
        VllmPrompts(trainer).know([messages], [ids], {})
        return generation, ids

    return make


def test_what_follows_a_prompt_in_a_conversation_stays_as_it_is(known, messages):
    _, ids = known()
    generation, _ = known(read=[[*ids, 7, 8]])
    images = [part["image"] for part in messages[0]["content"][:1]]
    generation.generate([[*ids, 7, 8]], [images], 1)
    ((given,), _) = generation.given
    assert given[-2:] == [7, 8]
    assert len(given) == len(ids) + 2 - 3  # a mark for four tokens


def test_a_prompt_without_images_stands_beside_others_as_none(known, messages):
    generation, ids = known()
    generation.read = [ids, [5, 6]]
    images = [part["image"] for part in messages[0]["content"][:1]]
    generation.generate([ids, [5, 6]], [images, []], 1)
    assert generation.given[1][1] is None
    assert generation.given[0][1] == [5, 6]


def test_without_any_image_there_is_no_list_of_images(known):
    generation, _ = known()
    generation.generate([[5, 6], [7]], [[], None], 1)
    assert generation.given[1] is None


def test_a_server_gets_all_tokens(known, messages):
    generation, ids = known(mode="server")
    images = [part["image"] for part in messages[0]["content"][:1]]
    generation.generate([ids], [images], 1)
    assert generation.given[0] == [ids]


def test_images_of_a_prompt_that_nobody_wrote_are_refused(known, messages):
    generation, _ = known()
    images = [part["image"] for part in messages[0]["content"][:1]]
    with pytest.raises(ConfigError, match="nobody knows how it was written; set vllm_mode: server"):
        generation.generate([[9, 9]], [images], 1)


def test_a_server_that_gives_an_image_other_tokens_is_refused(known):
    generation, _ = known(mode="server")
    told = {"mm_placeholders": {"image": [{"offset": 1, "length": 3}]}}
    assert generation._place_features(told, [1, 4, 4, 4, 2]) is not None
    assert generation._place_features(None, [1, 4, 2]) is None
    with pytest.raises(StateError, match=r"as \[3\] tokens, and the model as \[4\]"):
        generation._place_features(told, [1, 4, 4, 4, 4, 2])


@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_a_prompt_and_a_rollout_that_are_too_long_are_refused(known, mode):
    generation, _ = known(mode=mode, most=15)
    generation.generate([[1] * 5], None, 1)
    generation.given = None
    with pytest.raises(ConfigError, match="a prompt of 6 tokens and a rollout of up to 10 are"):
        generation.generate([[1] * 6], None, 1)
    assert generation.given is None
