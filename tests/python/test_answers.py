"""Any JSON value among the users of an answer is kept as it was sent, byte for byte."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import ROOT

from ingest.answers import DEPTH, SourceError, read_page

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
    "half a character": rb'{"a": "\ud800", "\uDFFF": 1}',
    "halves in the wrong order": rb'"\ude00\ud83d"',
    "a half before text": rb'"\ud83d.\uD83D\n"',
    "a half behind backslashes": rb'"\\\\\ud800\\ud800"',
    "lists 900 deep": b"[" * 900 + b"]" * 900,
    "lists 9,000 deep": b"[" * 9_000 + b"]" * 9_000,
    "objects 9,000 deep, with half a character": b'{"a":' * 9_000 + rb'"\ud800"' + b"}" * 9_000,
}


def answer(user: bytes) -> bytes:
    return b'{"results": [ {"n":1} ,' + user + b'\n, "\xc3\xa9"], ' + INFO + b"}"


@pytest.mark.parametrize("user", VALUES.values(), ids=VALUES.keys())
def test_a_user_of_any_content_is_kept_as_sent_and_so_are_those_beside_it(user: bytes) -> None:
    page = read_page(answer(user), "it")
    assert [bytes(one) for one in page.users] == [b'{"n":1}', user, b'"\xc3\xa9"']
    assert page.info.seed == "abc"


THREADS = f"""
import sys
from threading import Barrier, Thread
from ingest.answers import read_page

def read():
    start.wait()
    read_page({answer(b"1")!r}, "it")

sys.setswitchinterval(1e-6)
start = Barrier(16)
threads = [Thread(target=read) for _ in range(16)]
for step in (Thread.start, Thread.join):
    for thread in threads:
        step(thread)
"""


def test_the_first_answers_may_be_read_by_many_threads_at_once() -> None:
    for _ in range(20):  # a quarter of such processes crashed while each thread made a decoder
        assert (
            subprocess.run([sys.executable, "-c", THREADS], cwd=ROOT, check=False).returncode == 0
        )


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
        (answer(b"[" * 20_000), "nested too deep"),
    ],
    ids=[
        "something after it",
        "NaN",
        "a leading zero",
        "a bare NUL",
        "a broken escape",
        "half a character in bytes",
        "half a character in the seed",
        "without an end",
    ],
)
def test_what_is_no_json_is_refused_in_one_line(body: bytes, said: str) -> None:
    with pytest.raises(SourceError, match=said) as refused:
        read_page(body, "it")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("extra", [1, 10 * DEPTH])
def test_what_is_nested_too_deep_is_refused_and_does_not_end_the_process(extra: int) -> None:
    depth = DEPTH + extra
    body = answer(b"[" * depth + b"]" * depth)
    with ThreadPoolExecutor(1) as pool, pytest.raises(SourceError, match="nested too deep"):
        pool.submit(read_page, body, "it").result()
