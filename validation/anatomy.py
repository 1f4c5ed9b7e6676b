"""How well the anatomy of a femur is measured on its surface.

Run by ``make bench``. Writes ``Docs/validation/anatomy.md`` and the picture of ``Docs/anatomy.md``. Real
femurs are looked for in the folder named by ``CBM_TEST_DATA``, else in ``../shared/data``; without them only
the page holds simulated ones only.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.anatomy import Anatomy, Axis, measure_anatomy
from CorticalBoneMappingLib.anatomy.frame import angle_deg
from CorticalBoneMappingLib.anatomy.regions import REGION_NAMES, regions_of
from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.core.errors import SurfaceError
from CorticalBoneMappingLib.io.files import write_text
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.report.pictures.landmarks import draw_regions
from CorticalBoneMappingLib.simulation.hip.femur_shape import (
    HEAD_CENTRE,
    LESSER_TROCHANTER_TIP,
    NECK_BASE,
    SHAFT_AXIS,
    mean_shape,
)
from CorticalBoneMappingLib.simulation.hip.population import (
    FemurDimensions,
    PointMap,
    draw_dimensions,
    individual_map,
)

ROOT = Path(__file__).parents[1]
REPORT, PICTURE = ROOT / "Docs" / "validation" / "anatomy.md", ROOT / "Docs" / "anatomy.png"
REAL = Path(os.environ.get("CBM_TEST_DATA", ROOT.parent / "shared" / "data")) / "femur_surfaces"
PEOPLE, SEED, SPACING_MM = 20, 2026, 1.6
WHOLE_END_Z_MM = -150.0
CUTS_MM = (
    75.0,
    55.0,
    40.0,
    30.0,
    22.0,
    18.0,
    15.0,
)  # below the tip of the lesser trochanter of the mean shape
_AXIS_LEVELS_MM = (-72.0, -131.0)  # where the measurement looks for the shaft's axis in the mean shape

_HEAD = f"""# The anatomy of a femur, measured on its surface

`python -m validation.anatomy` (part of `make bench`) wrote this page. {PEOPLE} right femurs were drawn from
the simulated population (`simulation/hip/population.py`, seed {SEED}), with random fields, roughness and
osteophytes, meshed at {SPACING_MM} mm, and measured by `measure_anatomy`, which is what `cbm anatomy` prints.
How well it does on real bones is in [Real bones](real_bones.md).

## Against what the femurs were made from

*Drawn* is the dimension that was drawn; *built* is the same quantity of the mean femur's landmarks, as
measured on it, carried to the person by the map that made the person. Errors are measured minus true: mean ±
SD over the people (largest absolute error). A landmark that is carried and the one that is measured differ
for two reasons: the error of the measurement, and the random fields, which move the place that was a tip on
the mean femur while another becomes the tip of the person's.
"""
_CUT_HEAD = """
## Shaft cut short

The same people, the shaft cut at a level below the tip of the lesser trochanter; differences from the uncut
femur, mean ± SD (largest). *root mean square* of the angle is what `neck_shaft_angle_sd_deg` gives for a
femur with that much shaft.

| cut at | found | shaft used, mm | neck–shaft angle | root mean square | offset, mm | lesser trochanter, mm |
|---|---|---|---|---|---|---|
"""
_REAL_HEAD = """
## Left and right of real people

Segmented proximal femurs of two people (libhip, MIT licence), measured as they are, each side by itself.
Version is the angle from the neck to the lesser trochanter, seen along the shaft: a substitute for
anteversion, which needs the condyles.

| femur | head radius, mm | neck–shaft angle | offset, mm | neck length, mm | neck width, mm | version | s |
|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Measure everybody, write the page and the picture."""
    people = _people()
    measured = [_measured(to_person, WHOLE_END_Z_MM) for _, to_person in people]
    people = [person for person, found in zip(people, measured) if found is not None]
    whole = [found for found in measured if found is not None]
    text = _HEAD
    if len(people) < PEOPLE:
        text += f"\n{PEOPLE - len(people)} of the {PEOPLE} were not measured: a part was not found.\n"
    text += _truth_table(people, whole) + _CUT_HEAD + _cut_rows(people, whole)
    if REAL.is_dir():
        text += _REAL_HEAD + _real_rows()
    write_text(REPORT, text)
    print(text)
    average = load_average("fine").surface
    anatomy = measure_anatomy(average, "right")
    draw_regions(
        average,
        regions_of(average, anatomy),
        REGION_NAMES,
        PICTURE,
        side="right",
        landmarks=anatomy.landmarks,
    )


def _people() -> list[tuple[FemurDimensions, PointMap]]:
    people = []
    for person in range(PEOPLE):
        random = np.random.default_rng([SEED, person])
        dimensions = draw_dimensions(random)
        people.append((dimensions, individual_map(dimensions, random)))
    return people


def _measured(to_person: PointMap, end_z_mm: float) -> Anatomy | None:
    try:
        return measure_anatomy(_surface(to_person, end_z_mm), "right")
    except SurfaceError:
        return None


_meshes: dict[float, object] = {}


def _surface(to_person: PointMap, end_z_mm: float):
    if end_z_mm not in _meshes:
        _meshes[end_z_mm] = remesh(mean_shape(end_z_mm=end_z_mm), spacing_mm=SPACING_MM)
    mesh = _meshes[end_z_mm]
    return replace(mesh, points=to_person(mesh.points))


def _built(to_person: PointMap) -> dict[str, float | np.ndarray]:
    """The same quantities of the mean femur's landmarks."""
    start, slope = SHAFT_AXIS[0], (SHAFT_AXIS[1] - SHAFT_AXIS[0]) / (SHAFT_AXIS[1] - SHAFT_AXIS[0])[2]
    upper, lower = (start + slope * (level - start[2]) for level in _AXIS_LEVELS_MM)
    head, base, upper, lower, lesser, greater = to_person(
        np.array([HEAD_CENTRE, NECK_BASE, upper, lower, LESSER_TROCHANTER_TIP, _greater_trochanter()])
    )
    shaft, neck = Axis.through(lower, upper), Axis.through(head, base)
    return {
        "shaft": shaft.direction,
        "neck": neck.direction,
        "angle": angle_deg(neck.direction, shaft.direction),
        "offset": float(np.linalg.norm(shaft.across(head))),
        "length": float(np.linalg.norm(neck.nearest_to(shaft) - head)),
        "version": angle_deg(-shaft.across(neck.direction + shaft.point), shaft.across(lesser)),
        "head_centre": head,
        "lesser_trochanter": lesser,
        "greater_trochanter": greater,
    }


@lru_cache(maxsize=1)
def _greater_trochanter() -> np.ndarray:
    """Its tip on the mean femur."""
    return measure_anatomy(_surface(lambda points: points, WHOLE_END_Z_MM), "right").landmarks[
        "greater_trochanter"
    ]


def _truth_table(people: list[tuple[FemurDimensions, PointMap]], whole: list[Anatomy]) -> str:
    drawn = [dimensions for dimensions, _ in people]
    built = [_built(to_person) for _, to_person in people]
    rows = {
        "head diameter, mm": (
            [2 * a.head_radius_mm - d.head_diameter_mm for a, d in zip(whole, drawn)],
            None,
        ),
        "neck–shaft angle, °": (
            [a.neck_shaft_angle_deg - d.neck_shaft_angle_deg for a, d in zip(whole, drawn)],
            [a.neck_shaft_angle_deg - b["angle"] for a, b in zip(whole, built)],
        ),
        "femoral offset, mm": (
            [a.offset_mm - d.offset_mm for a, d in zip(whole, drawn)],
            [a.offset_mm - b["offset"] for a, b in zip(whole, built)],
        ),
        "neck length, mm": (None, [a.neck_length_mm - b["length"] for a, b in zip(whole, built)]),
        "neck to lesser trochanter, °": (
            None,
            [a.neck_trochanter_angle_deg - b["version"] for a, b in zip(whole, built)],
        ),
    }
    lines = ["", "| quantity | against drawn | against built |", "|---|---|---|"]
    lines += [
        f"| {name} | {_spread_text(one)} | {_spread_text(other)} |" for name, (one, other) in rows.items()
    ]
    lines += ["", "| place or direction | error, mean ± SD (largest) |", "|---|---|"]
    for name in ("head_centre", "lesser_trochanter", "greater_trochanter"):
        errors = [np.linalg.norm(a.landmarks[name] - b[name]) for a, b in zip(whole, built)]
        lines.append(f"| {name.replace('_', ' ')}, mm | {_spread_text(errors, signed=False)} |")
    for name in ("shaft", "neck"):
        errors = [angle_deg(getattr(a, f"{name}_axis").direction, b[name]) for a, b in zip(whole, built)]
        lines.append(f"| axis of the {name}, ° | {_spread_text(errors, signed=False)} |")
    return "\n".join(lines) + "\n"


def _cut_rows(people: list[tuple[FemurDimensions, PointMap]], whole: list[Anatomy]) -> str:
    rows = []
    for below in CUTS_MM:
        pairs = []
        for (_, to_person), reference in zip(people, whole):
            found = _measured(to_person, LESSER_TROCHANTER_TIP[2] - below)
            if found is not None:
                pairs.append((found, reference))
        angle = [a.neck_shaft_angle_deg - b.neck_shaft_angle_deg for a, b in pairs]
        offset = [a.offset_mm - b.offset_mm for a, b in pairs]
        tip = [
            np.linalg.norm(a.landmarks["lesser_trochanter"] - b.landmarks["lesser_trochanter"])
            for a, b in pairs
        ]
        used = np.mean([a.shaft_length_mm for a, _ in pairs]) if pairs else float("nan")
        root = np.sqrt(np.mean(np.square(angle))) if pairs else float("nan")
        rows.append(
            f"| {below:.0f} mm | {len(pairs)} of {len(people)} | {used:.0f} | {_spread_text(angle)}° | "
            f"{root:.1f}° | {_spread_text(offset)} | {_spread_text(tip, signed=False)} |"
        )
    return "\n".join(rows) + "\n"


def _real_rows() -> str:
    rows = []
    for path in sorted(REAL.glob("*.stl")):
        person, side = path.stem.split("_")[0], "left" if "_l" in path.stem else "right"
        surface = read_surface(path)
        begun = time.process_time()
        found = measure_anatomy(surface, side)
        seconds = time.process_time() - begun
        rows.append(
            f"| {person}, {side} | {found.head_radius_mm:.1f} | {found.neck_shaft_angle_deg:.1f}° | "
            f"{found.offset_mm:.1f} | {found.neck_length_mm:.1f} | {found.neck_width_mm:.1f} | "
            f"{found.neck_trochanter_angle_deg:.0f}° | {seconds:.1f} |"
        )
    return "\n".join(rows) + "\n"


def _spread_text(errors: list[float] | None, signed: bool = True) -> str:
    if errors is None or not len(errors):
        return "–"
    sign = "+" if signed else ""
    mean = f"{np.mean(errors):{sign}.1f}".replace("-", "−")
    return f"{mean} ± {np.std(errors):.1f} ({np.max(np.abs(errors)):.1f})"


if __name__ == "__main__":
    main()
