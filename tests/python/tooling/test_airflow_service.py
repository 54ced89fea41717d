"""`python -m dags.service` with a program in place of Airflow."""

import os
import subprocess
import sys
from pathlib import Path

from support.commands import ROOT

# The API server responds late, and SIGTERM comes while a finalizer runs.
RUN_SERVICE = """
import os, pathlib, signal, sys
from dags import service
class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
def is_reachable(url, responses=[True, True, False]):
    print(*sorted(file.stem for file in pathlib.Path(os.environ["LOCAL_DIR"]).rglob("*.log")))
    if len(responses) == 1:
        Finalized()
    return responses.pop()
service.is_reachable, service.AIRFLOW = is_reachable, pathlib.Path(sys.argv.pop())
sys.exit(service.main())
"""


def test_scheduler_starts_when_the_api_server_responds_and_no_signal_is_lost(
    tmp_path: Path,
) -> None:
    program = tmp_path / "airflow"
    program.write_text('#!/bin/sh\n[ "$1" = db ] || exec sleep 600\n')
    program.chmod(0o700)
    home = tmp_path / "local"
    done = subprocess.run(
        [sys.executable, "-c", RUN_SERVICE, program],
        cwd=ROOT,
        env=os.environ | {"LOCAL_DIR": str(home)},
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    *logs, started = done.stdout.splitlines()
    assert logs == ["api-server dag-processor db"] * 3
    assert started.startswith("Airflow: http://127.0.0.1:")
    assert (home / "airflow/scheduler.log").exists()
