"""A host that sends alerts: it has its own dbt files; hosts may share a warehouse and a Slack."""

import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support.commands import Run, passes
from support.fake_slack import FakeSlack

from publish.artifacts import FILES

SECRET = "XoXoSecretOfTheWebhook"  # noqa: S105
MODEL, SOURCE = "model.randomuser.users", "source.randomuser.randomuser.users"
STALE = (
    "source `randomuser.users` is stale: its newest load is 25.0 hours old, the limit is 24 hours"
)
_NO_CHANGES = "No changes to send"


@dataclass
class AlertHost:
    """A host with its own dbt files."""

    run: Run
    target: Path
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
        assert len(posts) <= 1 and (_NO_CHANGES in output) is not bool(posts)
        return [re.sub("^- ", "", line) for post in posts for line in post.splitlines()[1:]]

    def rewrite_artifact(
        self, name: str, change: Callable[[dict[str, Any]], object] = lambda _: None
    ) -> None:
        """Write dbt's file again with the time of now and `change` applied."""
        file = self.target / FILES[name]
        artifact = json.loads(file.read_text())
        metadata = artifact.get("metadata", artifact)
        metadata["generated_at"] = datetime.now(UTC).isoformat()
        change(artifact)
        file.write_text(json.dumps(artifact))

    def set_build_results(self, **changed: dict[str, Any]) -> None:
        """Write a new build with other results of the nodes with these names."""

        def change(artifact: dict[str, Any]) -> None:
            for name, fields in changed.items():
                (result,) = [
                    node for node in artifact["results"] if node["unique_id"].split(".")[2] == name
                ]
                result.update(fields)

        self.rewrite_artifact("build", change)

    def set_freshness(self, status: str, hours: float) -> None:
        """Write a new freshness check with this status and age of the newest load."""

        def change(artifact: dict[str, Any]) -> None:
            (result,) = artifact["results"]
            newest = datetime.now(UTC) - timedelta(hours=hours)
            result |= {"status": status, "max_loaded_at": newest.isoformat()}

        self.rewrite_artifact("sources", change)


def read_warnings(target: Path) -> dict[str, dict[str, Any]]:
    """Return the results of the tests that warned, by name."""
    results = json.loads((target / FILES["build"]).read_text())["results"]
    return {res["unique_id"].split(".")[2]: res for res in results if res["status"] == "warn"}


MakeAlertHost = Callable[[], AlertHost]
