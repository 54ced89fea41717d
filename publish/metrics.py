"""Returns the SQL of metrics and dimensions: models/marts/_marts__semantic_models.yml.

The report uses these definitions, so that it counts what the dashboard and MetricFlow count.
"""

from typing import Any

_AGGREGATIONS = {"count": "count({})", "sum": "sum({})", "max": "max({})"}
_FORMATS = {"month": "format_timestamp('%Y-%m', {})", "day": "format_timestamp('%F', {})"}


class Metrics:
    """The metrics in a manifest of dbt."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        self._metrics = {metric["name"]: metric for metric in manifest["metrics"].values()}
        self._models = {model["name"]: model for model in manifest["semantic_models"].values()}
        self._measures = {
            m["name"]: m for model in self._models.values() for m in model["measures"]
        }

    def aggregate(self, name: str) -> str:
        """Return the aggregation of a metric, such as `count(registered_at)`."""
        parameters = self._metrics[name]["type_params"]
        if parameters["measure"]:
            measure = self._measures[parameters["measure"]["name"]]
            return _AGGREGATIONS[measure["agg"]].format(measure["expr"] or measure["name"])
        parts = (self.aggregate(parameters[part]["name"]) for part in ("numerator", "denominator"))
        return f"safe_divide({', '.join(parts)})"

    def dimensions(self, model: str) -> dict[str, str]:
        """Return the expressions of dimensions and entities; a time as text of its granularity."""
        parts = self._models[model]["dimensions"] + self._models[model]["entities"]
        expressions = {part["name"]: part["expr"] or part["name"] for part in parts}
        for part in parts:
            if part["type"] == "time":
                granularity = part["type_params"]["time_granularity"]
                expressions[part["name"]] = _FORMATS[granularity].format(expressions[part["name"]])
        return expressions

    def table(self, model: str) -> str:
        """Return the table of a semantic model, quoted."""
        relation: str = self._models[model]["node_relation"]["relation_name"]
        return relation

    @property
    def smallest_group(self) -> int:
        """How many users a group must have to be shown: the var `smallest_group`."""
        return int(self._models["users"]["config"]["meta"]["smallest_group"])
