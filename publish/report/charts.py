"""Draws charts as static SVG by Vega-Lite; their colours are variables of the page's stylesheet.

A chart is 340 units wide, so that a phone shows its text in full size. For a screen reader a chart
is a picture with a label: the page has its numbers in a table.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from countryinfo import CountryInfo
from markupsafe import Markup, escape
from vl_convert import vegalite_to_svg

Spec = dict[str, Any]
Cell = tuple[str, str, Any]  # x, series, value
MONTHS = {"type": "temporal", "timeUnit": "utcyearmonth"}
_COLOURS = ["var(--first)", "var(--second)", "var(--third)"]
_TEXT = {"labelColor": "currentColor", "titleColor": "currentColor", "titleFontWeight": "normal"}
_LINES = dict.fromkeys(("gridColor", "domainColor", "tickColor"), "var(--line)")
_FILLED = {"fill": _COLOURS[0]}
_CONFIG: Spec = {
    "aria": False,
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "bar": {"color": _COLOURS[0], "binSpacing": 0},
    "axisX": {"labelAngle": 0, "labelSeparation": 6},
    "axis": {**_TEXT, **_LINES, "tickCount": 4, "labelOverlap": "greedy"},
    "legend": {**_TEXT, "orient": "top"},
}


def draw_bars(label: str, values: Mapping[str, float], unit: str) -> Markup:
    """Return a bar for each of `values`, in their order."""
    encoding = {
        "y": {"field": "name", "type": "nominal", "sort": None, "title": None},
        "x": {"field": "value", "type": "quantitative", "title": unit},
    }
    data = [{"name": name, "value": value} for name, value in values.items()]
    return _draw(label, {"mark": "bar", "encoding": encoding, "height": {"step": 16}}, data)


def draw_columns(
    label: str, cells: Iterable[Cell], unit: str, x: Spec, beside: bool = False
) -> Markup:
    """Return columns of `cells` (x, series, value), on each other or beside each other."""
    data = [dict(zip(("x", "series", "value"), cell, strict=True)) for cell in cells]
    series = list(dict.fromkeys(row["series"] for row in data))
    colours = {"domain": series, "range": _COLOURS[: len(series)]}
    legend = {"title": None} if len(series) > 1 else None
    encoding: Spec = {
        "x": {"field": "x", "sort": None, "title": None, **x},
        "y": {"field": "value", "type": "quantitative", "title": unit},
        "color": {"field": "series", "scale": colours, "legend": legend},
    }
    if beside:
        encoding["xOffset"] = {"field": "series", "sort": series}
    return _draw(label, {"mark": "bar", "encoding": encoding, "height": 160}, data)


def draw_map(label: str, users: Mapping[str, int]) -> Markup:
    """Return a map of the world in which a country is the darker, the more users it has.

    A country whose shape countryinfo lacks is a dot; what is not a country is not drawn.
    """
    counts: dict[str, Spec] = {}
    for name, count in users.items():
        with suppress(LookupError):
            counts[CountryInfo(name).name()] = {"users": count}
    land, shaded, dots = [], [], []
    for country in map(CountryInfo, CountryInfo.all().keys() - {"antarctica"}):
        found = counts.get(country.name(), {})
        shapes = country.geo_json().get("features", [])
        features = [{"type": "Feature", "geometry": shape["geometry"]} for shape in shapes]
        if not found:
            land += features
        elif features:
            shaded += [feature | found for feature in features]
        else:
            dots.append(dict(zip(("latitude", "longitude"), country.latlng(), strict=True)) | found)
    opacity = {
        "field": "users",
        "type": "quantitative",
        "scale": {"domain": [0, max(users.values(), default=0)], "range": [0.15, 1], "nice": 4},
        "legend": {"symbolType": "square", "tickCount": 3},
    }
    shape = {"type": "geoshape", "stroke": "var(--page)", "strokeWidth": 0.3}
    position = {axis: {"field": axis, "type": "quantitative"} for axis in ("latitude", "longitude")}
    layers = [
        {"data": {"values": land}, "mark": shape | {"fill": "var(--land)"}},
        {"data": {"values": shaded}, "mark": shape | _FILLED, "encoding": {"opacity": opacity}},
        {
            "data": {"values": dots},
            "mark": {"type": "circle", "size": 12, **_FILLED},
            "encoding": position | {"opacity": opacity},
        },
    ]
    # Not all shapes turn the same way: a projection of the sphere would fill their outside.
    spec = {"layer": layers, "projection": {"type": "identity", "reflectY": True}, "height": 140}
    return _draw(label, spec, [])


def _draw(label: str, spec: Spec, data: list[Any]) -> Markup:
    fit = {"type": "fit-x", "contains": "padding"}
    common = {"width": 340, "autosize": fit, "config": _CONFIG}
    svg = vegalite_to_svg(spec | common | ({"data": {"values": data}} if data else {}))
    # A tenth of a unit is too small to see; the page has its own words for a screen reader.
    svg = re.sub(r"\d+\.\d\d+", lambda number: f"{float(number[0]):.1f}", svg)
    svg = re.sub(r' (class|role|aria-\w+|pointer-events)="[^"]*"', "", svg)
    svg = re.sub(r' (xmlns:xlink|version|width|height)="[^"]*"', "", svg, count=4)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)
    return Markup(svg)  # noqa: S704
