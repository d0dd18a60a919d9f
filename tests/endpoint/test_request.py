"""Keys: the same for what has the same answer, different for what has not."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vasari.core.errors import DataError, ImageError
from vasari.endpoint import Image, Message, Request, Sampling, image_part, user_message
from vasari.endpoint.images import base64_of, encode_image
from vasari.endpoint.request import canonical, rollout_seed, wire_body
from vasari.records import ImageRef

texts = st.text(max_size=20)
images = st.builds(
    Image,
    digest=st.sampled_from(["a" * 64, "b" * 64]),
    media_type=st.just("image/png"),
    detail=st.sampled_from([None, "low"]),
)
messages = st.builds(
    Message,
    role=st.sampled_from(["system", "user", "assistant"]),
    parts=st.lists(texts | images, max_size=3).map(tuple),
)
samplings = st.builds(
    Sampling,
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    stop=st.lists(texts, max_size=2).map(tuple),
    max_tokens=st.none() | st.integers(1, 1000),
    extra=st.dictionaries(st.sampled_from(["top_k", "min_p"]), st.integers(0, 50)),
)
requests = st.builds(
    Request,
    model=texts,
    messages=st.lists(messages, min_size=1, max_size=3).map(tuple),
    sampling=samplings,
    seed=st.none() | st.integers(0, 10),
)


@given(requests, st.none() | st.integers(1, 10**6), st.text())
def test_limits_and_names_are_not_part_of_the_key(request_, limit, name):
    other = dataclasses.replace(
        request_, sampling=dataclasses.replace(request_.sampling, max_tokens=limit), id=name
    )
    assert other.key == request_.key


@given(requests, requests)
def test_two_requests_have_one_key_only_if_nothing_but_limits_differs(first, second):
    def unlimited(request):
        return dataclasses.replace(
            request, sampling=dataclasses.replace(request.sampling, max_tokens=None)
        )

    assert (first.key == second.key) == (unlimited(first) == unlimited(second))


def test_the_key_is_a_hash_of_json_with_sorted_keys_and_is_stable():
    request = Request(
        model="m",
        messages=(user_message("é?", [Image(digest="ab" * 32, media_type="image/png")]),),
        sampling=Sampling(temperature=1, extra={"top_k": 5}),
        seed=7,
    )
    text = (
        '{"extra":{"top_k":5},"messages":[["user",[{"detail":null,"image":"'
        + "ab" * 32
        + '","media_type":"image/png"},"é?"]]],'
        '"model":"m","seed":7,"stop":[],"temperature":1.0,"top_p":null,"version":1}'
    )
    assert canonical(request) == text
    assert request.key == hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@given(requests)
def test_what_the_key_is_the_hash_of_is_what_the_standard_library_writes_for_the_same_content(
    request_,
):
    def part_of(part):
        if isinstance(part, str):
            return part
        return {"image": part.digest, "media_type": part.media_type, "detail": part.detail}

    def real(value):
        return None if value is None else float(value) + 0.0  # 0.0 and -0.0 ask the same

    sampling = request_.sampling
    content = {
        "version": 1,
        "model": request_.model,
        "messages": [
            [message.role, [part_of(part) for part in message.parts]]
            for message in request_.messages
        ],
        "temperature": real(sampling.temperature),
        "top_p": real(sampling.top_p),
        "stop": list(sampling.stop),
        "extra": dict(sampling.extra),
        "seed": request_.seed,
    }
    assert canonical(request_) == json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )


def test_a_temperature_that_is_no_number_has_no_key():
    request = Request(
        model="m", messages=(user_message("?"),), sampling=Sampling(temperature=float("nan"))
    )
    with pytest.raises(ValueError, match=r"Out of range float values are not JSON compliant"):
        canonical(request)


@given(st.binary(max_size=200))
def test_images_are_sent_in_the_standard_librarys_base64(data):
    assert base64_of(data) == base64.b64encode(data)


def test_where_an_image_lies_is_not_part_of_the_key(tmp_path):
    data = b"\xff\xd8\xff jpeg"
    (tmp_path / "a.jpg").write_bytes(data)
    parts = [image_part(ImageRef(data=data)), image_part(ImageRef(path=str(tmp_path / "a.jpg")))]
    keys = {Request(model="m", messages=(user_message("?", [part]),)).key for part in parts}
    assert len(keys) == 1


def test_an_image_is_known_by_its_first_bytes():
    kinds = {
        b"\x89PNG\r\n\x1a\n": "png",
        b"\xff\xd8\xff": "jpeg",
        b"RIFF0000WEBP": "webp",
        b"GIF89a": "gif",
    }
    for data, kind in kinds.items():
        assert image_part(ImageRef(data=data)).media_type == f"image/{kind}"
    with pytest.raises(ImageError, match=r"figure 3: neither PNG, JPEG, WebP nor GIF.*b'BM'"):
        image_part(ImageRef(data=b"BM"), where="figure 3")


@given(st.integers(0, 2**40), st.integers(1, 1000))
def test_seeds_of_further_answers_are_31_bits_and_differ_from_the_first(seed, index):
    assert rollout_seed(seed, 0) == seed
    assert 0 <= rollout_seed(seed, index) < 2**31
    assert rollout_seed(None, index) is None


@given(requests)
def test_the_body_is_json_with_every_image_in_its_place(request_):
    try:
        body = json.loads(wire_body(request_, 0, [b"AAAA"] * len(request_.images)))
    except DataError:
        assert any("\ud800" <= c <= "\udfff" for c in repr(request_) + canonical(request_))
        return
    urls = [
        part["image_url"]["url"]
        for m in body["messages"]
        for part in m["content"]
        if isinstance(part, dict) and "image_url" in part
    ]
    assert urls == ["data:image/png;base64,AAAA"] * len(request_.images)
    assert body.get("max_tokens") == request_.sampling.max_tokens


def test_an_image_is_in_memory_twice_for_a_moment_and_once_while_it_is_sent():
    part = image_part(ImageRef(data=b"\x89PNG\r\n\x1a\n" + bytes(2_999_992)))
    request = Request(model="m", messages=(user_message("?", [part]),))
    tracemalloc.start()
    try:
        body = wire_body(request, 0, [encode_image(part)])
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Base64 of 3,000,000 bytes has 4,000,000.
    assert 4_000_000 < len(body) < 4_001_000
    assert held < 4_100_000
    assert peak < 8_200_000


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(DataError, match="row 7' has no messages"):
        Request(model="m", messages=(), id="row 7")
    with pytest.raises(DataError, match="max_tokens must be at least 1 or None, got 0"):
        Sampling(max_tokens=0)
    with pytest.raises(DataError, match=r"may not set \['n', 'stream'\]"):
        Sampling(extra={"stream": True, "n": 4})
    with pytest.raises(DataError, match="got the text 'What' itself"):
        Message(role="user", parts="What")
    with pytest.raises(DataError, match="media type is like 'image/png'"):
        Image(digest="ab" * 32, media_type='image/png"')
    with pytest.raises(DataError, match=r"sampling\.extra is not JSON"):
        Sampling(extra={"bias": float("nan")})
