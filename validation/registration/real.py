"""The registration on real femurs: two people's, left and right.

Nobody knows which points of two real femurs are homologous. What can be asked: whether the average reaches
the surface from any pose, whether a person's left and right agree, and whether a real femur that was deformed
by a known map is found again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.anatomy import measure_anatomy
from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.mesh.closest import closest_points
from CorticalBoneMappingLib.registration.cut_ends import cut_end_of, widened
from CorticalBoneMappingLib.registration.pose import find_pose
from CorticalBoneMappingLib.registration.result import carry
from CorticalBoneMappingLib.simulation.hip.femur_shape import HEAD_CENTRE

from ..real_bones.bones import read_bones
from .cache import remeshed
from .deformation import LARGEST_SCALE, own_deformation
from .errors import HEAD, MIDDLE, SHAFT
from .ours import Registered, register_average
from .subjects import CACHE
from .unseen import at

_ROOT = Path(__file__).parents[2]
_DATA = Path(os.environ.get("CBM_TEST_DATA", _ROOT.parent / "shared" / "data"))
FOLDER, STRANGERS = _DATA / "femur_surfaces", _DATA / "femur_surfaces_measuring_only"
_VERTICES = 9000
_SEEN_POINTS = 3000  # at which a displacement is seen
_POSES = 3
_REACH_MM = 3.0
WAVELENGTHS_MM = (20.0, 40.0)
TOGETHER = "all regions together"


@dataclass(frozen=True)
class RealFemur:
    """A real femur, as segmented from CT and evenly meshed."""

    person: str
    side: str
    surface: Surface
    among_people: bool = True

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.person}, {self.side}"


def real_femurs() -> list[RealFemur]:
    """Read the real femurs; none where the folder is absent."""
    return [_read(path) for path in sorted(FOLDER.glob("*.stl"))]


def strangers() -> list[RealFemur]:
    """Read femurs of people that the average was not made from; none where the folder is absent."""
    if not STRANGERS.is_dir():
        return []
    return [
        RealFemur(bone.name, bone.side, remeshed(CACHE / "real", bone.surface, _VERTICES), among_people=False)
        for bone in read_bones(STRANGERS, load_average())
    ]


def _read(path: Path) -> RealFemur:
    surface = remeshed(CACHE / "real", read_surface(path), _VERTICES)
    side = "left" if "_l" in path.stem else "right"
    return RealFemur(path.stem.split("_")[0], side, surface)


@dataclass(frozen=True)
class Fit:
    """How the average lies on a real femur, mm.

    Attributes
    ----------
    similarity : float
        Mean distance of the covered average, moved, turned and scaled only, from the bone.
    shape_model : float
        Mean distance of the shape model's reconstruction from the bone, over covered vertices.
    to_bone, from_bone : float
        Mean distance of the registered average from the bone and the reverse; the worst of all poses.
    between_poses : float
        Mean distance between the same vertices registered in different poses.
    lost : dict of float to float
        By wavelength: root mean square error of a wave carried to the average and back, over its SD.
    folded : int
        Worst of all poses.
    neck_shaft_angle_deg : float
        Measured on the bone itself.
    """

    similarity: float
    shape_model: float
    to_bone: float
    from_bone: float
    between_poses: float
    lost: dict[float, float]
    folded: int
    neck_shaft_angle_deg: float


def fit_of(femur: RealFemur) -> Fit:
    """Register the average to a real femur in several poses."""
    right, registered_template = as_right(femur)
    poses = [_in_pose(femur, seed) for seed in range(_POSES)]
    covered = registered_template.covered
    to_bone = [closest_points(right, points[covered]).distance.mean() for points, _ in poses]
    apart = [
        np.linalg.norm(points - registered_template.surface.points, axis=1)[covered].mean()
        for points, _ in poses
    ]
    average = load_average()
    moved = find_pose(right, average.surface).apply(average.surface.points)
    fit = average.shape_model.fit(registered_template.surface.points, covered)
    shape = average.shape_model.reconstruct(fit.coordinates)
    shape = fit.size * shape @ fit.rotation.T + fit.translation
    return Fit(
        similarity=float(closest_points(right, moved[covered]).distance.mean()),
        shape_model=float(closest_points(right, shape[covered]).distance.mean()),
        to_bone=float(max(to_bone)),
        from_bone=max(each.off_template_mm for _, each in poses),
        between_poses=float(np.mean(apart)),
        lost={wavelength: _lost(registered_template, right, wavelength) for wavelength in WAVELENGTHS_MM},
        folded=max(each.folded for _, each in poses),
        neck_shaft_angle_deg=measure_anatomy(femur.surface, femur.side).neck_shaft_angle_deg,
    )


def as_right(femur: RealFemur) -> tuple[Surface, Registered]:
    """Give the femur as a right one, and the average registered to it."""
    right = femur.surface if femur.side == "right" else femur.surface.mirrored()
    return right, register_average(right, "right")


def _in_pose(femur: RealFemur, seed: int) -> tuple[np.ndarray, Registered]:
    """Register the average to the femur in a random pose; bring the points back to the right-sided one."""
    turn = Rotation.random(random_state=100 + seed).as_matrix()
    shift = np.random.default_rng(seed).uniform(-300.0, 300.0, 3)
    turned = replace(femur.surface, points=femur.surface.points @ turn.T + shift)
    registered_template = register_average(turned, femur.side)
    points = (registered_template.surface.points - shift) @ turn
    return (points if femur.side == "right" else points * [-1.0, 1.0, 1.0]), registered_template


def _lost(registered_template: Registered, bone: Surface, wavelength_mm: float) -> float:
    """Carry waves along three axes to the average and back."""
    waves = np.cos(2.0 * np.pi * bone.points / wavelength_mm + 0.5)
    there = carry(
        bone,
        closest_points(bone, registered_template.surface.points),
        registered_template.covered,
        waves,
        "bone",
    )
    place = closest_points(registered_template.surface, bone.points)
    seen = registered_template.covered[registered_template.surface.triangles[place.triangle]].all(axis=1)
    back = carry(registered_template.surface, place, seen, there, "average")
    seen &= np.isfinite(back).all(axis=1)
    return float(np.sqrt(np.mean((back - waves)[seen] ** 2) / np.var(waves[seen], axis=0).mean()))


def dice_of_sides(left: RealFemur, right: RealFemur) -> dict[str, float]:
    """Compare the regions of a person's two femurs, the left one mirrored and registered to the right one.

    Returns
    -------
    dict of str to float
        Dice coefficient by region, over vertices of the right femur that have a neighbour on the left one, by
        area; under `TOGETHER` that of all regions at once, the share of the area with the same label.
    """
    average = load_average()
    bones, labels = [], []
    for femur in (left, right):
        bone, registered_template = as_right(femur)
        place = closest_points(
            Surface(registered_template.surface.points, average.surface.triangles), bone.points
        )
        corner = place.weights.argmax(axis=1)
        labels.append(average.region[average.surface.triangles[place.triangle, corner]])
        bones.append(bone)
    pose = find_pose(bones[1], bones[0])
    moved = replace(bones[0], points=pose.apply(bones[0].points))
    place = closest_points(moved, bones[1].points)
    nearest = moved.triangles[place.triangle, place.weights.argmax(axis=1)]
    counted = (place.distance < _REACH_MM) & ~widened(bones[1], cut_end_of(bones[1]))
    theirs, own = labels[0][nearest][counted], labels[1][counted]
    area = bones[1].point_areas[counted]
    found = {TOGETHER: float(area[theirs == own].sum() / area.sum())}
    for label, name in average.region_names.items():
        a, b = theirs == label, own == label
        if average.measured[average.region == label].any() and (a | b).any():
            found[name] = float(2.0 * area[a & b].sum() / (area[a].sum() + area[b].sum()))
    return found


@dataclass(frozen=True)
class Deformed:
    """Errors on a real femur that was deformed by a known map; arrays of shape (n,), of covered vertices.

    Attributes
    ----------
    distance : ndarray
        From the true place, mm.
    part : ndarray
        Keys of `errors.PARTS`, by the region of the average.
    unseen, rest : ndarray
        As in `Errors`.
    among_people : bool
        Whether the average was made from the femur, among others.
    """

    distance: np.ndarray
    part: np.ndarray
    unseen: np.ndarray
    rest: np.ndarray
    among_people: bool


def deformed_again(femur: RealFemur, seed: int) -> Deformed:
    """Deform a real femur by a known map, mesh it anew, and go from the one to the other by the average."""
    right, registered_template = as_right(femur)
    random = np.random.default_rng([seed, 99])
    to_average = np.linalg.inv(registered_template.matrix)
    upright = replace(right, points=right.points @ to_average[:3, :3].T + to_average[:3, 3] + HEAD_CENTRE)
    scale = 1.0 + random.uniform(-LARGEST_SCALE, LARGEST_SCALE)
    own = own_deformation(upright, random)
    carried = replace(upright, points=scale * own(upright.points))
    coarse = remeshed(CACHE / "real", upright, _SEEN_POINTS)
    slid = upright.points - at(coarse, own.unseen(coarse), upright.points)
    seen = closest_points(upright, slid).points(carried)
    turn = Rotation.random(random_state=seed).as_matrix()
    bone = remeshed(CACHE / "real", carried, _VERTICES - 800)
    there = register_average(replace(bone, points=bone.points @ turn.T), "right")
    triangles = load_average().surface.triangles
    place = closest_points(Surface(registered_template.surface.points, triangles), right.points)
    counted = (registered_template.covered & there.covered)[triangles[place.triangle]].all(axis=1)
    arrived = place.points(Surface(there.surface.points, triangles))
    corner = triangles[place.triangle, place.weights.argmax(axis=1)]
    region = load_average().region[corner]
    distance, rest = (np.linalg.norm(arrived - true @ turn.T, axis=1) for true in (carried.points, seen))
    unseen = np.linalg.norm(carried.points - seen, axis=1)
    parts = _part_of_region(region)
    return Deformed(*(each[counted] for each in (distance, parts, unseen, rest)), femur.among_people)


@dataclass(frozen=True)
class Asymmetry:
    """How far a person's two femurs differ, by themselves: the left mirrored and registered to the right.

    Attributes
    ----------
    apart_mm : float
        Mean distance of the right one's vertices from the left one's surface.
    neck_axes_deg : float
        Angle between the axes of the necks.
    landmarks_mm : dict of str to float
        Distance of landmarks that were found on each bone alone.
    """

    apart_mm: float
    neck_axes_deg: float
    landmarks_mm: dict[str, float]


def asymmetry_of(left: RealFemur, right: RealFemur) -> Asymmetry:
    """Compare a person's femurs without the average."""
    bones = [femur.surface if femur.side == "right" else femur.surface.mirrored() for femur in (left, right)]
    pose = find_pose(bones[1], bones[0])
    found, fixed = (measure_anatomy(bone, "right").landmarks for bone in bones)
    moved = {name: pose.apply(np.array([place]))[0] for name, place in found.items()}
    axes = [places["head_centre"] - places["neck_base"] for places in (moved, fixed)]
    cosine = axes[0] @ axes[1] / np.prod(np.linalg.norm(axes, axis=1))
    theirs = replace(bones[0], points=pose.apply(bones[0].points))
    distance = closest_points(theirs, bones[1].points).distance
    return Asymmetry(
        float(distance[distance < _REACH_MM].mean()),
        float(np.degrees(np.arccos(cosine))),
        {name: float(np.linalg.norm(moved[name] - fixed[name])) for name in fixed},
    )


def _part_of_region(region: np.ndarray) -> np.ndarray:
    names = load_average().region_names
    part = {"femoral head": HEAD, "subtrochanteric shaft": SHAFT}
    lookup = np.array([part.get(names.get(label, ""), MIDDLE) for label in range(max(names) + 1)])
    return lookup[region]
