"""Replaces files of a folder all at once, or not at all."""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from requests import RequestException

from ingest.logs import event
from publish.artifacts import PublishError

log = logging.getLogger(__name__)
PREFIX = ".unfinished-"


@contextmanager
def replace_files(folder: Path) -> Iterator[Path]:
    """Yield a private folder; when the block ends well, its files replace those of `folder`.

    Runs that write to `folder` take turns. Raises PublishError if it cannot be written to.
    """
    try:
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _wait_for_lock(lock, folder)
            for leftover in folder.glob(f"{PREFIX}*"):  # of a run that was killed
                shutil.rmtree(leftover)
            with TemporaryDirectory(prefix=PREFIX, dir=folder) as unfinished:
                yield Path(unfinished)
                for file in Path(unfinished).iterdir():
                    file.replace(folder / file.name)
        finally:
            os.close(lock)
    except RequestException:  # an OSError too, of the block
        raise
    except OSError as error:
        raise PublishError(
            f"cannot write to {folder}: {error.strerror}; no file there is half written. "
            "Make room, or choose another folder with --output"
        ) from None


def _wait_for_lock(lock: int, folder: Path) -> None:
    """Lock the folder until `lock` is closed; the kernel closes it when the process is killed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("waiting for another run that writes to %s", folder, extra=event("waiting"))
        fcntl.flock(lock, fcntl.LOCK_EX)
