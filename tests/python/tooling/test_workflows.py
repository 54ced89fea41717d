"""The workflows of GitHub and the hooks of pre-commit."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="the linters are published for x86-64 only"
)
@pytest.mark.parametrize("linter", [["jactionlint"], ["zizmor", "--offline", "--quiet", ".github"]])
def test_workflows_pass_linter(linter: list[str]) -> None:
    lint = subprocess.run(
        [BIN / linter[0], *linter[1:]],
        cwd=ROOT,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"},  # shellcheck, for what they run
        text=True,
        capture_output=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=names(WORKFLOWS))
def test_actions_are_pinned_to_commit_with_version(workflow: Path) -> None:
    uses = re.findall(r"uses: (.+)", workflow.read_text())
    assert uses
    for action in uses:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)


def test_action_has_same_commit_everywhere() -> None:
    uses = {use for path in WORKFLOWS for use in re.findall(r"uses: (.+)", path.read_text())}
    assert len(uses) == len({use.partition("@")[0] for use in uses})


def test_fork_workflow_only_reads_without_secrets() -> None:
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    assert "secrets." not in text
    assert "vars." not in text
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_hooks_run_commands_of_make_lint() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("$(BIN)", ".venv/bin")
    makefile = makefile.replace("$(LOCAL)", ".venv/bin/python -m local --").replace(
        "$(MAKE)", "make"
    )
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    for hook in hooks:
        command = hook["entry"].removeprefix("env ").removesuffix(" --force-exclude")
        assert f"\t{command}" in makefile or command == "make workflows-lint"
