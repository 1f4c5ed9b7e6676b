"""``cbm demo hip``: one simulated hip from CT to maps, and how far they are from the truth."""

from __future__ import annotations

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import simulate
from .common import draw_pictures, number_text, progress_of, say, text_table
from .femur import map as map_

if TYPE_CHECKING:
    from ..core.progress import Progress
    from ..core.surface import Surface
    from ..pipeline.result import FemurResult

_METHODS = ("surface-map", "constant-density", "half-maximum")
_PICTURES = ("cortical_thickness", "cortical_mass_surface_density", "trabecular_density")
_BIN_HEADER = ("true thickness (mm)", "points", "measured", "bias (mm)", "SD (mm)", "mean |error| (mm)")


def run(chosen: argparse.Namespace) -> None:
    """Simulate, map by each method, draw, and write the page."""
    begun = time.perf_counter()
    progress = progress_of(chosen)
    hip = chosen.out / "hip"
    _simulate(chosen, hip, progress.part(0.0, 0.3))
    errors, results = {}, {}
    for index, method in enumerate(_METHODS):
        part = progress.part(0.3 + 0.2 * index, 0.5 + 0.2 * index)
        results[method] = _map(chosen, hip, method, part)
        errors[method] = _error_rows(hip, results[method])
    progress.report(0.9, "Drawing")
    figures = _draw(chosen.out, hip, results["surface-map"])
    _write_page(chosen.out, errors, figures, results["surface-map"])
    progress.report(1.0, "Done")
    for method, rows in errors.items():
        say(chosen, f"\n{method}: error of the cortical thickness against the truth")
        say(chosen, text_table(_BIN_HEADER, rows))
    say(chosen, f"\n{chosen.out / 'index.html'} written; {time.perf_counter() - begun:.0f} s in all.")


def _simulate(chosen: argparse.Namespace, hip: Path, progress: Progress) -> None:
    options = argparse.ArgumentParser()
    simulate.add_to(options.add_subparsers())
    arguments = ["simulate", "hip", "--out", str(hip), "--seed", str(chosen.seed), "--side", chosen.side]
    arguments += ["--density-variation", "0"]
    parsed = options.parse_args([*arguments, "--quiet"])
    parsed.command_line = arguments
    simulate.simulate_to(parsed, progress)


def _map(chosen: argparse.Namespace, hip: Path, method: str, progress: Progress) -> FemurResult:
    options = argparse.ArgumentParser()
    map_.add_to(options.add_subparsers())
    arguments = [
        "map",
        str(hip / simulate.CT_FILE),
        "--mask",
        str(hip / simulate.LABELS_FILE),
        "--label",
        "1",
    ]
    arguments += ["--side", chosen.side, "--method", method, "--out", str(chosen.out / method)]
    arguments += ["--calibration", f"rods:{hip / simulate.RODS_FILE}"]
    if method == "constant-density":
        arguments += ["--cortical-density", str(_true_density(hip))]
    parsed = options.parse_args([*arguments, "--quiet"])
    parsed.command_line = arguments
    return map_.map_to(parsed, progress)


def _true_density(hip: Path) -> float:
    record = json.loads((hip / simulate.SIMULATION_FILE).read_text(encoding="utf-8"))
    return record["true_cortical_density"]


def _error_rows(hip: Path, result: FemurResult) -> list[list[str]]:
    from ..io.surface_files import read_surface
    from ..pipeline.accuracy import accuracy_rows, thickness_errors

    true, error = thickness_errors(result.periosteal, read_surface(hip / simulate.TRUTH_FILE))
    return [
        [
            row["bin"],
            f"{row['n_points']:,}",
            f"{row['n_measured']:,}",
            *(number_text(row[name], 3) for name in ("bias", "sd", "mean_absolute")),
        ]
        for row in accuracy_rows(true, error)
    ]


def _draw(out: Path, hip: Path, result: FemurResult) -> dict[str, list[tuple[str, str]]]:
    """Draw the truth, the maps on the bone and on the average femur, their error, and CT slices.

    Returns
    -------
    dict
        Files in `out` with their captions, by heading; none where drawing failed.
    """
    from ..core.measures import MEASURES, Measure
    from ..io.surface_files import read_surface
    from ..io.volume_files import read_volume
    from ..pipeline.accuracy import thickness_errors
    from ..report.pictures.render import render_views
    from ..report.pictures.slices import slices_to_draw

    truth, bone = read_surface(hip / simulate.TRUTH_FILE), result.periosteal
    figures: dict[str, list[tuple[str, str]]] = {}
    drawings = [slices_to_draw(read_volume(hip / simulate.CT_FILE), bone, out / "slices.png")]
    caption = "CT slices with the periosteal surface and the measured inner edge."
    figures["The scan"] = [("slices.png", caption)]

    def add(heading: str, caption: str, file: str, surface: Surface, array: str, **look: Any) -> None:
        figures.setdefault(heading, []).append((file, caption))
        drawings.append(partial(render_views, surface, array, out / file, **({"side": result.side} | look)))

    accuracy = "Thickness, true and measured"
    add(accuracy, "True cortical thickness.", "truth.png", truth, "cortical_thickness")
    for name in _PICTURES:
        heading = accuracy if name == "cortical_thickness" else "Mass and trabecular density"
        add(heading, f"{MEASURES[name].label}, measured, on the bone.", f"bone_{name}.png", bone, name)
    shown = bone.with_arrays(error=thickness_errors(bone, truth)[1])
    look = {"measure": Measure("error", "Error of thickness", "mm", "mm", (-0.5, 0.5)), "is_difference": True}
    add(accuracy, "Measured minus true thickness.", "error.png", shown, "error", **look)
    caption = "Cortical thickness carried to the average femur, where people are compared."
    name = "cortical_thickness"
    add("On the average femur", caption, "average.png", result.average, name, side="right")
    return figures if draw_pictures(lambda: drawings) else {}


def _write_page(
    out: Path,
    errors: dict[str, list[list[str]]],
    figures: dict[str, list[tuple[str, str]]],
    result: FemurResult,
) -> None:
    from ..report.pages.markup import element, join, picture, shipped, table, write_document

    title = "One simulated hip, end to end"
    parts = [
        element("h1", title),
        element(
            "p",
            "A hip was simulated with a cortex of known thickness, scanned at 0.6 × 0.6 × 1.0 mm with "
            "blur and noise, calibrated by the rods under it, and mapped. For research only; not a medical "
            "device.",
        ),
    ]
    for heading, drawn in figures.items():
        parts.append(element("h2", heading))
        parts += [picture((out / file).read_bytes(), caption) for file, caption in drawn]
    parts.append(element("h2", "Error against the truth"))
    parts += [table(_BIN_HEADER, rows, f"{method}: measured minus true") for method, rows in errors.items()]
    parts.append(element("h2", "Regional means, surface-map"))
    header, body = map_.region_table_cells(result.regions)
    parts.append(table(header, body, "Area-weighted means; measured: part of the area with a value."))
    body = element("main", join(parts, "\n"))
    write_document(out / "index.html", title, body, style=shipped("page.css"))
