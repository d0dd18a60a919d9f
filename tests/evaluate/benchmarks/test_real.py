"""Published outputs of other models, replayed by a server on real prompts and images: their
published verdicts come out."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

pytest.importorskip("aiohttp")

from vasari.endpoint import ResponseStore
from vasari.evaluate.benchmarks import BenchmarkSettings, evaluate_benchmarks, plan_benchmarks
from vasari.model.endpoint_policy import EndpointModel, EndpointPolicy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("VASARI_DATA" not in os.environ, reason="needs VASARI_DATA"),
]


def published(file):
    path = Path(os.environ["VASARI_DATA"]) / "verdicts" / file
    if not path.exists():
        pytest.skip(f"no {file}")
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def replay(server, settings, rows, out):
    """Evaluate with a server that says what the published model said of each question; returns the
    verdict rows."""
    plan = plan_benchmarks(settings, folder=Path(os.environ["VASARI_DATA"]))
    responses = {row["id"]: row["response"] for row in rows}
    by_text = {}
    for item in plan.passes:
        for entry in item.entries:
            by_text.setdefault(entry.asked.question, []).append(
                responses[entry.prompt.metadata["native_id"]]
            )
    # Questions that are alike are told apart by their images, which the server does not look at:
    # they come in order.
    server.script = lambda body: by_text[server.text_of(body)].pop(0)
    with ResponseStore(out / "store") as store:
        policy = EndpointPolicy(
            EndpointModel(model="m", base_url=server.url, max_concurrency=1, start_concurrency=1),
            store,
            system=plan.system,
        )
        scores = evaluate_benchmarks(policy, plan, out, name="published")
    verdicts = [json.loads(line) for line in (out / "verdicts.jsonl").read_text().splitlines()]
    return scores, {verdict["id"].split("/", 1)[1]: verdict for verdict in verdicts}


@pytest.mark.parametrize(
    "file", ["mathvision__Qwen-VL-Max.jsonl.gz", "mathvision__Gemini-Pro.jsonl.gz"]
)
def test_mathvisions_published_verdicts_come_out_of_its_testmini(scripted_server, tmp_path, file):
    rows = published(file)
    sets = {"mathvision": {"folder": "mathvision", "split": "testmini"}}
    settings = BenchmarkSettings(sets=sets, protocols=("official",), prompt="official")
    scores, verdicts = replay(scripted_server, settings, rows, tmp_path)
    assert scores["sets"]["mathvision"]["num_prompts"] == len(scripted_server.bodies) == 304
    official = {row["id"]: row["official_correct"] for row in rows}
    differing = [
        name
        for name, found in verdicts.items()
        if (found["outcome"] == "correct") is not official[name]
    ]
    assert (len(verdicts), differing) == (304, [])


def test_logicvistas_licensed_questions_are_asked_with_their_pictures(scripted_server, tmp_path):
    rows = published("logicvista__LLAVANEXT-7B-vicuna.jsonl.gz")
    settings = BenchmarkSettings(
        sets={"logicvista": {"folder": "logicvista"}}, protocols=("vasari", "official")
    )
    scores, verdicts = replay(scripted_server, settings, rows, tmp_path)
    found = scores["sets"]["logicvista"]
    assert (found["num_prompts"], found["num_bad_rows"], found["is_whole"]) == (160, 288, False)
    assert all(len(body["messages"][-1]["content"]) == 2 for body in scripted_server.bodies)
    # Its official scorer reads letters with GPT: without that, hardly anything is decided, and
    # nothing is called wrong.
    counts = found["protocols"]["official"]["counts"]
    assert counts["correct"] + counts["wrong"] + counts["needs_judge"] == 160
    assert counts["needs_judge"] >= 150
    official = {row["id"]: row["official_correct"] for row in rows}
    same = sum(
        (verdict["outcome"] == "correct") is official[name] for name, verdict in verdicts.items()
    )
    assert same >= 0.95 * 160
