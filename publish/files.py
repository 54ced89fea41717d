"""Replaces files of a folder together: the CSVs, or the page of the report."""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

log = logging.getLogger(__name__)


@contextmanager
def replace_files(folder: Path) -> Iterator[Path]:
    """Yield a private folder; its files replace those of `folder` when the block ends well.

    Runs that write to `folder` take turns, so what another run has left is of one that was killed.
    """
    with suppress(FileExistsError):  # a file is refused below, as no folder
        folder.mkdir(parents=True)
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:  # the kernel unlocks the folder when it is closed, also by a kill
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for another run that writes to %s", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in folder.glob(".unfinished-*"):
            shutil.rmtree(leftover)
        with TemporaryDirectory(prefix=".unfinished-", dir=folder) as unfinished:
            yield Path(unfinished)
            for file in Path(unfinished).iterdir():
                file.replace(folder / file.name)
    finally:
        os.close(lock)
