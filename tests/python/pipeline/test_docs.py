"""The pages that describe the project are complete and current."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.commands import ROOT, Run, passes

from ingest import __version__
from ingest.settings import SECRETS

PAGES = [
    page.read_text() for page in (ROOT / "Makefile", *ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))
]


def test_erd_page_is_current(built: Run) -> None:
    draw = [sys.executable, "docs/erd.py"]
    page = subprocess.check_output(draw, cwd=ROOT, env=os.environ | built.environment, text=True)
    assert (ROOT / "docs/erd.md").read_text() == page, "run `make erd` and commit docs/erd.md"


def test_readme_shows_what_demo_prints(built: Run, tmp_path: Path) -> None:
    """`make demo` itself runs, but its commands print what they printed for other tests."""
    land = ("ingest", "--users", "5")
    outputs = {"ingest": passes(built(*land, RAW_DATASET=f"{built.raw}_of_demo"))}
    left = Path(built.environment["DBT_TARGET_PATH"]).parent / "left"
    dbt = {"DBT_TARGET_PATH": f"{left}/target", "RAW_DATASET": f"{built.raw}_of_demo"}
    outputs["history"] = passes(built("publish", "history", **dbt))
    for words in (["csv"], ["report", "--html"]):
        outputs[words[0]] = passes(built("publish", *words))
    for name, text in outputs.items():
        (tmp_path / name).write_text(text)
    stubs = {"python": f'cd {tmp_path}; cat -- "$@" 2>/dev/null; true', "dbt": "true"}
    for name, line in stubs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o700)
    path = f"{tmp_path}:{os.environ['PATH']}"
    printed = make("--old-file=setup", "demo", "BIN=none", "LOCAL=env", PATH=path)
    names = {built.analytics: "analytics", built.environment["EXPORT_DIR"]: "exports"}
    names |= {f"{built.raw}_of_demo": "raw_randomuser", built.raw: "raw_randomuser"}
    for name, shown in names.items():
        printed = printed.replace(name, shown)
    (transcript,) = re.findall(r"\$ make demo\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    lines = iter(mask(printed))
    missing = [line for line in mask(transcript) if line != "  ..." and line not in lines]
    assert not missing, printed
    assert max(map(len, f"{transcript}{make('help')}".splitlines())) <= 80


def test_suggested_commands_show_rows(built: Run) -> None:
    suggested = {
        command for page in PAGES for command in re.findall(r"(dbt show --select \w+)", page)
    }
    assert suggested
    for command in suggested | {"dbt show --select users_history"}:
        output = passes(built(*command.split(), "--quiet", "--indirect-selection", "empty"))
        assert len(re.findall(r"^\| [0-9a-f]{8}-", output, re.M)) == 5, output


def make(*words: str, **extra: str) -> str:
    environment = os.environ | {"MAKEFLAGS": ""} | extra
    return subprocess.check_output(["make", *words], cwd=ROOT, env=environment, text=True)


def mask(text: str) -> list[str]:
    """Return the lines that are not empty, without numbers and load id."""
    text = re.sub(r"manual-\S+", "X", text.replace("warnings", "warning"))
    return [re.sub(r" *\d[\d,.:-]*", " N", line) for line in text.splitlines() if line]


def test_version_is_the_same_everywhere() -> None:
    patterns = {
        "pyproject.toml": r'^version = "(.+)"',
        "dbt_project.yml": r'^version: "(.+)"',
        "CHANGELOG.md": r"^## (\d\S+)",
    }
    for name, pattern in patterns.items():
        found = re.search(pattern, (ROOT / name).read_text(), re.MULTILINE)
        assert found and found[1] == __version__, name


def read_descriptions(manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each thing that readers of dbt's docs look up, with its description."""
    for kind in ("sources", "nodes", "exposures", "unit_tests"):
        for key, node in manifest[kind].items():
            if node["package_name"] == "randomuser" and node["resource_type"] != "operation":
                yield key, node["description"]
                for name, column in node.get("columns", {}).items():
                    yield f"{key}.{name}", column["description"]
    # Of the macros those that a person calls; the others have a comment where they stand.
    operations = {name for page in PAGES for name in re.findall(r"run-operation (\w+)", page)}
    assert operations
    for name in operations:
        macro = manifest["macros"][f"macro.randomuser.{name}"]
        yield name, macro["description"]
        arguments = {each["name"]: each["description"] for each in macro["arguments"]}
        (signature,) = re.findall(rf"macro {name}\((.*?)\)", macro["macro_sql"])
        for argument in re.findall(r"(\w+)(?:=[^,]+)?", signature):
            yield f"{name}({argument})", arguments.get(argument, "")


def test_docs_describe_everything(built: Run, tmp_path: Path) -> None:
    passes(built("dbt", "--quiet", "docs", "generate", "--target-path", str(tmp_path)))
    catalog = json.loads((tmp_path / "catalog.json").read_text())["nodes"]
    manifest = json.loads(Path(built.environment["DBT_TARGET_PATH"], "manifest.json").read_text())
    built_nodes = {
        key
        for key, node in manifest["nodes"].items()
        if node["resource_type"] in ("model", "seed", "snapshot")
        and node["config"]["materialized"] != "ephemeral"
    }
    assert set(catalog) == built_nodes
    assert catalog["model.randomuser.users"]["stats"]["row_count"]["value"] > 0
    descriptions = dict(read_descriptions(manifest))
    undescribed = [name for name, text in descriptions.items() if not text.strip()]
    assert len(descriptions) > 200 and not undescribed, undescribed
    overview = manifest["docs"]["doc.randomuser.__overview__"]["block_contents"]
    links = re.findall(r"\(#!/\w+/([\w.]+)\)", overview)
    assert len(links) > 3 and set(links) <= descriptions.keys(), links


def test_settings_page_names_every_setting() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    example = (ROOT / ".env.example").read_text()
    for line in example.splitlines():
        if "=" in line and not line.startswith("#"):
            assert f"`{line.split('=')[0]}`" in page
    for name in SECRETS:
        assert f"`{name.upper()}_FILE`" in page and f"{name.upper()}_FILE: " in example
