"""Faults of the API: a page is requested again, or the load fails in one line without a user."""

import gzip
import json
import logging
import socket

import pytest
from support import faulty_api
from support.faulty_api import SEED, Fault, Handler, fail, send, send_other, send_raw, send_status

from ingest import fetcher


def reset(handler: Handler, _: faulty_api.Query) -> None:
    linger = b"\1\0\0\0\0\0\0\0"  # on, for 0 seconds
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    handler.connection.close()
    handler.close_connection = True


OK = b"HTTP/1.1 200 OK\r\n"
NOBODY = {"results": [], "info": {"seed": "d3adb33f", "results": 0, "page": 1, "version": "1.4"}}
TITLE = b"<!DOCTYPE html>\n<html><head><TITLE>Down\n</TITLE></head>Zelda"
RETRIED = {
    **{f"HTTP {code}": (send_status(code), f"HTTP {code} ") for code in (403, 429, 500, 502, 504)},
    "a page of HTML": (
        send(TITLE, 503),
        "HTTP 503 Service Unavailable; read 60 bytes: page 'Down'",
    ),
    "200 without users, as in an outage": (
        send(json.dumps(NOBODY).encode()),
        "a response without users",
    ),
    "reset connection": (reset, "no response ([Errno 104] Connection reset by peer)"),
    "closed connection": (
        send_raw(b""),
        "no response (Remote end closed connection without response)",
    ),
    "another protocol": (send_raw(b"220 Zelda\r\nESMTP\r\n"), "no response (BadStatusLine)"),
    "half of a body": (
        send_raw(OK + b"Content-Length: 99\r\n\r\nZelda"),
        "no complete response (IncompleteRead)",
    ),
    "no last chunk": (
        send_raw(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nZelda\r\n"),
        "no complete response (ValueError)",
    ),
}


@pytest.mark.parametrize(("fault", "received"), RETRIED.values(), ids=RETRIED.keys())
def test_fault_is_retried_until_it_passes_or_time_is_up(
    fault: Fault, received: str, waits: list[float]
) -> None:
    with faulty_api.serve(fault, times=1) as served:
        (page,) = faulty_api.fetch(served.url)
    sent = faulty_api.make_page(served.requests[1])["results"]
    assert list(map(bytes, page.records)) == [json.dumps(user).encode() for user in sent]
    assert len(served.requests) == 2 and 2 <= waits[0] <= 4
    with faulty_api.serve(fault) as served:
        line = fail(served.url, retry_seconds=60)
    assert line.startswith(f"requested page 1 (20 users) of {served.url}, received {received}")
    assert f"; gave up after {len(served.requests)} tries in " in line
    is_403 = received == "HTTP 403 "  # a firewall may refuse a single request
    assert (len(served.requests) == 2) is is_403 and "zelda" not in line.lower()


def drip(start: bytes) -> Fault:
    """Send a byte every 20 ms, without end."""

    def fault(handler: Handler, _: faulty_api.Query) -> None:
        handler.wfile.write(start)
        while not handler.api.stopped.wait(0.02):
            handler.wfile.write(b" ")

    return fault


def test_response_that_never_ends_is_requested_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, waits: list[float]
) -> None:
    monkeypatch.setattr(fetcher, "RESPONSE_SECONDS", 0.25)
    body = OK + b"Content-Length: 9999\r\n\r\n"
    stalls = send_raw(b"", waits=True), send_raw(body + b"{", waits=True)
    faults = faulty_api.in_turn(*stalls, drip(OK + b"X: "), drip(body))
    with faulty_api.serve(faults, times=4) as served:
        faulty_api.fetch(served.url)
    assert len(waits) >= 4
    for message in caplog.messages[:4]:
        assert message.startswith("page 1: no complete response within 0.25 s; retrying in ")


MISMATCH = f"expected (seed, users, page, version) ('{SEED}', 20, 1, '1.4'), received "
REFUSED = {
    "an error": (send(b'{"error": "Uh oh"}'), "read 18 bytes: error 'Uh oh'"),
    "404": (send_status(404), "HTTP 404 Not Found; read 20 bytes: error 'not now'"),
    "418": (send_raw(b"HTTP/1.1 418 Zelda\r\n\r\n"), "HTTP 418 I'm a Teapot; read 0 bytes"),
    "a redirect to a host": (
        send(b"", 302, Location="https://Zelda:a@host/zelda?q=1#b"),
        "HTTP 302 Found, a redirect to https://host: not followed, check RANDOMUSER_URL",
    ),
    "a redirect to a path": (send(b"", 301, Location="/zelda"), "a redirect to another path: "),
    "fewer users": (send_other(results="1"), f"{MISMATCH}('{SEED}', 1, 1, '1.4')"),
    "another page": (send_other(page="7"), f"{MISMATCH}('{SEED}', 20, 7, '1.4')"),
    "another seed": (send_other(seed="abc"), f"{MISMATCH}('abc', 20, 1, '1.4')"),
    "another version": (send_other(version="1.3"), f"{MISMATCH}('{SEED}', 20, 1, '1.3')"),
    "a user in seed": (send_other(seed="Zel'da"), f"{MISMATCH}('(not shown)', 20, 1, '1.4')"),
    "a long seed": (send_other(seed="a" * 41), f"{MISMATCH}('(not shown)', 20, 1, '1.4')"),
    "gzip, which was not requested": (
        send(gzip.compress(b"Zelda"), Content_Encoding="gzip"),
        "a response in 'gzip', which was not requested",
    ),
}


@pytest.mark.parametrize(("fault", "received"), REFUSED.values(), ids=REFUSED.keys())
def test_wrong_response_is_refused_at_once(fault: Fault, received: str, waits: list[float]) -> None:
    with faulty_api.serve(fault) as served:
        line = fail(f"{served.url}1.4/")
    assert received in line and "page 1 (20 users)" in line and "zelda" not in line.lower()
    assert len(served.requests) == 1 and not waits and "gave up" not in line


def test_response_of_more_than_64_mb_is_not_read_to_its_end() -> None:
    sent: list[int] = []

    def fault(handler: Handler, _: faulty_api.Query) -> None:
        handler.send_head(Transfer_Encoding="chunked")
        for _megabyte in range(100):
            sent.append(handler.wfile.write(b"100000\r\n%s\r\n" % (b" " * 2**20)))

    with faulty_api.serve(fault) as served:
        assert "received a response of more than 67,108,864 bytes" in fail(served.url)
    assert 64 <= len(sent) < 90


def test_identity_is_no_encoding() -> None:
    page = faulty_api.make_page({"seed": SEED, "results": "20", "page": "1"})
    with faulty_api.serve(send(json.dumps(page).encode(), Content_Encoding="Identity")) as served:
        faulty_api.fetch(served.url)


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("status", [200, 404, 503])
def test_neither_error_nor_log_shows_body(status: int, caplog: pytest.LogCaptureFixture) -> None:
    fault = send(b'{"user": "Zelda"}', status, Content_Type="text/x-type; owner=Zelda")
    with faulty_api.serve(fault) as served, caplog.at_level(logging.DEBUG, "ingest"):
        line = fail(served.url)
    assert "; read 17 bytes of text/x-type" in line
    assert "zelda" not in f"{line}{[vars(record) for record in caplog.records]}".lower()
