"""The average femur to turn and to point at, with the maps of every answer."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...anatomy.regions import region_names_of
from ...anatomy.views import anatomical_views
from ...core.colours import NOT_MEASURED_COLOUR, diverging, sequential
from ...core.measures import measure_named
from ...core.surface import Surface
from ...core.wording import number
from ...study.analysis.shown import VIEWS, Shown, shown_of
from ..pictures.legend import round_ticks
from .answers import ReportedAnalysis, same_mesh
from .markup import Html, element, json_block, shipped

DATA_ID, PLOTLY_ID = "explorer-data", "plotly"
INSTALL = (
    "The femur that can be turned is not part of this page, because the package plotly is not installed. To "
    "have it: python -m pip install 'plotly>=6', then run 'cbm report' again."
)
_N_COLOURS = 129
_MOST_TICKS = 7
_P = ("p", "p_corrected", "q")


def plotly_script() -> str | None:
    """Give plotly.js as the Python package holds it; None where that is not installed."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        return None
    return get_plotlyjs()


def explorer_script() -> str:
    """Give the script that draws the femur with plotly.js."""
    return shipped("explorer.js")


def explorer(answers: Sequence[ReportedAnalysis], brief: bool = False) -> Html:
    """Give the place of the interactive femur and its data.

    Parameters
    ----------
    answers : sequence of ReportedAnalysis
        Each with its own choice of maps.
    brief : bool
        Leave out the means of arms and visits.
    """
    controls = element(
        "div",
        element("label", "Question ", element("select", id="explorer-answer")),
        element("label", "Map ", element("select", id="explorer-map")),
        element("span", id="explorer-views", role="group", aria_label="view from"),
        class_="controls",
    )
    stage = element(
        "div",
        element("div", id="explorer-plot"),
        element("div", id="explorer-legend"),
        element("dl", id="explorer-point", aria_live="polite"),
        class_="stage",
    )
    hint = element(
        "p",
        "Drag to turn, scroll to come closer, point at a place to read its values, click it to see the arms "
        "at every visit there. The number of a cluster in the tables below turns the femur to its peak.",
        class_="hint",
    )
    groups = element("div", element("div", id="explorer-groups"), class_="groups-plot")
    block = json_block(DATA_ID, explorer_data(answers, brief))
    return element("div", controls, stage, hint, groups, block, id="explorer")


def explorer_data(answers: Sequence[ReportedAnalysis], brief: bool = False) -> dict[str, Any]:
    """Gather what the script shows; numbers as they are in the files, as base64 of little-endian arrays."""
    meshes: list[Surface] = []
    answers_shown = []
    for answer in answers:
        surface = answer.surface
        index = next((i for i, mesh in enumerate(meshes) if same_mesh(mesh, surface)), len(meshes))
        meshes[index:] = meshes[index:] or [surface]
        answers_shown.append({"mesh": index} | _answer(answer, brief))
    return {
        "meshes": [_mesh(surface) for surface in meshes],
        "regions": _regions(meshes),
        "ramps": {"diverging": _hex(diverging(_N_COLOURS)), "sequential": _hex(sequential(_N_COLOURS))},
        "grey": _hex(np.array([NOT_MEASURED_COLOUR]))[0],
        "views": [
            {"name": view.name, "towards": view.towards_viewer.tolist(), "up": view.up.tolist()}
            for view in anatomical_views("right", superior=True)
        ],
        "answers": answers_shown,
    }


def _regions(meshes: Sequence[Surface]) -> list[str]:
    """List the names of the regions of all meshes, each at its number."""
    names = {number: name for mesh in meshes for number, name in region_names_of(mesh).items()}
    return [names.get(number, "") for number in range(max(names, default=-1) + 1)]


def _mesh(surface: Surface) -> dict[str, str]:
    axes = {axis: _packed(surface.points[:, k], "<f4") for k, axis in enumerate("xyz")}
    corners = {corner: _packed(surface.triangles[:, k], "<u4") for k, corner in enumerate("ijk")}
    return axes | corners | {"region": _packed(surface.arrays["region"], "|u1")}


def _answer(answer: ReportedAnalysis, brief: bool) -> dict[str, Any]:
    maps, facts, groups = _maps(answer, brief), _facts(answer), [] if brief else _groups(answer)
    names = {name for entry in [*maps, *facts] for name in (entry["array"], *entry.get("bounds", ()))}
    names |= {group[key] for group in groups for key in ("mean", "error")}
    return {
        "name": answer.name,
        "question": answer.question,
        "maps": maps,
        "facts": facts,
        "groups": groups,
        "measure": answer.measure_label,
        "arrays": {name: _packed(answer.surface.arrays[name], "<f4") for name in sorted(names)},
    }


def _maps(answer: ReportedAnalysis, brief: bool) -> list[dict[str, Any]]:
    """List what can be chosen: what a picture shows, the effect in its unit, and every group's mean."""
    surface = answer.surface
    shown = {view: found for view in VIEWS if (found := shown_of(surface, view)) is not None}
    entries = [
        _entry(found, "not significant" if view == "significant" else "not tested")
        for view, found in shown.items()
    ]
    if "effect_percent" in surface.arrays:
        in_unit = shown_of(_without_percent(surface), "effect")
        entries.insert(2, _entry(in_unit, "not tested"))
    means = [surface.arrays[f"group_{row['group']}_mean"] for row in answer.files.groups]
    measure = measure_named(answer.analysis["measure"], shown=_range_of(means))
    has_groups = answer.analysis["outcome"] == "value" and not brief
    for row in answer.files.groups if has_groups else []:
        array = f"group_{row['group']}_mean"
        label = ", ".join(filter(None, (f"Mean of {row['arm'] or 'all'}", f"visit {row['visit']}")))
        unit = surface.units.get(array, "")
        entries.append(_entry(Shown(array, label, unit, measure.range, False), "not measured"))
    return entries


def _range_of(values: list[np.ndarray]) -> tuple[float, float]:
    """Give the range of some arrays; 0 to 1 where there is nothing in them."""
    known = np.concatenate([array[np.isfinite(array)] for array in values]) if values else np.empty(0)
    return (float(known.min()), float(known.max())) if len(known) and np.ptp(known) > 0 else (0.0, 1.0)


def _groups(answer: ReportedAnalysis) -> list[dict[str, Any]]:
    """List what arms are like at visits: arrays of means and standard errors."""
    return [
        {
            "arm": row["arm"] or "all",
            "visit": row["visit"],
            "mean": f"group_{row['group']}_mean",
            "error": f"group_{row['group']}_se",
            "unit": answer.surface.units.get(f"group_{row['group']}_mean", ""),
        }
        for row in answer.files.groups
    ]


def _without_percent(surface: Surface) -> Surface:
    kept = {name: values for name, values in surface.arrays.items() if name != "effect_percent"}
    return Surface(surface.points, surface.triangles, kept, surface.units)


def _entry(shown: Shown, grey_means: str) -> dict[str, Any]:
    low, high = shown.range
    ticks = round_ticks(low, high, most=_MOST_TICKS)
    decimals = max(0, -int(np.floor(np.log10(ticks[1] - ticks[0]) + 1e-9)))
    return {
        "array": shown.array,
        "label": shown.label + (f" ({shown.unit})" if shown.unit else ""),
        "unit": shown.unit,
        "range": [low, high],
        "ticks": [[float(tick), number(float(tick), decimals)] for tick in ticks],
        "ramp": "diverging" if shown.is_difference else "sequential",
        "decimals": 4 if shown.array in _P else decimals + 1,
        "p": shown.array in _P,
        "grey": grey_means,
    }


def _facts(answer: ReportedAnalysis) -> list[dict[str, Any]]:
    """List the facts shown of the point under the pointer, whichever map is shown."""
    arrays, units = answer.surface.arrays, answer.surface.units
    wanted = (
        ("Effect", "effect", ("ci_lower", "ci_upper"), 2),
        ("In percent", "effect_percent", ("percent_lower", "percent_upper"), 1),
        ("Part of thickness", "thickness_percent", (), 1),
        ("Part of density", "density_percent", (), 1),
        ("t", "t", (), 2),
        ("F", "f", (), 2),
        ("p, this point alone", "p", (), 4),
        ("p, corrected", "p_corrected", (), 4),
        ("False discovery rate q", "q", (), 4),
    )
    return [
        {"label": label, "array": array, "unit": units.get(array, ""), "decimals": decimals, "p": array in _P}
        | ({"bounds": list(bounds)} if bounds else {})
        for label, array, bounds, decimals in wanted
        if array in arrays
    ]


def _packed(values: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(kind).tobytes()).decode("ascii")


def _hex(colours: np.ndarray) -> list[str]:
    return ["#{:02x}{:02x}{:02x}".format(*row) for row in np.rint(255 * colours).astype(int)]
