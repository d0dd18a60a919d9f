"""The key goes into one header and nowhere else."""

from __future__ import annotations

import logging
import pickle
import traceback

import pytest

from vasari.core.errors import ConfigError
from vasari.core.settings import parse_settings
from vasari.endpoint import EndpointSettings, ResponseStore, ask_all
from vasari.endpoint.transport import Secret

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def keyed(settings, monkeypatch):
    """Settings that name a variable which holds the key."""
    monkeypatch.setenv("TEST_ENDPOINT_KEY", KEY)
    return lambda **changes: settings(api_key_env="TEST_ENDPOINT_KEY", **changes)


def test_the_key_reaches_the_server_in_the_header_of_choice(server, keyed, ask_for, tmp_path):
    with ResponseStore(tmp_path) as store:
        ask_all(keyed(), store, ask_for(1))
        ask_all(keyed(auth_header="api-key"), store, ask_for(2))
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert server.headers[1]["api-key"] == KEY


@pytest.mark.parametrize("fault", ["good", "unauthorised", "error", "cut", "timeout", "echo"])
def test_the_key_is_in_no_log_error_or_store(server, keyed, ask_for, tmp_path, caplog, fault):
    async def echo(request, body):
        from aiohttp import web

        return web.json_response(
            server.completion(body, message={"content": f"your key is {KEY}", "reasoning": KEY})
        )

    server.answer_echo = echo
    server.plan = lambda body, attempt: fault
    with caplog.at_level(logging.DEBUG), ResponseStore(tmp_path) as store:
        asked = ask_all(keyed(max_attempts=2, timeout_seconds=0.3), store, ask_for(2))
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert server.headers[0]["Authorization"].endswith(KEY)
    assert KEY not in repr((asked, asked.answers)) + caplog.text + repr(keyed())
    assert KEY.encode() not in held


def test_a_key_that_the_server_refuses_stops_the_run_and_fails_no_row(
    server, keyed, ask_for, tmp_path
):
    server.plan = lambda body, attempt: "unauthorised"
    with ResponseStore(tmp_path) as store:
        report = ask_all(keyed(max_concurrency=2), store, ask_for(50)).report
        assert list(store.failures()) == []
    assert report.stopped_by == (
        "the server does not accept the key: 401: Incorrect API key provided: Bearer [key]"
    )
    assert report.not_sent == 50
    assert report.attempts <= 2


def test_a_variable_that_is_not_set_is_named(settings, tmp_path, monkeypatch):
    monkeypatch.delenv("TEST_ENDPOINT_KEY", raising=False)
    with (
        ResponseStore(tmp_path) as store,
        pytest.raises(ConfigError, match=r"TEST_ENDPOINT_KEY .* is not set"),
    ):
        ask_all(settings(api_key_env="TEST_ENDPOINT_KEY"), store, [])


@pytest.mark.parametrize(
    "value", ["short", "with a space inside", "line\nbreak-and-more", "schlüssel-lang-genug"]
)
def test_what_cannot_be_a_key_is_refused_without_being_shown(monkeypatch, value):
    monkeypatch.setenv("TEST_ENDPOINT_KEY", value)
    with pytest.raises(ConfigError, match="holds no key") as caught:
        Secret.from_environment("TEST_ENDPOINT_KEY")
    assert value not in "".join(traceback.format_exception(caught.value))


def test_an_address_with_a_password_or_a_query_is_refused_by_the_settings():
    for address in (f"https://user:{KEY}@host/v1", f"https://host/v1?key={KEY}"):
        with pytest.raises(ValueError, match="must hold no user, password or query"):
            EndpointSettings(base_url=address)


def test_a_secret_shows_itself_to_nobody():
    secret = Secret(KEY)
    assert KEY not in repr(secret) + str(secret)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(secret)


@pytest.mark.parametrize("key", ["sk-live-0123456789", "AIzaSyD0123456789"])
def test_a_key_in_the_place_of_its_variable_is_refused_and_not_repeated(key):
    with pytest.raises(ConfigError, match=r"name of an environment variable") as refused:
        parse_settings(
            EndpointSettings,
            {"base_url": "http://127.0.0.1:1/v1", "api_key_env": key},
            where="e",
            show_values=False,
        )
    assert key not in str(refused.value)
