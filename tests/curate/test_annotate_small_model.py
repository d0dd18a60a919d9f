"""A real OpenAI-compatible server with images: the small VLM, grading and answering prompts of
`tasks/`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("torch")

from vasari.curate.ask.annotate import AnnotateSettings, annotate
from vasari.curate.ask.asking import ask_prompts, prompt_request
from vasari.curate.choose.grading import Difficulty, Grader, GradingSettings
from vasari.curate.stage import AskedModel, check_result
from vasari.endpoint import EndpointSettings, ResponseStore, Sampling
from vasari.verify import verify_answer

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SYSTEM = "Think, then answer."


@pytest.fixture(scope="module")
def policy(tiny_folder):
    from vasari.model.transformers_policy import TransformersPolicy

    return TransformersPolicy.load(str(tiny_folder), system=SYSTEM)


@pytest.fixture(scope="module")
def served(policy):
    """The example server in a thread: its URL and its application."""
    from aiohttp import web

    sys.path.insert(0, str(ROOT / "examples"))
    try:
        import serve_small_model
    finally:
        sys.path.pop(0)
    loop = asyncio.new_event_loop()
    app = serve_small_model.make_app(policy, name="small")
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    loop.run_until_complete(runner.setup())
    loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1", app[serve_small_model.BATCHER]
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(60)
    loop.close()


def model_of(url, store, *, name="small", temperature=0.0):
    sampling = Sampling(temperature=temperature, max_tokens=24)
    return AskedModel(
        settings=EndpointSettings(base_url=url, timeout_seconds=300.0),
        store=store,
        model=name,
        sampling=sampling,
    )


def texts(prompts, model):
    found = ask_prompts(prompts, model, lambda prompt: prompt_request(prompt, model, system=SYSTEM))
    return [found.answers[place].response.text for place in range(len(prompts))]


def test_the_server_says_what_the_model_says_with_no_one_and_two_images(
    served, policy, mixed_prompts, tmp_path
):
    from vasari.model.base import Decoding

    decoding = Decoding(num_rollouts=1, temperature=0.0, max_tokens=24)
    policy.system = SYSTEM
    expected = [
        group[0].text
        for prompt in mixed_prompts
        for group in policy.generate([prompt], decoding, seed=0)
    ]
    with ResponseStore(tmp_path) as store:
        assert texts(mixed_prompts, model_of(served[0], store)) == expected


def test_requests_that_come_together_are_answered_together(served, image_prompts, tmp_path):
    before = len(served[1].batches)
    with ResponseStore(tmp_path) as store:
        model = model_of(served[0], store, temperature=0.7)
        ask_prompts(
            image_prompts, model, lambda prompt: prompt_request(prompt, model, system=SYSTEM)
        )
    sizes = served[1].batches[before:]
    assert sum(sizes) == 12
    assert len(sizes) < 12


def test_prompts_are_graded_by_rollouts_of_the_served_model_and_another_run_asks_nothing(
    served, image_prompts, tmp_path
):
    grader = Grader(GradingSettings(num_rollouts=4))

    def grades():
        with ResponseStore(tmp_path) as store:
            model = model_of(served[0], store, temperature=1.0)
            found = ask_prompts(
                image_prompts,
                model,
                lambda prompt: prompt_request(prompt, model, system=SYSTEM),
                num_responses=4,
            )
        verdicts = [
            [
                verify_answer(r.text, p.answer, p.choices, p.kind).value
                for r in found.answers[place].responses
            ]
            for place, p in enumerate(image_prompts)
        ]
        # A model of random weights may answer nothing, which is no wrong answer.
        all_four = [[*one, *[math.nan] * (4 - len(one))] for one in verdicts]
        return [grader.grade(one).difficulty for one in all_four], verdicts

    first = grades()
    answered = sum(served[1].batches)
    assert grades() == first
    assert sum(served[1].batches) == answered
    # Random weights: some short outputs are read as answers, and few are right.
    assert Counter(first[0])[Difficulty.HARD] >= 6
    assert all(
        len(one) < 4
        for one, grade in zip(first[1], first[0], strict=True)
        if grade is Difficulty.UNGRADED
    )


def test_a_model_that_cannot_write_rationales_annotates_nothing_and_every_row_says_why(
    served, image_prompts, tmp_path
):
    with ResponseStore(tmp_path) as store:
        result = annotate(
            image_prompts,
            model_of(served[0], store, temperature=1.0),
            AnnotateSettings(num_rationales=2),
        )
    check_result(result, len(image_prompts), stage="annotate")
    assert result.kept == ()
    assert {drop.reason for drop in result.dropped} <= {"truncated", "off_format"}


def test_what_the_server_does_not_do_is_refused_with_a_reason(served, image_prompts, tmp_path):
    for change, reason in [
        ({"stream": True}, "no streaming"),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
            "one user message",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
                        ],
                    }
                ]
            },
            "an image must come within the request",
        ),
    ]:
        body = {"model": "small", "messages": [{"role": "user", "content": "a"}]} | change
        asked = urllib.request.Request(f"{served[0]}/chat/completions", json.dumps(body).encode())  # noqa: S310  (our own)
        with pytest.raises(urllib.error.HTTPError, match=r"400") as raised:
            urllib.request.urlopen(asked, timeout=60)  # noqa: S310
        assert reason in raised.value.read().decode()


def test_transformers_serve_shows_the_images_to_the_model(
    policy, tiny_folder, image_prompts, tmp_path
):
    """The stock server, told of the processor: skipped where its extra is not installed."""
    pytest.importorskip("fastapi")
    pytest.importorskip("uvicorn")
    import socket

    from vasari.model.base import Decoding

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = str(ROOT / "examples" / "serve_with_transformers.py")
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (tmp_path / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, script, str(tiny_folder), "--port", str(port), "--device", "cpu"],
            stdout=log,
            stderr=log,
            env=environment,
        )
    try:
        wait_for(f"http://localhost:{port}/health", process)
        decoding = Decoding(num_rollouts=1, temperature=0.0, max_tokens=24)
        policy.system = SYSTEM
        some = image_prompts[:4]
        expected = [
            group[0].text
            for prompt in some
            for group in policy.generate([prompt], decoding, seed=0)
        ]
        with ResponseStore(tmp_path / "store") as store:
            assert (
                texts(some, model_of(f"http://localhost:{port}/v1", store, name=str(tiny_folder)))
                == expected
            )
    finally:
        process.terminate()
        process.wait(60)


def wait_for(url, process, seconds=300):
    """Return when a server answers."""
    for _ in range(seconds):
        assert process.poll() is None, "the server ended"
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5)  # noqa: S310
            return
        time.sleep(1)
    pytest.fail("the server does not answer")
