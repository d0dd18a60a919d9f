"""The clients that `endpoint_speed.py` compares, each a function that asks for all images.

A client is called with the server's address, the images, and a function to call right before its
first request; it returns the texts of the answers.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import aiohttp
import orjson

import vasari.endpoint.images
from curator_client import WAYS
from vasari.endpoint import (
    Client,
    EndpointSettings,
    Price,
    Request,
    ResponseStore,
    Sampling,
    image_part,
    user_message,
)
from vasari.records import ImageRef


async def in_ways(ask: Callable[[int], Any], count: int) -> None:
    """Call `ask` with 0 to `count` - 1 from `WAYS` concurrent workers."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await ask(number)

    await asyncio.gather(*(work() for _ in range(WAYS)))


def body_of(image: bytes, number: int) -> dict[str, Any]:
    """Return the request as a dictionary, for clients that take one."""
    url = {"url": "data:image/png;base64," + base64.b64encode(image).decode()}
    content = [
        {"type": "image_url", "image_url": url},
        {"type": "text", "text": f"What is shown in figure {number}?"},
    ]
    return {
        "model": "m",
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 512,
        "temperature": 1.0,
    }


async def run_bare(url: str, images: list[bytes], spent: Callable[[], Any]) -> list[str]:
    """Ask with aiohttp and orjson alone: no store, no limits, no retries."""
    texts = [""] * len(images)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=WAYS)) as session:

        async def ask(number: int) -> None:
            body = orjson.dumps(body_of(images[number], number))
            async with session.post(
                f"{url}/chat/completions", data=body, headers={"Content-Type": "application/json"}
            ) as got:
                texts[number] = orjson.loads(await got.read())["choices"][0]["message"]["content"]

        spent()
        await in_ways(ask, len(images))
    return texts


async def run_openai(url: str, images: list[bytes], spent: Callable[[], Any]) -> list[str]:
    """Ask with the openai package, its retries off."""
    import openai  # noqa: PLC0415  (optional)

    texts = [""] * len(images)
    async with openai.AsyncOpenAI(
        base_url=url, api_key="none", max_retries=0, timeout=120.0
    ) as client:

        async def ask(number: int) -> None:
            got = await client.chat.completions.create(**body_of(images[number], number))
            texts[number] = got.choices[0].message.content or ""

        spent()
        await in_ways(ask, len(images))
    return texts


def our_settings(url: str, *, adaptive: bool) -> EndpointSettings:
    """Return endpoint settings with all limits on, but too high to bind."""
    return EndpointSettings(
        base_url=url,
        max_concurrency=WAYS,
        start_concurrency=8 if adaptive else WAYS,
        latency_tolerance=4.0 if adaptive else 1e9,
        requests_per_minute=10**8,
        tokens_per_minute=10**12,
        prices={"m": Price(input=Decimal("0.15"), output=Decimal("0.60"))},
        budget=Decimal(10**6),
    )


async def run_ours(
    url: str, images: list[bytes], spent: Callable[[], Any], *, adaptive: bool
) -> list[str]:
    """Ask with `vasari.endpoint`: images hashed, answers stored, limits and budget kept."""
    sampling = Sampling(max_tokens=512, temperature=1.0)
    texts = [""] * len(images)
    folder = tempfile.mkdtemp()
    try:
        with ResponseStore(folder) as store:
            async with Client(our_settings(url, adaptive=adaptive), store) as client:

                def requests() -> Iterator[Request]:
                    for number, image in enumerate(images):
                        part = image_part(ImageRef(data=image))
                        message = user_message(f"What is shown in figure {number}?", [part])
                        yield Request(model="m", messages=(message,), sampling=sampling)

                spent()
                async for answers in client.stream(requests()):
                    texts[answers.position] = answers.responses[0].text
    finally:
        shutil.rmtree(folder)
    return texts


async def run_without_pybase64(
    url: str, images: list[bytes], spent: Callable[[], Any]
) -> list[str]:
    """Ask with `vasari.endpoint` and the standard library's base64, which `run_bare` uses too."""
    vasari.endpoint.images.base64_of = base64.b64encode
    return await run_ours(url, images, spent, adaptive=False)


RUNS: dict[str, Callable[..., Any]] = {
    "aiohttp + orjson, bare": run_bare,
    "vasari.endpoint": lambda *args: run_ours(*args, adaptive=False),
    "vasari.endpoint, adaptive from 8": lambda *args: run_ours(*args, adaptive=True),
    "vasari.endpoint without pybase64": run_without_pybase64,
    "openai": run_openai,
}
