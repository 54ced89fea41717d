"""A response is parsed into users as sent, byte for byte, or is rejected without showing a user."""

import json
import logging
from typing import Any

import pytest
from support import faulty_api
from support.faulty_api import Fault, Handler, Query, change_json, record_waits, send

from ingest import api
from ingest.response import SourceError, parse_page
from ingest.settings import Settings

INFO = b'"info": {"seed": "abc", "results": 3, "page": 1, "version": "1.4"}'
VALUES = {
    "null": b"null",
    "text": b'"a text"',
    "whitespace": b'[ 1 ,\n\t{ "a" : 2 } ]',
    "duplicate key": b'{"a": 1, "a": 2, "": 3}',
    "characters of 1 to 4 bytes": '"é€👩‍🚀\u200c\u202e"'.encode(),
    "escapes": rb'"\u00e9\ud83d\ude00\/\\\"\n"',
    "NUL": rb'"\u0000"',
    "a number of 5,000 digits": b"1" + b"0" * 5_000,
    "a number out of range": b"1e999",
    "minus zero": b"-0",
    "an escaped backslash before ud800": rb'"\\ud800"',
    "lists nested 900 deep": b"[" * 900 + b"]" * 900,
}


def make_response(user: bytes) -> bytes:
    return b'{"results": [ {"n":1} ,' + user + b'\n, "\xc3\xa9"], ' + INFO + b"}"


@pytest.mark.parametrize("user", VALUES.values(), ids=VALUES.keys())
def test_parse_keeps_user_of_any_json_as_sent(user: bytes) -> None:
    page = parse_page(make_response(user), "a response")
    assert [bytes(sent) for sent in page.users] == [b'{"n":1}', user, b'"\xc3\xa9"']
    assert page.info.seed == "abc"


def test_parse_ignores_byte_order_mark() -> None:
    page = parse_page(b"\xef\xbb\xbf" + make_response(b"1"), "a response")
    assert [bytes(sent) for sent in page.users] == [b'{"n":1}', b"1", b'"\xc3\xa9"']


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (make_response(b"1") + b"{}", "is not JSON: .*trailing characters"),
        (make_response(b'{"x": NaN}'), r"is not JSON: .*\(byte \d+\); read 110 bytes$"),
        (make_response(b"01"), "is not JSON: "),
        (make_response(b'"\x00"'), "is not JSON: "),
        (make_response(rb'"\ud8zz"'), "is not JSON: "),
        (make_response(b'"\xed\xa0\x80"'), "is not JSON: 'utf-8'"),
        (make_response(b"1").replace(b'"abc"', rb'"\ud800"'), "is not JSON: "),
        (make_response(rb'{"a": "\uDFFF"}'), "is not JSON: "),
        (make_response(rb'"\ud83d.\uD83D\n"'), "is not JSON: "),
        (make_response(b"[" * 20_000), "nested too deeply"),
        (make_response(b"[" * 2_000_000 + b"]" * 2_000_000), "nested too deeply"),
    ],
    ids=[
        "trailing bytes",
        "NaN",
        "a leading zero",
        "unescaped NUL",
        "broken escape",
        "surrogate bytes",
        "lone surrogate in seed",
        "lone surrogate in user",
        "lone surrogate before text",
        "unclosed lists",
        "two million lists",
    ],
)
def test_parse_rejects_invalid_body_in_one_line(body: bytes, message: str) -> None:
    with pytest.raises(SourceError, match=message) as error:
        parse_page(body, "a response")
    assert "\n" not in str(error.value)


USER = {"login": {"username": "zelda"}, "title": "Zelda"}
WITH_USER = {
    "CSV": b"first,email\nZelda,zelda@example.com\n",
    "XML": b"<?xml version='1.0'?><users><title>Zelda</title></users>",
    "YAML": b"- login:\n    username: zelda\n",
    "UTF-16": json.dumps({"results": [USER]}).encode("utf-16"),
    "text": b"Zelda",
    "a list of users": json.dumps([USER]).encode(),
    "a user": json.dumps(USER).encode(),
    "lines of JSON": b"\n".join([json.dumps(USER).encode()] * 2),
    "truncated JSON": json.dumps({"results": [USER]}).encode()[:-3],
    "an error with other fields": json.dumps({"error": "failed", "user": USER}).encode(),
    "an error that is no text": json.dumps({"error": USER}).encode(),
    "a long error": json.dumps({"error": f"{USER}" * 9}).encode(),
    "a text after an error": b'{"error": "failed"} Zelda',
    "a page with users": b"<html><head></head><body><svg><title>Zelda</title></svg></body>",
}
FOREIGN_TYPE = {"Content_Type": "text/x-type; owner=Zelda"}


def fetch(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> str:
    """Fetch a page from an API with a fault, and return the error."""
    record_waits(monkeypatch)
    with faulty_api.serve(fault) as served, pytest.raises(SourceError) as error:
        settings = Settings.read(
            randomuser_url=f"{served.url}1.4/", google_cloud_project="p", retry_seconds=60
        )
        list(api.fetch_pages(settings, 20, "abcx"))
    return str(error.value)


@pytest.mark.parametrize("body", WITH_USER.values(), ids=WITH_USER.keys())
def test_error_shows_only_length_and_type_of_body_with_user(
    body: bytes, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError) as error:
        parse_page(body, "a file")
    assert str(error.value).endswith(f"; read {len(body)} bytes")
    for status in (200, 404, 503):
        with caplog.at_level(logging.DEBUG, "ingest"):
            line = fetch(send(body, status, **FOREIGN_TYPE), monkeypatch)
        assert f"; read {len(body)} bytes of text/x-type" in line
        assert "zelda" not in f"{error.value}{line}{caplog.text}".replace("\0", "").lower()


def change_user(part: str, **values: Any) -> Fault:
    return change_json(lambda page: page[part].update(values))


def send_line(line: bytes) -> Fault:
    def fault(handler: Handler, _: Query) -> None:
        handler.wfile.write(line)
        handler.close_connection = True

    return fault


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (send(b'{"error": "not now"}', 404), "HTTP 404 Not Found; read 20 bytes: error 'not now'"),
        (
            send(b"<!DOCTYPE html>\n<html><head><TITLE>Down\n</TITLE></head>Zelda", 503),
            "HTTP 503 Service Unavailable; read 60 bytes: page 'Down'; gave up ",
        ),
        (send(b"", 302, Location="https://Zelda:a@host/zelda?q=1#b"), "redirect to https://host: "),
        (send(b"", 301, Location="/zelda"), "a redirect to another path: not followed"),
        (change_user("info", seed="Zel'da"), "received ('(not shown)', 20, 1, '1.4')"),
        (change_user("info", version="zelda"), "received ('abcx', 20, 1, '(not shown)')"),
        (change_user("info", seed="a" * 41), "received ('(not shown)', 20, 1, '1.4')"),
        (send_line(b"HTTP/1.1 418 Zelda\r\n\r\n"), "HTTP 418 I'm a Teapot; read 0 bytes"),
        (send_line(b"Zelda\r\n\r\n"), "no response (BadStatusLine); gave up "),
        (
            send_line(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZelda\r\n"),
            "no complete response (ValueError); gave up ",
        ),
    ],
    ids=[
        "error of the API",
        "title of a page",
        "redirect to a host",
        "redirect to a path",
        "seed of info",
        "version of info",
        "long seed",
        "reason of a status",
        "no HTTP",
        "chunk",
    ],
)
def test_error_shows_what_can_hold_no_user(
    fault: Fault, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = fetch(fault, monkeypatch)
    assert expected in line and "zel" not in line.lower()
