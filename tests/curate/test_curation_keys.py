"""A server that repeats the key everywhere gets none of it into a file, a log or a message."""

from __future__ import annotations

import base64
import json
import logging
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from aiohttp import web

from vasari.cli.main import main
from vasari.core import secrets
from vasari.data.prompt_file import read_prompts

KEY = "sk-Live_q7Zr04KdWvXyLm2pYbN-8tGh"
PIECES = {KEY[at : at + 8].lower() for at in range(len(KEY) - 7)}
ENCODED = [base64.b64encode(KEY.encode()).decode()[:40], KEY.encode().hex()]


def texts_of(path: Path) -> Iterator[str]:
    """What a file holds: its bytes, and what its columns decode to."""
    content = path.read_bytes()
    yield content.decode("latin-1")
    yield content.decode("utf-16-le", "replace")
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        yield str(table.schema.metadata)
        yield json.dumps(table.to_pylist(), default=lambda value: value.decode("latin-1"))
    if path.suffix in (".json", ".jsonl"):
        for line in content.decode().splitlines() if path.suffix == ".jsonl" else [content]:
            yield json.dumps(json.loads(line), ensure_ascii=False)


def found_in(text: str) -> list[str]:
    low = text.lower()
    return [piece for piece in PIECES if piece in low] + [one for one in ENCODED if one in text]


def errors(key: str) -> Iterator[web.Response]:
    """Refusals that repeat the key, also where a message is cut."""
    url = urllib.parse.quote(key, safe="").replace("-", "%2D")
    for message in (
        f"Incorrect API key provided: {key}",
        *(" " * filler + key for filler in (0, 4060, 4070, 4080)),
        *("x" * filler + key for filler in range(260, 301, 4)),
        f"Authorization: Bearer {key.upper()}",
        f"see https://user:{key}@host/?api_key={url}",
        json.dumps({"headers": {"authorization": key.replace("-", "\\u002d")}}),
        f"Basic {base64.b64encode(key.encode()).decode()} {key.encode().hex()}",
        f"you sent {key[:-3]}... and {key[5:]}",
    ):
        yield web.json_response({"error": {"message": message, "code": key}}, status=400)
        yield web.Response(text=f"<html>{message}</html>", status=403, content_type="text/html")
    yield web.Response(status=307, headers={"Location": f"https://host/v1?key={key}"})
    yield web.json_response([key])
    yield web.Response(body=b'{"choices": "' + key.encode(), content_type="application/json")
    yield web.Response(text="<html>" + key, content_type="text/html")
    yield web.json_response({"error": key, "choices": []})
    yield web.json_response({"choices": [{"message": {"content": ""}, "finish_reason": key}]})


def repeat_the_key(server) -> None:
    """Have a server refuse every other request, and put the key into all that it says."""
    whole = server.completion

    def repeating(body, **changes):
        reply = whole(body, **changes) | {"model": KEY, "id": KEY, "system_fingerprint": KEY}
        choice = reply["choices"][0]
        text = choice["message"]["content"]
        choice["message"]["content"] = text.replace("The picture", f"The picture of {KEY}")
        choice["message"]["reasoning_content"] = f"The header says {KEY[:20]} and {KEY[20:]}"
        choice["logprobs"] = {"content": [KEY]}
        return reply

    async def counted(request, body):
        server.attempts["all"] = server.attempts.get("all", -1) + 1
        assert request.headers["Authorization"] == f"Bearer {KEY}"
        if server.attempts["all"] % 2:
            fresh = list(errors(KEY))
            return fresh[server.attempts["all"] // 2 % len(fresh)]
        return web.json_response(repeating(body), headers={"x-request-id": KEY})

    server.answer_counted = counted
    server.plan = lambda body, attempt: "counted"


@pytest.mark.slow
def test_a_key_that_the_server_repeats_everywhere_is_in_no_file_and_no_message(
    teach, write_recipe, data, known, tmp_path, monkeypatch, capsys, caplog
):
    monkeypatch.setattr(secrets, "_forms", {})
    monkeypatch.setenv("TEST_TEACHER_KEY", KEY)
    server = teach(known(data), wrong=0.3)
    repeat_the_key(server)
    path = write_recipe(server)
    content = yaml.safe_load(path.read_text())
    content["exports"] = ["sharegpt", "trl", "easyr1", "verl"]
    # The user has pasted the key in the place of a name, too.
    content["models"]["all"] |= {"model": KEY}
    content["models"]["all"]["endpoint"] |= {"api_key_env": "TEST_TEACHER_KEY", "max_attempts": 3}
    path.write_text(yaml.safe_dump(content))

    words = ["vasari", "curate", str(path), "--out", str(tmp_path / "out")]
    said = ""
    with caplog.at_level(logging.DEBUG):
        for more in ([], ["--retry-failed"]):
            monkeypatch.setattr(sys, "argv", [*words, *more])
            with pytest.raises(SystemExit) as stop:
                main()
            assert stop.value.code in (0, None, 3), capsys.readouterr().err
            said += "".join(capsys.readouterr())

    sft = read_prompts(tmp_path / "out" / "sft.parquet")
    assert any("The picture of [key]" in prompt.solution for prompt in sft)
    assert sft[0].metadata["annotation"]["served_by"] == "[key]"
    assert sft[0].metadata["annotation"]["teacher"] == "[key]"
    assert found_in(said) == []
    # A library's own lines of the same level, of what it was asked to send, are not ours.
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("vasari")]
    assert found_in("\n".join(ours)) == []
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert len(files) > 40
    left = {
        str(file.relative_to(tmp_path)): found
        for file in files
        for text in texts_of(file)
        if (found := found_in(text))
    }
    assert left == {}


def test_a_variable_that_is_called_like_a_secret_is_no_path(monkeypatch, tmp_path):
    from vasari.core.errors import ConfigError
    from vasari.curate.run.reading import data_path

    monkeypatch.setenv("TEACHER_API_KEY", KEY)
    monkeypatch.setenv("DATA_KEYNOTES", "folder")
    with pytest.raises(ConfigError, match="TEACHER_API_KEY is called like a secret") as refused:
        data_path("${TEACHER_API_KEY}/data", tmp_path)
    assert KEY not in str(refused.value)
    assert data_path("${DATA_KEYNOTES}/x", tmp_path) == tmp_path / "folder" / "x"


def test_a_key_among_the_fields_of_a_request_is_refused_and_not_repeated(
    write_recipe, tmp_path, monkeypatch, capsys
):
    class Nowhere:
        url = "http://127.0.0.1:9/v1"

    path = write_recipe(Nowhere)
    content = yaml.safe_load(path.read_text())
    content["models"]["all"]["extra"] = {"api_key": KEY}
    path.write_text(yaml.safe_dump(content))
    monkeypatch.setattr(sys, "argv", ["vasari", "curate", str(path), "--out", str(tmp_path / "o")])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr().err
    assert stop.value.code == 1
    assert "a key belongs into an environment variable (api_key_env)" in said
    assert found_in(said) == []
