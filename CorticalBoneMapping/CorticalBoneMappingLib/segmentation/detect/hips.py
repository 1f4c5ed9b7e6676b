"""Find the hips of a CT: where each femoral head is, how large, and of which side.

``find_heads(volume, femur, side=None, seed=None, progress=None) -> list[HeadDetection]``: `femur` is the
average right femur (``load_average().surface``: head centre at the origin, axes RAS). A `HeadDetection` has
``side, centre, radius_mm, confidence, agreement, ball, seen, pose``; its `pose` (4 × 4) brings the average
femur (mirrored for the left) onto the image roughly, a start for fitting a shape model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from ...core.errors import SegmentationError
from ...core.metal import without_metal
from ...core.progress import Progress
from ...core.surface import Surface
from ...core.volume import Volume
from ...io.volume_checks import check_ct
from .edge_grid import BoneGrid, bone_grid
from .places import likely_poses
from .pose import FemurTemplate, agreement, fit_ball, refine, turns_of

Side = Literal["left", "right"]

_PLACES, _KEPT, _MOST_BALLS = 30, 10, 8
_COARSE, _FINE = (4.0, 8.0), (2.0, 8.0)  # smoothing in mm, faint edge in HU/mm
# Chance reaches an agreement of 0.5 in a corner of a scan and a ball of 0.3, but not both at one place.
_LEAST_AGREEMENT, _LEAST_BALL, _LEAST_BOTH = 0.42, 0.26, 0.68
_LEAST_WHOLE = 0.5  # agreement of a femur that is seen whole
_SURE_BOTH, _SURE_SIDE = 1.2, 0.15
_SAME_PLACE_MM, _SAME_HIP_MM = 15.0, 40.0
# Head, neck and trochanters are half of the average femur; less can be anything round, as in a knee.
_LEAST_SEEN, _SMALLEST_MM = 0.48, 18.5
_LEAST_HEAD_HU = 70.0
_BETWEEN_HIPS_MM = 110.0  # adults' are at least 140 mm apart
_LEAST_SHARE = 0.55  # of the evidence for the first hip
_LEAST_OTHER, _LEAST_OTHER_BALL = 0.65, 0.2  # where the first says where and how large
# Lung, not the air about the patient or in the bowel (-1000 HU) or the patient's skin.
_LUNG_HU, _LUNG_SHARE, _LUNG_REACH_MM, _LUNG_STEP_MM = (-950.0, -500.0), 0.8, 150.0, 4.0
_LEAST_LUNG_CM3 = 40.0
_FROM_SEED_MM = 60.0


@dataclass(frozen=True)
class HeadDetection:
    """A proximal femur in a CT.

    Attributes
    ----------
    side : str
        ``left`` or ``right``, by its shape.
    centre : ndarray of shape (3,)
        Of the femoral head, RAS mm.
    radius_mm : float
        Of the femoral head.
    confidence : float
        0 to 1: how well the whole femur agrees with the image, and how much better than one of the other
        side.
    agreement : float
        Mean over the visible surface of the average femur of the edge along its normal, up to 1.
    ball : float
        How well the edges about the head are those of a ball with a plate in a socket, up to about 1.5.
    seen : float
        Share of the average femur that lies within the scan.
    pose : ndarray of shape (4, 4)
        From the average right femur to the image (a similarity with a mirror image for the left), RAS mm.
    """

    side: Side
    centre: np.ndarray
    radius_mm: float
    confidence: float
    agreement: float
    ball: float
    seen: float
    pose: np.ndarray

    @property
    def evidence(self) -> float:
        """Agreement of the femur and of its head together."""
        return self.agreement + self.ball


def find_heads(
    volume: Volume,
    femur: Surface,
    side: Literal["left", "right", "both"] | None = None,
    seed: np.ndarray | None = None,
    progress: Progress | None = None,
) -> list[HeadDetection]:
    """Find all proximal femurs of a CT, or those asked for.

    Parameters
    ----------
    volume : Volume
        HU.
    femur : Surface
        Average right femur, head centre at the origin, axes RAS, with ``cut_end`` if it was cut.
    side : str, optional
        ``left``, ``right`` or ``both``; without it whatever is there.
    seed : ndarray of shape (3,), optional
        A RAS point in a femur or within 60 mm of its head: only that hip is given.
    progress : Progress, optional
        Told how far the search is.

    Returns
    -------
    list of HeadDetection
        Right before left.

    Raises
    ------
    SegmentationError
        If no hip is found, or not the one that was asked for.
    VolumeError
        If the volume is no CT (see `check_ct`).
    """
    progress = progress or Progress()
    progress.report(0.0, "Looking for hips")
    check_ct(volume)
    clean = without_metal(volume).volume
    bone = bone_grid(clean)
    template = FemurTemplate.of(femur)
    poses, sides = likely_poses(bone, femur, _PLACES)
    progress.report(0.5, "Looking closer at each place")
    poses, sides = _climbed(bone, template, poses, sides)
    progress.report(0.7, "Fitting the femoral heads")
    found = _detections(clean, bone, template, poses, sides)
    if len(found) == 1:
        found += _other_hip(clean, bone, template, found[0])
    progress.report(1.0, f"{len(found)} hips found")
    return asked_for(found, side, seed, volume.source)


def _climbed(
    bone: BoneGrid, template: FemurTemplate, poses: np.ndarray, sides: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Refine from coarse to fine; every place is tried with either side."""
    mirrored = poses * [1.0, 1.0, 1.0, 1.0, -1.0, -1.0, 1.0]
    poses, sides = np.concatenate([poses, mirrored]), np.concatenate([sides, -sides])
    coarse, fine = bone.edges(*_COARSE), bone.edges(*_FINE)
    poses = refine(template, coarse, poses, sides, rounds=8)
    kept = _best(agreement(template, coarse, poses, sides)[0], sides, _KEPT)
    poses, sides = poses[kept], sides[kept]
    poses = refine(template, coarse, poses, sides, rounds=6, first_step=0.5)
    return refine(template, fine, poses, sides, rounds=14, first_step=0.6), sides


def _best(scores: np.ndarray, sides: np.ndarray, most: int) -> np.ndarray:
    """Indices of the best of either side."""
    order = np.argsort(-scores, kind="stable")
    return np.concatenate([order[sides[order] == side][:most] for side in (1.0, -1.0)])


def _detections(
    volume: Volume, bone: BoneGrid, template: FemurTemplate, poses: np.ndarray, sides: np.ndarray
) -> list[HeadDetection]:
    """Give the poses that are femurs, the surest first, one a hip."""
    scores, seen = agreement(template, bone.edges(*_FINE), poses, sides)
    scores = np.where(_head_hu(bone, template, poses, sides) > _LEAST_HEAD_HU, scores, 0.0)
    found: list[HeadDetection] = []
    for index in _one_a_place(poses, sides, scores):
        apart = np.linalg.norm(poses[:, :3] - poses[index, :3], axis=1)
        rivals = scores[(apart < _SAME_HIP_MM) & (sides != sides[index])]
        other = float(rivals.max(initial=0.0))
        found.append(
            _detection(volume, template, poses[index], sides[index], scores[index], seen[index], other)
        )
    found = [one for one in found if _is_femur(one)]
    return _of_one_person([one for one in found if not _near_lung(volume, one.centre)])


def _head_hu(bone: BoneGrid, template: FemurTemplate, poses: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """Mean of the windowed HU half-way out in the head, where seen; 0 where not, shape (n_poses,)."""
    reach = 0.5 * template.head_radius_mm * np.exp(poses[:, 6])[:, None, None]
    within = np.einsum("qab,pb->qpa", turns_of(poses, sides), template.head_directions) * reach
    values = bone.grid.sample(poses[:, None, :3] + within)
    return np.nan_to_num(values).sum(axis=1) / np.maximum(np.isfinite(values).sum(axis=1), 1)


def _is_femur(one: HeadDetection) -> bool:
    """Whether femur and ball are both there; the more of a femur is seen, the better it must agree."""
    whole = np.clip((one.seen - 0.55) / 0.45, 0.0, 1.0)
    least = _LEAST_AGREEMENT + whole * (_LEAST_WHOLE - _LEAST_AGREEMENT)
    enough = one.agreement >= least and one.ball >= _LEAST_BALL and one.evidence >= _LEAST_BOTH
    return enough and one.seen >= _LEAST_SEEN and one.radius_mm >= _SMALLEST_MM


def _near_lung(volume: Volume, centre: np.ndarray) -> bool:
    """Whether lung is near: then it is the head of a humerus, a ball in a socket, too."""
    around = volume.crop(centre[None], _LUNG_REACH_MM)
    every = np.maximum(1, np.rint(_LUNG_STEP_MM / volume.spacing_mm)).astype(int)
    values = around.array[:: every[2], :: every[1], :: every[0]]
    lung = ((values > _LUNG_HU[0]) & (values < _LUNG_HU[1])).astype(np.float32)
    inner = ndimage.uniform_filter(lung, 5) > _LUNG_SHARE
    cell_cm3 = float(np.prod(volume.spacing_mm * every)) / 1000.0
    return np.count_nonzero(inner) * cell_cm3 > _LEAST_LUNG_CM3


def _of_one_person(found: list[HeadDetection]) -> list[HeadDetection]:
    """Keep the surest, and the surest of the other side where a person's other hip may be."""
    found = sorted(found, key=lambda one: -one.evidence)
    for other in found[1:]:
        first = found[0]
        across = float(first.centre[0] - other.centre[0]) * (1.0 if first.side == "right" else -1.0)
        alike = other.evidence >= _LEAST_SHARE * first.evidence
        if other.side != first.side and across > _BETWEEN_HIPS_MM and alike:
            return [first, other]
    return found[:1]


def _one_a_place(poses: np.ndarray, sides: np.ndarray, scores: np.ndarray) -> list[int]:
    """Indices of the best pose of either side at each place, the best first."""
    chosen: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if scores[index] < _LEAST_AGREEMENT or len(chosen) == _MOST_BALLS:
            break
        same = [one for one in chosen if sides[one] == sides[index]]
        if all(np.linalg.norm(poses[index, :3] - poses[one, :3]) > _SAME_PLACE_MM for one in same):
            chosen.append(int(index))
    return chosen


def _detection(
    volume: Volume,
    template: FemurTemplate,
    pose: np.ndarray,
    side: float,
    score: float,
    seen: float,
    other: float,
    radius_mm: float | None = None,
) -> HeadDetection:
    around = bone_grid(volume.crop(pose[None, :3], 50.0), 1.0)
    centre, radius, ball = fit_ball(template, around.edges(1.0, 20.0), pose, side, radius_mm)
    matrix = np.eye(4)
    matrix[:3, :3] = turns_of(pose[None], np.array([side]))[0] * np.exp(pose[6])
    matrix[:3, 3] = pose[:3]
    sure = np.clip((score + ball - 0.5) / (_SURE_BOTH - 0.5), 0.0, 1.0)
    sided = np.clip((score - other) / _SURE_SIDE, 0.0, 1.0)
    name: Side = "right" if side > 0 else "left"
    return HeadDetection(name, centre, radius, float(sure * sided), float(score), ball, float(seen), matrix)


def _other_hip(
    volume: Volume, bone: BoneGrid, template: FemurTemplate, first: HeadDetection
) -> list[HeadDetection]:
    """Look for the mirror image of a hip where the person's other one has to be; metal may hide it."""
    side = 1.0 if first.side == "right" else -1.0
    poses = _mirrored(first, side)
    edges = bone.edges(*_COARSE)
    poses = poses[edges.at(poses[:, :3])[1]]
    if not len(poses):
        return []
    sides = np.full(len(poses), -side)
    poses = refine(template, edges, poses, sides, rounds=8)
    best = np.argsort(-agreement(template, edges, poses, sides)[0], kind="stable")[:_KEPT]
    fine, sides = bone.edges(*_FINE), sides[best]
    poses = refine(template, fine, poses[best], sides, rounds=14, first_step=0.6)
    scores, seen = agreement(template, fine, poses, sides)
    index = int(scores.argmax())
    other = _detection(
        volume, template, poses[index], -side, scores[index], seen[index], 0.0, first.radius_mm
    )
    enough = max(_LEAST_OTHER, _LEAST_SHARE * first.evidence)
    sure = (
        other.evidence >= enough and other.agreement >= _LEAST_AGREEMENT and other.ball >= _LEAST_OTHER_BALL
    )
    return [other] if sure and not _near_lung(volume, other.centre) else []


def _mirrored(first: HeadDetection, side: float) -> np.ndarray:
    """Poses of the other femur at the places where its head may be, shape (n, 7)."""
    size = np.cbrt(abs(np.linalg.det(first.pose[:3, :3])))
    turn = Rotation.from_matrix(first.pose[:3, :3] / size * [side, 1.0, 1.0]).as_rotvec() * [1.0, -1.0, -1.0]
    across, up = np.arange(140.0, 221.0, 10.0), np.array([-12.0, 0.0, 12.0])
    away = np.stack(np.meshgrid(-side * across, up, up, indexing="ij"), axis=-1).reshape(-1, 3)
    pose = np.concatenate([turn, [np.log(size)]])
    return np.concatenate([first.pose[:3, 3] + away, np.tile(pose, (len(away), 1))], axis=1)


def asked_for(
    found: list[HeadDetection], side: str | None, seed: np.ndarray | None, source: str
) -> list[HeadDetection]:
    """Choose from all hips of a CT those that are asked for, as `find_heads` does.

    Raises
    ------
    SegmentationError
        If there is none, or not the one that was asked for; names the scan, `source`.
    """
    if not found:
        raise SegmentationError(
            f"{source}: no hip was found. A scan is needed that shows the head and neck of a femur; if it "
            "does, check that the file's orientation is the patient's."
        )
    if seed is not None:
        found = [_nearest(found, np.asarray(seed, float), source)]
    for wanted in ("right", "left") if side == "both" else (side,) if side else ():
        if not any(one.side == wanted for one in found):
            raise SegmentationError(
                f"{source}: no {wanted} hip was found here, only the {found[0].side} one. "
                "Choose that side, or check that the file's orientation is the patient's."
            )
    kept = [one for one in found if side in (None, "both", one.side)]
    return sorted(kept, key=lambda one: one.side, reverse=True)


def _nearest(found: list[HeadDetection], seed: np.ndarray, source: str) -> HeadDetection:
    distances = [float(np.linalg.norm(one.centre - seed)) for one in found]
    if min(distances) > _FROM_SEED_MM:
        raise SegmentationError(
            f"{source}: there is no hip at the point you gave; the nearest femoral head is "
            f"{min(distances):.0f} mm away. Put the point into the femoral head."
        )
    return found[int(np.argmin(distances))]
