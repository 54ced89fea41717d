"""Draws charts as static SVG by Vega-Lite; their colours are variables of the page's stylesheet.

A chart is 340 units wide, so that a phone shows its text in full size. For a screen reader a chart
is a picture with a label: the page has its numbers in a table.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from countryinfo import CountryInfo
from markupsafe import Markup, escape
from vl_convert import vegalite_to_svg

Spec = dict[str, Any]
WIDTH = 340
COLOURS = ["var(--first)", "var(--second)", "var(--third)"]
_TEXT = {"labelColor": "currentColor", "titleColor": "currentColor", "titleFontWeight": "normal"}
_LINES = dict.fromkeys(("gridColor", "domainColor", "tickColor"), "var(--line)")
_CONFIG: Spec = {
    "aria": False,
    "background": None,
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axisX": {"labelAngle": 0, "labelSeparation": 6},
    "axis": {**_TEXT, **_LINES, "tickCount": 4, "labelOverlap": "greedy"},
    "legend": {**_TEXT, "title": None, "orient": "top"},
}


def draw_bars(label: str, values: Mapping[str, float], unit: str) -> Markup:
    """Return a bar for each of `values`, in their order."""
    encoding = {
        "y": {"field": "name", "type": "nominal", "sort": None, "title": None},
        "x": {"field": "value", "type": "quantitative", "title": unit},
    }
    data = [{"name": name, "value": value} for name, value in values.items()]
    mark = {"type": "bar", "color": COLOURS[0]}
    return _draw(label, {"mark": mark, "encoding": encoding, "height": {"step": 16}}, data)


def draw_columns(
    label: str,
    x: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    unit: str,
    stacked: bool = True,
) -> Markup:
    """Return columns at each of `x`: on each other, or beside each other."""
    encoding: Spec = {
        "x": {"field": "x", "type": "ordinal", "sort": None, "title": None},
        "y": {"field": "value", "type": "quantitative", "title": unit},
        "color": {
            "field": "series",
            "scale": {"domain": list(series), "range": COLOURS[: len(series)]},
            **({} if len(series) > 1 else {"legend": None}),
        },
    }
    if not stacked:
        encoding["xOffset"] = {"field": "series", "sort": list(series)}
    data = [
        {"x": place, "series": name, "value": value}
        for name, values in series.items()
        for place, value in zip(x, values, strict=True)
    ]
    return _draw(label, {"mark": "bar", "encoding": encoding, "height": 160}, data)


def draw_months(label: str, values: Mapping[str, float], unit: str) -> Markup:
    """Return a column for each month, such as 2026-01."""
    encoding = {
        "x": {"field": "month", "type": "temporal", "timeUnit": "utcyearmonth", "title": None},
        "y": {"field": "value", "type": "quantitative", "title": unit},
    }
    data = [{"month": f"{month}-01", "value": value} for month, value in values.items()]
    mark = {"type": "bar", "color": COLOURS[0], "binSpacing": 0}
    return _draw(label, {"mark": mark, "encoding": encoding, "height": 160}, data)


def draw_map(label: str, users: Mapping[str, int]) -> Markup:
    """Return a map of the world in which a country is the darker, the more users it has.

    A country whose shape countryinfo lacks is a dot; what is not a country is not drawn.
    """
    shades = {}
    for name, count in users.items():
        try:
            shades[CountryInfo(name).name()] = count / max(users.values())
        except LookupError:
            continue
    land, shaded, dots = [], [], []
    for country in map(CountryInfo, CountryInfo.all().keys() - {"antarctica"}):
        shade = shades.get(country.name())
        shapes = country.geo_json().get("features", [])
        features = [{"type": "Feature", "geometry": shape["geometry"]} for shape in shapes]
        if shade is None:
            land += features
        elif features:
            shaded += [feature | {"shade": shade} for feature in features]
        else:
            latitude, longitude = country.latlng()
            dots.append({"latitude": latitude, "longitude": longitude, "shade": shade})
    opacity = {
        "field": "shade",
        "type": "quantitative",
        "scale": {"domain": [0, 1], "range": [0.2, 1]},
        "legend": None,
    }
    colour, outline = {"fill": COLOURS[0]}, {"stroke": "var(--page)", "strokeWidth": 0.3}
    shape = {"type": "geoshape", **outline}
    position = {axis: {"field": axis, "type": "quantitative"} for axis in ("latitude", "longitude")}
    layers = [
        {"data": {"values": land}, "mark": shape | {"fill": "var(--land)"}},
        {"data": {"values": shaded}, "mark": shape | colour, "encoding": {"fillOpacity": opacity}},
        {
            "data": {"values": dots},
            "mark": {"type": "circle", "size": 12, "opacity": 1, **colour},
            "encoding": position | {"fillOpacity": opacity},
        },
    ]
    # Not all shapes turn the same way: a projection of the sphere would fill their outside.
    spec = {"layer": layers, "projection": {"type": "identity", "reflectY": True}, "height": 170}
    return _draw(label, spec, [])


def _draw(label: str, spec: Spec, data: list[Any]) -> Markup:
    fit = {"type": "fit-x", "contains": "padding"}
    common = {"width": WIDTH, "autosize": fit, "config": _CONFIG}
    svg = vegalite_to_svg(spec | common | ({"data": {"values": data}} if data else {}))
    # A tenth of a unit is too small to see; the page has its own words for a screen reader.
    svg = re.sub(r"\d+\.\d\d+", lambda number: f"{float(number[0]):.1f}", svg)
    svg = re.sub(r' (class|role|aria-\w+|pointer-events)="[^"]*"', "", svg)
    svg = re.sub(r' (xmlns:xlink|version|width|height)="[^"]*"', "", svg, count=4)
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)
    return Markup(svg)  # noqa: S704
