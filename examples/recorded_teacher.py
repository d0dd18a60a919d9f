r"""A teacher over HTTP that answers with the solutions of data sets, with faults at given rates.

It speaks enough of OpenAI's protocol for `vasari curate`, recognises prompts by their text and
images, and needs no model: a way to try a recipe, and to see what verification keeps and refuses,
on real images, before paying for anything.

    python examples/recorded_teacher.py --source tabmwp=DATA/tabmwp:val \
        --source puzzlevqa=DATA/puzzlevqa:test \
        --wrong 0.1 --truncated 0.05 --off-format 0.05 --port 8100

and `base_url: http://127.0.0.1:8100/v1` in the recipe; `/replies` counts its answers by kind.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import itertools
import json
import logging
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from vasari.curate.ask.categorise import CATEGORIES, CLASSIFIER_PROMPT, MATHVISION_SUBJECTS
from vasari.curate.ask.rephrase import REPHRASE_PROMPT
from vasari.data.images import read_image_bytes
from vasari.data.prompt_file import read_prompts
from vasari.data.sources import BadRow, read_source
from vasari.model.chat import target_text, user_text
from vasari.records import Prompt

logger = logging.getLogger("recorded_teacher")

_MARK = re.compile(r"<image>")
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_OFFERS = re.compile(
    r"\b(?:which|what) of the following (?:options |choices )?(?:is |are )?", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Faults:
    """Shares of the teacher's answers that have each fault; together at most 1."""

    wrong: float = 0.0
    """Another final answer, with the reasoning of the right one."""
    truncated: float = 0.0
    """Cut short, with finish_reason "length"."""
    off_format: float = 0.0
    """No tags, no box, a second answer, or an empty box, at random."""
    repetitive: float = 0.0
    """One sentence repeated thirty times."""
    foreign: float = 0.0
    """Reasoning in another language."""
    spread: bool = False
    """Each prompt has its own rate of wrong answers, uniform in [0, 1], in place of `wrong`."""
    blind: float = 0.0
    """Share of the prompts that are answered rightly without their image."""


@dataclass(frozen=True)
class Reply:
    """An answer of the teacher, with its kind of fault."""

    text: str
    kind: str
    """Which fault it has, or "good"; "guess" for a question without its image, "unknown" for one
    that is not recorded."""
    finish_reason: str = "stop"


@dataclass
class RecordedTeacher:
    """A teacher that answers requests from recorded solutions, with random faults."""

    prompts: Sequence[Prompt]
    faults: Faults = field(default_factory=Faults)
    seed: int = 0

    def __post_init__(self) -> None:
        self._known: dict[tuple[str, tuple[str, ...]], Prompt] = {}
        self._by_text: dict[str, Prompt | None] = {}
        self._asked: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        """Replies by kind."""
        for prompt in self.prompts:
            text = plain(user_text(prompt))
            images = tuple(digest(read_image_bytes(ref, where=prompt.id)) for ref in prompt.images)
            self._known[text, images] = prompt
            # The answer cannot be known from a text that several prompts share.
            self._by_text[text] = None if text in self._by_text else prompt

    def answer(self, body: dict[str, Any]) -> Reply:
        """Return the reply to a chat completion request."""
        system, text, images = read_request(body)
        name = hashlib.sha256(json.dumps([system, text, images]).encode()).hexdigest()
        draw = random.Random(f"{self.seed}:{name}:{self._asked[name]}")
        self._asked[name] += 1
        if system == REPHRASE_PROMPT:
            reply = self._rephrased(text, draw)
        elif system.startswith(CLASSIFIER_PROMPT.split("{")[0]):
            reply = self._category(text, images, draw)
        else:
            reply = self._solved(text, images, draw)
        self.told[reply.kind] += 1
        return reply

    def _solved(self, text: str, images: tuple[str, ...], draw: random.Random) -> Reply:
        prompt = self._known.get((text, images))
        if prompt is not None and not prompt.solution:
            return Reply("I know this problem, and not how to solve it.", "unknown")
        if prompt is None:
            same = self._by_text.get(text)
            if images or text not in self._by_text:
                return Reply("I do not know this problem.", "unknown")
            if (
                same is not None
                and same.solution
                and random.Random(f"{self.seed}:{same.id}:blind").random() < self.faults.blind
            ):
                return Reply(target_text(same), "good")
            return Reply(
                f"Without the picture I can only guess: \\boxed{{{guess(text, draw)}}}", "guess"
            )
        return self._with_fault(prompt, self._fault(prompt, draw), draw)

    def _fault(self, prompt: Prompt, draw: random.Random) -> str:
        faults = self.faults
        wrong = (
            random.Random(f"{self.seed}:{prompt.id}:spread").random()
            if faults.spread
            else faults.wrong
        )
        rates = {"wrong": wrong, "truncated": faults.truncated, "off_format": faults.off_format}
        rates |= {"repetitive": faults.repetitive, "foreign": faults.foreign}
        place = draw.random()
        for kind, rate in rates.items():
            place -= rate
            if place < 0:
                return kind
        return "good"

    def _with_fault(self, prompt: Prompt, kind: str, draw: random.Random) -> Reply:
        solution, good = str(prompt.solution), target_text(prompt)
        if kind == "wrong":
            return Reply(written(solution, other_answer(prompt, draw)), kind)
        if kind == "truncated":
            return Reply(good[: max(8, int(len(solution) * draw.random()))], kind, "length")
        if kind == "repetitive":
            return Reply(
                written(
                    solution + " Let me check the picture and the numbers once more." * 30,
                    prompt.answer,
                ),
                kind,
            )
        if kind == "foreign":
            return Reply(
                written("我们先看图,再一步一步地计算,最后检查结果。" * 4 + solution, prompt.answer),
                kind,
            )
        if kind == "off_format":
            forms = (
                f"{solution}\n\nThe answer is {prompt.answer}.",
                f"<think>{solution}</think><answer>{prompt.answer}</answer>",
                f"{good}<answer>\\boxed{{{other_answer(prompt, draw)}}}</answer>",
                f"<think>{solution}</think><answer>\\boxed{{}}</answer>",
            )
            return Reply(forms[draw.randrange(len(forms))], kind)
        return Reply(good, "good")

    def _rephrased(self, text: str, draw: random.Random) -> Reply:
        """Reply with the question without its options, and the option's text as the answer."""
        head, _, answer = text.rpartition("\nRight answer: ")
        lines = head.removeprefix("Question: ").split("\n")
        cut = next(
            (place for place, line in enumerate(lines) if line.startswith("A) ")), len(lines)
        )
        options = [line[3:] for line in lines[cut:]]
        right = (
            options[ord(answer[0]) - ord("A")]
            if options and len(answer) == 1
            else answer.split(". ")[-1]
        )
        if draw.random() < self.faults.wrong:
            right = next((option for option in options if option != right), f"{right} or more")
            return Reply(
                f"<question>{' '.join(lines[:cut])}</question>\n<answer>{right}</answer>", "wrong"
            )
        if draw.random() < self.faults.off_format:
            return Reply(f"Sure! {' '.join(lines[:cut])} The answer is {right}.", "off_format")
        question = _OFFERS.sub("What ", "\n".join(lines[:cut]))
        return Reply(f"<question>{question}</question>\n<answer>{right}</answer>", "good")

    def _category(self, text: str, images: tuple[str, ...], draw: random.Random) -> Reply:
        """Reply with the recorded category if it is one of thirteen, else arithmetic or logic."""
        prompt = self._known.get((text, images)) or self._by_text.get(text)
        recorded = prompt.category if prompt is not None else ""
        recorded = MATHVISION_SUBJECTS.get(recorded, recorded)
        category = (
            recorded
            if recorded in CATEGORIES
            else "arithmetic"
            if _NUMBER.search(text)
            else "logic"
        )
        if draw.random() < self.faults.off_format:
            return Reply(f"I would say {category}, or perhaps algebra.", "off_format")
        if draw.random() < self.faults.wrong:
            return Reply(f"\\boxed{{{draw.choice(sorted(set(CATEGORIES) - {category}))}}}", "wrong")
        return Reply(f"\\boxed{{{category}}}", "good")


def written(thought: str, answer: str) -> str:
    """Return reasoning and answer in the paper's format."""
    return f"<think>{thought}</think><answer>\\boxed{{{answer}}}</answer>"


def other_answer(prompt: Prompt, draw: random.Random) -> str:
    """Return a wrong answer: another option, another number, or another word."""
    if prompt.choices:
        letters = [
            chr(65 + place)
            for place in range(len(prompt.choices))
            if chr(65 + place) != prompt.answer
        ]
        return draw.choice(letters or ["Z"])
    found = _NUMBER.search(prompt.answer)
    if found is None:
        return f"not {prompt.answer}"
    value = float(found.group().replace(",", "")) + draw.choice([-2, -1, 1, 2, 10])
    return prompt.answer[: found.start()] + f"{value:.12g}" + prompt.answer[found.end() :]


def guess(text: str, draw: random.Random) -> str:
    """Return one of the letters that a question offers, or else a small number."""
    letters = re.findall(r"(?<!\w)([A-J])\) ", text)
    return draw.choice(letters) if letters else str(draw.randrange(10))


def plain(text: str) -> str:
    """Return a question without image marks and with single spaces, as a key to recognise it."""
    return " ".join(_MARK.sub(" ", text).split())


def digest(data: bytes) -> str:
    """Return the SHA-256 digest of an encoded image."""
    return hashlib.sha256(data).hexdigest()


def read_request(body: dict[str, Any]) -> tuple[str, str, tuple[str, ...]]:
    """Return a request's system prompt, the text of its last message and its images' digests."""
    messages = body["messages"]
    system = next(
        (text_of(message["content"]) for message in messages if message["role"] == "system"), ""
    )
    content = messages[-1]["content"]
    urls = (
        [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
        if isinstance(content, list)
        else []
    )
    images = tuple(digest(base64.b64decode(url.split(",", 1)[1])) for url in urls)
    text = text_of(content)
    return system, text if system == REPHRASE_PROMPT else plain(text), images


def text_of(content: str | list[dict[str, Any]]) -> str:
    """Return the texts of a message, joined."""
    return (
        content
        if isinstance(content, str)
        else " ".join(part["text"] for part in content if part["type"] == "text")
    )


def completion(body: dict[str, Any], reply: Reply) -> dict[str, Any]:
    """Return a chat completion in OpenAI's format; tokens are counted as words."""
    asked, said = len(str(body["messages"])) // 200 + 20, len(reply.text.split()) + 1
    return {
        "id": "recorded",
        "object": "chat.completion",
        "model": "recorded-teacher",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": reply.text},
                "finish_reason": reply.finish_reason,
            }
        ],
        "usage": {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said},
    }


def make_app(teacher: RecordedTeacher) -> web.Application:
    """Return a web application that serves the teacher."""

    async def complete(request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.read())
            reply = teacher.answer(body)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            return web.json_response(
                {"error": {"message": f"not a chat completion request: {error!r}"}}, status=400
            )
        return web.json_response(completion(body, reply))

    async def models(_: web.Request) -> web.Response:
        return web.json_response(
            {"object": "list", "data": [{"id": "recorded-teacher", "object": "model"}]}
        )

    async def replies(_: web.Request) -> web.Response:
        return web.json_response(dict(teacher.told))

    app = web.Application(client_max_size=2**28)
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/replies", replies)
    return app


def load(sources: Iterable[str], files: Iterable[str], limit: int | None) -> list[Prompt]:
    """Read the prompts of sources, given as NAME=FOLDER[:SPLIT], and of prompt files."""
    prompts: list[Prompt] = []
    for source in sources:
        name, _, place = source.partition("=")
        folder, _, split = place.rpartition(":") if ":" in place else (place, "", "train")
        rows = read_source(name, Path(folder), split=split, allow_test=True)
        prompts += [row for row in itertools.islice(rows, limit) if not isinstance(row, BadRow)]
    for file in files:
        prompts += list(itertools.islice(read_prompts(Path(file)), limit))
    return prompts


def main() -> None:
    """Serve the teacher until interrupted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument(
        "--source",
        action="append",
        default=[],
        help="NAME=FOLDER[:SPLIT]; may be given several times",
    )
    parser.add_argument(
        "--prompts",
        action="append",
        default=[],
        help="a Parquet or JSON-lines file of prompts with solutions",
    )
    parser.add_argument("--limit", type=int, default=None, help="prompts of each source")
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument("--seed", type=int, default=0)
    for name in ("wrong", "truncated", "off-format", "repetitive", "foreign", "blind"):
        parser.add_argument(f"--{name}", type=float, default=0.0, help=f"share of {name} answers")
    parser.add_argument(
        "--spread", action="store_true", help="each prompt has its own rate of wrong answers"
    )
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    faults = Faults(
        wrong=given.wrong,
        truncated=given.truncated,
        off_format=given.off_format,
        repetitive=given.repetitive,
        foreign=given.foreign,
        blind=given.blind,
        spread=given.spread,
    )
    teacher = RecordedTeacher(load(given.source, given.prompts, given.limit), faults, given.seed)
    logger.info("%d prompts; http://127.0.0.1:%d/v1", len(teacher.prompts), given.port)
    web.run_app(make_app(teacher), host="127.0.0.1", port=given.port, print=None, access_log=None)
    logger.info("replies: %s", dict(teacher.told))


if __name__ == "__main__":
    main()
