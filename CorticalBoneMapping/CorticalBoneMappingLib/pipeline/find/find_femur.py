"""Find the femurs of a CT: detect the heads, fit the shape model, move it to the edge of the bone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...anatomy.head import least_squares_sphere
from ...atlas.average import AverageFemur, load_atlas
from ...core.errors import MeasurementError, SegmentationError, SurfaceError
from ...core.progress import Progress
from ...core.side import SIDES, check_side
from ...core.surface import Surface
from ...core.volume import Volume
from ...io.volume_warnings import thickness_warnings
from ...mesh.closest import closest_points
from ...segmentation.detect.hips import HeadDetection, find_heads
from ...segmentation.fit.model_fit import ModelFit, fit_model
from ..provenance import Stopwatch
from ..settings import check_spacing
from .found_femur import FoundFemur
from .near_metal import implant_apart
from .refine_femur import exact_femur
from .verdict import FAILED, Evidence, judge

HeadSearch = Callable[..., list[HeadDetection]]
"""As `find_heads`."""

_HEAD, _NECK = "femoral head", "neck"


@dataclass(frozen=True)
class FindSettings:
    """Numbers of the search; chosen by hand, not tuned."""

    usual_radius_mm: float = 24.0  # of a head whose place was given
    between_hips_mm: float = 110.0  # metal farther than this from a head belongs to the other hip
    # The part of the surface within the socket: least cosine of the angle to the neck's axis, greatest radius
    # over that of the head.
    socket_cosine: float = 0.15
    socket_radii: float = 1.6
    # Other bone, outside a point: first, beyond the last, step in mm; more HU than any soft tissue has.
    beside_mm: tuple[float, float, float] = (2.0, 7.1, 0.5)
    bone_hu: float = 180.0
    beside_share: float = 0.05  # of the head's points; with less there is not a socket


FIND = FindSettings()


def find_femurs(
    volume: Volume,
    side: str | None = None,
    seed: np.ndarray | None = None,
    atlas: str | Path | None = None,
    spacing_mm: float = 1.2,
    progress: Progress | None = None,
    search: HeadSearch | None = None,
) -> list[FoundFemur]:
    """Find the femurs of a CT, with their surfaces.

    Parameters
    ----------
    volume : Volume
        CT in HU.
    side : {"left", "right", "both"}, optional
        Which femur must be found; by default every one that the CT shows.
    seed : ndarray of shape (3,), optional
        A point in the femoral head, RAS mm: only that hip is returned. With a side as well, the fit begins
        there even where no hip was detected.
    atlas : str or Path, optional
        Folder of the average femur whose shape model is fitted; by default the one that is shipped.
    spacing_mm : float
        Mean distance between neighbouring vertices in mm.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.
    search : callable, optional
        Detects the heads; by default `find_heads`. Given, to search a CT once that is measured twice.

    Returns
    -------
    list of FoundFemur
        One per detected hip, the right before the left. One that failed has its reasons.

    Raises
    ------
    SegmentationError
        If no hip is found, or not the chosen one.
    SettingError
        If the side is neither.
    SurfaceError, MeasurementError
        If there is only one hip, and the fit failed.
    """
    progress = progress or Progress()
    if side not in (None, "both"):
        check_side(side)
    check_spacing(spacing_mm)
    average = load_atlas(atlas)
    watch = Stopwatch()
    with watch.time("heads"):
        detections = _detected(volume, average, side, seed, progress.part(0.0, 0.2), search or find_heads)
    found = []
    for number, detection in enumerate(detections):
        begin, end = (0.2 + 0.8 * (number + n) / len(detections) for n in (0, 1))
        try:
            found.append(femur_at(volume, detection, average, spacing_mm, progress.part(begin, end)))
        except (SurfaceError, MeasurementError) as error:
            if len(detections) == 1:
                raise
            found.append(_failed(detection, str(error)))
        found[-1].seconds["heads"] = watch.seconds["heads"]
    if side is None and seed is None and len(detections) == 1:
        found += _hidden_by_metal(volume, detections[0])
    progress.report(1.0, "Femurs found")
    return sorted(found, key=lambda femur: femur.side, reverse=True)


def femur_at(
    volume: Volume,
    detection: HeadDetection | _GivenHead,
    average: AverageFemur,
    spacing_mm: float = 1.2,
    progress: Progress | None = None,
) -> FoundFemur:
    """Find the femur with a detected head.

    Parameters
    ----------
    volume : Volume
        CT in HU.
    detection : HeadDetection
        Side, centre and radius of the head.
    average : AverageFemur
        Whose shape model is fitted.
    spacing_mm : float
        Mean distance between neighbouring vertices in mm.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    FoundFemur

    Raises
    ------
    SurfaceError
        If the fit failed.
    """
    progress = progress or Progress()
    side, watch = detection.side, Stopwatch()
    with watch.time("model"):
        fit = fit_model(
            volume,
            side,
            detection.centre,
            detection.radius_mm,
            average.shape_model,
            average.landmarks,
            progress=progress.part(0.0, 0.5),
        )
    exact = exact_femur(fit.surface, volume, side, spacing_mm, watch, progress.part(0.5, 0.9))
    with watch.time("verdict"):
        head = _head(exact.surface, fit, average, volume)
        moved_mm = float(np.linalg.norm(head.centre - detection.centre))
        evidence = _evidence(
            fit, head, detected=detection.confidence, head_moved_mm=moved_mm, **exact.evidence
        )
    verdict, reasons = judge(evidence)
    progress.report(1.0, f"The {side} femur: {verdict}")
    return FoundFemur(
        side=side,
        verdict=verdict,
        reasons=reasons,
        surface=exact.surface,
        labelmap=exact.labelmap,
        head_centre=head.centre,
        head_radius_mm=head.radius_mm,
        notes=[*volume.warnings, *thickness_warnings(volume), *exact.notes],
        evidence=evidence,
        coordinates=fit.coordinates,
        seconds=watch.seconds,
    )


def _detected(
    volume: Volume,
    average: AverageFemur,
    side: str | None,
    seed: np.ndarray | None,
    progress: Progress,
    search: HeadSearch,
) -> list[HeadDetection | _GivenHead]:
    try:
        return search(volume, average.surface, side, seed, progress)
    except SegmentationError as error:
        if seed is not None and side in SIDES:
            return [_GivenHead(side, np.asarray(seed, dtype=np.float64))]
        if implant := implant_apart(volume, [], 0.0):
            raise SegmentationError(f"{error} There is {implant}, which may hide a hip.") from error
        raise


def _hidden_by_metal(volume: Volume, seen: HeadDetection) -> list[FoundFemur]:
    """The hip of the other side as failed, if only an implant is seen of it."""
    implant = implant_apart(volume, [seen.centre], FIND.between_hips_mm)
    side = "left" if seen.side == "right" else "right"
    if implant is None or (implant.middle[0] > seen.centre[0]) != (side == "right"):
        return []
    reason = f"No {side} hip was found; there is {implant}, which may hide it."
    return [FoundFemur(side, FAILED, [reason], None, None)]


def _failed(detection: HeadDetection, reason: str) -> FoundFemur:
    return FoundFemur(
        side=detection.side,
        verdict=FAILED,
        reasons=[reason],
        surface=None,
        labelmap=None,
        head_centre=np.asarray(detection.centre),
        head_radius_mm=detection.radius_mm,
    )


class _GivenHead(NamedTuple):
    """A head that was given by side and place, in place of a `HeadDetection`."""

    side: str
    centre: np.ndarray
    radius_mm: float = FIND.usual_radius_mm
    confidence: float = 0.0


class _Head(NamedTuple):
    """Sphere of a head, the residual (root mean square), and how far the head bulges out of it; mm."""

    centre: np.ndarray
    radius_mm: float
    residual_mm: float
    bulge_mm: float


def _head(surface: Surface, fit: ModelFit, average: AverageFemur, volume: Volume) -> _Head:
    names = np.array([average.region_names[number] for number in average.region])
    parts = fit.surface.points[: len(names)]
    points = closest_points(surface, parts[names == _HEAD]).points(surface)
    centre, radius = least_squares_sphere(points)
    left = np.linalg.norm(points - centre, axis=1) - radius
    # Within the socket; towards the neck the head is not a sphere.
    towards = centre - parts[np.char.startswith(names, _NECK)].mean(axis=0)
    offset = surface.points - centre
    far = np.linalg.norm(offset, axis=1)
    in_socket = (offset @ towards > FIND.socket_cosine * np.linalg.norm(towards) * far) & (
        far < FIND.socket_radii * radius
    )
    bulge = float(np.percentile(far[in_socket] - radius, 99.5))
    if _beside_bone(surface, volume)[in_socket].mean() < FIND.beside_share:
        bulge = 0.0  # without a socket it is the head's own shape
    return _Head(centre, radius, float(np.sqrt((left**2).mean())), bulge)


def _beside_bone(surface: Surface, volume: Volume) -> np.ndarray:
    """Whether other bone lies close outside the points (n,) of a surface."""
    steps = np.arange(*FIND.beside_mm)
    hu = volume.sample(surface.points[:, None] + steps[:, None] * surface.normals[:, None])
    return np.nan_to_num(hu, nan=-1000.0).max(axis=1) > FIND.bone_hu


def _evidence(fit: ModelFit, head: _Head, **known: float) -> Evidence:
    return Evidence(
        seen_share=fit.seen_share,
        edge_rms_mm=fit.edge_rms_mm,
        confident_share=fit.confident_share,
        implausibility=float(np.linalg.norm(fit.coordinates) / np.sqrt(len(fit.coordinates))),
        size=fit.size,
        head_residual_mm=head.residual_mm,
        head_bulge_mm=head.bulge_mm,
        **known,
    )
