"""What operators read on standard error: a line an event.

On a terminal a line is for people. Anywhere else it is a JSON object that can be searched: `at`
(UTC), `level`, `logger`, `message`, what was bound (`load_id`), and what an event brings along:
its name (`event`), `page`, `users`, `seconds` and the like. No line holds a password, a token or a
webhook.
"""

import json
import logging
import re
import sys
from datetime import UTC, datetime

PACKAGES = ("ingest", "publish")
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime"}
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s]*@")  # of a URL: user:password@
_bound: dict[str, object] = {}


def begin(level: str = "INFO") -> None:
    """Log from now on, the project's own events from `level` on, those of libraries less.

    To begin again changes the level.
    """
    if not logging.getLogger().handlers:
        handler = logging.StreamHandler()
        form = _Human("%(asctime)s %(levelname)s %(message)s") if _watched() else _Json()
        handler.setFormatter(form)
        logging.basicConfig(handlers=[handler], level=logging.WARNING)
        logging.captureWarnings(True)
    for name in PACKAGES:
        logging.getLogger(name).setLevel(level)
    # Its "Retrying" repeats the whole query.
    logging.getLogger("urllib3").setLevel(logging.ERROR)


def bind(**fields: object) -> None:
    """Add `fields` to every JSON line from now on, whatever thread it comes from."""
    _bound.update(fields)


def event(name: str, **fields: object) -> dict[str, object]:
    """Return an event's name and `fields`, to be given to a log call as `extra`."""
    return {"event": name} | fields


def failed(program: str, message: str, status: int) -> int:
    """Say why `program` ends: in one line for people and, unless they watch, as an event.

    Returns `status`, the program's exit status.
    """
    if not _watched():
        logging.getLogger(program).error(message, extra=event("failed", status=status))
    print(f"{program}: {public(message)}", file=sys.stderr)
    return status


def public(text: str) -> str:
    """Return `text` without the user and password that a URL in it may hold."""
    return _CREDENTIALS.sub("", text)


class _Human(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return public(super().format(record))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        brought = {name: it for name, it in vars(record).items() if name not in _STANDARD}
        line |= _bound | brought
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        # Escaped down to ASCII: whatever the stream's encoding, the line stays one of JSON.
        return json.dumps(
            {name: public(it) if isinstance(it, str) else it for name, it in line.items()},
            default=str,
        )


def _watched() -> bool:
    return sys.stderr.isatty()
