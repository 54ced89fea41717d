"""A machine that alerts: dbt's files are its own, the warehouse and the Slack it may share."""

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from support.commands import Run, passes
from support.fake_slack import FakeSlack

from publish.artifacts import FILES

SECRET = "XoXoSecretOfTheWebhook"  # noqa: S105
MODEL, SOURCE = "model.randomuser.users", "source.randomuser.randomuser.users"
STALE = (
    "source `randomuser.users` is stale: its newest load is 25.0 hours old, 24 hours are allowed"
)
_NOTHING = "Nothing new to say"


@dataclass
class Machine:
    """A machine with dbt's files of its own."""

    run: Run
    target: Path
    slack: FakeSlack

    def alert(self, **extra: str) -> "subprocess.CompletedProcess[str]":
        done = self.run("publish", "alert", **{"SLACK_WEBHOOK_URL": self.slack.url} | extra)
        assert SECRET not in done.stdout + done.stderr and "Traceback" not in done.stderr
        return done

    def says(self, **extra: str) -> list[str]:
        """Have it look, and return the lines of what it posted."""
        before = len(self.slack.taken)
        out = passes(self.alert(**extra))
        posts = self.slack.taken[before:]
        assert len(posts) <= 1 and (_NOTHING in out) is not bool(posts)
        return [re.sub("^- ", "", line) for post in posts for line in post.splitlines()[1:]]

    def edit(self, name: str, change: Callable[[dict[str, Any]], object] = lambda _: None) -> None:
        """Have dbt write that file anew: as it was, but for `change`."""
        file = self.target / FILES[name]
        artifact = json.loads(file.read_text())
        about = artifact.get("metadata", artifact)
        about["generated_at"] = datetime.now(UTC).isoformat()
        change(artifact)
        file.write_text(json.dumps(artifact))

    def results(self, **changed: dict[str, Any]) -> None:
        """Have dbt build again, with other results of the nodes with these names."""

        def change(artifact: dict[str, Any]) -> None:
            for name, fields in changed.items():
                (result,) = [
                    it for it in artifact["results"] if it["unique_id"].split(".")[2] == name
                ]
                result.update(fields)

        self.edit("build", change)

    def freshness(self, status: str, hours: float) -> None:
        """Have dbt find that the newest load is so old."""

        def change(artifact: dict[str, Any]) -> None:
            (result,) = artifact["results"]
            result |= {"status": status, "max_loaded_at_time_ago_in_s": hours * 3600}

        self.edit("sources", change)


def warned(target: Path) -> dict[str, dict[str, Any]]:
    results = json.loads((target / FILES["build"]).read_text())["results"]
    return {it["unique_id"].split(".")[2]: it for it in results if it["status"] == "warn"}


Machines = Callable[[], Machine]
