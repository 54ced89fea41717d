"""Run the embedded BigQuery as a process: `python -m local.emulator DATA_DIR FD HOST PORT`.

The process writes its port to the open file descriptor FD. It stops when its standard input closes,
so it also stops when the process that started it is killed.
"""

import asyncio
import gc
import os
import socket
import sys
from pathlib import Path

import duckdb
import duckdb_extensions
from bqemulator.config import LogLevel, PersistenceMode, Settings
from bqemulator.server import EmulatorServer

import local.patches  # noqa: F401  it changes the emulator


def _previous_port(data_dir: Path) -> int:
    """Return the previous port, or 0 if it is in use: a new address makes dbt parse everything."""
    try:
        port = int((data_dir / "port").read_text())
        with socket.socket() as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", port))
    except (OSError, ValueError):
        return 0
    return port


async def serve(data_dir: Path, port_fd: int, host: str, port: int) -> None:
    """Serve the tables in `data_dir`, created if missing, until standard input closes."""
    settings = Settings(
        rest_host=host,
        rest_port=port or _previous_port(data_dir),
        grpc_port=0,
        persistence_mode=PersistenceMode.PERSISTENT,
        data_dir=data_dir,
        enable_format_extensions=False,  # Avro would be downloaded at the start, and is not used
        log_level=LogLevel.CRITICAL,
    )
    server = EmulatorServer(settings)
    await server.start()
    # Garbage collection is rare, and ignores the objects that were created during the start.
    gc.freeze()
    gc.set_threshold(20_000)
    (data_dir / "port").write_text(str(server.rest_port))
    with os.fdopen(port_fd, "w") as pipe:
        pipe.write(f"{server.rest_port}\n")
    await asyncio.to_thread(sys.stdin.buffer.read)
    await server.stop()


def add_extension() -> None:
    """Install the DuckDB extension without which the emulator does not start."""
    # DuckDB stores extensions in the home directory and downloads missing ones. This extension
    # comes from PyPI and is stored in the virtual environment.
    os.environ["HOME"] = sys.prefix
    duckdb_extensions.import_extension("spatial", con=duckdb.connect())


def main() -> None:
    """Serve the tables with the arguments of the command line."""
    data_dir, port_fd, host, port = sys.argv[1:]
    add_extension()
    asyncio.run(serve(Path(data_dir), int(port_fd), host, int(port)))


if __name__ == "__main__":
    main()
