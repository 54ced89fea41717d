"""Forgets users."""

import json

from support.commands import Run, passes

# dbt writes the arguments of a command to its log, and to its results.
FORGET = ("dbt", "--log-level-file", "none", "--no-write-json", "run-operation", "forget_users")


def ids_flags(*user_ids: str, dry_run: bool = False) -> tuple[str, str]:
    """Return the flags of FORGET that name the users."""
    return ("--args", json.dumps({"user_ids": user_ids, "dry_run": dry_run}))


def forget(run: Run, *user_ids: str, dry_run: bool = False) -> list[str]:
    """Forget users and return the lines of the receipt."""
    output = passes(run(*FORGET, *ids_flags(*user_ids, dry_run=dry_run)))
    return output[output.index("rows ") :].splitlines()
