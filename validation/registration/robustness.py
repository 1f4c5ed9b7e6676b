"""One femur, damaged in many ways: what the registration makes of it.

The femur is not one of the subjects, so the meaning of the average's vertices does not rest on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from CorticalBoneMappingLib.core.errors import RegistrationError
from CorticalBoneMappingLib.core.surface import Surface, to_polydata
from CorticalBoneMappingLib.mesh.closest import closest_points
from CorticalBoneMappingLib.mesh.meshing import isosurface
from CorticalBoneMappingLib.simulation.hip.femur_shape import (
    GREATER_TROCHANTER_TOP,
    HEAD_CENTRE,
    HEAD_RADIUS_MM,
    LESSER_TROCHANTER_TIP,
    NECK_BASE,
    SHAFT_AXIS,
    axis_at,
)

from .cache import remeshed
from .cutting import cut_off
from .errors import Errors, errors_of
from .ours import Registered, register_average
from .spot import PLACES
from .subjects import CACHE, Subject, Template, dense_mean, draw_subject

PERSON = 100  # an even number: a right femur with a long shaft
_VERTICES = 9000
_HOLES = "neck, superior", "greater trochanter, lateral", "shaft, lateral"


@dataclass(frozen=True)
class Outcome:
    """What came of one damage.

    Attributes
    ----------
    damage : str
        For tables.
    errors : Errors or None
        None if the registration refused the bone.
    registered_template : Registered or None
        Likewise.
    refusal : str
        What it said, or an empty string.
    """

    damage: str
    errors: Errors | None
    registered_template: Registered | None
    refusal: str


def outcomes(template: Template) -> list[Outcome]:
    """Register the femur after each damage.

    Parameters
    ----------
    template : Template
        The average, and what its vertices mean.
    """
    whole = draw_subject(PERSON)
    found = [_outcome(name, damage(whole), template) for name, damage in DAMAGES.items()]
    return [*found, _outcome("said to be of the other side", replace(whole, side="left"), template)]


def _outcome(name: str, subject: Subject, template: Template) -> Outcome:
    try:
        registered_template = register_average(subject.surface, subject.side)
    except RegistrationError as error:
        return Outcome(name, None, None, str(error))
    counted = registered_template.covered & ~template.cut_end
    return Outcome(
        name, errors_of(subject, template, registered_template.surface, counted), registered_template, ""
    )


def _unharmed(subject: Subject) -> Subject:
    return subject


def _shaft_cut(below_mm: float, tilt_deg: float = 0.0) -> Callable[[Subject], Subject]:
    """Cut below the tip of the lesser trochanter, by height on the mean shape."""

    def damage(subject: Subject) -> Subject:
        axis = SHAFT_AXIS[1] - SHAFT_AXIS[0]
        middle = axis_at(LESSER_TROCHANTER_TIP[2] - below_mm)
        ring = middle + 14.0 * np.array([[1.0, 0, 0], [-1.0, 0, 0], [0, 1.0, 0], [0, -1.0, 0]])
        points = subject.truth(np.concatenate([ring, ring + 10.0 * axis / np.linalg.norm(axis)]))
        point, beyond = points[:4].mean(axis=0), points[4:].mean(axis=0)
        along = (beyond - point) / np.linalg.norm(beyond - point)
        aside = np.cross(along, points[0] - point)
        tilt = np.radians(tilt_deg)
        return _cut(subject, point, np.cos(tilt) * along + np.sin(tilt) * aside / np.linalg.norm(aside))

    return damage


def _head_cut(share_of_radius: float) -> Callable[[Subject], Subject]:
    """Cut the head across the neck's axis, this many radii beyond its centre."""

    def damage(subject: Subject) -> Subject:
        axis = (HEAD_CENTRE - NECK_BASE) / np.linalg.norm(HEAD_CENTRE - NECK_BASE)
        # The centre itself is inside the bone, so places on its surface say where the plane goes.
        around = _on_surface_around(HEAD_CENTRE + share_of_radius * HEAD_RADIUS_MM * axis, axis)
        tip = _on_surface_around(HEAD_CENTRE + 0.9 * HEAD_RADIUS_MM * axis, axis)
        point = subject.truth(around).mean(axis=0)
        normal = subject.truth(tip).mean(axis=0) - point
        return _cut(subject, point, normal / np.linalg.norm(normal))

    return damage


def _on_surface_around(centre: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """Eight places of the mean shape's surface around an axis, in the plane of a point on it."""
    first = np.cross(axis, [0.0, 1.0, 0.0])
    first /= np.linalg.norm(first)
    angle = 2.0 * np.pi * np.arange(8)[:, None] / 8
    ring = np.cos(angle) * first + np.sin(angle) * np.cross(axis, first)
    offset = np.sqrt(max(HEAD_RADIUS_MM**2 - ((centre - HEAD_CENTRE) @ axis) ** 2, 25.0))
    return closest_points(dense_mean(), centre + offset * ring).points(dense_mean())


def _cut(subject: Subject, point: np.ndarray, normal: np.ndarray) -> Subject:
    surface = _remeshed(cut_off(subject.surface, point, normal))
    return replace(subject, surface=surface, cuts=np.concatenate([subject.cuts, [[point, normal]]]))


def _osteophytes(subject: Subject) -> Subject:
    """Spurs of 5 mm around the rim of the head and on the greater trochanter, sharper than any bend."""
    axis = (HEAD_CENTRE - NECK_BASE) / np.linalg.norm(HEAD_CENTRE - NECK_BASE)
    rim = _on_surface_around(HEAD_CENTRE - 0.55 * HEAD_RADIUS_MM * axis, axis)[:6]
    return _pushed(subject, np.concatenate([rim, [GREATER_TROCHANTER_TOP]]), height_mm=5.0, width_mm=2.5)


def _pits(subject: Subject) -> Subject:
    """Five pits of 5 mm, as where a segmentation leaked."""
    seats = [
        PLACES[name]
        for name in (
            "neck, superior",
            "intertrochanteric, anterior",
            "greater trochanter, lateral",
            "head, superior",
            "shaft, lateral",
        )
    ]
    return _pushed(subject, np.array(seats), height_mm=-5.0, width_mm=3.0)


def _pushed(subject: Subject, seats: np.ndarray, height_mm: float, width_mm: float) -> Subject:
    bone = _remeshed(subject.surface, 30_000)  # fine enough to carry what is sharp
    points = bone.points.copy()
    for centre in subject.truth(seats):
        squared = ((bone.points - centre) ** 2).sum(axis=1)
        points += height_mm * np.exp(squared / (-2.0 * width_mm**2))[:, None] * bone.normals
    return replace(subject, surface=replace(bone, points=points))


def _open_holes(subject: Subject) -> Subject:
    """Three holes of 8 mm in the surface itself."""
    bone = subject.surface
    seats = subject.truth(np.array([PLACES[name] for name in _HOLES]))
    centres = bone.points[bone.triangles].mean(axis=1)
    away = np.linalg.norm(centres[:, None] - seats, axis=2).min(axis=1)
    used, triangles = np.unique(bone.triangles[away > 4.0], return_inverse=True)
    return replace(subject, surface=Surface(bone.points[used], triangles.reshape(-1, 3)))


def _staircase(subject: Subject) -> Subject:
    """The border of a mask of 1 mm voxels, steps and all."""
    bone = subject.surface
    low, high = bone.points.min(axis=0) - 3.0, bone.points.max(axis=0) + 3.0
    size = np.ceil(high - low).astype(int)
    stencil = vtk.vtkPolyDataToImageStencil()
    stencil.SetInputData(to_polydata(bone))
    stencil.SetOutputOrigin(*low)
    stencil.SetOutputSpacing(1.0, 1.0, 1.0)
    stencil.SetOutputWholeExtent(0, size[0] - 1, 0, size[1] - 1, 0, size[2] - 1)
    to_image = vtk.vtkImageStencilToImage()
    to_image.SetInputConnection(stencil.GetOutputPort())
    to_image.SetOutputScalarTypeToFloat()
    to_image.Update()
    image = to_image.GetOutput()
    mask = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])
    matrix = np.eye(4)
    matrix[:3, 3] = low
    return replace(subject, surface=isosurface(mask, matrix, 0.5))


def _denser(factor: float) -> Callable[[Subject], Subject]:
    def damage(subject: Subject) -> Subject:
        n_points = round(factor * len(subject.surface.points))
        return replace(subject, surface=_remeshed(subject.surface, n_points))

    return damage


def _half_denser(subject: Subject) -> Subject:
    """Two-fold the density of vertices on one side of the bone, by dividing triangles."""
    bone = subject.surface
    in_front = bone.points[bone.triangles].mean(axis=1) @ np.array([1.0, 0.0, 0.0])
    return replace(subject, surface=_divided(bone, in_front > np.median(in_front)))


def _divided(surface: Surface, chosen: np.ndarray) -> Surface:
    """Add the centre of each chosen triangle as a vertex."""
    centres = surface.points[surface.triangles[chosen]].mean(axis=1)
    number = len(surface.points) + np.arange(len(centres))
    a, b, c = surface.triangles[chosen].T
    parts = [np.stack(corners, axis=1) for corners in ((a, b, number), (b, c, number), (c, a, number))]
    triangles = np.concatenate([surface.triangles[~chosen], *parts])
    return Surface(np.concatenate([surface.points, centres]), triangles)


def _remeshed(surface: Surface, n_points: int = _VERTICES) -> Surface:
    return remeshed(CACHE / "damaged", surface, n_points)


DAMAGES: dict[str, Callable[[Subject], Subject]] = {
    "none": _unharmed,
    "shaft cut 90 mm below the lesser trochanter": _shaft_cut(90.0),
    "shaft cut 60 mm below": _shaft_cut(60.0),
    "shaft cut 40 mm below": _shaft_cut(40.0),
    "shaft cut 40 mm below, 25° oblique": _shaft_cut(40.0, 25.0),
    "shaft cut 25 mm below": _shaft_cut(25.0),
    "shaft cut 17 mm below": _shaft_cut(17.0),
    "head flattened by a third of its radius": _head_cut(0.67),
    "head flattened to its centre": _head_cut(0.0),
    "head missing, cut through the neck": _head_cut(-1.05),
    "osteophytes of 5 mm": _osteophytes,
    "pits of 5 mm": _pits,
    "holes of 8 mm in the surface": _open_holes,
    "staircase of 1 mm voxels": _staircase,
    "vertices twice as dense": _denser(2.0),
    "vertices half as dense": _denser(0.5),
    "vertices twice as dense on one half": _half_denser,
}
