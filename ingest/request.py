"""One request: its answer whole and in time, or what came instead."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from threading import Timer
from time import monotonic

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from ingest.answers import SourceError

CONNECT_SECONDS = 10
MAX_ANSWER = 64 * 2**20  # bytes, unpacked; a page of the API is 1.2 MB, the largest 6 MB
CHUNK = 65_536  # bytes
BUSY = {429, 500, 502, 503, 504}


class Unanswered(Exception):  # noqa: N818 -- it is no error while there is time
    """No answer, but one may come another time; the text says what came instead."""

    def __init__(
        self, came: str, body: str = "", *, after: float = 0, connected: bool = True
    ) -> None:
        """`after`: seconds to leave the service alone; `connected`: somebody was there."""
        super().__init__(f"{came}, {body!r}" if body else came)
        self.came, self.after, self.connected = came, after, connected


class Session(requests.Session):
    """Keeps `connections` open and follows no redirect."""

    def __init__(self, connections: int) -> None:
        """Prepare; nothing is asked yet."""
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, HTTPAdapter(pool_maxsize=connections))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Say that there is none: requests would read its whole body to look no further."""


def get(session: Session, url: str, parameters: dict[str, str], seconds: float) -> bytes:
    """Return the body of the answer with HTTP 200, of at most MAX_ANSWER bytes.

    Raises Unanswered where none comes within `seconds`, the service is busy or the answer is
    broken off, and SourceError for any other answer.
    """
    timeout = (min(CONNECT_SECONDS, seconds), seconds)
    end = monotonic() + seconds
    try:
        answer = session.get(url, params=parameters, timeout=timeout, stream=True)
    except requests.ReadTimeout:
        raise Unanswered(f"no answer within {seconds:g} s") from None
    except requests.ConnectionError as error:
        raise Unanswered(f"no answer ({_cause(error)})", connected=False) from None
    except requests.RequestException as error:
        raise SourceError(f"cannot be asked for: {_cause(error)}") from None
    with answer, _ended_at(end, answer):
        if answer.status_code == requests.codes.ok:
            body = _body(answer, end)
            if monotonic() >= end:
                raise Unanswered(f"no whole answer within {seconds:g} s")
            return body
        came = f"HTTP {answer.status_code} {answer.reason}"
        if target := answer.headers.get("Location"):
            raise SourceError(f"{came}, a redirect to {target[:200]!r}, which is not followed")
        if answer.status_code in BUSY:
            raise Unanswered(came, _beginning(answer), after=_retry_after(answer))
        raise SourceError(f"{came}, {_beginning(answer)!r}")


def _body(answer: requests.Response, end: float) -> bytes:
    """Read it until the clock shows `end`."""
    too_large = SourceError(f"an answer of more than {MAX_ANSWER:,} bytes")
    if (answer.raw.length_remaining or 0) > MAX_ANSWER:
        raise too_large
    body = BytesIO()
    try:
        while monotonic() < end and (chunk := answer.raw.read1(CHUNK, decode_content=True)):
            if body.tell() + len(chunk) > MAX_ANSWER:
                raise too_large
            body.write(chunk)
    except HTTPError as error:
        if monotonic() < end:
            raise Unanswered(f"no whole answer ({_cause(error)})") from None
    return body.getvalue()


@contextmanager
def _ended_at(end: float, answer: requests.Response) -> Iterator[None]:
    """End `answer` then, also while it is being read: a socket's timeout lets it drip for ever."""

    def shut() -> None:
        with suppress(RuntimeError, ValueError, OSError):  # it has just ended by itself
            answer.raw.shutdown()

    timer = Timer(max(0.0, end - monotonic()), shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _beginning(answer: requests.Response) -> str:
    """Return what comes first of a body that does not matter any more."""
    with suppress(HTTPError):
        return str((answer.raw.read1(CHUNK, decode_content=True) or b"")[:200], "utf-8", "replace")
    return ""


def _retry_after(answer: requests.Response) -> float:
    """Return how many seconds the service asks to be left alone: it names them, or a date."""
    with suppress(HTTPError, ValueError, OverflowError):
        return Retry().parse_retry_after(answer.headers.get("Retry-After", "0"))
    return 0


def _cause(error: BaseException) -> str:
    """Return the innermost reason: the outer ones repeat it in the libraries' own words."""
    inner = (getattr(error, "reason", None), *reversed(error.args), error.__cause__)
    reason = next((one for one in inner if isinstance(one, BaseException)), None)
    return _cause(reason) if reason else " ".join(str(error).split())
