"""What a registration is judged by: distance from the true place, folds, and distance from the surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.closest import closest_points, interpolate
from CorticalBoneMappingLib.simulation.hip.femur_shape import (
    HEAD_CENTRE,
    HEAD_RADIUS_MM,
    LESSER_TROCHANTER_TIP,
    NECK_BASE,
)

from .subjects import Subject, Template

MIDDLE, HEAD, SHAFT = 0, 1, 2
PARTS = {MIDDLE: "neck, trochanters and metaphysis", HEAD: "head", SHAFT: "shaft"}


@dataclass(frozen=True)
class Errors:
    """How far the vertices of a template lie from their true places on one subject.

    Attributes
    ----------
    distance : ndarray of shape (n_template,)
        mm.
    counted : ndarray of shape (n_template,)
        Whether the registration says that the vertex has a counterpart.
    expected : ndarray of shape (n_template,)
        Whether it has one in truth.
    part : ndarray of shape (n_template,)
        Keys of `PARTS`.
    folded : int
        Counted triangles that look into the bone.
    off_surface : ndarray of shape (n_template,)
        Distance from the subject's surface, mm.
    unseen : ndarray of shape (n_template,)
        How far the true place lies from where it would be without what leaves no trace in the shape, mm.
    rest : ndarray of shape (n_template,)
        Distance from the latter, mm: what a registration could have known.
    """

    distance: np.ndarray
    counted: np.ndarray
    expected: np.ndarray
    part: np.ndarray
    folded: int
    off_surface: np.ndarray
    unseen: np.ndarray
    rest: np.ndarray

    def mean(self, part: int | None = None) -> float:
        """Mean error of counted vertices, mm."""
        return float(self._of(part).mean())

    def high(self, part: int | None = None) -> float:
        """95th percentile of the error of counted vertices, mm."""
        return float(np.quantile(self._of(part), 0.95))

    @property
    def coverage(self) -> float:
        """Share of the vertices with a true counterpart that are counted."""
        return float(self.counted[self.expected].mean())

    def _of(self, part: int | None) -> np.ndarray:
        chosen = self.counted if part is None else self.counted & (self.part == part)
        return self.distance[chosen]


def errors_of(
    subject: Subject, template: Template, registered_template: Surface, counted: np.ndarray
) -> Errors:
    """Judge a template registered to a subject.

    Parameters
    ----------
    subject : Subject
        Knows the truth.
    template : Template
        What was registered.
    registered_template : Surface
        The template on the subject, in its space, triangles looking outward.
    counted : ndarray of shape (n_template,)
        Which vertices are said to have a counterpart.

    Returns
    -------
    Errors
    """
    truth, seen = (where(template.mean_points) for where in (subject.truth, subject.seen_truth))
    place = closest_points(subject.surface, registered_template.points)
    return Errors(
        distance=np.linalg.norm(registered_template.points - truth, axis=1),
        counted=counted,
        expected=subject.exists(truth) & ~template.cut_end,
        part=part_of(template.mean_points),
        folded=int(
            looks_inward(registered_template, subject.surface)[
                counted[registered_template.triangles].all(axis=1)
            ].sum()
        ),
        off_surface=place.distance,
        unseen=np.linalg.norm(truth - seen, axis=1),
        rest=np.linalg.norm(registered_template.points - seen, axis=1),
    )


def part_of(mean_points: np.ndarray) -> np.ndarray:
    """Part of the femur of points on the mean shape, keys of `PARTS`, shape (n,)."""
    axis = HEAD_CENTRE - NECK_BASE
    length = np.linalg.norm(axis)
    part = np.full(len(mean_points), MIDDLE)
    part[(mean_points - NECK_BASE) @ axis / length > length - 0.72 * HEAD_RADIUS_MM] = HEAD
    part[mean_points[:, 2] < LESSER_TROCHANTER_TIP[2] - 15.0] = SHAFT
    return part


def looks_inward(registered_template: Surface, bone: Surface) -> np.ndarray:
    """Whether each triangle looks more than 90° away from the bone's surface, shape (n_triangles,)."""
    corners = registered_template.points[registered_template.triangles]
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    place = closest_points(bone, corners.mean(axis=1))
    outward = interpolate(bone, bone.normals, place.triangle, place.weights)
    return np.einsum("ij,ij->i", facing, outward) <= 0.0
