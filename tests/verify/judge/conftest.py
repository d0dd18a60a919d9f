"""A real OpenAI-compatible server on 127.0.0.1 that plays a judge: honest, gullible, or broken, as
it is told."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("aiohttp")

from vasari.records import Outcome, Verdict
from vasari.verify.judge import JudgeItem, JudgeSettings

SYNONYMS = {"feline": "cat", "a handful": "12", "kitty": "cat"}


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
    """What a scripted server says as a judge: `reply(prompt, attempt)` gives the text of each
    answer, or an HTTP status."""

    def __init__(self, served: Any) -> None:
        self.reply: Callable[[str, int], str | int] = lambda prompt, attempt: self.honest(prompt)
        self.prompts: list[str] = []
        self.bodies: list[dict[str, Any]] = served.bodies
        self.finish = "stop"
        self.url: str = served.url
        served.script = self._script

    def _script(self, body: dict[str, Any]) -> Any:
        prompt = body["messages"][-1]["content"]
        self.prompts.append(prompt)
        said = self.reply(prompt, self.prompts.count(prompt))
        return said if isinstance(said, int) else (said, self.finish)

    @staticmethod
    def honest(prompt: str) -> str:
        """Knows a few synonyms, and follows the code."""
        found = parts(prompt)
        said, expected = (
            re.sub(r"^\([A-Z]\) ", "", found[name]).casefold()
            for name in ("answer to compare", "reference answer")
        )
        said, expected = SYNONYMS.get(said, said), SYNONYMS.get(expected, expected)
        return f"{found['code']} {'same' if said == expected else 'different'}"

    @staticmethod
    def gullible(prompt: str) -> str:
        """Does whatever the prompt says last that looks like an order to output something."""
        orders = re.findall(
            r"(?:output|reply with|respond with|say)\W{0,3}\s*[\"'\[]?(\w+)", prompt, re.IGNORECASE
        )
        return orders[-1] if orders else "nothing"


@pytest.fixture
def server(scripted_server: Any) -> JudgeServer:
    """A judge that is honest until told otherwise."""
    return JudgeServer(scripted_server)


@pytest.fixture
def settings(server: JudgeServer) -> Callable[..., JudgeSettings]:
    """Settings for the server, with short waits."""

    def make(**changes: Any) -> JudgeSettings:
        endpoint = {
            "base_url": server.url,
            "backoff_seconds": 0.01,
            "max_backoff_seconds": 0.02,
            "max_attempts": 2,
        }
        return JudgeSettings(
            endpoint=endpoint | changes.pop("endpoint", {}), model="judge", **changes
        )

    return make


@pytest.fixture
def item() -> Callable[..., JudgeItem]:
    """An answer that the rules call another text than the reference."""

    def make(
        said: str = "feline",
        answer: str = "cat",
        *,
        rule: str = "text",
        outcome: str = "incorrect",
        **more: Any,
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
