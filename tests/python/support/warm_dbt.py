"""Has dbt parse the project, in the process whose forks the commands are.

dbt generates the code of its classes when it first needs it: a second of each command, which a fork
of this process saves.
"""

import gc
import io
import multiprocessing
import os
from contextlib import redirect_stdout
from tempfile import TemporaryDirectory
from unittest.mock import patch

from dbt.cli.main import dbtRunner

# A project that cannot be parsed is an error of the first command, which says so.
settings = patch.dict(os.environ, DBT_PROFILES_DIR=".")
with TemporaryDirectory() as folder, settings, redirect_stdout(io.StringIO()):
    words = ["parse", "--target-path", folder, "--log-path", folder, "--target", "local", "--quiet"]
    # dbt's extractor starts threads, which a fork would wait for and not have: so another process
    # parses the files, and this one reads what that has kept.
    parse = multiprocessing.get_context("fork").Process(target=dbtRunner().invoke, args=[words])
    parse.start()
    parse.join()
    dbtRunner().invoke(words)
gc.collect()
gc.freeze()
