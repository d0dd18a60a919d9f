"""A real OpenAI-compatible server on 127.0.0.1, which misbehaves as it is told, in a thread of its
own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("aiohttp")

from aiohttp import web

from vasari.endpoint import EndpointSettings, Request, Sampling, user_message

Plan = Callable[[dict[str, Any], int], str]


def question_of(body: dict[str, Any]) -> str:
    """The last text of the last message."""
    content = body["messages"][-1]["content"]
    return (
        content
        if isinstance(content, str)
        else [part["text"] for part in content if part["type"] == "text"][-1]
    )


def answer_to(body: dict[str, Any]) -> str:
    """What a well-behaved server answers: a function of everything in the request but its limit."""
    told = {name: value for name, value in body.items() if name != "max_tokens"}
    return "answer " + hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


class Server:
    """Counts what it is asked; `plan(body, attempt)` names the fault of each attempt at a request,
    or "good"."""

    def __init__(self) -> None:
        self.plan: Plan = lambda body, attempt: "good"
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.attempts: dict[str, int] = {}
        self.seconds = 0.0
        self.parallel = 10_000
        self.active = self.most_active = 0
        self.retry_after = "0.05"
        self._served = self._most_served = 0

    def start(self) -> None:
        """Serve until `stop`."""
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()

        async def run() -> None:
            self._slots = asyncio.Semaphore(self.parallel)
            app = web.Application(client_max_size=2**30)
            app.router.add_post("/v1/chat/completions", self.handle)
            self._runner = web.AppRunner(
                app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
            )
            await self._runner.setup()
            site = web.TCPSite(self._runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
            ready.set()

        self.thread = threading.Thread(
            target=lambda: (self.loop.run_until_complete(run()), self.loop.run_forever()),
            daemon=True,
        )
        self.thread.start()
        assert ready.wait(60)

    def stop(self) -> None:
        """Close all connections."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self.loop).result(60)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)
        self.loop.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.times.append(time.monotonic())
        name = answer_to(body)
        self.attempts[name] = self.attempts.get(name, 0) + 1
        fault = self.plan(body, self.attempts[name])
        self.active += 1
        self.most_active = max(self.most_active, self.active)
        try:
            async with self._slots:
                await asyncio.sleep(self.seconds)
            return await getattr(self, f"answer_{fault}")(request, body)
        finally:
            self.active -= 1

    def completion(self, body: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """A completion of OpenAI's shape."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": answer_to(body)},
            "finish_reason": "stop",
        }
        choice["message"].update(changes.get("message", {}))
        choice["finish_reason"] = changes.get("finish_reason", "stop")
        usage = {"prompt_tokens": 40, "completion_tokens": 10, "total_tokens": 50}
        return {
            "id": "c",
            "object": "chat.completion",
            "model": "served",
            "choices": [choice],
            "usage": usage,
        }

    async def answer_good(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response(self.completion(body))

    async def answer_truncated(
        self, request: web.Request, body: dict[str, Any]
    ) -> web.StreamResponse:
        return web.json_response(
            self.completion(body, message={"content": "half an"}, finish_reason="length")
        )

    async def answer_rate_limited(
        self, request: web.Request, body: dict[str, Any]
    ) -> web.StreamResponse:
        return web.json_response(
            {"error": {"message": "slow down"}},
            status=429,
            headers={"Retry-After": self.retry_after},
        )

    async def answer_error(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.Response(
            text="<html>Internal Server Error</html>", status=500, content_type="text/html"
        )

    async def answer_error_in_body(
        self, request: web.Request, body: dict[str, Any]
    ) -> web.StreamResponse:
        return web.json_response({"error": {"message": "upstream is gone", "code": 502}})

    async def answer_bad_request(
        self, request: web.Request, body: dict[str, Any]
    ) -> web.StreamResponse:
        return web.json_response({"error": {"message": "image too large"}}, status=400)

    async def answer_unauthorised(
        self, request: web.Request, body: dict[str, Any]
    ) -> web.StreamResponse:
        shown = request.headers.get("Authorization", "none")
        return web.json_response(
            {"error": {"message": f"Incorrect API key provided: {shown}"}}, status=401
        )

    async def answer_redirect(
        self, request: web.Request, body: dict[str, Any]
    ) -> web.StreamResponse:
        return web.Response(
            status=307, headers={"Location": "http://127.0.0.1:9/v1/chat/completions"}
        )

    async def answer_timeout(
        self, request: web.Request, body: dict[str, Any]
    ) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.json_response(self.completion(body))

    async def answer_cut(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def answer_cut_within(
        self, request: web.Request, body: dict[str, Any]
    ) -> web.StreamResponse:
        answer = web.StreamResponse(
            headers={"Content-Type": "application/json", "Content-Length": "5000"}
        )
        await answer.prepare(request)
        await answer.write(json.dumps(self.completion(body)).encode()[:60])
        assert request.transport is not None
        request.transport.close()
        return answer

    async def answer_malformed(
        self, request: web.Request, body: dict[str, Any]
    ) -> web.StreamResponse:
        return web.Response(
            body=b'{"choices": [{"message": {"content": "unfinis', content_type="application/json"
        )

    async def answer_other_shape(
        self, request: web.Request, body: dict[str, Any]
    ) -> web.StreamResponse:
        return web.json_response({"choices": []})

    async def answer_wrong_type(
        self, request: web.Request, body: dict[str, Any]
    ) -> web.StreamResponse:
        return web.Response(
            text="<html>Sign in to the hotel's network</html>", content_type="text/html"
        )

    async def answer_drip(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(600):
                await answer.write(b" ")
                await asyncio.sleep(0.05)
        return answer

    async def answer_large(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return web.json_response(self.completion(body, message={"content": "a" * 10**6}))

    async def answer_endless(
        self, request: web.Request, body: dict[str, Any]
    ) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "application/json"})
        await answer.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(10_000):
                await answer.write(b" " * 65536)
        return answer


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that answers well until told otherwise."""
    made = Server()
    made.start()
    yield made
    made.stop()


@pytest.fixture
def settings(server: Server) -> Callable[..., EndpointSettings]:
    """Settings for the server, with short waits."""

    def make(**changes: Any) -> EndpointSettings:
        defaults = {
            "base_url": server.url,
            "backoff_seconds": 0.01,
            "max_backoff_seconds": 0.05,
            "timeout_seconds": 5.0,
        }
        return EndpointSettings(**(defaults | changes))

    return make


@pytest.fixture
def ask_for() -> Callable[..., list[Request]]:
    """So many different requests."""

    def make(count: int, **sampling: Any) -> list[Request]:
        return [
            Request(
                model="small",
                messages=(user_message(f"What is {n} + 2?"),),
                sampling=Sampling(**sampling),
                seed=1,
                id=f"row-{n}",
            )
            for n in range(count)
        ]

    return make
