"""Logging to standard error: one line per event.

On a terminal a line is text. Anywhere else a line is a JSON object: `timestamp` (UTC), `level`,
`logger`, `message`, the bound context (`load_id`), and the fields of the event: its name
(`event`), `page`, `users`, `seconds` and others. No line holds a password, a token or a webhook.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime

_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime"}
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*@")  # of a URL: user:password@
_context: dict[str, object] = {}


def configure(level: str = "INFO") -> None:
    """Log events from `level` on; a later call changes the level."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)  # only the first call counts
    logging.captureWarnings(True)
    for name in ("ingest", "publish"):
        logging.getLogger(name).setLevel(level)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its "Retrying" repeats the whole query


def bind_context(**fields: object) -> None:
    """Add `fields` to every JSON line from now on."""
    _context.update(fields)


def event(name: str, **fields: object) -> dict[str, object]:
    """Return the name of an event and its `fields`, as the `extra` of a log call."""
    return {"event": name} | fields


def report_failure(program: str, message: str, status: int) -> int:
    """Print why `program` failed in one line, log it too, and return `status`."""
    if not sys.stderr.isatty():
        logging.getLogger(program).error(message, extra=event("failed", status=status))
    logging.disable()  # a thread that waits for a page goes on until the process ends
    print(f"{program}: {redact(message)}", file=sys.stderr)
    return status


def to_one_line(error: BaseException) -> str:
    """Return the text of `error` in one line, cut: a server may have sent a part of it."""
    text = "".join(char if char.isprintable() else " " for char in str(error)[:1_000])
    return " ".join(text.split())


def redact(text: str) -> str:
    """Return `text` without the user and password of any URL in it."""
    return _CREDENTIALS.sub("", text)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        if sys.stderr.isatty():
            return redact(super().format(record))
        extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            extra["traceback"] = self.formatException(record.exc_info)
        created = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"timestamp": created, "level": record.levelname, "logger": record.name}
        fields = {"message": record.getMessage()} | _context | extra
        # json.dumps escapes to ASCII, so the line is valid JSON in any encoding of the stream.
        return redact(json.dumps(line | fields, default=str))
