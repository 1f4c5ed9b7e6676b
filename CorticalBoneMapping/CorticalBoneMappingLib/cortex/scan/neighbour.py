"""Fit other bone close by, and subtract it from the profiles.

The acetabulum lies two to four millimetres from the femoral head. A thick slice blurs it into the joint space
and into the cortex of the head: the tissue outside then seems too dense, and the cortex too light. So where
other bone is near, its edge is one more blurred step of the model; the methods get the profile without it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..model.blur import Blur, blurred_step
from ..model.profile_features import ProfileFeatures
from ..model.profiles import Profiles
from ..model.three_layers import (
    LAYER_SCALE,
    ThreeLayers,
    first_guess,
    fit_following,
    in_chunks,
    layer_bounds,
)


@dataclass(frozen=True)
class NeighbourSettings:
    """Numbers of the model of other bone; chosen by hand, not tuned. Densities in HU or mg/cm³."""

    near_mm: float = 4.0  # from the femur's edge to where the profile rises again
    bone_mm: float = 4.0  # beyond that, the other bone reaches its peak within this
    least_gap_mm: float = 0.5
    plate_mm: tuple[float, float, float] = (0.2, 1.0, 6.0)  # thickness: least, first guess, greatest
    most_share: float = 0.3  # of the other bone in a sample that is kept
    soft_sd: tuple[float, float] = (20.0, 80.0)  # of soft tissue about its median: bounds
    fewest: int = 100  # points to measure soft tissue; of fewer, the next line holds
    usual_soft: tuple[float, float] = (40.0, 80.0)  # mean and standard deviation


OTHER = NeighbourSettings()


def without_neighbours(
    profiles: Profiles, features: ProfileFeatures, blur: Blur, cortical_density: float, noise: float
) -> Profiles:
    """Subtract other bone from the profiles.

    Parameters
    ----------
    profiles : Profiles
        Of n points.
    features : ProfileFeatures
        Of the same.
    blur : Blur
        Of the scan.
    cortical_density : float
        Of the bone.
    noise : float
        Standard deviation of the values.

    Returns
    -------
    Profiles
        Where other bone is near, its blurred edge is subtracted, and samples beyond it are not valid.
    """
    with np.errstate(invalid="ignore"):
        near = features.outer_edge - features.outer_limit < OTHER.near_mm
        near &= features.outer_limit > profiles.depth[:, 0] + 0.5 * OTHER.bone_mm
    soft = _soft_tissue(features, ~near)
    which = np.flatnonzero(near)
    if not len(which):
        return profiles
    some, marks = profiles.take(which), features.take(which)
    top = _peak_outward(some, marks.outer_limit)
    known = np.full(len(which), float(cortical_density))
    start = _start(marks, known, top, soft[0])
    behind = np.clip(np.where(np.isfinite(marks.inside), marks.inside, soft[0]), soft[0], cortical_density)

    def fit_part(part: np.ndarray) -> tuple[np.ndarray, ...]:
        model = _WithNeighbour(some.take(part), top[part], blur, known[part], noise, soft, behind[part])
        lower, upper = _bounds(start[part], known[part], top[part])
        fit = fit_following(model, start[part], lower, upper, np.append(LAYER_SCALE[:4], [1.0, 1.0]))
        other, face = model.other_bone(np.arange(len(part)), model.profiles.depth, fit.parameters)[:2]
        return other, face, fit.converged

    added, face, converged = in_chunks(start[:, 1], fit_part)
    kept = (face < OTHER.most_share) & (some.depth > top[:, None])
    values, valid = profiles.values.copy(), profiles.valid.copy()
    found = which[converged]
    values[found] -= np.where(kept & some.valid, added, 0.0)[converged]
    valid[found] &= kept[converged]
    return replace(profiles, values=np.where(valid, values, 0.0), valid=valid)


class _WithNeighbour(ThreeLayers):
    """`ThreeLayers` of known density beside a plate of the same; parameters x0, t, y0, y2, xa, ta.

    The plate reaches from xa − ta to xa; `behind` it (k,) lies trabecular bone. Soft tissue has
    the prior `soft` (mean, standard deviation), since a narrow gap does not show it.
    """

    def __init__(
        self,
        profiles: Profiles,
        outer_limit: np.ndarray,
        blur: Blur,
        cortical_density: np.ndarray,
        noise: float,
        soft: tuple[float, float],
        behind: np.ndarray,
    ) -> None:
        super().__init__(profiles, outer_limit, blur, cortical_density, noise)
        self.soft, self.soft_weight, self.behind = soft[0], noise / soft[1], behind

    def follow(self, outer_edge: np.ndarray, thickness: np.ndarray) -> None:
        """Weigh the samples as all methods do, but those of the other bone's edge fully."""
        outermost = np.minimum(outer_edge, self.outer_limit)
        super().follow(outermost, thickness + outer_edge - outermost)

    def other_bone(
        self, which: np.ndarray, depth: np.ndarray, parameters: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Signal of the other bone, its share of the blur, and derivatives of the signal by xa and ta."""
        y0, edge, plate = (parameters[:, column, None] for column in (2, 4, 5))
        y1, behind, blur = self.cortical_density[which, None], self.behind[which, None], self.blur.at(which)
        face, slope = blurred_step(depth - edge, *blur)
        back, back_slope = blurred_step(depth - edge + plate, *blur)
        added = (y1 - y0) * (1.0 - face) + (behind - y1) * (1.0 - back)
        by_plate = (y1 - behind) * back_slope
        return added, 1.0 - face, (y1 - y0) * slope - by_plate, by_plate

    def __call__(self, which: np.ndarray, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        few, femur = super().__call__(which, parameters[:, :4])
        added, face, by_edge, by_plate = self.other_bone(which, self.depth[which], parameters)
        weight, samples = self.root_weight[which], few.shape[1] - 1
        residual = np.concatenate([few, self.soft_weight * (parameters[:, 2, None] - self.soft)], axis=1)
        residual[:, :samples] += weight * added
        jacobian = np.zeros((6, *residual.shape))
        jacobian[:4, :, : samples + 1] = femur
        jacobian[2, :, :samples] -= weight * face
        jacobian[2, :, samples + 1] = self.soft_weight
        jacobian[4, :, :samples] = weight * by_edge
        jacobian[5, :, :samples] = weight * by_plate
        return residual, jacobian


def _soft_tissue(features: ProfileFeatures, alone: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the tissue outside bone where no other bone is near."""
    values = features.outside[alone & np.isfinite(features.outside)]
    if len(values) < OTHER.fewest:
        return OTHER.usual_soft
    middle = float(np.median(values))
    return middle, float(np.clip(1.4826 * np.median(np.abs(values - middle)), *OTHER.soft_sd))


def _peak_outward(profiles: Profiles, limit: np.ndarray) -> np.ndarray:
    """Depth (n,) of the first peak outward of `limit`."""
    within = (profiles.depth <= limit[:, None]) & (profiles.depth > limit[:, None] - OTHER.bone_mm)
    column = np.argmax(np.where(within & profiles.valid, profiles.values, -np.inf), axis=1)
    return profiles.depth[np.arange(len(limit)), column]


def _start(marks: ProfileFeatures, known: np.ndarray, top: np.ndarray, soft: float) -> np.ndarray:
    start = first_guess(marks, known)
    start[:, 2] = soft
    edge = np.minimum(0.5 * (top + marks.outer_limit), start[:, 0] - OTHER.least_gap_mm)
    return np.column_stack([start, edge, np.full(len(edge), OTHER.plate_mm[1])])


def _bounds(start: np.ndarray, known: np.ndarray, top: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lower, upper = layer_bounds(len(start), known, 0.0)
    first, last = np.minimum(top, start[:, 4]) - 0.5, start[:, 0] - OTHER.least_gap_mm
    thinnest, _, thickest = (np.full(len(start), limit) for limit in OTHER.plate_mm)
    return np.column_stack([lower, first, thinnest]), np.column_stack([upper, last, thickest])
