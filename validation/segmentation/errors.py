"""What a found femur is judged by: overlap, distance between surfaces, leaks, and the head's centre."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.mesh.closest import closest_points, interpolate

from .finder import Found
from .making import KnownScan, TrueFemur, other_bone

_FROM_BORDER_MM = 1.5
_HEAD_WITHIN, _HEAD_OPEN = (
    1.1,
    0.2,
)  # of the radius; cosine of the angle to the neck beyond which it is not head


@dataclass(frozen=True)
class Errors:
    """How far one found femur is from the truth.

    Attributes
    ----------
    dice : float
        Of the voxels.
    to_truth : ndarray of shape (n_found,)
        Distance of the found surface's points from the true surface, mm, positive outside the bone;
        not-a-number where it is not counted.
    from_truth : ndarray of shape (n_true,)
        Distance of the true surface's points from the found surface, mm; not-a-number where not counted.
    found_areas, true_areas : ndarray
        Area that each point represents, mm².
    leak_mm3 : float
        Found volume in bone that is not a femur.
    head_mm : float
        Between the centres of spheres in the found and the true head; not-a-number without one.
    """

    dice: float
    to_truth: np.ndarray
    from_truth: np.ndarray
    found_areas: np.ndarray
    true_areas: np.ndarray
    leak_mm3: float
    head_mm: float

    @property
    def mean_mm(self) -> float:
        """Mean distance, the mean of both ways."""
        return 0.5 * sum(float(np.average(values, weights=areas)) for values, areas in self._both())

    @property
    def high_mm(self) -> float:
        """95th percentile of the distance, the larger of both ways."""
        return max(_percentile(values, areas, 0.95) for values, areas in self._both())

    @property
    def most_mm(self) -> float:
        """Largest distance of both ways."""
        return max(float(values.max()) for values, _ in self._both())

    @property
    def signed_mm(self) -> float:
        """Mean distance of the found surface with its sign: positive where it lies outside."""
        counted = np.isfinite(self.to_truth)
        return float(np.average(self.to_truth[counted], weights=self.found_areas[counted]))

    def _both(self) -> list[tuple[np.ndarray, np.ndarray]]:
        pairs = [(np.abs(self.to_truth), self.found_areas), (self.from_truth, self.true_areas)]
        return [(values[np.isfinite(values)], areas[np.isfinite(values)]) for values, areas in pairs]


def errors_of(found: Found, true: TrueFemur, known: KnownScan) -> Errors:
    """Compare a found femur with the truth.

    Points within 1.5 mm of the border of the scan, and all beyond it, are not counted: no scan shows them,
    and the caps of a cut bone lie there.

    Parameters
    ----------
    found : Found
        As the library gives it.
    true : TrueFemur
        The femur that it should be.
    known : KnownScan
        In which both lie.

    Returns
    -------
    Errors
    """
    mask, truth = mask_on(found.labelmap(), known.volume), known.labelmap.array == true.label
    voxel_mm3 = float(np.prod(known.volume.spacing_mm))
    inside = counted(found.surface.points, known.volume)
    truth_inside = counted(true.surface.points, known.volume)
    to_truth = np.full(len(inside), np.nan)
    to_truth[inside] = signed_distance(true.surface, found.surface.points[inside])
    from_truth = np.full(len(truth_inside), np.nan)
    from_truth[truth_inside] = closest_points(found.surface, true.surface.points[truth_inside]).distance
    return Errors(
        dice=dice(mask, truth),
        to_truth=to_truth,
        from_truth=from_truth,
        found_areas=found.surface.point_areas,
        true_areas=true.surface.point_areas,
        leak_mm3=float(np.count_nonzero(mask & other_bone(known))) * voxel_mm3,
        head_mm=_between_heads(found.surface, true, inside, truth_inside),
    )


def matched(found: tuple[Found, ...], known: KnownScan) -> list[tuple[TrueFemur, Found | None]]:
    """Give each true femur the found one that overlaps it most, if any does."""
    found = tuple(one for one in found if one.surface is not None)
    pairs = []
    for true in known.femurs:
        truth = known.labelmap.array == true.label
        overlaps = [dice(mask_on(one.labelmap(), known.volume), truth) for one in found]
        best = int(np.argmax(overlaps)) if overlaps else -1
        pairs.append((true, found[best] if overlaps and overlaps[best] > 0 else None))
    return pairs


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice coefficient of two masks; 0 if both are empty."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2.0 * np.count_nonzero(a & b) / total if total else 0.0


def mask_on(labelmap: Volume, volume: Volume) -> np.ndarray:
    """Give a found label map as a mask on the grid of the CT, shape of the CT."""
    same = labelmap.array.shape == volume.array.shape
    if same and np.allclose(labelmap.ijk_to_ras, volume.ijk_to_ras, atol=1e-3):
        return labelmap.array > 0
    k, j, i = np.indices(volume.array.shape, sparse=True)
    points = volume.points_of(np.stack(np.broadcast_arrays(i, j, k), axis=-1))
    binary = Volume((labelmap.array > 0).astype(np.uint8), labelmap.ijk_to_ras)
    return np.nan_to_num(binary.sample(points, order=0)) > 0.5


def counted(points: np.ndarray, volume: Volume) -> np.ndarray:
    """Whether points lie between the outermost voxels' centres, farther than 1.5 mm from them."""
    depth_mm = volume.index_of(points) * volume.spacing_mm
    far_mm = (np.array(volume.array.shape[::-1]) - 1) * volume.spacing_mm - depth_mm
    return np.all((depth_mm > _FROM_BORDER_MM) & (far_mm > _FROM_BORDER_MM), axis=1)


def signed_distance(surface: Surface, points: np.ndarray) -> np.ndarray:
    """Distance of points (n, 3) from a closed surface, mm, positive outside."""
    found = closest_points(surface, points)
    place, normal = (
        interpolate(surface, values, found.triangle, found.weights)
        for values in (surface.points, surface.normals)
    )
    return np.copysign(found.distance, np.einsum("ij,ij->i", points - place, normal))


def _between_heads(found: Surface, true: TrueFemur, inside: np.ndarray, truth_inside: np.ndarray) -> float:
    """Distance between spheres through what of either surface lies on the true head and in the scan."""
    neck = true.surface.points[truth_inside].mean(axis=0) - true.head_centre
    neck /= np.linalg.norm(neck)
    centres = []
    for points in (found.points[inside], true.surface.points[truth_inside]):
        arm = points - true.head_centre
        length = np.linalg.norm(arm, axis=1)
        near = np.abs(length / true.head_radius_mm - 1.0) < _HEAD_WITHIN - 1.0
        head = points[near & (arm @ neck < _HEAD_OPEN * length)]
        if len(head) < 50:
            return float("nan")
        centres.append(_sphere_centre(head))
    return float(np.linalg.norm(centres[0] - centres[1]))


def _sphere_centre(points: np.ndarray) -> np.ndarray:
    """Algebraic least squares: |p|² = 2 c·p + (r² − |c|²) is linear."""
    origin = points.mean(axis=0)
    local = points - origin
    system = np.column_stack([2.0 * local, np.ones(len(local))])
    return np.linalg.lstsq(system, (local**2).sum(axis=1), rcond=None)[0][:3] + origin


def _percentile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    order = np.argsort(values)
    along = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(along, share)])
