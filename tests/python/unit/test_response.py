"""A response is parsed into users as sent, byte for byte, or is rejected without showing a user."""

import json

import pytest

from ingest.response import SourceError, describe, parse_page
from ingest.sources.randomuser import SOURCE

INFO = b'"info": {"seed": "abc", "results": 3, "page": 1, "version": "1.4"}'
VALUES = [
    b"null",
    b'[ 1 ,\n\t{ "a" : 2 } ]',
    b'{"a": 1, "a": 2, "": 3}',
    '"é€👩‍🚀\u200c\u202e"'.encode(),
    rb'"\u00e9\ud83d\ude00\/\\\"\n\u0000"',
    rb'"\\ud800"',  # an escaped backslash, and no surrogate
    b"1" + b"0" * 5_000,
    b"[1e999, -0, 1.50]",
    b"[" * 900 + b"]" * 900,
]


def make_response(*users: bytes) -> bytes:
    info = INFO.replace(b"3", b"%d" % len(users))
    return b'{"results": [ ' + b"\n, ".join(users) + b" ], " + info + b"}"


@pytest.mark.parametrize("byte_order_mark", [b"", b"\xef\xbb\xbf"], ids=["none", "of an editor"])
def test_parse_keeps_users_of_any_json_as_sent(byte_order_mark: bytes) -> None:
    page = parse_page(SOURCE, byte_order_mark + make_response(*VALUES), "a response")
    assert [bytes(user) for user in page.records] == VALUES and page.info.seed == "abc"


INVALID = {
    "nothing": (b"", "is not JSON: "),
    "truncated": (make_response(b"1")[:-9], "is not JSON: .*truncated"),
    "trailing bytes": (make_response(b"1") + b"{}", "is not JSON: .*trailing characters"),
    "NaN": (make_response(b'{"x": NaN}'), r"is not JSON: .*\(byte \d+\); read 95 bytes$"),
    "surrogate bytes": (make_response(b'"\xed\xa0\x80"'), "is not JSON: 'utf-8'"),
    "surrogate in seed": (make_response(b"1").replace(b"abc", rb"\ud800"), "is not JSON: "),
    "surrogate in user": (make_response(rb'{"a": "\uDFFF"}'), "is not JSON: "),
    "many lists": (make_response(b"[" * 10**6 + b"]" * 10**6), "nested too deeply"),
    "a list": (b"[1]", "is not in the format of the randomuser API: Expected `object`"),
    "an error": (b'{"error": "Uh oh"}', "required field `results`; read 18 bytes: error 'Uh oh'"),
    "an object of users": (b'{"results": {}, %s}' % INFO, "Expected `array`, got `object`"),
    "a missing user": (b'{"results": [1], %s}' % INFO, "reports 3 users and holds 1"),
    "no users": (b'{"results": [], %s}' % INFO, "holds no users, as in an outage of the API"),
}


@pytest.mark.parametrize(("body", "message"), INVALID.values(), ids=INVALID.keys())
def test_parse_rejects_invalid_body_in_one_line(body: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message) as error:
        parse_page(SOURCE, body, "a response")
    assert "\n" not in str(error.value)


USER = {"login": {"username": "zelda"}, "title": "Zelda"}
WITH_USER = {
    "XML": b"<?xml version='1.0'?><users><title>Zelda</title></users>",
    "UTF-16": json.dumps({"results": [USER]}).encode("utf-16"),
    "lines of JSON": b"\n".join([json.dumps(USER).encode()] * 2),
    "truncated JSON": json.dumps({"results": [USER]}).encode()[:-3],
    "an error with other fields": json.dumps({"error": "failed", "user": USER}).encode(),
    "an error that is no text": json.dumps({"error": USER}).encode(),
    "a long error": json.dumps({"error": f"{USER}" * 9}).encode(),
    "a text after an error": b'{"error": "failed"} Zelda',
    "a page with users": b"<html><head></head><body><svg><title>Zelda</title></svg></body>",
}


@pytest.mark.parametrize("body", WITH_USER.values(), ids=WITH_USER.keys())
def test_error_shows_only_length_and_type_of_body_with_user(body: bytes) -> None:
    assert describe(SOURCE, body, "text/x-type; owner=Zelda") == f"{len(body)} bytes of text/x-type"
    with pytest.raises(SourceError) as error:
        parse_page(SOURCE, body, "a file")
    assert str(error.value).endswith(f"; read {len(body)} bytes")
    assert "zelda" not in str(error.value).replace("\0", "").lower()
