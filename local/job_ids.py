"""Makes the embedded BigQuery accept a job id only once, as BigQuery does.

The emulator runs a second job under the same id, and gives the job of an upload another id than the
requested one. The loader relies on both: a job id made of a load's id lands the load once, also if
the embedded BigQuery restarts meanwhile.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any
from weakref import WeakValueDictionary

from bqemulator.api.dependencies import AppContext
from bqemulator.api.routes import jobs, upload
from bqemulator.catalog.duckdb_repository import DuckDBCatalogRepository
from bqemulator.domain.errors import AlreadyExistsError

_RANDOM_ID = re.compile(r"bqemu_|[0-9a-f]{8}-")  # made by the emulator or by a client
_write_job = DuckDBCatalogRepository._write_job
_locks = WeakValueDictionary[str, asyncio.Lock]()
_upload_job_id: ContextVar[str] = ContextVar("upload_job_id")
_read_configuration, _run_load = upload._load_configuration_from_envelope, upload._run_load


@asynccontextmanager
async def _claim(ctx: AppContext, project_id: str, job_id: str) -> AsyncIterator[None]:
    """Refuse a used job id with HTTP 409; a second request waits until the first has ended."""
    lock = _locks.setdefault(f"{project_id}:{job_id}", asyncio.Lock())
    async with lock:
        if ctx.catalog.get_job(project_id, job_id):
            raise AlreadyExistsError(f"Already Exists: Job {project_id}:US.{job_id}")
        yield


@wraps(jobs.insert_job)
async def insert_job_once(project_id: str, request: Any, ctx: AppContext, caller: Any) -> Any:
    """Run a job, unless its id is used."""
    reference = (await request.json()).get("jobReference", {})
    async with _claim(ctx, project_id, reference.get("jobId", "")):
        return await jobs.insert_job(project_id, request, ctx, caller)


def _keep_job_id(envelope: dict[str, Any]) -> dict[str, Any]:
    configuration = _read_configuration(envelope)
    job_id = envelope.get("jobReference", {}).get("jobId")
    return configuration | ({"jobId": job_id} if job_id else {})


async def _run_load_once(**load: Any) -> Any:
    configuration = dict(load["configuration"])
    job_id = configuration.pop("jobId", None) or upload._new_job_id()
    _upload_job_id.set(job_id)
    async with _claim(load["ctx"], load["project_id"], job_id):
        return await _run_load(**load | {"configuration": configuration})


def _write_chosen_id(self: DuckDBCatalogRepository, job: Any) -> None:
    """Write a job to disk if its id can come again: all written jobs are read at every start."""
    if not _RANDOM_ID.match(job.job_id):
        _write_job(self, job)


DuckDBCatalogRepository._write_job = _write_chosen_id  # type: ignore[method-assign]
_new_job_id = upload._new_job_id
upload._new_job_id = lambda: _upload_job_id.get(None) or _new_job_id()
upload._load_configuration_from_envelope = _keep_job_id
upload._run_load = _run_load_once
