"""Any JSON value among the users of an answer is kept as it was sent, byte for byte."""

import pytest

from ingest.answers import SourceError, read_page

INFO = b'"info": {"seed": "abc", "results": 3, "page": 1, "version": "1.4"}'
VALUES = {
    "null": b"null",
    "text": b'"a text"',
    "white space": b'[ 1 ,\n\t{ "a" : 2 } ]',
    "the same key twice": b'{"a": 1, "a": 2, "": 3}',
    "characters of every width": '"é€👩‍🚀\u200c\u202e"'.encode(),
    "escapes": rb'"\u00e9\ud83d\ude00\/\\\"\n"',
    "NUL": rb'"\u0000"',
    "a number of 5,000 digits": b"1" + b"0" * 5_000,
    "a number past every range": b"1e999",
    "minus zero": b"-0",
    "what reads like half a character": rb'"\\ud800"',
    "lists 900 deep": b"[" * 900 + b"]" * 900,
}


def answer(user: bytes) -> bytes:
    return b'{"results": [ {"n":1} ,' + user + b'\n, "\xc3\xa9"], ' + INFO + b"}"


@pytest.mark.parametrize("user", VALUES.values(), ids=VALUES.keys())
def test_a_user_of_any_content_is_kept_as_sent_and_so_are_those_beside_it(user: bytes) -> None:
    page = read_page(answer(user), "it")
    assert [bytes(one) for one in page.users] == [b'{"n":1}', user, b'"\xc3\xa9"']
    assert page.info.seed == "abc"


def test_a_byte_order_mark_is_passed_over() -> None:
    page = read_page(b"\xef\xbb\xbf" + answer(b"1"), "it")
    assert [bytes(one) for one in page.users] == [b'{"n":1}', b"1", b'"\xc3\xa9"']


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (answer(b"1") + b"{}", "is not JSON: .*trailing characters"),
        (answer(b'{"x": NaN}'), r"is not JSON: .* there it reads .*\{\"x\": NaN\}"),
        (answer(b"01"), "is not JSON: "),
        (answer(b'"\x00"'), "is not JSON: "),
        (answer(rb'"\ud8zz"'), "is not JSON: "),
        (answer(b'"\xed\xa0\x80"'), "is not JSON: 'utf-8'"),
        (answer(b"1").replace(b'"abc"', rb'"\ud800"'), "is not JSON: "),
        (answer(rb'{"a": "\uDFFF"}'), "is not JSON: "),
        (answer(rb'"\ud83d.\uD83D\n"'), "is not JSON: "),
        (answer(b"[" * 20_000), "nested too deep"),
        (answer(b"[" * 2_000_000 + b"]" * 2_000_000), "nested too deep"),
    ],
    ids=[
        "something after it",
        "NaN",
        "a leading zero",
        "a bare NUL",
        "a broken escape",
        "half a character in bytes",
        "half a character in the seed",
        "half a character in a user",
        "half a character before text",
        "without an end",
        "two million deep",
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(body: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=said) as refused:
        read_page(body, "it")
    assert "\n" not in str(refused.value)
