"""A policy behind a real server on 127.0.0.1: what is sent, what comes back, and what never
leaves."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import time

import pytest

pytest.importorskip("aiohttp")

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from vasari.core.errors import StateError
from vasari.endpoint import ResponseStore
from vasari.model.base import Decoding
from vasari.model.endpoint_policy import EndpointModel, EndpointPolicy, as_rollout
from vasari.records import ImageRef, Prompt

MARK = "reference-4711"


def png(width=20, height=10, colour="red", form="PNG"):
    out = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(out, form)
    return out.getvalue()


def prompt(number=0, **changes):
    made = Prompt(
        id=f"p{number}",
        question=f"Question {number}?",
        answer=MARK,
        images=(ImageRef(data=png()),),
        solution=f"because {MARK}",
        metadata={"native_answer": MARK, "final": MARK},
        category=f"category {MARK}",
        difficulty=MARK,
    )
    return dataclasses.replace(made, **changes)


@pytest.fixture
def make_policy(scripted_server, tmp_path):
    stores = []

    def make(system="Think.", **changes):
        settings = EndpointModel(
            model="small", base_url=scripted_server.url, **({"backoff_seconds": 0.01} | changes)
        )
        if not stores:
            stores.append(ResponseStore(tmp_path / "store"))
        return EndpointPolicy(settings, stores[0], system=system)

    yield make
    for store in stores:
        store.close()


def pictures(body):
    urls = [
        part["image_url"]["url"]
        for part in body["messages"][-1]["content"]
        if part["type"] == "image_url"
    ]
    return [base64.b64decode(url.split(",", 1)[1]) for url in urls]


@pytest.mark.slow
def test_the_limit_a_minute_holds_over_all_that_a_policy_is_asked(scripted_server, make_policy):
    policy = make_policy(requests_per_minute=240)
    times = []
    scripted_server.script = lambda body: times.append(time.monotonic()) or "7"
    for seed in (0, 1):
        policy.generate(
            [prompt(number, images=()) for number in range(4)], Decoding(num_rollouts=1), seed=seed
        )
    # 240 a minute let 4 go at once, and one more each 60 / (240 - 4) = 0.254 s; the eighth goes 4 x
    # 0.254 = 1.02 s later.
    assert times[7] - times[0] >= 0.97


def test_the_reference_answer_the_solution_and_the_facts_never_reach_the_server(
    scripted_server, make_policy
):
    prompts = [prompt(0), prompt(1, images=()), prompt(2, choices=("one", "two"))]
    for images in ("shown", "blank", "removed"):
        make_policy().generate(prompts, Decoding(num_rollouts=1, images=images), seed=0)
    # Two prompts with an image in three ways, and one without, which is one request in all three.
    assert len(scripted_server.bodies) == 7
    assert MARK not in json.dumps(scripted_server.bodies)


@given(
    st.text(min_size=8, alphabet=st.characters(min_codepoint=0x4E00, max_codepoint=0x4FFF)),
    st.text(max_size=30),
)
def test_a_request_is_the_same_whatever_the_reference_answer_is(answer, solution):
    policy = EndpointPolicy(EndpointModel(model="m", base_url="http://127.0.0.1:9/v1"), None)
    one = Prompt(
        id="p", question="Q?", answer=answer, solution=solution, metadata={"native_answer": answer}
    )
    other = Prompt(id="p", question="Q?", answer="another")
    assert (
        policy.request(one, Decoding(), seed=3).key == policy.request(other, Decoding(), seed=3).key
    )


def test_a_request_holds_the_system_prompt_the_image_the_options_and_the_decoding(
    scripted_server, make_policy
):
    asked = prompt(choices=("one", "two"))
    make_policy(extra={"top_k": 5}).generate(
        [asked], Decoding(num_rollouts=1, temperature=0.5, top_p=0.9, max_tokens=7), seed=11
    )
    body = scripted_server.bodies[0]
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][0]["content"] == "Think."
    assert scripted_server.text_of(body) == "Question 0? A) one B) two"
    assert pictures(body) == [asked.images[0].data]
    sent = {name: body[name] for name in ("model", "temperature", "top_p", "max_tokens", "top_k")}
    assert sent == {"model": "small", "temperature": 0.5, "top_p": 0.9, "max_tokens": 7, "top_k": 5}


def test_a_server_is_told_top_p_even_where_it_keeps_all(scripted_server, make_policy):
    make_policy().generate([prompt()], Decoding(num_rollouts=1, temperature=0.0), seed=11)
    body = scripted_server.bodies[0]
    assert (body["temperature"], body["top_p"], body["seed"]) == (0.0, 1.0, 11)


def test_a_server_that_takes_no_sampling_gets_none(scripted_server, make_policy):
    make_policy(send_sampling=False).generate([prompt()], Decoding(num_rollouts=1), seed=0)
    assert not {"temperature", "top_p"} & set(scripted_server.bodies[0])


@pytest.mark.parametrize(("temperature", "num_requests"), [(0.0, 1), (1.0, 2)])
def test_two_prompts_that_ask_the_same_share_a_greedy_answer_and_are_drawn_apart(
    scripted_server, make_policy, temperature, num_requests
):
    twins = [prompt(0), prompt(1, question="Question 0?")]
    groups = make_policy().generate(
        twins, Decoding(num_rollouts=1, temperature=temperature), seed=0
    )
    assert [len(group) for group in groups] == [1, 1]
    assert len(scripted_server.bodies) == num_requests


def test_a_server_that_wants_no_seed_gets_none(scripted_server, make_policy):
    make_policy(send_seed=False, system="").generate([prompt()], Decoding(num_rollouts=1), seed=11)
    assert "seed" not in scripted_server.bodies[0]
    assert [message["role"] for message in scripted_server.bodies[0]["messages"]] == ["user"]


def test_a_blank_image_is_a_white_page_of_the_same_size(scripted_server, make_policy):
    make_policy().generate([prompt()], Decoding(num_rollouts=1, images="blank"), seed=0)
    (data,) = pictures(scripted_server.bodies[0])
    page = Image.open(io.BytesIO(data))
    assert page.size == (20, 10)
    assert page.convert("RGB").getextrema() == ((255, 255), (255, 255), (255, 255))


def test_a_removed_image_leaves_the_text_alone(scripted_server, make_policy):
    make_policy().generate([prompt()], Decoding(num_rollouts=1, images="removed"), seed=0)
    assert scripted_server.bodies[0]["messages"][-1]["content"] == "Question 0?"


def test_a_bitmap_is_sent_as_a_png_with_the_same_pixels(scripted_server, make_policy):
    bitmap = ImageRef(data=png(form="BMP", colour=(3, 200, 7)))
    make_policy().generate([prompt(images=(bitmap,))], Decoding(num_rollouts=1), seed=0)
    (data,) = pictures(scripted_server.bodies[0])
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.size, image.getpixel((4, 4))) == ("PNG", (20, 10), (3, 200, 7))


def test_groups_come_in_the_order_of_the_prompts_with_as_many_rollouts_as_asked(
    scripted_server, make_policy
):
    scripted_server.script = lambda body: (
        f"{scripted_server.text_of(body)} drawn with {body['seed']}"
    )
    groups = make_policy().generate(
        [prompt(n) for n in range(5)], Decoding(num_rollouts=3, temperature=1.0), seed=0
    )
    assert [len(group) for group in groups] == [3] * 5
    assert [group[0].text.split(" drawn")[0] for group in groups] == [
        f"Question {n}?" for n in range(5)
    ]
    assert len({rollout.text for rollout in groups[0]}) == 3  # each rollout has a seed of its own


def test_an_answer_that_was_bought_is_not_asked_again(scripted_server, make_policy):
    for _ in range(2):
        groups = make_policy().generate(
            [prompt(0), prompt(1)], Decoding(num_rollouts=2, temperature=1.0), seed=0
        )
    assert len(scripted_server.bodies) == 4
    assert groups[1][1].text == "\\boxed{1}"


def test_an_answer_that_the_limit_cut_is_a_truncated_rollout_without_an_end(
    scripted_server, make_policy
):
    scripted_server.script = lambda body: ("one two", "length")
    ((rollout,),) = make_policy().generate([prompt()], Decoding(num_rollouts=1), seed=0)
    assert (rollout.text, rollout.truncated, len(rollout.token_ids)) == ("one two", True, 3)
    scripted_server.script = lambda body: "one two"
    ((whole,),) = make_policy().generate([prompt(1)], Decoding(num_rollouts=1), seed=0)
    assert (whole.truncated, len(whole.token_ids)) == (False, 4)  # and the end token
    assert whole.token_ids[:3].tolist() == rollout.token_ids.tolist()


def test_rollouts_without_an_answer_are_an_error_that_says_why_never_empty_texts(
    scripted_server, make_policy
):
    scripted_server.script = lambda body: (
        400 if "Question 1?" in scripted_server.text_of(body) else "\\boxed{1}"
    )
    with pytest.raises(StateError, match=r"2 of 6 rollouts have no answer \(refused 2"):
        make_policy().generate(
            [prompt(n) for n in range(3)], Decoding(num_rollouts=2, temperature=1.0), seed=0
        )


def test_a_damaged_image_costs_its_own_prompt(scripted_server, make_policy):
    found = []
    prompts = [
        prompt(0, images=(ImageRef(data=b"no image"),)),
        prompt(1),
        prompt(2, question="<image> and <image>"),
    ]
    make_policy().generate_each(
        prompts, Decoding(num_rollouts=2, temperature=1.0), seed=0, take=found.append
    )
    found.sort(key=lambda answers: answers.position)
    assert [answers.position for answers in found] == [0, 1, 2]
    assert [failure.reason for failure in found[0].failures] == ["image", "image"]
    assert [failure.reason for failure in found[2].failures] == [
        "unreadable_request",
        "unreadable_request",
    ]
    assert [response.text for response in found[1].responses] == ["\\boxed{1}", "\\boxed{1}"]


def test_a_forecast_counts_what_is_not_bought_yet_and_sends_nothing(scripted_server, make_policy):
    policy = make_policy(prices={"small": {"input": "1", "output": "2"}})
    decoding = Decoding(num_rollouts=2, temperature=1.0, max_tokens=100)
    policy.generate([prompt(0)], decoding, seed=0)
    said = policy.forecast(
        [prompt(0), prompt(1), prompt(2, images=(ImageRef(data=b"no"),))], decoding, seed=0
    )
    assert (said.requests, said.from_store) == (2, 2)
    assert said.most_output_tokens == 200  # 2 rollouts of at most 100
    assert len(scripted_server.bodies) == 2


def test_a_budget_that_ends_stops_the_run_and_keeps_what_came(scripted_server, make_policy):
    # 40 tokens in and 1 out are billed; reserved is the most, 1,000 for the image alone, so the
    # second does not fit.
    policy = make_policy(
        prices={"small": {"input": "1000", "output": "1000"}},
        budget="1.30",
        max_concurrency=1,
        start_concurrency=1,
    )
    with pytest.raises(StateError, match=r"the budget of 1\.30 has"):
        policy.generate(
            [prompt(n) for n in range(40)], Decoding(num_rollouts=1, max_tokens=8), seed=0
        )
    assert 1 <= len(policy.store) == len(scripted_server.bodies) < 40


def test_an_unknown_key_of_the_server_is_refused():
    with pytest.raises(ValidationError, match=r"modell\n  Extra inputs are not permitted"):
        EndpointModel(modell="m", model="m", base_url="http://x/v1")


@given(st.text())
def test_any_text_becomes_a_rollout_that_says_it(text):
    from vasari.endpoint import Response

    text = text.encode("utf-8", "replace").decode()
    assert as_rollout(Response(text=text)).text == text
