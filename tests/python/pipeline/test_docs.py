"""dbt's docs and the pages of settings are complete."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.commands import ROOT, Run, passes

from ingest import __version__
from ingest.settings import SECRETS

PAGES = [
    page.read_text() for page in (ROOT / "Makefile", *ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))
]


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
    for name in {name for page in PAGES for name in re.findall(r"run-operation (\w+)", page)}:
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
    assert set(catalog) == {
        key
        for key, node in manifest["nodes"].items()
        if node["resource_type"] in ("model", "seed", "snapshot")
        and node["config"]["materialized"] != "ephemeral"
    }
    assert catalog["model.randomuser.users"]["stats"]["row_count"]["value"] > 0
    descriptions = dict(read_descriptions(manifest))
    undescribed = [name for name, text in descriptions.items() if not text.strip()]
    assert len(descriptions) > 200 and not undescribed, undescribed
    overview = manifest["docs"]["doc.randomuser.__overview__"]["block_contents"]
    links = re.findall(r"\(#!/\w+/([\w.]+)\)", overview)
    assert len(links) > 3 and set(links) <= descriptions.keys(), links


def test_suggested_command_shows_users(built: Run) -> None:
    output = passes(built("dbt", "--quiet", "show", "--select", "users"))
    assert len(re.findall(r"^\| [0-9a-f]{8}-", output, re.M)) == 5, output


def test_settings_page_names_every_setting() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    example = (ROOT / ".env.example").read_text()
    for setting in re.findall(r"^([A-Z_]+)=", example, re.MULTILINE):
        assert f"`{setting}`" in page
    for name in re.findall(rf"^([A-Z_]+(?:{'|'.join(SECRETS).upper()}))=", example, re.MULTILINE):
        assert f"`{name}_FILE`" in page and f"{name}_FILE: " in example
