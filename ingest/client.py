"""Asks a service, and asks again while that may help.

The waits grow, differ from run to run, and are no shorter than the service's Retry-After.
"""

import logging
from concurrent.futures import CancelledError
from threading import Event

from tenacity import RetryCallState, Retrying, retry_if_exception_type, sleep_using_event
from tenacity.wait import wait_exponential, wait_random

from ingest import request
from ingest.answers import SourceError
from ingest.logs import event
from ingest.request import Session, Unanswered

log = logging.getLogger(__name__)

ANSWER_SECONDS = 60  # for one answer, from its first byte to its last
UNREACHED_SECONDS = 30  # a service that has never been reached has most likely another URL
MAX_WAIT = 60  # seconds between two tries, unless Retry-After says more


class Client:
    """Asks one service from several threads, for up to `retry_seconds` a question."""

    def __init__(self, retry_seconds: float, connections: int) -> None:
        """Keep up to `connections` open; nothing is asked yet."""
        self._seconds = retry_seconds
        self._answer_seconds = min(ANSWER_SECONDS, retry_seconds / 4)
        first_wait = min(2.0, retry_seconds / 32)
        self._backoff = wait_exponential(multiplier=first_wait, max=MAX_WAIT)
        self._jitter = wait_random(0, first_wait)
        self._session = Session(connections)
        self._reached = False
        self._stopped = Event()
        self._reason: BaseException = CancelledError()

    def stop(self, reason: BaseException | None = None) -> None:
        """End all waiting: every `get` raises `reason`, by default CancelledError."""
        if reason and not self._stopped.is_set():
            self._reason = reason
        self._stopped.set()

    def get(self, url: str, parameters: dict[str, str], asked: str) -> bytes:
        """Return the body of the answer with HTTP 200.

        Raises SourceError, which names what was `asked`, for an answer that is final, and when the
        time is up.
        """
        retrying = Retrying(
            sleep=sleep_using_event(self._stopped),
            stop=self._too_late,
            wait=self._wait,
            retry=retry_if_exception_type(Unanswered),
            before_sleep=_log,
            retry_error_callback=self._give_up,
        )
        try:
            return retrying(self._get, url, parameters)
        except SourceError as error:
            if error is self._reason:  # of another question, which it names
                raise
            raise SourceError(f"asked for {asked}: {error}") from None

    def _get(self, url: str, parameters: dict[str, str]) -> bytes:
        if self._stopped.is_set():
            raise self._reason
        try:
            body = request.get(self._session, url, parameters, self._answer_seconds)
        except Unanswered as error:
            self._reached |= error.connected
            raise
        self._reached = True
        return body

    def _left(self, state: RetryCallState) -> float:
        """Return the seconds in which it may be asked again."""
        seconds = self._seconds - self._answer_seconds  # so that the last answer is in time too
        if not self._reached:
            seconds = min(seconds, UNREACHED_SECONDS)
        return seconds - _spent(state)

    def _wait(self, state: RetryCallState) -> float:
        """Wait no longer than the time that is left, unless the service asks for it."""
        after = _unanswered(state).after
        wait = max(self._backoff(state), after) + self._jitter(state)
        return max(min(wait, self._left(state)), after)

    def _too_late(self, state: RetryCallState) -> bool:
        left = self._left(state)
        return left <= 0 or state.upcoming_sleep > left

    def _give_up(self, state: RetryCallState) -> bytes:
        tries = state.attempt_number
        came = f"{_unanswered(state)}; given up after {tries} {'try' if tries == 1 else 'tries'}"
        if not self._reached:
            raise SourceError(
                f"{came}; is RANDOMUSER_URL right, and can this machine reach it?"
            ) from None
        after = _unanswered(state).after
        alone = f"; it asks to be left alone for {after:.0f} s more" if after else ""
        raise SourceError(
            f"{came} in {_spent(state):.0f} s (RETRY_SECONDS is {self._seconds:g}, "
            f"{self._answer_seconds:g} of them for the last answer){alone}"
        ) from None


def _unanswered(state: RetryCallState) -> Unanswered:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, Unanswered)  # noqa: S101 -- nothing else is asked again
    return error


def _spent(state: RetryCallState) -> float:
    return max(state.seconds_since_start or 0, state.idle_for)


def _log(state: RetryCallState) -> None:
    error, seconds = _unanswered(state), state.upcoming_sleep
    page = int(state.args[1].get("page", 0))
    tries = state.attempt_number
    about = event("retry", page=page, came=str(error), tries=tries, seconds=round(seconds, 3))
    log.warning("page %d: %s; asking again in %.1f s", page, error.came, seconds, extra=about)
