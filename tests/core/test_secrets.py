"""A key is found in every text, whole, in pieces and in other writing, and nothing else is."""

from __future__ import annotations

import base64
import html
import json
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core import secrets
from vasari.core.secrets import blot, blot_pieces, protect

KEY = "sk-Test-q7+Zr/04Kd=9vWx.Lm2_pYbN"


@pytest.fixture(autouse=True)
def only_this_key(monkeypatch):
    monkeypatch.setattr(secrets, "_forms", {})
    protect(KEY)


def pieces_left(text: str) -> list[str]:
    low = text.lower()
    return [KEY[at : at + 8] for at in range(len(KEY) - 7) if KEY[at : at + 8].lower() in low]


WRITINGS = {
    "whole": KEY,
    "lower": KEY.lower(),
    "upper": KEY.upper(),
    "url": urllib.parse.quote(KEY, safe=""),
    "every letter in url": "".join(f"%{ord(letter):02x}" for letter in KEY),
    "json": "".join(f"\\u{ord(letter):04x}" for letter in KEY),
    "json in json": json.dumps("".join(f"\\u{ord(letter):04x}" for letter in KEY)),
    "some letters in json": KEY.replace("-", "\\u002d").replace("/", "\\/"),
    "html": "".join(f"&#{ord(letter)};" for letter in KEY),
    "html hex": "".join(f"&#x{ord(letter):X};" for letter in KEY),
    "named html": html.escape(KEY),
    "bearer": f"Bearer {KEY}",
    "hex": KEY.encode().hex(),
}


@pytest.mark.parametrize("written", WRITINGS.values(), ids=WRITINGS)
def test_a_key_is_found_however_it_is_written(written):
    for find in (blot, blot_pieces):
        shown = find(f"you sent {written}, which is wrong")
        assert shown.startswith("you sent "), shown
        assert shown.endswith(", which is wrong"), shown
        assert written not in shown
        assert not pieces_left(shown)
        assert "[key]" in shown


@pytest.mark.parametrize("before", ["", "u", "us", "user:", "user:p"])
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_key_in_base64_is_found_wherever_it_begins(before, encode):
    shown = blot_pieces(f"Basic {encode((before + KEY).encode()).decode()} is refused")
    assert "[key]" in shown
    left = shown.removeprefix("Basic ").removesuffix(" is refused").replace("[key]", "")
    assert len(left) <= len(before) * 2 + 6  # what was not of the key, and the letters beside it


@given(st.integers(0, len(KEY)), st.integers(0, len(KEY)), st.text(max_size=30), st.text())
def test_no_piece_of_eight_letters_is_left_wherever_a_text_was_cut(start, end, before, behind):
    shown = blot_pieces(before + KEY[start:end] + behind)
    assert not pieces_left(shown)


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=60))
def test_a_text_without_a_piece_of_the_key_stays_as_it_is(text):
    low = text.lower()
    if not any(KEY[at : at + 8].lower() in low for at in range(len(KEY) - 7)):
        assert blot(text) == text
        assert blot_pieces(text) == text


def test_texts_around_a_key_keep_their_letters():
    assert blot_pieces(f"İstanbul {KEY} ẞß 100% \\frac{{1}}{{2}}") == (
        "İstanbul [key] ẞß 100% \\frac{1}{2}"
    )


def test_an_answer_keeps_words_and_numbers_that_a_key_happens_to_contain(monkeypatch):
    monkeypatch.setattr(secrets, "_forms", {})
    protect("sk-mathematics-1234567890-x")
    said = "In mathematics 12345678 is even"
    assert blot_pieces(said, words=True) == said
    assert blot_pieces("It is sk-mathem and atics-1234", words=True) == "It is [key] and [key]"
    assert "mathematics" not in blot_pieces(said)


def test_files_of_our_own_lose_whole_keys_alone():
    digest = KEY[9:20]
    assert blot(f"images/{digest}.png") == f"images/{digest}.png"
    assert blot(f"images/{KEY}.png") == "images/[key].png"


def test_what_is_too_short_for_a_key_is_no_key():
    protect("EMPTY")
    assert blot_pieces("EMPTY set") == "EMPTY set"
