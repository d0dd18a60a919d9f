"""The client against a real server: what is asked, what is found, what is asked again."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from vasari.core.errors import ConfigError
from vasari.endpoint import (
    Client,
    Message,
    Request,
    ResponseStore,
    Sampling,
    ask_all,
    image_part,
    user_message,
)
from vasari.records import ImageRef

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"


def test_answers_come_in_the_order_of_the_requests(server, settings, ask_for, tmp_path):
    with ResponseStore(tmp_path) as store:
        asked = ask_all(settings(), store, ask_for(20))
    sent = {body["messages"][0]["content"]: server.completion(body) for body in server.bodies}
    texts = [sent[f"What is {n} + 2?"]["choices"][0]["message"]["content"] for n in range(20)]
    assert [answers.request.id for answers in asked.answers] == [f"row-{n}" for n in range(20)]
    assert [answers.response.text for answers in asked.answers] == texts
    assert asked.report.answered == 20


def test_a_second_run_asks_nothing(server, settings, ask_for, tmp_path):
    with ResponseStore(tmp_path) as store:
        first = ask_all(settings(), store, ask_for(10))
    with ResponseStore(tmp_path) as store:
        second = ask_all(settings(), store, ask_for(10))
    assert len(server.bodies) == 10
    assert [a.responses for a in second.answers] == [a.responses for a in first.answers]
    assert (second.report.from_store, second.report.attempts) == (10, 0)


def test_one_changed_row_is_one_request(server, settings, ask_for, tmp_path):
    requests = ask_for(10)
    with ResponseStore(tmp_path) as store:
        ask_all(settings(), store, requests)
        requests[3] = dataclasses.replace(requests[3], messages=(user_message("What is 3 + 4?"),))
        ask_all(settings(), store, requests)
    assert len(server.bodies) == 11


def test_raising_max_tokens_asks_only_the_truncated_again(server, settings, ask_for, tmp_path):
    server.plan = lambda body, attempt: (
        "truncated" if body["max_tokens"] < 100 and "3 +" in str(body) else "good"
    )
    with ResponseStore(tmp_path) as store:
        first = ask_all(settings(), store, ask_for(10, max_tokens=50))
        again = ask_all(settings(), store, ask_for(10, max_tokens=50))
        raised = ask_all(settings(), store, ask_for(10, max_tokens=200))
    assert [n for n, answers in enumerate(first.answers) if answers.response.truncated] == [3]
    assert again.report.attempts == 0
    assert (raised.report.attempts, raised.report.from_store) == (1, 9)
    assert not raised.answers[3].response.truncated


def test_raising_max_tokens_with_nothing_truncated_asks_nothing(
    server, settings, ask_for, tmp_path
):
    with ResponseStore(tmp_path) as store:
        ask_all(settings(), store, ask_for(10, max_tokens=50))
        assert ask_all(settings(), store, ask_for(10, max_tokens=500)).report.attempts == 0


def test_failures_are_asked_again_only_on_request(server, settings, ask_for, tmp_path):
    server.plan = lambda body, attempt: "bad_request" if "3 +" in str(body) else "good"
    with ResponseStore(tmp_path) as store:
        ask_all(settings(), store, ask_for(5))
    server.plan = lambda body, attempt: "good"
    with ResponseStore(tmp_path) as store:
        kept = ask_all(settings(), store, ask_for(5))
        other = ask_all(settings(), store, ask_for(5), retry_failed=["timeout"])
        again = ask_all(settings(), store, ask_for(5), retry_failed=["refused"])
        assert list(store.failures()) == []
    assert kept.report.failed == {"refused": 1}
    assert kept.answers[3].failures[0].detail == "400: image too large"
    assert (kept.report.attempts, other.report.attempts, again.report.attempts) == (0, 0, 1)
    assert again.answers[3].response is not None


def test_a_reason_that_does_not_exist_is_refused(settings, tmp_path):
    with (
        ResponseStore(tmp_path) as store,
        pytest.raises(ConfigError, match=r"retry_failed names \['refuzed'\]"),
    ):
        ask_all(settings(), store, [], retry_failed=["refuzed"])


def test_several_answers_have_their_own_seed_and_place(server, settings, ask_for, tmp_path):
    with ResponseStore(tmp_path) as store:
        asked = ask_all(settings(), store, ask_for(2), num_responses=3)
        more = ask_all(settings(), store, ask_for(2), num_responses=4)
    assert [r.index for r in asked.answers[0].responses] == [0, 1, 2]
    assert len({body["seed"] for body in server.bodies if "0 + 2" in str(body)}) == 4
    assert len({r.text for r in more.answers[0].responses}) == 4
    assert more.report.attempts == 2


def test_no_more_answers_are_drawn_once_the_matter_is_decided(server, settings, ask_for, tmp_path):
    wanted = {"row-0": 1, "row-1": 3, "row-2": 99}

    def decided(request, responses):
        return len(responses) >= wanted[request.id]

    async def decided_later(request, responses):
        return decided(request, responses)

    with ResponseStore(tmp_path) as store:
        asked = ask_all(settings(), store, ask_for(3), num_responses=8, decided=decided)
        later = ask_all(settings(), store, ask_for(3), num_responses=8, decided=decided_later)
    assert [len(answers.responses) for answers in asked.answers] == [1, 3, 8]
    assert len(server.bodies) == 12
    assert [a.responses for a in later.answers] == [a.responses for a in asked.answers]


def test_equal_requests_at_the_same_time_are_bought_once(server, settings, ask_for, tmp_path):
    server.seconds = 0.05
    with ResponseStore(tmp_path) as store:
        asked = ask_all(settings(), store, ask_for(1) * 6)
    assert len(server.bodies) == 1
    assert len({answers.response.text for answers in asked.answers}) == 1
    assert (asked.report.answered, asked.report.from_store) == (1, 5)


def test_who_waits_for_another_s_answer_asks_when_that_one_gives_up(
    server, settings, ask_for, tmp_path
):
    server.seconds = 0.2

    async def play():
        async with Client(settings(), store) as client:
            first, second = (asyncio.create_task(client.ask(ask_for(1)[0])) for _ in range(2))
            await asyncio.sleep(0.1)
            first.cancel()
            return await second

    with ResponseStore(tmp_path) as store:
        assert asyncio.run(play()).response is not None
    assert len(server.bodies) == 2


def test_images_are_sent_as_data_urls_and_stored_by_hash_alone(server, settings, tmp_path):
    in_memory = image_part(ImageRef(data=PNG), detail="low")
    path = tmp_path / "figure.png"
    path.write_bytes(PNG + b"more")
    on_disk = image_part(ImageRef(path=str(path)))
    request = Request(
        model="small",
        messages=(
            Message(role="system", parts=("Look.",)),
            user_message("What?", [in_memory, on_disk]),
        ),
    )
    with ResponseStore(tmp_path / "store") as store:
        ask_all(settings(), store, [request])
        held = b"".join(file.read_bytes() for file in (tmp_path / "store").iterdir())
    # base64 of the bytes above, from the command line: printf '\x89PNG\r\n\x1a\npixels' | base64
    assert server.bodies[0]["messages"] == [
        {"role": "system", "content": "Look."},
        {
            "role": "user",
            "content": [
                {
                    "type": "image_url",
                    "image_url": {
                        "url": "data:image/png;base64,iVBORw0KGgpwaXhlbHM=",
                        "detail": "low",
                    },
                },
                {
                    "type": "image_url",
                    "image_url": {"url": "data:image/png;base64,iVBORw0KGgpwaXhlbHNtb3Jl"},
                },
                {"type": "text", "text": "What?"},
            ],
        },
    ]
    assert b"iVBOR" not in held


def test_an_image_that_changed_or_vanished_is_a_failure_of_its_row(server, settings, tmp_path):
    requests = []
    for name in ("kept", "changed", "gone"):
        path = tmp_path / f"{name}.png"
        path.write_bytes(PNG + name.encode())
        image = image_part(ImageRef(path=str(path)))
        requests.append(Request(model="small", messages=(user_message("What?", [image]),), id=name))
    (tmp_path / "changed.png").write_bytes(PNG)
    (tmp_path / "gone.png").unlink()
    with ResponseStore(tmp_path / "store") as store:
        kept, changed, gone = ask_all(settings(), store, requests).answers
    assert kept.response is not None
    assert "have changed" in changed.failures[0].detail
    assert "is missing" in gone.failures[0].detail
    assert {changed.failures[0].reason, gone.failures[0].reason} == {"image"}
    assert len(server.bodies) == 1


def test_an_image_whose_place_is_not_given_is_a_failure_of_its_row(server, settings, tmp_path):
    bare = dataclasses.replace(image_part(ImageRef(data=PNG)), ref=None)
    request = Request(model="small", messages=(user_message("What?", [bare]),))
    with ResponseStore(tmp_path) as store:
        failures = ask_all(settings(), store, [request]).answers[0].failures
    assert failures[0].reason == "image"
    assert "does not say where" in failures[0].detail


def test_sampling_reaches_the_server_under_the_names_it_wants(server, settings, tmp_path):
    sampling = Sampling(temperature=0.5, top_p=0.9, stop=("END",), max_tokens=7, extra={"top_k": 5})
    request = Request(model="small", messages=(user_message("Hi"),), sampling=sampling, seed=3)
    with ResponseStore(tmp_path) as store:
        ask_all(settings(limit_field="max_completion_tokens"), store, [request])
    sent = {name: value for name, value in server.bodies[0].items() if name != "messages"}
    expected = {
        "model": "small",
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "max_completion_tokens": 7,
        "seed": 3,
    }
    assert sent == expected | {"top_k": 5}


def test_reasoning_and_lists_of_parts_are_read(server, settings, ask_for, tmp_path):
    message = {
        "content": [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}],
        "reasoning_content": "Six times seven.",
    }
    server.completion = lambda body, original=server.completion, **_: original(
        body, message=message
    )
    with ResponseStore(tmp_path) as store:
        response = ask_all(settings(), store, ask_for(1)).answers[0].response
    assert (response.text, response.reasoning) == ("42", "Six times seven.")


def test_a_consumer_may_stop_listening(server, settings, ask_for, tmp_path):
    async def first_three():
        async with Client(settings(), store) as client:
            seen = []
            stream = client.stream(ask_for(500))
            async for answers in stream:
                seen.append(answers.position)
                if len(seen) == 3:
                    await stream.aclose()
            return seen

    with ResponseStore(tmp_path) as store:
        assert len(asyncio.run(first_three())) == 3


def test_an_error_of_the_caller_in_the_iterable_is_raised_after_what_was_done(
    server, settings, ask_for, tmp_path
):
    def broken():
        yield from ask_for(3)
        raise KeyError("row 3")

    with ResponseStore(tmp_path) as store:
        with pytest.raises(KeyError, match="row 3"):
            ask_all(settings(), store, broken())
        assert len(store) <= 3


def test_ask_all_works_where_a_loop_is_running(server, settings, ask_for, tmp_path):
    async def notebook():
        return ask_all(settings(), store, ask_for(3))

    with ResponseStore(tmp_path) as store:
        assert asyncio.run(notebook()).report.answered == 3
