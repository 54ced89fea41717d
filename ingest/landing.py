"""Lands a load in BigQuery completely or not at all, and only once.

One statement looks for the load in the ledger and in raw. If it is in neither, its pages become one
Parquet file, and one load job appends them to `users`. One statement then writes the load's row
into the ledger, `loads`: from then on the load counts. A run that dies leaves `users` unchanged or
complete; the next run of the same load finishes it. Users who are forgotten
(macros/privacy/forget_users.sql) are left out and counted.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator
from queue import Queue
from threading import Thread
from typing import IO, Any, NamedTuple

import msgspec

from ingest import __version__, statements, tables
from ingest.logs import event
from ingest.response import Page, SourceError
from ingest.warehouse import LandingError, Warehouse

log = logging.getLogger(__name__)
# How far back to look in raw for a load that is not in the ledger. All of raw is searched if
# BigQuery knows a load job of this load.
RECOVERY_DAYS, ALL_DAYS = 30, 36_500


class LoadIdTakenError(LandingError):
    """The load id belongs to another load."""


class Load(NamedTuple):
    """What a load is; `users` were requested, or None of files, whose users may be sent twice."""

    id: str
    source: str
    users: int | None
    hash: str
    """Of the request, or of the content of the files: a load id has only one."""


class Landed(NamedTuple):
    """How many users of a load are in `users`, and how many are forgotten."""

    users: int
    forgotten: int
    is_new: bool


def land(warehouse: Warehouse, load: Load, read_pages: Callable[[], Iterator[Page]]) -> Landed:
    """Land the pages of `load`, unless it has landed, and return how many users have landed.

    Nothing lands if a page cannot be read, or if requested users were sent twice (SourceError), or
    if the load id belongs to another load (LoadIdTakenError).
    """
    warehouse.create_tables()
    known = _look_up(warehouse, load, ALL_DAYS if warehouse.find_job("users") else RECOVERY_DAYS)
    if known.is_in_ledger:
        return Landed(known.users_landed, known.users_forgotten, is_new=False)
    received, written, started_at = load.users or 0, None, known.loaded_at
    if not known.users:
        received, written, file = _write_file(load, known, read_pages())
        with file:
            job = warehouse.run_once(
                "users", known.now_at, lambda job_id: warehouse.start_load(file, job_id)
            )
        # If another run has landed the load, it is looked up again: its users may be others.
        started_at = (None if job else _look_up(warehouse, load).loaded_at) or known.now_at
    values = {
        "load_id": load.id,
        "source": load.source,
        "users_asked": load.users,
        "users_received": received or sum(len(page.users) for page in read_pages()),
        "users_landed": written,
        "loader_version": __version__,
        "started_at": started_at,
        "load_hash": load.hash,
    }
    job = warehouse.run_once(
        "ledger",
        known.now_at,
        lambda job_id: warehouse.start_query(statements.WRITE_LEDGER, values, job_id),
    )
    if job and job.num_dml_affected_rows and written is not None:
        return Landed(written, received - written, is_new=True)
    known = _look_up(warehouse, load)
    if not known.is_in_ledger:
        counts = f"{warehouse.users} holds {known.users:,} users of load {load.id}, not {written}"
        raise LandingError(f"{counts} as sent; the load does not count: run it again")
    return Landed(known.users_landed, known.users_forgotten, is_new=True)


def _look_up(warehouse: Warehouse, load: Load, days: int = RECOVERY_DAYS) -> Any:
    """Return what is known of the load; raise LoadIdTakenError if it is another load."""
    (known,) = warehouse.query(statements.LOOK_UP, load_id=load.id, days=days)
    if known.load_hash not in (None, load.hash):
        users = known.users_landed if known.is_in_ledger else known.users
        raise LoadIdTakenError(
            f"load {load.id} is another load, of {users:,} users: its request or its files differ "
            "from those of this run; nothing was landed: use another --load-id"
        )
    return known


def _write_file(load: Load, known: Any, pages: Iterator[Page]) -> tuple[int, int, IO[bytes]]:
    """Write the pages; return how many users were received, how many written, and the file."""
    received, written, digests = 0, 0, set[bytes]()
    forgotten = set((known.forgotten or "").split(","))
    file = tables.UsersFile(load.id, load.hash, known.now_at)
    for page in _read_ahead(pages):
        if load.users:
            _check_users(load, page, digests)
        users = dict(enumerate(page.users, received))
        received += len(users)
        if known.forgotten:
            key = known.forgotten_key
            users = {i: user for i, user in users.items() if _hash_user(key, user) not in forgotten}
        file.write(page, users)
        written += len(users)
    log.info("received all %d users", received, extra=event("received", users=received))
    return received, written, file.finish()


def _read_ahead(pages: Iterator[Page]) -> Iterator[Page]:
    """Yield the pages, and read the next ones meanwhile."""
    queue: Queue[Page | BaseException | None] = Queue(1)  # one page waits, one is read: flat memory

    def read() -> None:
        try:
            for page in pages:
                queue.put(page)
            queue.put(None)
        except BaseException as error:
            queue.put(error)

    Thread(target=read, daemon=True).start()  # a daemon, so that Ctrl-C need not wait for a page
    while page := queue.get():
        if isinstance(page, BaseException):
            raise page
        yield page


def _check_users(load: Load, page: Page, digests: set[bytes]) -> None:
    """Raise SourceError if the page holds a user twice, or is equal to an earlier page."""
    number, hint = page.info.page, "the API sent some users twice; use another --load-id"
    digest = hashlib.blake2b(digest_size=16)
    for user in page.users:
        digest.update(user)
    digests.add(digest.digest())
    if len(digests) < number:
        raise SourceError(f"page {number} of {load.source} is equal to an earlier page: {hint}")
    if len(set(map(bytes, page.users))) < len(page.users):
        raise SourceError(f"page {number} of {load.source} holds a user twice: {hint}")


class _Login(msgspec.Struct):
    uuid: str


class _User(msgspec.Struct):
    login: _Login


def _hash_user(key: str, user: msgspec.Raw) -> str:
    """Return a user id's hash, as macros/privacy/user_hash.sql makes it; "" if there is no id."""
    try:
        user_id = msgspec.json.decode(user, type=_User).login.uuid
    except msgspec.MsgspecError:
        return ""
    return hashlib.sha256(f"{key}{user_id.lower()}".encode()).hexdigest()
