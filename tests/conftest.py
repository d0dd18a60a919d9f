"""A tiny random Qwen2.5-VL on disk, small models of other families, and small pools of prompts."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from vasari.records import Prompt

# A busy machine is slow for reasons that no test is about. VASARI_TEST_PROFILE=thorough tries far
# more examples.
settings.register_profile("vasari", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("VASARI_TEST_PROFILE", "vasari"))

FAMILIES = ("bars", "tables")
SYSTEM = "Think, then answer."


@pytest.fixture
def largest_file() -> Callable[[int], AbstractContextManager[None]]:
    """Makes the disk refuse files above so many bytes while a block runs."""
    import resource

    @contextmanager
    def limited(num_bytes: int) -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited


@pytest.fixture(scope="session")
def image_prompts() -> list[Prompt]:
    """Twelve prompts with one image each."""
    from vasari.data.tasks.pool import PoolSettings, make_pool

    return make_pool(
        PoolSettings(families=FAMILIES, num_prompts=12, image_size=56), split="train", seed=3
    )


@pytest.fixture(scope="session")
def mixed_prompts(image_prompts: list[Prompt]) -> list[Prompt]:
    """Nine prompts: without an image, with one, and with two, in turns."""
    texts = [
        Prompt(id=f"text-{n}", question=f"What is {n} + 2?", answer=str(n + 2), kind="number")
        for n in range(3)
    ]
    pairs = [
        dataclasses.replace(
            image_prompts[n + 3],
            id=f"pair-{n}",
            images=(image_prompts[n + 3].images[0], image_prompts[n].images[0]),
        )
        for n in range(3)
    ]
    singles = image_prompts[6:9]
    return [prompt for turn in zip(texts, singles, pairs, strict=True) for prompt in turn]


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory, mixed_prompts: list[Prompt]) -> Path:
    """Folder with a random Qwen2.5-VL of two thin layers, and its processor."""
    from vasari.model.chat import target_text
    from vasari.model.processor import save_processor
    from vasari.model.sizes import SmallVlmSettings
    from vasari.model.small_vlm import small_processor, small_vlm, train_tokenizer

    sizes = SmallVlmSettings(
        hidden=32,
        layers=2,
        heads=2,
        feed_forward=48,
        vision_hidden=32,
        vision_layers=1,
        vision_heads=2,
        vision_feed_forward=48,
        image_size=56,
        vocabulary=400,
    )
    texts = [p.question for p in mixed_prompts] + [
        target_text(p) for p in mixed_prompts if p.solution
    ]
    tokenizer = train_tokenizer(
        [*texts, SYSTEM, "user assistant system"], vocabulary=sizes.vocabulary
    )
    folder = tmp_path_factory.mktemp("tiny")
    small_vlm(tokenizer, sizes, seed=1).save_pretrained(str(folder))
    save_processor(small_processor(tokenizer, sizes), folder)
    return folder


@pytest.fixture(scope="session")
def digit_prompts(image_prompts: list[Prompt]) -> list[Prompt]:
    """Twelve prompts whose answer is a digit from 0 to 3: four without an image, four with one,
    four with two."""
    prompts = []
    for n, source in enumerate(image_prompts):
        images = (source.images + image_prompts[n - 1].images)[: n % 3]
        prompts.append(
            Prompt(
                id=f"digit-{n}",
                question="How many?",
                answer=str(n % 4),
                images=images,
                kind="number",
                solution="see",
                category="digits",
            )
        )
    return prompts


@pytest.fixture(scope="session")
def taught_folder(
    tiny_folder: Path, digit_prompts: list[Prompt], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tiny model after a lesson: it mostly keeps to the format and answers a digit from 0 to 3
    at random."""
    import torch

    from vasari.model.processor import load_processor, save_processor
    from vasari.model.transformers_policy import load_model
    from vasari.train.prompt_data import ChatCollator
    from vasari.train.settings import SftSettings

    torch.manual_seed(0)
    model, processor = (
        load_model(str(tiny_folder), dtype="float32"),
        load_processor(str(tiny_folder)),
    )
    lessons = [
        dataclasses.replace(p, metadata={"final": str(digit)})
        for p in digit_prompts[:6]
        for digit in range(4)
    ]
    batch = ChatCollator(lessons, processor, SftSettings(), system=SYSTEM)(
        [{"index": i} for i in range(len(lessons))]
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(30):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("taught")
    model.save_pretrained(str(folder))
    save_processor(processor, folder)
    return folder


@pytest.fixture(scope="session")
def write_recipe(taught_folder: Path, digit_prompts: list[Prompt]) -> Callable[..., Path]:
    """Writes the recipe of a small training on the digit prompts, and its prompt files; changes go
    by section."""
    import yaml

    from vasari.data.prompt_file import write_prompts

    def write(folder: Path, **changes: Any) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        write_prompts(folder / "pool.parquet", digit_prompts)
        held_out = [dataclasses.replace(p, id=f"held-out-{p.id}") for p in digit_prompts[:3]]
        write_prompts(folder / "held_out.parquet", held_out)
        recipe: dict[str, Any] = {
            "name": "small",
            "prompts": {
                "files": {
                    "train": "pool.parquet",
                    "validation": "held_out.parquet",
                    "test": "held_out.parquet",
                }
            },
            "model": {"path": str(taught_folder), "system_prompt": "small"},
            "sampler": {"name": "vas", "settings": {"refresh_every": 2, "num_refresh_rollouts": 2}},
            "grpo": {
                "steps": 4,
                "prompts_per_batch": 4,
                "rollouts_per_prompt": 4,
                "updates_per_batch": 2,
                "micro_batch": 4,
                "save_every": 2,
                "validate_every": 4,
                "trl": {
                    "learning_rate": 3.0e-3,
                    "beta": 0.0,
                    "temperature": 1.0,
                    "max_completion_length": 12,
                    "warmup_steps": 0,
                },
            },
            "evaluate": {"num_rollouts": 2},
        }
        for section, values in changes.items():
            old = recipe.get(section)
            if isinstance(values, dict) and old is not None:
                trl = {"trl": old["trl"] | values.get("trl", {})} if "trl" in old else {}
                recipe[section] = old | values | trl
            else:
                recipe[section] = values
        path = folder / "recipe.yaml"
        path.write_text(yaml.safe_dump(recipe))
        return path

    return write


SELDOM = (
    "qwen2_vl",
    "qwen3_vl",
    "qwen3_5",
    "gemma4",
    "idefics3",
    "internvl3",
    "llava_onevision",
    "llava_next",
    "glm4v",
    "lfm2_vl",
    "qwen2_text",
    "qwen3_text",
)
"""Families that `scripts/check` leaves out; it tries Qwen2.5-VL, Gemma 3 and SmolVLM2, which hold
images in three ways."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the other families' tests to scripts/check-trainings."""
    for item in items:
        if {"model", "models"} & set(item.path.parts) and any(n in item.name for n in SELDOM):
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.heavy)


@pytest.fixture(scope="session")
def family_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Makes the folder of a family's small untrained model, laid out as on the hub."""
    from stand_ins import STAND_INS, make_stand_in

    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            if STAND_INS[name].needs_torchvision:
                pytest.importorskip("torchvision", reason=f"{name} needs torchvision for images")
            made[name] = make_stand_in(name, tmp_path_factory.mktemp("family") / name)
        return made[name]

    return folder


@pytest.fixture
def tiny_model(tiny_folder: Path) -> Any:
    """The tiny model, loaded afresh."""
    from vasari.model.transformers_policy import load_model

    return load_model(str(tiny_folder), dtype="float32").eval()


@pytest.fixture(scope="session")
def tiny_processor(tiny_folder: Path) -> Any:
    from vasari.model.processor import load_processor

    return load_processor(str(tiny_folder))


@pytest.fixture
def tiny_policy(tiny_model: Any, tiny_processor: Any) -> Any:
    from vasari.model.transformers_policy import TransformersPolicy

    return TransformersPolicy(tiny_model, tiny_processor, system=SYSTEM)


@pytest.fixture
def fresh_policy(tiny_folder: Path) -> Callable[[], Any]:
    """Makes policies that share nothing."""
    from vasari.model.transformers_policy import TransformersPolicy

    return lambda: TransformersPolicy.load(str(tiny_folder), system=SYSTEM, dtype="float32")


class ScriptedServer:
    """An OpenAI-compatible server on 127.0.0.1 that answers `script(body)`: a text, a (text,
    finish_reason) or a status."""

    def __init__(self) -> None:
        self.script: Callable[[dict[str, Any]], Any] = lambda body: "\\boxed{1}"
        self.bodies: list[dict[str, Any]] = []
        self.seconds = 0.0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def stop(self) -> None:
        """Close all connections."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        self._loop.close()

    @staticmethod
    def text_of(body: dict[str, Any]) -> str:
        """All texts of the last message."""
        content = body["messages"][-1]["content"]
        return (
            content
            if isinstance(content, str)
            else "".join(part.get("text", "") for part in content)
        )

    def _serve(self) -> None:
        from aiohttp import web

        async def answer(request: Any) -> Any:
            body = json.loads(await request.read())
            self.bodies.append(body)
            await asyncio.sleep(self.seconds)
            said = self.script(body)
            if isinstance(said, int):
                return web.json_response({"error": {"message": "out of order"}}, status=said)
            text, reason = said if isinstance(said, tuple) else (said, "stop")
            choice = {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": reason,
            }
            usage = {"prompt_tokens": 40, "completion_tokens": len(text.split())}
            return web.json_response({"model": "served", "choices": [choice], "usage": usage})

        async def start() -> None:
            app = web.Application(client_max_size=2**28)
            app.router.add_post("/v1/chat/completions", answer)
            self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
            self._ready.set()

        self._loop.run_until_complete(start())
        self._loop.run_forever()


@pytest.fixture
def scripted_server() -> Iterator[ScriptedServer]:
    """A server that answers by a script and keeps every request."""
    pytest.importorskip("aiohttp")
    made = ScriptedServer()
    yield made
    made.stop()
