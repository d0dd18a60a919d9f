"""Serve a run's vision-language model behind an OpenAI-compatible API with images, on a CPU.

    python examples/serve_small_model.py RUN/cold_start/model --port 8200

and `base_url: http://127.0.0.1:8200/v1` in a recipe, or in any other client. It is for trying
things out: requests that arrive together are answered as one batch, conversations have one turn,
and there is no streaming.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import binascii
import json
import logging
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from vasari.core.errors import DataError
from vasari.data.images import open_image
from vasari.model.base import Decoding
from vasari.model.transformers_policy import TransformersPolicy
from vasari.records import ImageRef, Prompt, Rollout

logger = logging.getLogger("serve_small_model")

MAX_BATCH = 64
GATHER_SECONDS = 0.01


class BadRequestError(Exception):
    """Error for a request that is malformed or asks for what this server cannot do."""


@dataclass(frozen=True)
class Asked:
    """A request in the form that a policy takes."""

    prompt: Prompt
    system: str
    decoding: Decoding
    seed: int


@dataclass
class Waiting:
    """A waiting request and the future for its answer."""

    asked: Asked
    answer: asyncio.Future[Rollout]


class Batcher:
    """Collects requests and answers those of equal system prompt and sampling in batches."""

    def __init__(self, policy: TransformersPolicy) -> None:
        self.policy = policy
        self.batches: list[int] = []
        """Sizes of the batches so far."""
        self._waiting: list[Waiting] = []
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1)

    async def ask(self, asked: Asked) -> Rollout:
        """Wait for and return the rollout that answers one request."""
        waiting = Waiting(asked, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._wake.set()
        return await waiting.answer

    async def run(self) -> None:
        """Answer waiting requests in batches until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_SECONDS)
            batch = self._next_batch()
            if not batch:
                self._wake.clear()
                continue
            try:
                rollouts = await loop.run_in_executor(
                    self._thread, self._generate, [waiting.asked for waiting in batch]
                )
            except (DataError, RuntimeError, ValueError) as error:
                logger.warning("a batch of %d failed: %s", len(batch), error)
                for waiting in batch:
                    if not waiting.answer.done():
                        waiting.answer.set_exception(BadRequestError(str(error)))
                continue
            for waiting, rollout in zip(batch, rollouts, strict=True):
                if not waiting.answer.done():
                    waiting.answer.set_result(rollout)

    def _next_batch(self) -> list[Waiting]:
        self._waiting = [waiting for waiting in self._waiting if not waiting.answer.done()]
        if not self._waiting:
            return []
        first = self._waiting[0].asked
        batch = [
            one
            for one in self._waiting
            if (one.asked.system, one.asked.decoding) == (first.system, first.decoding)
        ]
        batch = batch[:MAX_BATCH]
        taken = {id(waiting) for waiting in batch}
        self._waiting = [waiting for waiting in self._waiting if id(waiting) not in taken]
        return batch

    def _generate(self, batch: Sequence[Asked]) -> list[Rollout]:
        self.batches.append(len(batch))
        self.policy.system = batch[0].system
        groups = self.policy.generate(
            [one.prompt for one in batch], batch[0].decoding, seed=batch[0].seed
        )
        return [group[0] for group in groups]


def read_request(body: dict[str, Any], *, system: str, max_tokens: int) -> Asked:
    """Return the prompt, system prompt and decoding of a chat completion request.

    Images are marked in the question where the message has them.

    Raises:
        BadRequestError: Several turns, a remote image, or no text.
    """
    messages = body["messages"]
    if [message["role"] for message in messages] not in (["user"], ["system", "user"]):
        raise BadRequestError(
            "one user message, after at most one system message, is all that this server takes"
        )
    if body.get("stream") or int(body.get("n") or 1) != 1:
        raise BadRequestError("no streaming, and one answer a request")
    for message in messages[:-1]:
        system = _text(message["content"])
    content = messages[-1]["content"]
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    question, images = "", []
    for part in parts:
        if part["type"] == "text":
            question += part["text"]
        else:
            question += "<image>"
            images.append(_image(part["image_url"]["url"]))
    decoding = Decoding(
        num_rollouts=1,
        temperature=1.0 if body.get("temperature") is None else float(body["temperature"]),
        top_p=1.0 if body.get("top_p") is None else float(body["top_p"]),
        max_tokens=int(body.get("max_completion_tokens") or body.get("max_tokens") or max_tokens),
        batch_rollouts=MAX_BATCH,
    )
    # Without its mark an image goes before the text, as in training.
    if (
        images
        and question.startswith("<image>" * len(images))
        and question.count("<image>") == len(images)
    ):
        question = question[len("<image>" * len(images)) :]
    prompt = Prompt(
        id=str(body.get("user") or "request"), question=question, answer="", images=tuple(images)
    )
    seed = random.getrandbits(31) if body.get("seed") is None else int(body["seed"])
    return Asked(prompt, system, decoding, seed)


def _text(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def _image(url: str) -> ImageRef:
    head, _, data = url.partition(",")
    if not (head.startswith("data:image/") and head.endswith(";base64")):
        raise BadRequestError("an image must come within the request, as data:image/...;base64,...")
    ref = ImageRef(data=base64.b64decode(data, validate=True))
    open_image(ref, where="image")
    return ref


def make_app(
    policy: TransformersPolicy, *, name: str, system: str = "", max_tokens: int = 128
) -> web.Application:
    """Return a web application that serves the model; `app[BATCHER].batches` holds batch sizes."""
    app = web.Application(client_max_size=2**28)

    async def batching(app: web.Application) -> Any:
        app[BATCHER] = Batcher(policy)
        task = asyncio.create_task(app[BATCHER].run())
        yield
        task.cancel()

    async def complete(request: web.Request) -> web.Response:
        try:
            asked = read_request(
                json.loads(await request.read()), system=system, max_tokens=max_tokens
            )
            rollout = await request.app[BATCHER].ask(asked)
        except (
            BadRequestError,
            DataError,
            KeyError,
            TypeError,
            ValueError,
            binascii.Error,
        ) as error:
            return web.json_response(
                {"error": {"message": f"{error}", "type": "invalid_request_error"}}, status=400
            )
        tokens = len(rollout.token_ids)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": rollout.text},
            "finish_reason": "length" if rollout.truncated else "stop",
        }
        # An image is 16 tokens at this size; the exact number is the processor's.
        asked_tokens = len(asked.prompt.question) // 4 + 16 * len(asked.prompt.images)
        usage = {
            "prompt_tokens": asked_tokens,
            "completion_tokens": tokens,
            "total_tokens": asked_tokens + tokens,
        }
        answer = {
            "id": "small",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": name,
        }
        return web.json_response(answer | {"choices": [choice], "usage": usage})

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"}]})

    app.cleanup_ctx.append(batching)
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_get("/v1/models", models)
    return app


BATCHER: web.AppKey[Batcher] = web.AppKey("batcher", Batcher)


def main() -> None:
    """Serve the model until interrupted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("model", help="a model folder of a run, or a hub name")
    parser.add_argument("--port", type=int, default=8200)
    parser.add_argument("--name", default="small", help="what /v1/models calls it")
    parser.add_argument("--system", default="", help="system prompt of requests that bring none")
    parser.add_argument(
        "--max-tokens", type=int, default=128, help="limit of requests that set none"
    )
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    policy = TransformersPolicy.load(given.model, system=given.system)
    logger.info("%s; http://127.0.0.1:%d/v1", given.model, given.port)
    app = make_app(policy, name=given.name, system=given.system, max_tokens=given.max_tokens)
    web.run_app(app, host="127.0.0.1", port=given.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
