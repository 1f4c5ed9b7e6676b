"""Make the mean femur of the digital hip: the average of thirteen real people, with typical dimensions.

1. The average begins with the mean of the ten femurs that correspond point by point, and is then found by
   registration of all fifteen femurs; a person with both sides counts once.
2. Thirteen people are not typical of everybody in every dimension. So the average is moved, by a smooth map
   of space, to the dimensions of `population.FemurDimensions`, which are those of larger groups.
3. It is placed in the frame of the bone, and the places that the simulation needs are written beside it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from CorticalBoneMappingLib.anatomy import Anatomy, measure_anatomy
from CorticalBoneMappingLib.anatomy.head import fit_head
from CorticalBoneMappingLib.anatomy.trochanters import greater_trochanter_top
from CorticalBoneMappingLib.atlas.build import (
    BuildSettings,
    CohortAverage,
    RoundMovement,
    Subject,
    build_average,
)
from CorticalBoneMappingLib.atlas.shaft_end import EndPlane, with_cut_end
from CorticalBoneMappingLib.core.progress import Progress, TerminalProgress
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.files import write_json
from CorticalBoneMappingLib.io.surface_files import write_surface
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.mesh.shape_model import ShapeModel, similarity
from CorticalBoneMappingLib.simulation.hip.femur_map import SURFACE_PLACES, Skeleton, dimension_map, unit
from CorticalBoneMappingLib.simulation.hip.femur_shape import DATA, MESH, PLACES
from CorticalBoneMappingLib.simulation.hip.measured import MEASURED, measured_dimensions
from CorticalBoneMappingLib.simulation.hip.population import LEAN_DEG, FemurDimensions

from .real_people import SHAFT_MM, in_correspondence, proximal, real_people

SETTINGS = BuildSettings(rounds=6, points=9000, fine_points=20000, explained=0.999)
POINTS = 20_000  # of the mesh that is stored
_CORRECTIONS = 5  # rounds in which the measured dimensions are brought to the wanted ones
_STEPS = {"head_diameter_mm": 2.0, "neck_shaft_angle_deg": 4.0}  # to find the response; 3 mm else


def mean_of_correspondence() -> Surface:
    """Return the mean of the ten corresponding femurs, cut, to begin with (generalised Procrustes)."""
    points, triangles = in_correspondence()
    mean = points[0]
    for _ in range(5):
        fits = [similarity(each, mean) for each in points]
        mean = np.mean(
            [size * each @ turn.T + shift for each, (size, turn, shift) in zip(points, fits)], axis=0
        )
        mean = mean / np.exp(np.mean([np.log(size) for size, _, _ in fits]))
    whole = Surface(mean, triangles)
    # A little shorter than the people, so that all of them reach its end.
    return remesh(proximal(whole, "right", SHAFT_MM - 3.0), n_points=SETTINGS.points)


def real_average(subjects: Sequence[Subject], progress: Progress) -> CohortAverage:
    """Return the average of the real people, before it is moved; the last round's modes with it."""
    start = mean_of_correspondence()
    anatomy = measure_anatomy(start, "right")
    up = anatomy.shaft_axis.direction
    end = EndPlane(anatomy.landmarks["lesser_trochanter"] - (SHAFT_MM - 3.0) * up, -up)
    return build_average(subjects, with_cut_end(start, end), settings=SETTINGS, progress=progress)


def in_frame(surface: Surface, model: ShapeModel) -> tuple[Surface, ShapeModel]:
    """Place an average and the modes that belong to it in the frame of the bone."""
    anatomy = measure_anatomy(surface, "right")
    turn, origin = _frame(anatomy)

    def placed(one: Surface) -> Surface:
        return Surface((one.points - origin) @ turn.T, one.triangles)

    return placed(surface), replace(model, surface=placed(model.surface), modes=model.modes @ turn.T)


def _frame(anatomy: Anatomy) -> tuple[np.ndarray, np.ndarray]:
    """Rotation into the frame of the bone, and its origin."""
    up, head = anatomy.shaft_axis.direction, anatomy.landmarks["head_centre"]
    medial = unit(head - anatomy.landmarks["neck_base"])
    medial = unit(medial - medial @ up * up)
    forward = np.cross(medial, up)  # of a right femur
    bone = np.array([-medial, forward, up])
    angle = np.radians(LEAN_DEG)
    lean = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    turn = lean @ bone
    axis, down = anatomy.shaft_axis, turn.T @ [0.0, 0.0, 1.0]
    return turn, axis.point + axis.direction * (((head - axis.point) @ down) / (axis.direction @ down))


def skeleton_of(surface: Surface) -> Skeleton:
    """Measure the places and dimensions of a femur in the frame of the bone."""
    anatomy = measure_anatomy(surface, "right")
    place = dict(anatomy.landmarks)
    head = fit_head(surface, place["head_centre"], anatomy.head_radius_mm)
    place["greater_trochanter"] = greater_trochanter_top(surface, head, anatomy.frame)
    high, low = place["greater_trochanter"][2], place["lesser_trochanter"][2]
    between = {"lateral_face": (0.55, 0, 1), "front": (0.55, 1, 1), "back": (0.5, 1, -1)}
    for name in SURFACE_PLACES:
        share, axis, sign = between[name]
        level = low + share * (high - low)
        near = surface.points[np.abs(surface.points[:, 2] - level) < 2.0]
        near = near[near[:, 0] > place["neck_base"][0] - 8.0]
        place[name] = near[(sign * near[:, axis]).argmax()]
    return Skeleton(place, measured_dimensions(anatomy))


def moved_to(surface: Surface, model: ShapeModel, wanted: FemurDimensions) -> tuple[Surface, ShapeModel]:
    """Move an average by a smooth map until its measured dimensions are the wanted ones, and its modes."""
    skeleton = skeleton_of(surface)
    target = {name: asdict(wanted)[name] for name in MEASURED}
    asked, moved = dict(target), surface
    for _ in range(_CORRECTIONS):
        to_wanted = dimension_map(skeleton, asked)
        moved = replace(surface, points=to_wanted(surface.points))
        found = measured_dimensions(measure_anatomy(moved, "right"))
        asked = {name: asked[name] + target[name] - found[name] for name in MEASURED}
    mean = replace(model.surface, points=to_wanted(model.surface.points))
    return moved, replace(model, surface=mean)


def response_of(surface: Surface, skeleton: Skeleton) -> np.ndarray:
    """Return the change of each measured dimension (rows) for each one asked for (columns)."""
    columns = []
    for name in MEASURED:
        step = _STEPS.get(name, 3.0)
        ends = []
        for sign in (-1.0, 1.0):
            asked = {**skeleton.dimensions, name: skeleton.dimensions[name] + sign * step}
            moved = replace(surface, points=dimension_map(skeleton, asked)(surface.points))
            found = measured_dimensions(measure_anatomy(moved, "right"))
            ends.append(np.array([found[each] for each in MEASURED]))
        columns.append((ends[1] - ends[0]) / (2.0 * step))
    return np.array(columns).T


def write_mean(surface: Surface, raw: Mapping[str, float], rounds: Sequence[RoundMovement]) -> None:
    """Write the mesh, and beside it as JSON its places, dimensions and response, and how it was averaged."""
    mesh = remesh(surface, n_points=POINTS)
    skeleton = skeleton_of(mesh)
    write_surface(DATA / MESH, mesh)
    facts = {
        "places": {name: np.round(place, 2).tolist() for name, place in skeleton.place.items()},
        "dimensions": {name: round(value, 3) for name, value in skeleton.dimensions.items()},
        "dimensions_before": {name: round(value, 3) for name, value in raw.items()},
        "rounds": [asdict(one) for one in rounds],
        "response": np.round(response_of(mesh, skeleton), 4).tolist(),
    }
    write_json(DATA / PLACES, facts)


def average_record() -> dict[str, Any]:
    """Read what was written beside the mesh."""
    return json.loads((DATA / PLACES).read_text(encoding="utf-8"))


def make_mean(progress: Progress) -> None:
    """Make the mean femur and write it to the data of the digital hip."""
    average = real_average(real_people(), progress.part(0.0, 0.8))
    surface, model = in_frame(average.fine, average.shape_model)
    raw = skeleton_of(surface).dimensions
    progress.report(0.8, "Moving the average to typical dimensions")
    moved, model = moved_to(surface, model, FemurDimensions())
    surface, _ = in_frame(moved, model)
    progress.report(0.9, "Measuring the response")
    write_mean(surface, raw, average.rounds)
    progress.report(1.0, "The mean femur is written")


if __name__ == "__main__":
    make_mean(TerminalProgress())
