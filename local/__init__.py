"""The embedded BigQuery, the fake API and the stub packages, in place of the real ones.

Production code imports nothing from here.
"""

import os
import signal
from pathlib import Path

# Behind a company's proxy: what imports this, and all that it starts, reaches loopback directly.
_NAMES = ("NO_PROXY", "no_proxy")
_hosts = [host for name in _NAMES for host in os.environ.get(name, "").split(",") if host]
if "*" not in _hosts:
    _hosts = [*dict.fromkeys([*_hosts, "127.0.0.1", "localhost"])]
    os.environ.update(dict.fromkeys(_NAMES, ",".join(_hosts)))


def local_dir() -> Path:
    """Return the folder of all that is kept on this machine."""
    return Path(os.environ.get("LOCAL_DIR") or ".local")


def make_private(folder: Path) -> None:
    """Make a folder that only this user can open; also if an older version has made it."""
    mask = os.umask(0o077)  # for the folders above it, which `mkdir` makes without a mode
    folder.mkdir(parents=True, exist_ok=True)
    os.umask(mask)
    folder.chmod(0o700)


def note_signals() -> list[int]:
    """Return a list that gets SIGINT and SIGTERM; an exception is lost in a finalizer."""
    noted: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: noted.append(number))
    return noted
