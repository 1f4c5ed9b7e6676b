"""Fit the shape model of the femur to a CT, given the centre and radius of the head.

A pose is found by trying rotations. Then pose, size and shape follow the periosteal edge along the normals
(active shape model; Cootes et al. 1995, Comput Vis Image Underst 61:38), from coarse to fine. Last, the
surface follows the edges beyond the modes as a thin plate. What the scan does not show stays at its
likeliest place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import sparse

from ...core.errors import SegmentationError
from ...core.metal import without_metal
from ...core.progress import Progress
from ...core.side import check_side
from ...core.surface import Surface
from ...core.volume import Volume
from ...mesh.shape_model import ShapeModel
from ...mesh.topology import adjacency
from .edges import Ball, Edges, find_ball, find_edges
from .long_shaft import LongShaft, cut_plane_of, lengthened
from .pose import Plate, Shape, find_poses, head_radius_mm, improved
from .settings import MODEL, Round

# Corners of the box about the centre of a right head that holds any femur down to its shaft.
_BOX_MM = np.stack(np.meshgrid([-60.0, 100.0], [-85.0, 85.0], [-175.0, 60.0]), axis=-1).reshape(-1, 3)


@dataclass(frozen=True)
class ModelFit:
    """The shape model fitted to a femur.

    Attributes
    ----------
    surface : Surface
        Closed, subject's RAS mm, triangles looking outward; its first n points are the shape model's. Arrays:
        ``seen`` (uint8, 1 where the scan holds the point), ``cut_end`` (uint8, 1 on the flat end of the
        shaft), ``edge_confidence`` (0 to 1), ``edge_strength`` (HU/mm),
        ``edge_spread`` (mm, how far apart the edges lie that it may be) and ``edge_offset`` (mm, from the
        surface outward to the likeliest edge).
    side : {"left", "right"}
    coordinates : ndarray of shape (k,)
        Of the shape model, in standard deviations.
    size : float
        Over that of the model's mean.
    rotation : ndarray of shape (3, 3)
    translation : ndarray of shape (3,)
        mm. From the model to the right-sided subject (a left femur is mirrored in x first).
    edge_rms_mm : float
        Root mean square distance of the surface from the edges, weighted by their confidence.
    seen_share : float
        Share of the bone's surface that the scan holds.
    confident_share : float
        Mean confidence of the edges that the scan holds.
    """

    surface: Surface
    side: str
    coordinates: np.ndarray
    size: float
    rotation: np.ndarray
    translation: np.ndarray
    edge_rms_mm: float
    seen_share: float
    confident_share: float


def fit_model(
    volume: Volume,
    side: str,
    head_centre: np.ndarray,
    head_radius_mm: float,
    shape_model: ShapeModel,
    landmarks: Mapping[str, np.ndarray],
    *,
    progress: Progress | None = None,
) -> ModelFit:
    """Fit the shape model to the femur with a known head.

    Parameters
    ----------
    volume : Volume
        HU.
    side : {"left", "right"}
    head_centre : ndarray of shape (3,)
        RAS mm, to about 5 mm.
    head_radius_mm : float
        To about 3 mm.
    shape_model : ShapeModel
        Of an upright right femur, RAS.
    landmarks : mapping of str to ndarray of shape (3,)
        Of the model's mean; ``head_centre`` is used.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    ModelFit

    Raises
    ------
    SegmentationError
        If the side is neither, or the head does not touch the volume or has an impossible size.
    SurfaceError
        If the shape model's femur has no flat end of the shaft.
    """
    check_side(side)
    _check_start(volume, head_centre, head_radius_mm)
    progress = progress or Progress()
    right = _right_sided(volume, side)
    centre = np.asarray(head_centre, dtype=np.float64) * _mirror(side)
    box = without_metal(right.crop(centre + _BOX_MM, 0.0)).volume
    progress.report(0.0, "Searching how the femur lies")
    shape, ball = _started(box, shape_model, landmarks, _balls(box, centre, head_radius_mm))
    progress.report(0.4, "Fitting the shape of the femur")
    long = lengthened(shape_model, _missing_shaft_mm(box, shape, shape_model))
    bone = FittedBone.of(long, landmarks, ball)
    for step in MODEL.next:
        shape = _moved(box, shape, bone, step)
    progress.report(0.7, "Following the edge of the bone")
    surface = _release(box, shape.surface(bone.model), bone)
    fit = _measured(box, surface, shape, bone, side)
    progress.report(1.0, "The femur is found")
    return fit


def _check_start(volume: Volume, head_centre: np.ndarray, head_radius_mm: float) -> None:
    if not MODEL.head_radii_mm[0] <= head_radius_mm <= MODEL.head_radii_mm[1]:
        raise SegmentationError(
            f"The head's radius is given as {head_radius_mm:g} mm; a femoral head's lies between "
            f"{MODEL.head_radii_mm[0]:g} and {MODEL.head_radii_mm[1]:g} mm."
        )
    beyond = np.abs(volume.index_of(np.asarray(head_centre, dtype=np.float64)) - _middle(volume)) - _middle(
        volume
    )
    if not np.all(beyond * volume.spacing_mm < head_radius_mm):
        place = ", ".join(f"{x:.0f}" for x in head_centre)
        raise SegmentationError(
            f"{volume.source}: the head's centre ({place} mm, RAS) lies outside the volume."
        )


def _middle(volume: Volume) -> np.ndarray:
    """Index (i, j, k) of the volume's centre."""
    return (np.array(volume.array.shape[::-1]) - 1) / 2.0


def _mirror(side: str) -> np.ndarray:
    return np.array([-1.0 if side == "left" else 1.0, 1.0, 1.0])


def _right_sided(volume: Volume, side: str) -> Volume:
    """The volume itself, or as seen in a mirror: the same voxels at mirrored places."""
    matrix = np.diag([*_mirror(side), 1.0]) @ volume.ijk_to_ras
    return replace(volume, ijk_to_ras=matrix)


def _balls(box: Volume, centre: np.ndarray, radius_mm: float) -> list[Ball]:
    """Spheres that the head may be: where voxels fill the joint, the socket looks like a part of one, too."""
    balls: list[Ball] = []
    for below in MODEL.head_below_mm:
        ball = find_ball(box, centre - [0.0, 0.0, below], radius_mm)
        if all(np.linalg.norm(ball.centre - other.centre) > MODEL.same_ball_mm for other in balls):
            balls.append(ball)
    return balls


def _started(
    box: Volume, model: ShapeModel, landmarks: Mapping[str, np.ndarray], balls: list[Ball]
) -> tuple[Shape, Ball]:
    """Fit the best poses of each ball by a few coarse rounds, and return the best.

    Which is best is for the bone beyond the head to say: edges of head and socket are alike.
    """
    best, found = -1.0, None
    for ball in balls:
        size = ball.radius_mm / head_radius_mm(model)
        poses = find_poses(box, model, ball.centre - size * landmarks["head_centre"], size)
        bone = FittedBone.of(LongShaft(model, cut_plane_of(model.surface)), landmarks, ball)
        for pose in poses[: MODEL.tried]:
            shape = Shape.at(pose, len(model.modes))
            for step in MODEL.first:
                shape = _moved(box, shape, bone, step)
            confidence = _confidence(box, shape.surface(model), ~bone.head)
            if confidence > best:
                best, found = confidence, (shape, ball)
    return found


def _confidence(box: Volume, surface: Surface, where: np.ndarray) -> float:
    """How surely and how nearly the surface lies on edges, 0 to 1."""
    edges = find_edges(box, surface.points[where], surface.normals[where], MODEL.first[-1].reach_mm, 2.0)
    return float((edges.confidence / (1.0 + (edges.offset / 2.0) ** 2)).mean())


class FittedBone(NamedTuple):
    """The model, which of its vertices are the flat end and which the head's, and the ball of the head."""

    model: ShapeModel
    cut_end: np.ndarray
    head: np.ndarray
    ball: Ball

    @classmethod
    def of(cls, long: LongShaft, landmarks: Mapping[str, np.ndarray], ball: Ball) -> FittedBone:
        """The head is what lies near the ball and not towards the neck."""
        model, away = long.model, long.model.mean - landmarks["head_centre"]
        neck = landmarks["neck_base"] - landmarks["head_centre"]
        distance = np.linalg.norm(away, axis=1)
        beside = away @ neck < MODEL.head_cosine * np.linalg.norm(neck) * distance
        return cls(model, long.cut_end, beside & (distance < MODEL.head_share * head_radius_mm(model)), ball)


def _moved(box: Volume, shape: Shape, bone: FittedBone, step: Round) -> Shape:
    """Find the edges from the shape, and move it towards them."""
    surface = shape.surface(bone.model)
    about = np.where(bone.head, bone.ball.offset(surface.points, surface.normals), 0.0)
    about = np.clip(about, -step.reach_mm, step.reach_mm)
    expected = np.where(bone.head, np.minimum(MODEL.ball_mm, step.expected_mm), step.expected_mm)
    edges = find_edges(box, surface.points, surface.normals, step.reach_mm, expected, about)
    weight = _weights(edges, bone.cut_end, step.error_mm)
    by_ball = MODEL.ball_weight * bone.head
    offset = (weight * edges.offset + by_ball * about) / np.maximum(weight + by_ball, 1e-9)
    return improved(shape, bone.model, surface, offset, weight + by_ball, step.error_mm)


def _weights(edges: Edges, cut_end: np.ndarray, error_mm: float) -> np.ndarray:
    """Weights of the edges, 0 to 1, less where two edges compete; shape (n,)."""
    return edges.confidence * ~cut_end / (1.0 + (edges.spread / error_mm) ** 2)


def _missing_shaft_mm(box: Volume, shape: Shape, model: ShapeModel) -> float:
    """Length to add to the model's shaft to reach the end of the scan, mm of the model."""
    cut = cut_plane_of(model.surface)
    surface = shape.surface(model)
    down = surface.normals[cut].mean(axis=0)
    ahead = np.arange(0.0, MODEL.longest_mm * shape.size, 1.0)
    index = box.index_of(surface.points[cut][:, None] + ahead[:, None] * down / np.linalg.norm(down))
    held = np.all((index >= 0.0) & (index <= np.array(box.array.shape[::-1]) - 1), axis=-1)
    if not held.any():
        return 0.0
    return (ahead[held.any(axis=0)].max() + MODEL.beyond_scan_mm) / shape.size


def _release(box: Volume, surface: Surface, bone: FittedBone) -> Surface:
    """Follow the edges beyond the modes, as a thin plate of decreasing width."""
    plate, moved = Plate(surface), np.zeros(len(surface.points))
    for reach, expected, width in MODEL.free:
        points = surface.points + moved[:, None] * surface.normals
        expected_here = np.where(bone.head, np.minimum(expected, MODEL.head_free_mm), expected)
        edges = find_edges(box, points, surface.normals, reach, expected_here)
        target = moved + edges.offset
        weight = _weights(edges, bone.cut_end, 1.0)
        # The head hardly departs from the model: an edge far off is the socket's.
        weight = np.where(bone.head, weight / (1.0 + (target / MODEL.head_departs_mm) ** 2) ** 2, weight)
        moved = plate.displacement(target, weight, width, MODEL.rest)
    return replace(surface, points=surface.points + moved[:, None] * surface.normals)


def _with_neighbours(surface: Surface) -> sparse.csr_array:
    """Average of each vertex with the vertices one edge away."""
    count = len(surface.points)
    alike = adjacency(surface.edges, count) + sparse.eye_array(count)
    return (sparse.diags_array(1.0 / alike.sum(axis=1)) @ alike).astype(np.float32)


def _measured(box: Volume, surface: Surface, shape: Shape, bone: FittedBone, side: str) -> ModelFit:
    edges = find_edges(box, surface.points, surface.normals, 2.0, 1.0)
    # Struts and pores make the lines of real bone unlike; together with its neighbours' each looks like bone.
    confidence = find_edges(
        box, surface.points, surface.normals, 2.0, 1.0, mean=_with_neighbours(surface)
    ).confidence
    areas = np.where(bone.cut_end, 0.0, surface.point_areas)
    held, confident = areas * edges.seen, areas * confidence
    surface = surface.with_arrays(
        units={"edge_strength": "HU/mm", "edge_spread": "mm", "edge_offset": "mm"},
        seen=edges.seen.astype(np.uint8),
        cut_end=bone.cut_end.astype(np.uint8),
        edge_confidence=edges.confidence.astype(np.float32),
        edge_strength=edges.strength.astype(np.float32),
        edge_spread=edges.spread.astype(np.float32),
        edge_offset=edges.offset.astype(np.float32),
    )
    return ModelFit(
        surface=surface.mirrored() if side == "left" else surface,
        side=side,
        coordinates=shape.coordinates,
        size=shape.size,
        rotation=shape.rotation,
        translation=shape.translation,
        edge_rms_mm=float(np.sqrt((confident * edges.offset**2).sum() / max(confident.sum(), 1e-9))),
        seen_share=float(held.sum() / areas.sum()),
        confident_share=float(confident.sum() / max(held.sum(), 1e-9)),
    )
