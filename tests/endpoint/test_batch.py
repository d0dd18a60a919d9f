"""Provider batch files: out within the limits, back into the same store."""

from __future__ import annotations

import json

import pytest

from vasari.core.errors import DataError
from vasari.endpoint import (
    Request,
    ResponseStore,
    Usage,
    ask_all,
    image_part,
    read_batch,
    user_message,
    write_batch,
)
from vasari.records import ImageRef


def rows(paths):
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


def result(row, text="42", status=200, finish="stop", **other):
    """A line as OpenAI's batch API returns it."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": finish,
    }
    body = {
        "choices": [choice],
        "usage": {"prompt_tokens": 4, "completion_tokens": 2},
        "model": "served",
    }
    body = body if status == 200 else {"error": {"message": "no"}}
    answer = {"status_code": status, "request_id": "r", "body": body}
    return (
        json.dumps(
            {"id": "b", "custom_id": row["custom_id"], "response": answer, "error": None} | other
        )
        + "\n"
    )


def test_a_batch_goes_out_and_comes_back_into_the_store(server, settings, ask_for, tmp_path):
    with ResponseStore(tmp_path / "store") as store:
        ask_all(settings(), store, ask_for(1, max_tokens=9))
        written = write_batch(
            tmp_path / "out" / "batch", ask_for(3, max_tokens=9), store, num_responses=2
        )
        assert (written.requests, written.from_store) == (5, 1)
        sent = rows(written.paths)
        assert {(row["method"], row["url"]) for row in sent} == {("POST", "/v1/chat/completions")}
        assert sent[1]["body"] == {
            "model": "small",
            "messages": [{"role": "user", "content": "What is 1 + 2?"}],
            "max_tokens": 9,
            "seed": 1,
        }
        assert max(len(row["custom_id"]) for row in sent) <= 64
        (tmp_path / "result.jsonl").write_text("".join(result(row) for row in reversed(sent)))
        first = read_batch(tmp_path / "result.jsonl", store, model="small")
        again = read_batch(tmp_path / "result.jsonl", store, model="small")
        asked = ask_all(settings(), store, ask_for(3, max_tokens=9), num_responses=2)
        assert store.usage["small"] == Usage(
            requests=6,
            input_tokens=40,
            output_tokens=10,
            batch_input_tokens=20,
            batch_output_tokens=10,
        )
    assert (first.answered, first.failed, first.known, first.unknown) == (5, {}, 0, 0)
    assert (again.answered, again.known) == (0, 5)
    assert (asked.report.from_store, len(server.bodies)) == (6, 1)


def test_failures_in_a_batch_have_names_and_strange_lines_are_counted(ask_for, tmp_path):
    with ResponseStore(tmp_path / "store") as store:
        sent = rows(write_batch(tmp_path / "batch", ask_for(6), store).paths)
        lines = [
            result(sent[0], status=400),
            result(sent[1], status=429),
            result(sent[2], status=500),
            result(
                sent[3],
                error={"code": "batch_expired", "message": "not done within 24 h"},
                response=None,
            ),
            json.dumps(
                {
                    "custom_id": sent[4]["custom_id"],
                    "response": {"status_code": 200, "body": {"choices": []}},
                }
            )
            + "\n",
            result({"custom_id": "someone else's"}),
            "not json\n",
            result(sent[5])[:-30],
        ]
        (tmp_path / "result.jsonl").write_text("".join(lines))
        results = read_batch(tmp_path / "result.jsonl", store, model="small")
        details = [failure.detail for failure in store.failures()]
    assert results.failed == {
        "refused": 2,
        "rate_limited": 1,
        "server_error": 1,
        "not_a_completion": 1,
    }
    assert (results.answered, results.unknown) == (0, 3)
    assert details[3] == "batch: not done within 24 h"


def test_a_line_too_long_for_memory_is_counted_and_the_next_one_is_read(ask_for, tmp_path):
    with ResponseStore(tmp_path / "store") as store:
        sent = rows(write_batch(tmp_path / "batch", ask_for(2), store).paths)
        (tmp_path / "result.jsonl").write_text(
            result(sent[0], text="a" * 9_000_000) + result(sent[1])
        )
        results = read_batch(tmp_path / "result.jsonl", store, model="small")
    assert (results.answered, results.unknown) == (1, 1)


def test_only_what_a_raised_limit_can_change_is_written_again(ask_for, tmp_path):
    with ResponseStore(tmp_path / "store") as store:
        sent = rows(write_batch(tmp_path / "first", ask_for(3, max_tokens=5), store).paths)
        finishes = ["stop", "length", "stop"]
        (tmp_path / "result.jsonl").write_text(
            "".join(result(row, finish=finish) for row, finish in zip(sent, finishes, strict=True))
        )
        read_batch(tmp_path / "result.jsonl", store, model="small")
        again = rows(write_batch(tmp_path / "second", ask_for(3, max_tokens=50), store).paths)
        assert [row["body"]["messages"][0]["content"] for row in again] == ["What is 1 + 2?"]
        (tmp_path / "result.jsonl").write_text(result(again[0], text="whole"))
        read_batch(tmp_path / "result.jsonl", store, model="small")
        assert store.get(ask_for(3)[1].key).text == "whole"


def test_files_end_at_the_provider_s_limits_and_a_missing_image_costs_its_row(ask_for, tmp_path):
    path = tmp_path / "figure.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    lost = Request(
        model="small",
        messages=(user_message("?", [image_part(ImageRef(path=str(path)))]),),
        id="lost",
    )
    path.unlink()
    with ResponseStore(tmp_path / "store") as store:
        by_count = write_batch(tmp_path / "count", [*ask_for(5), lost], store, max_requests=2)
        size = by_count.paths[0].stat().st_size
        by_size = write_batch(tmp_path / "size", ask_for(5), store, max_file_bytes=size)
    assert [len(rows([path])) for path in by_count.paths] == [2, 2, 1]
    assert [len(rows([path])) for path in by_size.paths] == [2, 2, 1]
    assert [(failure.request_id, failure.reason) for failure in by_count.failures] == [
        ("lost", "image")
    ]


def test_a_result_file_that_is_not_there_is_named(tmp_path):
    with (
        ResponseStore(tmp_path / "store") as store,
        pytest.raises(DataError, match=r"none\.jsonl: No such file"),
    ):
        read_batch(tmp_path / "none.jsonl", store, model="small")
