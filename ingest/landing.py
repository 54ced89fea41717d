"""Lands a load in BigQuery completely or not at all, and only once.

One statement looks for the load in the ledger and in raw. If it is in neither, its pages become one
Parquet file, and one load job appends them to raw. One statement then writes the load's row
into the ledger, `loads`: from then on the load counts. A run that dies leaves raw unchanged or
complete; the next run of the same load finishes it. Records of people who are forgotten
(macros/privacy/forget_users.sql) are left out and counted.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator
from queue import Queue
from threading import Thread
from typing import IO, Any, NamedTuple

import msgspec

from ingest import __version__, statements, tables
from ingest.logs import event
from ingest.response import SourceError
from ingest.source import Load, Page
from ingest.warehouse import LandingError, Warehouse

log = logging.getLogger(__name__)
# How far back to look in raw for a load that is not in the ledger. All of raw is searched if
# BigQuery knows a load job of this load.
RECOVERY_DAYS, ALL_DAYS = 30, 36_500


class LoadIdTakenError(LandingError):
    """The load id belongs to another load."""


class Landed(NamedTuple):
    """How many records of a load are in raw, and how many are of forgotten people."""

    records: int
    forgotten: int
    is_new: bool


def land(warehouse: Warehouse, load: Load, person: tuple[str, ...]) -> Landed:
    """Land the pages of `load`, unless it has landed, and return how many records have landed.

    Nothing lands if a page cannot be read, or if the API sent records twice (SourceError), or if
    the load id belongs to another load (LoadIdTakenError). `person`: path to the id of the person
    in a record.
    """
    warehouse.create_tables()
    step = warehouse.records
    known = _look_up(warehouse, load, ALL_DAYS if warehouse.find_job(step) else RECOVERY_DAYS)
    if known.is_in_ledger:
        return Landed(known.in_ledger, known.forgotten_in_ledger, is_new=False)
    received, written, started_at = load.asked, None, known.loaded_at
    if not known.in_raw:
        received, written, file = _write_file(warehouse, load, person, known)
        with file:
            job = warehouse.run_once(
                step, known.now_at, lambda job_id: warehouse.start_load(file, job_id)
            )
        started_at = known.now_at
        if not job:  # another run has landed the load: its records may be others
            received, written = load.asked, None
            started_at = _look_up(warehouse, load).loaded_at or started_at
    if received is None:
        count = {"load_id": load.id, "loaded_at": started_at}
        ((received,),) = warehouse.query(statements.COUNT_RECEIVED, **count)
    values = {
        "load_id": load.id,
        "source": load.url,
        "asked": load.asked,
        "received": received,
        "landed": written,
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
        found = f"{known.in_raw:,} {warehouse.records} of load {load.id}, not {written}"
        counts = f"{warehouse.raw} holds {found}"
        raise LandingError(f"{counts} as sent; the load does not count: run it again")
    return Landed(known.in_ledger, known.forgotten_in_ledger, is_new=True)


def _look_up(warehouse: Warehouse, load: Load, days: int = RECOVERY_DAYS) -> Any:
    """Return what is known of the load; raise LoadIdTakenError if it is another load."""
    (known,) = warehouse.query(statements.LOOK_UP, load_id=load.id, days=days)
    if known.load_hash not in (None, load.hash):
        count = known.in_ledger if known.is_in_ledger else known.in_raw
        raise LoadIdTakenError(
            f"load {load.id} is another load, of {count:,} {warehouse.records}: its request or its "
            "files differ from those of this run; nothing was landed: use another --load-id"
        )
    return known


def _write_file(
    warehouse: Warehouse, load: Load, person: tuple[str, ...], known: Any
) -> tuple[int, int, IO[bytes]]:
    """Write the pages; return how many records were received, how many written, and the file."""
    received, written, digests = 0, 0, set[bytes]()
    forgotten, record_type = set((known.forgotten or "").split(",")), _make_type(person)
    file = tables.RecordsFile(load.id, load.hash, known.now_at)
    for number, page in enumerate(_read_ahead(load.pages), start=1):
        if not load.is_replay:
            _check_records(f"page {number} of {load.url}", warehouse.records, page, digests)
        records = dict(enumerate(page.records, received))
        received += len(records)
        if known.forgotten:
            key = known.forgotten_key
            records = {
                index: record
                for index, record in records.items()
                if _hash_person(key, record, record_type) not in forgotten
            }
        file.write(page, number, records)
        written += len(records)
    count = event("received", **{warehouse.records: received})
    log.info("received all %d %s", received, warehouse.records, extra=count)
    return received, written, file.finish()


def _read_ahead(pages: Iterable[Page]) -> Iterator[Page]:
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


def _check_records(origin: str, noun: str, page: Page, digests: set[bytes]) -> None:
    """Raise SourceError if the page holds a record twice, or is equal to an earlier page."""
    hint = f"the API sent some {noun} twice; use another --load-id"
    digest = hashlib.blake2b(digest_size=16)
    for record in page.records:
        digest.update(record)
    if page.records and digest.digest() in digests:
        raise SourceError(f"{origin} is equal to an earlier page: {hint}")
    digests.add(digest.digest())
    if len(set(map(bytes, page.records))) < len(page.records):
        raise SourceError(f"{origin} holds some {noun} twice: {hint}")


def _make_type(path: tuple[str, ...]) -> Any:
    """Return the type of a record of which only the text at this path is read."""
    value: Any = str
    for name in reversed(path):
        value = msgspec.defstruct("Part", [("part", value, msgspec.field(name=name))])
    return value


def _hash_person(key: str, record: msgspec.Raw, record_type: Any) -> str:
    """Return a person's hash, as macros/privacy/user_hash.sql makes it; "" if there is no id."""
    try:
        found = msgspec.json.decode(record, type=record_type)
    except msgspec.MsgspecError:
        return ""
    while not isinstance(found, str):
        found = found.part
    return hashlib.sha256(f"{key}{found.lower()}".encode()).hexdigest()
