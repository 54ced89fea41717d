"""A machine that sends alerts about a warehouse."""

import re
import subprocess
from dataclasses import dataclass
from uuid import uuid4

from support.commands import Run, passes
from support.fake_slack import FakeSlack
from support.warehouse import Warehouse

from local.__main__ import PROJECT

SECRET = "XoXoSecretOfTheWebhook"  # noqa: S105
STALE = (
    "source `randomuser.users` is stale: its newest load is 25.0 hours old, the limit is 24 hours"
)


@dataclass
class AlertHost:
    """The machine, its warehouse and its Slack."""

    run: Run
    warehouse: Warehouse
    slack: FakeSlack

    def run_alert(self, **extra: str) -> "subprocess.CompletedProcess[str]":
        done = self.run("publish", "alert", **{"SLACK_WEBHOOK_URL": self.slack.url} | extra)
        assert SECRET not in done.stdout + done.stderr and "Traceback" not in done.stderr
        return done

    def posted_lines(self, **extra: str) -> list[str]:
        """Run the alert and return the lines that it posted."""
        before = len(self.slack.accepted)
        output = passes(self.run_alert(**extra))
        posts = self.slack.accepted[before:]
        assert len(posts) <= 1 and ("No changes to send" in output) is not bool(posts)
        return [re.sub("^- ", "", line) for post in posts for line in post.splitlines()[1:]]

    def replace_loads(self, sql: str) -> str:
        """Let the mart `loads` be another table, with the rows of a query; return its name."""
        table, mart = f"{PROJECT}.{self.run.raw}.loads_of_mart", "model.randomuser.loads"
        self.warehouse.rows(f"create table `{table}` as {sql}")
        runs = f"{self.run.raw}.runs"
        self.warehouse.rows(f"update {runs} set relation = '{table}' where node = '{mart}'")
        return table

    def record(self, command: str = "build", where: str = "true", **changed: str) -> None:
        """Record the first whole `command` again as of now, with other values: SQL by column.

        Those are of the rows `where`; the value `load_id` is of all rows.
        """
        runs = f"{self.run.raw}.runs"
        values = {name: f"if({where}, {sql}, {name})" for name, sql in changed.items()}
        values |= {"invocation_id": f"'{uuid4()}'", "ended_at": "current_timestamp()"}
        values |= {"load_id": changed.get("load_id", "load_id")}
        replaced = ", ".join(f"{sql} as {name}" for name, sql in values.items())
        first = f"select min(ended_at) from {runs} where command = '{command}' and not is_part"
        self.warehouse.rows(
            f"insert into {runs} select * replace ({replaced}) from {runs} "
            f"where command = '{command}' and ended_at = ({first})"
        )

    def record_freshness(self, status: str, hours: float) -> None:
        """Record a check of the freshness with this status and age of the newest load."""
        newest = f"timestamp_sub(current_timestamp(), interval {round(hours * 60)} minute)"
        details = f"to_json_string(json_set(parse_json(details), '$.newest', string({newest})))"
        self.record("source freshness", "node != ''", status=f"'{status}'", details=details)
