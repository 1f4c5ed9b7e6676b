"""The pose of a femur: the similarity from the average femur to it, found from any start.

Many rotations are tried at once on a few hundred points, the best are refined on more; no landmarks are
needed. Rotations are proper by construction (Umeyama 1991), so a femur is never flipped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ..core.surface import Surface
from .cut_ends import cut_end_of, cut_end_planes, mean_size_mm, principal_axes, thinned, with_cut_ends


@dataclass(frozen=True)
class PoseSearchSettings:
    """Numbers of the search for the pose; chosen by hand and not tuned where no origin is given.

    Attributes
    ----------
    n_first, n_coarse, n_fine : int
        About how many points of each bone are used, stage by stage.
    trim : float
        Share of the pairs, the closest ones, that have weight; what lies beyond a cut is not counted at all.
    settled_mm : float
        A pose has converged when no point moves by more.
    same_turn_rad : float
        Poses turned apart by less converge to the same one.
    least_overlap : float
        Share of the points of either bone that must have a counterpart.
    scale_tolerance : float
        Factor by which a refined scale may differ from the one estimated from volume and area.
    at_once : int
        Starts computed together, so that they stay in the processor's cache. Numerical.
    """

    n_first: int = 150
    n_coarse: int = 250
    n_fine: int = 1200
    trim: float = 0.8
    settled_mm: float = 0.05
    same_turn_rad: float = np.radians(10.0)
    least_overlap: float = 0.15
    scale_tolerance: float = 1.3
    at_once: int = 8


_SETTINGS = PoseSearchSettings()


@dataclass(frozen=True)
class Pose:
    """A similarity from the average femur to a subject.

    Attributes
    ----------
    scale : float
        Size of the subject over that of the average.
    rotation : ndarray of shape (3, 3)
        Proper: its determinant is +1.
    translation : ndarray of shape (3,)
        mm.
    misfit_mm : float
        Root mean square of the distances both ways, without the trimmed ones, over the scale; turned normals
        count as distance.
    """

    scale: float
    rotation: np.ndarray
    translation: np.ndarray
    misfit_mm: float

    @property
    def matrix(self) -> np.ndarray:
        """The similarity as a matrix of shape (4, 4)."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.scale * self.rotation
        matrix[:3, 3] = self.translation
        return matrix

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Carry points of the average to the subject, shape (n, 3)."""
        return self.scale * points @ self.rotation.T + self.translation

    def undo(self, points: np.ndarray) -> np.ndarray:
        """Carry points of the subject to the average, shape (n, 3)."""
        return (points - self.translation) @ self.rotation / self.scale


def find_pose(subject: Surface, average: Surface, start: Pose | None = None) -> Pose:
    """Find the pose of a subject, wherever and however it lies; see `pose_between`."""
    return pose_between(Clouds.of(subject), Clouds.of(average), start)


def pose_between(subject: Clouds, average: Clouds, start: Pose | None = None) -> Pose:
    """Find the similarity from the average femur to a subject, wherever and however that lies.

    Sixty rotations that cover all directions evenly (the icosahedral group, none farther than 45° from
    its neighbours) start from the principal axes of the two bones or, where one shaft is longer, of
    equally long ends of it. Each is improved by trimmed iterative closest points in position and
    normal (Besl and McKay 1992; Chetverikov et al. 2005), both ways; the
    better ones for longer.

    Parameters
    ----------
    subject, average : Clouds
        Both of the same side.
    start : Pose, optional
        Where to begin; no other start is tried then.

    Returns
    -------
    Pose
        From the average to the subject.
    """
    size = average.size_mm
    if start is not None:
        limits = (start.scale / _SETTINGS.scale_tolerance, start.scale * _SETTINGS.scale_tolerance)
        begin = (start.scale, start.rotation, start.translation)
        return _refine_alone(begin, subject.fine, average.fine, size, limits)
    scale = subject.size_mm / size
    starts = _starts(subject.first, average.first, scale)
    limits = (scale / _SETTINGS.scale_tolerance, scale * _SETTINGS.scale_tolerance)
    reach = 2.0 * size  # the mm that a fully turned normal counts: about a shaft's radius
    starts = _refine_together(starts, subject.first, average.first, reach, (scale, scale), 3, n_best=24)
    starts = _refine_together(starts, subject.coarse, average.coarse, reach, limits, 4, n_best=8)
    starts = _refine_together(starts, subject.coarse, average.coarse, reach, limits, 8, n_best=3)
    poses = [_refine_alone(one, subject.fine, average.fine, reach / 2, limits) for one in _distinct(starts)]
    return min(poses, key=lambda pose: pose.misfit_mm)


@dataclass(frozen=True)
class Clouds:
    """The points of a bone that the search for its pose uses.

    Attributes
    ----------
    size_mm : float
        Volume over area.
    first, coarse, fine : _Cloud
        Ever more of its points.
    """

    size_mm: float
    first: _Cloud
    coarse: _Cloud
    fine: _Cloud

    @classmethod
    def of(cls, surface: Surface) -> Clouds:
        """Choose points of a closed surface."""
        surface = with_cut_ends(surface)
        planes = cut_end_planes(surface)
        counts = (_SETTINGS.n_first, _SETTINGS.n_coarse, _SETTINGS.n_fine)
        return cls(mean_size_mm(surface), *(_Cloud.of(surface, planes, count) for count in counts))

    def mirrored(self) -> Clouds:
        """Return the left-right mirror image."""
        return Clouds(self.size_mm, *(each.mirrored() for each in (self.first, self.coarse, self.fine)))


@dataclass(frozen=True)
class _Cloud:
    """Evenly spread points of a surface without its cut ends, and the planes of those."""

    points: np.ndarray
    normals: np.ndarray
    cut_points: np.ndarray
    cut_normals: np.ndarray

    @classmethod
    def of(cls, surface: Surface, planes: tuple[np.ndarray, np.ndarray], n_samples: int) -> _Cloud:
        usable = np.flatnonzero(~cut_end_of(surface))
        points = surface.points[usable]
        chosen = usable[thinned(points, np.sqrt(surface.point_areas[usable].sum() / n_samples))]
        return cls(surface.points[chosen], surface.normals[chosen], *planes)

    def mirrored(self) -> _Cloud:
        return _Cloud(*(part * [-1.0, 1.0, 1.0] for part in vars(self).values()))

    def features(self, reach: float) -> np.ndarray:
        return np.concatenate([self.points, reach * self.normals], axis=1)

    def has_counterpart(self, points: np.ndarray) -> np.ndarray:
        """Whether points, shape (..., 3), lie on this bone's side of all its cuts."""
        beyond = points @ self.cut_normals.T > (self.cut_points * self.cut_normals).sum(axis=1)
        return ~beyond.any(axis=-1)


def _starts(target: _Cloud, source: _Cloud, scale: float) -> tuple[np.ndarray, ...]:
    """Scales, rotations and translations to begin with, stacked."""
    group = Rotation.create_group("I").as_matrix()
    length = np.ptp(source.points @ principal_axes(source.points)[:, 0])
    scales, rotations, translations = [], [], []
    for target_end in _ends(target.points, length * scale):
        for source_end in _ends(
            source.points, np.ptp(target.points @ principal_axes(target.points)[:, 0]) / scale
        ):
            rotation = principal_axes(target_end) @ group @ principal_axes(source_end).T
            rotations.append(rotation)
            translations.append(target_end.mean(axis=0) - scale * rotation @ source_end.mean(axis=0))
            scales.append(np.full(len(group), scale))
    return np.concatenate(scales), np.concatenate(rotations), np.concatenate(translations)


def _ends(points: np.ndarray, length: float) -> list[np.ndarray]:
    """The bone and, if it is clearly longer than `length`, also both its ends cut to that length."""
    along = points @ principal_axes(points)[:, 0]
    if np.ptp(along) < 1.1 * length:
        return [points]
    return [points, points[along < along.min() + length], points[along > along.max() - length]]


def _refine_together(
    starts: tuple[np.ndarray, ...],
    target: _Cloud,
    source: _Cloud,
    reach: float,
    limits: tuple[float, float],
    n_iterations: int,
    n_best: int,
) -> tuple[np.ndarray, ...]:
    """Iterate all starts side by side on few points, by all distances; keep the best."""
    scales, rotations, translations = starts
    for _ in range(n_iterations):
        turned = rotations.transpose(0, 2, 1)
        moved = scales[:, None, None] * (source.points @ turned) + translations[:, None, :]
        forth, to_target, back, to_source = _closest(moved, source.normals @ turned, target, reach)
        returned = (target.points - translations[:, None, :]) @ rotations / scales[:, None, None]
        weights = np.concatenate(
            [
                _trimmed_weights(forth, target.has_counterpart(moved)),
                _trimmed_weights(back, source.has_counterpart(returned)),
            ],
            axis=1,
        )
        misfit = (weights * np.concatenate([forth, back], axis=1)).sum(axis=1)
        moving = np.concatenate([_stacked(source.points, len(scales)), source.points[to_source]], axis=1)
        fixed = np.concatenate([target.points[to_target], _stacked(target.points, len(scales))], axis=1)
        scales, rotations, translations = _similarity(moving, fixed, weights, limits)
    best = np.argsort(misfit)[:n_best]
    return scales[best], rotations[best], translations[best]


def _distinct(starts: tuple[np.ndarray, ...]) -> list[tuple[float, np.ndarray, np.ndarray]]:
    """Of poses, the best first, those that are turned from every better one."""
    kept: list[tuple[float, np.ndarray, np.ndarray]] = []
    for start in zip(*starts):
        turns = [Rotation.from_matrix(start[1] @ other.T).magnitude() for _, other, _ in kept]
        if min(turns, default=np.inf) > _SETTINGS.same_turn_rad:
            kept.append(start)
    return kept


def _stacked(points: np.ndarray, n: int) -> np.ndarray:
    return np.broadcast_to(points, (n, *points.shape))


def _closest(
    moved: np.ndarray, normals: np.ndarray, target: _Cloud, reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Least squared distance in position and normal, and whose it is: from each source, to each target.

    All distances are one matrix product, |a|² + |b|² - 2ab; a few starts at a time stay in the cache.
    """
    moved, fixed = np.concatenate([moved, reach * normals], axis=2), target.features(reach)
    centre = fixed.mean(axis=0)  # single precision is enough about the bone, not about the scanner
    moved, fixed = (moved - centre).astype(np.float32), (fixed - centre).astype(np.float32)
    ones = np.ones((*moved.shape[:2], 1), dtype=np.float32)
    moved = np.concatenate([-2.0 * moved, (moved**2).sum(axis=2, keepdims=True), ones], axis=2)
    fixed = np.concatenate(
        [fixed, ones[0, :1].repeat(len(fixed), 0), (fixed**2).sum(axis=1)[:, None]], axis=1
    )
    found = []
    for first in range(0, len(moved), _SETTINGS.at_once):
        distance = moved[first : first + _SETTINGS.at_once] @ fixed.T
        to_target, to_source = distance.argmin(axis=2), distance.argmin(axis=1)
        forth = np.take_along_axis(distance, to_target[:, :, None], axis=2)[:, :, 0]
        back = np.take_along_axis(distance, to_source[:, None, :], axis=1)[:, 0]
        found.append((np.maximum(forth, 0.0), to_target, np.maximum(back, 0.0), to_source))
    return tuple(np.concatenate(part) for part in zip(*found))


def _trimmed_weights(squared: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Equal weights for the shortest of the allowed distances of each row, zero for the rest; sum 0.5."""
    ordered = np.sort(np.where(allowed, squared, np.inf), axis=1)
    last = np.maximum(np.ceil(_SETTINGS.trim * allowed.sum(axis=1)).astype(int) - 1, 0)
    untrimmed = allowed & (squared <= np.take_along_axis(ordered, last[:, None], axis=1))
    # A pose without overlap must not look good: all its distances count.
    untrimmed[allowed.mean(axis=1) < _SETTINGS.least_overlap] = True
    return 0.5 * untrimmed / untrimmed.sum(axis=1, keepdims=True)


def _similarity(
    moving: np.ndarray, fixed: np.ndarray, weights: np.ndarray, limits: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted least-squares similarities of stacked pairs (Umeyama 1991, eqs 40-43)."""
    weights = (weights / weights.sum(axis=1, keepdims=True))[:, :, None]
    moving_mean, fixed_mean = (weights * moving).sum(axis=1), (weights * fixed).sum(axis=1)
    moving, fixed = moving - moving_mean[:, None], fixed - fixed_mean[:, None]
    u, spread, vt = np.linalg.svd((weights * fixed).transpose(0, 2, 1) @ moving)
    sign = np.ones_like(spread)
    sign[:, 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
    rotations = (u * sign[:, None, :]) @ vt
    scales = (spread * sign).sum(axis=1) / (weights * moving**2).sum(axis=(1, 2))
    scales = np.clip(scales, *limits)
    translations = fixed_mean - scales[:, None] * np.einsum("bij,bj->bi", rotations, moving_mean)
    return scales, rotations, translations


def _refine_alone(
    start: tuple[float, np.ndarray, np.ndarray],
    target: _Cloud,
    source: _Cloud,
    reach: float,
    limits: tuple[float, float],
    n_iterations: int = 20,
) -> Pose:
    """Improve one pose on more points; the weight of a pair fades with its distance (Geman, McClure)."""
    scale, rotation, translation = start
    fixed = target.features(reach)
    tree = cKDTree(fixed)
    for _ in range(n_iterations):
        points = scale * source.points @ rotation.T + translation
        moved = np.concatenate([points, reach * source.normals @ rotation.T], axis=1)
        forth, to_target = tree.query(moved)
        back, to_source = cKDTree(moved).query(fixed)
        returned = (target.points - translation) @ rotation / scale
        distances = (forth, back)
        allowed = target.has_counterpart(points), source.has_counterpart(returned)
        weights = np.concatenate([_robust_weights(*way) for way in zip(distances, allowed)])
        moving = np.concatenate([source.points, source.points[to_source]])
        pairs = np.concatenate([target.points[to_target], target.points])
        (scale,), (rotation,), (translation,) = _similarity(moving[None], pairs[None], weights[None], limits)
        if np.abs(scale * source.points @ rotation.T + translation - points).max() < _SETTINGS.settled_mm:
            break
    squares = [(way**2)[None] for way in distances]
    misfit = sum((_trimmed_weights(way, ok[None]) * way).sum() for way, ok in zip(squares, allowed))
    return Pose(float(scale), rotation, translation, float(np.sqrt(misfit)) / scale)


def _robust_weights(distance: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Weights that fade with the distance, relative to what is usual among the allowed."""
    if allowed.mean() < _SETTINGS.least_overlap:
        allowed = np.ones_like(allowed)
    return allowed / (1.0 + (distance / (2.0 * np.median(distance[allowed]) + 1e-9)) ** 2) ** 2
