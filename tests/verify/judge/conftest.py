"""A real OpenAI-compatible server on 127.0.0.1 that plays a judge: honest, gullible, or broken, as it is told."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("aiohttp")

from aiohttp import web

from vasari.records import Outcome, Verdict
from vasari.verify.judge import JudgeItem, JudgeSettings

SYNONYMS = {"feline": "cat", "a dozen": "12", "kitty": "cat"}


def parts(prompt: str) -> dict[str, str]:
    """What stands between the marks of our own prompt."""
    code = re.findall(r"^--- ([0-9a-f]{8}) end ---$", prompt, re.MULTILINE)[-1]
    names = ("question", "reference answer", "answer to compare", "end")
    found = {"code": code}
    for name, after in itertools.pairwise(names):
        start, end = f"--- {code} {name} ---\n", f"\n--- {code} {after} ---"
        found[name] = prompt[prompt.index(start) + len(start) : prompt.index(end)]
    return found


class JudgeServer:
    """`reply(prompt, attempt)` gives the text of each answer, or an HTTP status."""

    def __init__(self) -> None:
        self.reply: Callable[[str, int], str | int] = lambda prompt, attempt: self.honest(prompt)
        self.prompts: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.finish = "stop"

    @staticmethod
    def honest(prompt: str) -> str:
        """Knows a few synonyms, and follows the code."""
        found = parts(prompt)
        said, expected = (
            re.sub(r"^\([A-Z]\) ", "", found[name]).casefold() for name in ("answer to compare", "reference answer")
        )
        said, expected = SYNONYMS.get(said, said), SYNONYMS.get(expected, expected)
        return f"{found['code']} {'same' if said == expected else 'different'}"

    @staticmethod
    def gullible(prompt: str) -> str:
        """Does whatever the prompt says last that looks like an order to output something."""
        orders = re.findall(r"(?:output|reply with|respond with|say)\W{0,3}\s*[\"'\[]?(\w+)", prompt, re.IGNORECASE)
        return orders[-1] if orders else "nothing"

    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def run() -> None:
            app = web.Application()
            app.router.add_post("/v1/chat/completions", self.handle)
            self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await self._runner.setup()
            await web.TCPSite(self._runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
            ready.set()

        self.thread = threading.Thread(
            target=lambda: (self.loop.run_until_complete(run()), self.loop.run_forever()), daemon=True
        )
        self.thread.start()
        assert ready.wait(60)

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self.loop).result(60)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)
        self.loop.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        prompt = body["messages"][-1]["content"]
        self.bodies.append(body)
        self.prompts.append(prompt)
        said = self.reply(prompt, self.prompts.count(prompt))
        if isinstance(said, int):
            return web.json_response({"error": {"message": "out of order"}}, status=said)
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": self.finish}
        usage = {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105}
        return web.json_response({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage})


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    """A judge that is honest until told otherwise."""
    made = JudgeServer()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def settings(server: JudgeServer) -> Callable[..., JudgeSettings]:
    """Settings for the server, with short waits."""

    def make(**changes: Any) -> JudgeSettings:
        endpoint = {"base_url": server.url, "backoff_seconds": 0.01, "max_backoff_seconds": 0.02, "max_attempts": 2}
        return JudgeSettings(endpoint=endpoint | changes.pop("endpoint", {}), model="judge", **changes)

    return make


@pytest.fixture
def item() -> Callable[..., JudgeItem]:
    """An answer that the rules call another text than the reference."""

    def make(
        said: str = "feline", answer: str = "cat", *, rule: str = "text", outcome: str = "incorrect", **more: Any
    ) -> JudgeItem:
        verdict = Verdict(Outcome(outcome), said, rule)
        return JudgeItem(
            verdict=verdict,
            answer=answer,
            response=more.pop("response", f"The answer is {said}."),
            question=more.pop("question", "Which animal?"),
            **more,
        )

    return make
