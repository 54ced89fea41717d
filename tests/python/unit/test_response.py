"""A response is parsed into users as sent, byte for byte, or is rejected."""

import pytest

from ingest.response import SourceError, parse_page

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
        (make_response(b'{"x": NaN}'), r"is not JSON: .*\(byte \d+\); .*\(not shown: it may"),
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
