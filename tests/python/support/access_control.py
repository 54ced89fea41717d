"""BigQuery's control of access, which the embedded BigQuery lacks: grants, policy tags, views."""

import json
import re
from collections import defaultdict
from dataclasses import dataclass, field

from support.proxy import Request

DCL = re.compile(
    r"(grant|revoke) `roles/bigquery.dataViewer` on (?:table|view) (\S+) (?:to|from) (.+);"
)


@dataclass
class AccessControl:
    """Who may read what; tables are named `dataset.table`."""

    groups: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    changes: list[tuple[str, str]] = field(default_factory=list)  # verb, groups
    tags: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # table: {column: tags}
    authorized: set[tuple[str, str]] = field(default_factory=set)  # dataset, view that may read it

    def apply(self, request: Request) -> None:
        """Apply a request; the embedded BigQuery gets a query in place of a statement."""
        if "OBJECT_PRIVILEGES" in request.sql:
            ((dataset, table),) = re.findall(r'schema = "(.+)"\n.*name = "(.+)"', request.sql)
            groups = sorted(self.groups[f"{dataset}.{table}"])
            request.replace_sql(
                "select 'roles/bigquery.dataViewer' as privilege_type, grantee "
                f"from unnest(cast({groups} as array<string>)) as grantee"
            )
        elif statements := DCL.findall(request.sql):
            for verb, table, names in statements:
                self.changes.append((verb, names))
                change = set.update if verb == "grant" else set.difference_update
                _, dataset, name = table.replace("`", "").split(".")
                change(self.groups[f"{dataset}.{name}"], json.loads(f"[{names}]"))
            request.replace_sql("select 'roles/bigquery.dataViewer'")
        elif "SCHEMATA_OPTIONS" in request.sql:  # the longest time travel of datasets
            request.replace_sql(re.sub(r"(?s)(int64 default) \(.*?\);", r"\1 7;", request.sql))
        elif request.method == "PATCH":
            self._apply_patch(request)

    def _apply_patch(self, request: Request) -> None:
        """Apply the change of a table's columns or of a dataset's views."""
        dataset, _, table = re.findall(r"/datasets/(\w+)(/tables/(\w+))?", request.path)[0]
        if "schema" in request.json:
            self.tags[f"{dataset}.{table}"] = {
                column["name"]: column.get("policyTags", {}).get("names", [])
                for column in request.json["schema"]["fields"]
            }
        for entry in request.json.get("access", []):
            if "view" in entry:
                self.authorized.add((dataset, entry["view"]["tableId"]))
