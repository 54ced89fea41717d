"""A metric has one definition, that of the semantic models."""

import json
import re
from pathlib import Path

import yaml
from support.commands import ROOT, Run

from publish.metrics import Metrics

EXPORT = ROOT / "dashboards/datasets"
SHOWN = {"users", "registrations", "users_landed", "users_rejected", "rejected_share"}


def test_dashboard_has_metrics_of_semantic_models(built: Run) -> None:
    manifest = json.loads(Path(built.environment["DBT_TARGET_PATH"], "manifest.json").read_text())
    metrics = {metric["name"]: metric["label"] for metric in manifest["metrics"].values()}
    aggregates = {name: Metrics(manifest).aggregate(name) for name in metrics}
    datasets = [yaml.safe_load(file.read_text()) for file in EXPORT.rglob("*.yaml")]
    shown = {metric["metric_name"]: metric for data in datasets for metric in data["metrics"]}
    assert shown.keys() >= SHOWN
    for name in shown.keys() & metrics.keys():
        assert shown[name]["expression"] == aggregates[name]
        assert shown[name]["verbose_name"] == metrics[name]
    for name in shown.keys() - metrics.keys():  # what only the dashboard has is made from these
        used = re.findall(r"\w+\([^()]+\)", shown[name]["expression"])
        assert used and set(used) <= set(aggregates.values())
