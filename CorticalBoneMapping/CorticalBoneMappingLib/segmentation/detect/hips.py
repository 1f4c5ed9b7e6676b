"""Find the femoral heads of a CT, with their sides.

Candidate places come from a correlation of the average femur with the edges of bone (`places`). The pose at
each is refined, and a ball is fitted to the head (`pose`). Femur and ball must both agree with the image.
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
from ...core.side import Side
from ...core.surface import Surface
from ...core.volume import Volume
from ...io.volume_checks import check_ct
from .edge_grid import BoneGrid, bone_grid
from .places import likely_poses
from .pose import FemurTemplate, agreement, fit_ball, refine, turns_of
from .settings import HIPS


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
    def score(self) -> float:
        """Agreement of the femur and of its head together."""
        return self.agreement + self.ball


def find_heads(
    volume: Volume,
    femur: Surface,
    side: Literal["left", "right", "both"] | None = None,
    seed: np.ndarray | None = None,
    progress: Progress | None = None,
) -> list[HeadDetection]:
    """Find all proximal femurs of a CT, or the chosen ones.

    Parameters
    ----------
    volume : Volume
        HU.
    femur : Surface
        Average right femur, head centre at the origin, axes RAS, with ``cut_end`` if it was cut.
    side : str, optional
        ``left``, ``right`` or ``both``; by default all hips that are found.
    seed : ndarray of shape (3,), optional
        RAS mm, in a femur or within 60 mm of its head: only that hip is returned.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    list of HeadDetection
        Right before left.

    Raises
    ------
    SegmentationError
        If no hip is found, or not the chosen one.
    VolumeError
        If the volume is not a CT (see `check_ct`).
    """
    progress = progress or Progress()
    progress.report(0.0, "Looking for hips")
    check_ct(volume)
    clean = without_metal(volume).volume
    bone = bone_grid(clean)
    template = FemurTemplate.of(femur)
    poses, sides = likely_poses(bone, femur, HIPS.places)
    progress.report(0.5, "Looking closer at each place")
    poses, sides = _climbed(bone, template, poses, sides)
    progress.report(0.7, "Fitting the femoral heads")
    found = _detections(clean, bone, template, poses, sides)
    if len(found) == 1:
        found += _other_hip(clean, bone, template, found[0])
    progress.report(1.0, f"{len(found)} hips found")
    return chosen_hips(found, side, seed, volume.source)


def _climbed(
    bone: BoneGrid, template: FemurTemplate, poses: np.ndarray, sides: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Refine from coarse to fine; every place is tried with either side."""
    mirrored = poses * [1.0, 1.0, 1.0, 1.0, -1.0, -1.0, 1.0]
    poses, sides = np.concatenate([poses, mirrored]), np.concatenate([sides, -sides])
    coarse, fine = bone.edges(*HIPS.coarse), bone.edges(*HIPS.fine)
    poses = refine(template, coarse, poses, sides, *HIPS.climb[0])
    kept = _best(agreement(template, coarse, poses, sides)[0], sides, HIPS.kept)
    poses, sides = poses[kept], sides[kept]
    poses = refine(template, coarse, poses, sides, *HIPS.climb[1])
    return refine(template, fine, poses, sides, *HIPS.climb[2]), sides


def _best(scores: np.ndarray, sides: np.ndarray, most: int) -> np.ndarray:
    """Indices of the best of either side."""
    order = np.argsort(-scores, kind="stable")
    return np.concatenate([order[sides[order] == side][:most] for side in (1.0, -1.0)])


def _detections(
    volume: Volume, bone: BoneGrid, template: FemurTemplate, poses: np.ndarray, sides: np.ndarray
) -> list[HeadDetection]:
    """Return the poses that are femurs, the surest first, one per hip."""
    scores, seen = agreement(template, bone.edges(*HIPS.fine), poses, sides)
    scores = np.where(_head_hu(bone, template, poses, sides) > HIPS.least_head_hu, scores, 0.0)
    found: list[HeadDetection] = []
    for index in _one_a_place(poses, sides, scores):
        apart = np.linalg.norm(poses[:, :3] - poses[index, :3], axis=1)
        rivals = scores[(apart < HIPS.same_hip_mm) & (sides != sides[index])]
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
    whole = np.clip((one.seen - HIPS.partly_seen) / HIPS.seen_range, 0.0, 1.0)
    least = HIPS.least_agreement + whole * (HIPS.least_whole - HIPS.least_agreement)
    enough = one.agreement >= least and one.ball >= HIPS.least_ball and one.score >= HIPS.least_score
    return enough and one.seen >= HIPS.least_seen and one.radius_mm >= HIPS.smallest_mm


def _near_lung(volume: Volume, centre: np.ndarray) -> bool:
    """Whether lung is near: then it is the head of a humerus, a ball in a socket, too."""
    around = volume.crop(centre[None], HIPS.lung_reach_mm)
    every = np.maximum(1, np.rint(HIPS.lung_step_mm / volume.spacing_mm)).astype(int)
    values = around.array[:: every[2], :: every[1], :: every[0]]
    lung = ((values > HIPS.lung_hu[0]) & (values < HIPS.lung_hu[1])).astype(np.float32)
    inner = ndimage.uniform_filter(lung, 5) > HIPS.lung_share
    inner &= _within_body(values, 2 - int(np.abs(volume.ijk_to_ras[1, :3] / volume.spacing_mm).argmax()))
    cell_cm3 = float(np.prod(volume.spacing_mm * every)) / 1000.0
    return np.count_nonzero(inner) * cell_cm3 > HIPS.least_lung_cm3


def _within_body(values: np.ndarray, axis: int) -> np.ndarray:
    """Cells with soft tissue both before and behind them, as lung has, but not the foam of a couch."""
    tissue = ndimage.minimum_filter(values, 3) > HIPS.tissue_hu
    before = np.logical_or.accumulate(tissue, axis)
    return before & np.flip(np.logical_or.accumulate(np.flip(tissue, axis), axis), axis)


def _of_one_person(found: list[HeadDetection]) -> list[HeadDetection]:
    """Keep the surest, and the surest of the other side where a person's other hip may be."""
    found = sorted(found, key=lambda one: -one.score)
    for other in found[1:]:
        first = found[0]
        across = float(first.centre[0] - other.centre[0]) * (1.0 if first.side == "right" else -1.0)
        alike = other.score >= HIPS.least_share * first.score
        if other.side != first.side and across > HIPS.between_hips_mm and alike:
            return [first, other]
    return found[:1]


def _one_a_place(poses: np.ndarray, sides: np.ndarray, scores: np.ndarray) -> list[int]:
    """Indices of the best pose of either side at each place, the best first."""
    chosen: list[int] = []
    for index in np.argsort(-scores, kind="stable"):
        if scores[index] < HIPS.least_agreement or len(chosen) == HIPS.most_balls:
            break
        same = [one for one in chosen if sides[one] == sides[index]]
        if all(np.linalg.norm(poses[index, :3] - poses[one, :3]) > HIPS.same_place_mm for one in same):
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
    around = bone_grid(volume.crop(pose[None, :3], HIPS.ball_reach_mm), HIPS.ball_step_mm)
    centre, radius, ball = fit_ball(template, around.edges(*HIPS.ball_edges), pose, side, radius_mm)
    matrix = np.eye(4)
    matrix[:3, :3] = turns_of(pose[None], np.array([side]))[0] * np.exp(pose[6])
    matrix[:3, 3] = pose[:3]
    sure = np.clip((score + ball - HIPS.unsure_score) / (HIPS.sure_score - HIPS.unsure_score), 0.0, 1.0)
    sided = np.clip((score - other) / HIPS.sure_side, 0.0, 1.0)
    name: Side = "right" if side > 0 else "left"
    return HeadDetection(name, centre, radius, float(sure * sided), float(score), ball, float(seen), matrix)


def _other_hip(
    volume: Volume, bone: BoneGrid, template: FemurTemplate, first: HeadDetection
) -> list[HeadDetection]:
    """Look for the mirror image of a hip where the person's other one has to be; metal may hide it."""
    side = 1.0 if first.side == "right" else -1.0
    poses = _mirrored(first, side)
    edges = bone.edges(*HIPS.coarse)
    poses = poses[edges.at(poses[:, :3])[1]]
    if not len(poses):
        return []
    sides = np.full(len(poses), -side)
    poses = refine(template, edges, poses, sides, *HIPS.climb[0])
    best = np.argsort(-agreement(template, edges, poses, sides)[0], kind="stable")[: HIPS.kept]
    fine, sides = bone.edges(*HIPS.fine), sides[best]
    poses = refine(template, fine, poses[best], sides, *HIPS.climb[2])
    scores, seen = agreement(template, fine, poses, sides)
    index = int(scores.argmax())
    other = _detection(
        volume, template, poses[index], -side, scores[index], seen[index], 0.0, first.radius_mm
    )
    enough = max(HIPS.least_other, HIPS.least_share * first.score)
    sure = (
        other.score >= enough
        and other.agreement >= HIPS.least_agreement
        and other.ball >= HIPS.least_other_ball
    )
    return [other] if sure and not _near_lung(volume, other.centre) else []


def _mirrored(first: HeadDetection, side: float) -> np.ndarray:
    """Poses of the other femur at the places where its head may be, shape (n, 7)."""
    size = np.cbrt(abs(np.linalg.det(first.pose[:3, :3])))
    turn = Rotation.from_matrix(first.pose[:3, :3] / size * [side, 1.0, 1.0]).as_rotvec() * [1.0, -1.0, -1.0]
    across, up = np.arange(*HIPS.across_mm), np.array(HIPS.up_mm)
    away = np.stack(np.meshgrid(-side * across, up, up, indexing="ij"), axis=-1).reshape(-1, 3)
    pose = np.concatenate([turn, [np.log(size)]])
    return np.concatenate([first.pose[:3, 3] + away, np.tile(pose, (len(away), 1))], axis=1)


def chosen_hips(
    found: list[HeadDetection], side: str | None, seed: np.ndarray | None, source: str
) -> list[HeadDetection]:
    """Return the hips of the chosen side, or the one at a seed; right before left.

    Raises
    ------
    SegmentationError
        If there is none, or not the chosen one; names the scan, `source`.
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
    if min(distances) > HIPS.from_seed_mm:
        raise SegmentationError(
            f"{source}: no hip was found at the point you gave; the nearest femoral head is "
            f"{min(distances):.0f} mm away. Put the point into the femoral head."
        )
    return found[int(np.argmin(distances))]
