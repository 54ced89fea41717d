"""Forgets users."""

import json

from support.commands import Process, Run
from support.load_checks import finish

# dbt writes the arguments of a command to its log, and to its results.
FORGET = ("dbt", "--log-level-file", "none", "--no-write-json", "run-operation", "forget_users")


def start_forgetting(run: Run, *user_ids: str, dry_run: bool = False, **extra: str) -> Process:
    """Start to forget users; keywords are added to the environment."""
    arguments = {"user_ids": user_ids, "dry_run": dry_run}
    return run.start(*FORGET, "--args", json.dumps(arguments), **extra)


def forget(run: Run, *user_ids: str, dry_run: bool = False) -> list[str]:
    """Forget users and return the lines of the receipt."""
    output = finish(start_forgetting(run, *user_ids, dry_run=dry_run))
    return output[output.index("rows ") :].splitlines()
