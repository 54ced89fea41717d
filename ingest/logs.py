"""What operators read on standard error: a line an event.

On a terminal a line is for people. Anywhere else it is a JSON object: `at` (UTC), `level`,
`logger`, `message`, what was bound (`load_id`), and what an event brings along: its name
(`event`), `page`, `users`, `seconds` and the like. None holds a password, a token or a webhook.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime"}
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*@")  # of a URL: user:password@
_bound: dict[str, object] = {}


def begin(level: str = "INFO", **bound: object) -> None:
    """Log from `level` on, and what is `bound` in every JSON line; the last call counts."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Line("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)  # the first time alone
    logging.captureWarnings(True)
    for name in ("ingest", "publish"):
        logging.getLogger(name).setLevel(level)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its "Retrying" repeats the whole query
    _bound.update(bound)


def event(name: str, **fields: object) -> dict[str, object]:
    """Return an event's name and `fields`, to be given to a log call as `extra`."""
    return {"event": name} | fields


def failed(program: str, message: str, status: int) -> int:
    """Say why `program` ends, in one line for people and in a log line; return `status`."""
    if not sys.stderr.isatty():
        logging.getLogger(program).error(message, extra=event("failed", status=status))
    print(f"{program}: {public(message)}", file=sys.stderr)
    return status


def one_line(error: BaseException) -> str:
    """Return what `error` says, as far as a line goes: some of it is what somebody else sent."""
    return " ".join("".join(it if it.isprintable() else " " for it in str(error)[:1_000]).split())


def public(text: str) -> str:
    """Return `text` without the user and password that a URL in it may hold."""
    return _CREDENTIALS.sub("", text)


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        if sys.stderr.isatty():
            return public(super().format(record))
        extra = {name: it for name, it in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            extra["traceback"] = self.formatException(record.exc_info)
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"level": record.levelname, "logger": record.name, "message": record.getMessage()}
        # Escaped down to ASCII: whatever the stream's encoding, the line stays one of JSON.
        return public(json.dumps({"at": at} | line | _bound | extra, default=str))
