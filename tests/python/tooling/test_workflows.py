"""The workflows of GitHub."""

import platform
import re
import subprocess

import pytest
import yaml
from support.commands import ROOT

WORKFLOWS = [file.read_text() for file in (ROOT / ".github/workflows").glob("*.yml")]


@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the linters are published for x86-64 only"
)
def test_workflows_pass_linters() -> None:
    subprocess.run(["make", "--old-file=.venv/ready", "workflows-lint"], cwd=ROOT, check=True)


def test_each_action_is_pinned_to_one_commit_with_its_version() -> None:
    uses = {use for text in WORKFLOWS for use in re.findall(r"uses: (.+)", text)}
    for action in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)
    assert len(uses) == len({use.partition("@")[0] for use in uses}) > 1


def test_fork_workflow_only_reads_without_secrets() -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    assert "secrets." not in text
    assert "vars." not in text
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
