"""Find the hips of a CT: where each femoral head is, how large, and of which side.

``find_heads(volume, femur, side=None, seed=None, progress=None) -> list[HeadSighting]``: `femur` is the
average right femur (``load_average().surface``: head centre at the origin, axes RAS); a `HeadSighting` has
``side, centre, radius_mm, confidence, agreement, seen, pose``, and `pose` (4 × 4) brings the average femur
(mirrored for the left) onto the image roughly, a start for fitting a shape model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..errors import SegmentationError
from ..progress import Progress
from ..surface import Surface
from ..volume import Volume
from .heads_ball import fit_ball
from .heads_grid import BoneGrid, bone_grid
from .heads_places import likely_poses
from .heads_pose import FemurTemplate, agreement, refine, turns_of

Side = Literal["left", "right"]

_PLACES, _KEPT = 30, 10
_LEAST_AGREEMENT = 0.53
_SURE_AGREEMENT = 0.55
_SAME_HIP_MM = 40.0
_FROM_SEED_MM = 60.0


@dataclass(frozen=True)
class HeadSighting:
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
    seen: float
    pose: np.ndarray


def find_heads(
    volume: Volume,
    femur: Surface,
    side: Literal["left", "right", "both"] | None = None,
    seed: np.ndarray | None = None,
    progress: Progress | None = None,
) -> list[HeadSighting]:
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
    list of HeadSighting
        Right before left.

    Raises
    ------
    SegmentationError
        If no hip is found, or not the one that was asked for.
    """
    progress = progress or Progress()
    progress.report(0.0, "Looking for hips")
    bone = bone_grid(volume)
    template = FemurTemplate.of(femur)
    poses, sides = likely_poses(bone, femur, _PLACES)
    progress.report(0.5, "Looking closer at each place")
    found = _sightings(bone, template, *_climbed(bone, template, poses, sides))
    found = [_with_ball(volume, template, *one) for one in found]
    progress.report(1.0, f"{len(found)} hips found")
    return _asked_for(found, side, seed, volume.source)


def _climbed(
    bone: BoneGrid, template: FemurTemplate, poses: np.ndarray, sides: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Refine from coarse to fine; every place is tried with either side."""
    mirrored = poses * [1.0, 1.0, 1.0, 1.0, -1.0, -1.0, 1.0]
    poses, sides = np.concatenate([poses, mirrored]), np.concatenate([sides, -sides])
    coarse, fine = bone.edges(4.0, 8.0), bone.edges(2.0, 8.0)
    poses = refine(template, coarse, poses, sides, rounds=8)
    kept = _best(agreement(template, coarse, poses, sides)[0], sides, _KEPT)
    poses, sides = poses[kept], sides[kept]
    poses = refine(template, coarse, poses, sides, rounds=6, first_step=0.5)
    return refine(template, fine, poses, sides, rounds=14, first_step=0.6), sides


def _best(scores: np.ndarray, sides: np.ndarray, most: int) -> np.ndarray:
    """Indices of the best of either side."""
    order = np.argsort(-scores, kind="stable")
    return np.concatenate([order[sides[order] == side][:most] for side in (1.0, -1.0)])


def _sightings(
    bone: BoneGrid, template: FemurTemplate, poses: np.ndarray, sides: np.ndarray
) -> list[tuple[np.ndarray, float, float, float, float]]:
    """Keep the best pose of each hip: (pose, side, agreement, seen, agreement of the other side)."""
    scores, seen = agreement(template, bone.edges(2.0, 8.0), poses, sides)
    left, found = list(np.argsort(-scores, kind="stable")), []
    while left and scores[left[0]] >= _LEAST_AGREEMENT:
        best = left[0]
        apart = np.linalg.norm(poses[left, :3] - poses[best, :3], axis=1)
        same = [one for one, gap in zip(left, apart) if gap < _SAME_HIP_MM]
        other = max((scores[one] for one in same if sides[one] != sides[best]), default=0.0)
        found.append((poses[best], sides[best], float(scores[best]), float(seen[best]), float(other)))
        left = [one for one in left if one not in same]
    return found


def _with_ball(
    volume: Volume,
    template: FemurTemplate,
    pose: np.ndarray,
    side: float,
    score: float,
    seen: float,
    other: float,
) -> HeadSighting:
    around = bone_grid(volume.crop(pose[None, :3], 50.0), 1.0)
    centre, radius, _ = fit_ball(template, around.edges(1.0, 20.0), pose, side)
    matrix = np.eye(4)
    matrix[:3, :3] = turns_of(pose[None], np.array([side]))[0] * np.exp(pose[6])
    matrix[:3, 3] = pose[:3]
    sure = np.clip((score - 0.25) / (_SURE_AGREEMENT - 0.25), 0.0, 1.0)
    sided = np.clip((score - other) / 0.15, 0.0, 1.0)
    name: Side = "right" if side > 0 else "left"
    return HeadSighting(name, centre, radius, float(sure * sided), score, seen, matrix)


def _asked_for(
    found: list[HeadSighting], side: str | None, seed: np.ndarray | None, source: str
) -> list[HeadSighting]:
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


def _nearest(found: list[HeadSighting], seed: np.ndarray, source: str) -> HeadSighting:
    distances = [float(np.linalg.norm(one.centre - seed)) for one in found]
    if min(distances) > _FROM_SEED_MM:
        raise SegmentationError(
            f"{source}: there is no hip at the point you gave; the nearest femoral head is "
            f"{min(distances):.0f} mm away. Put the point into the femoral head."
        )
    return found[int(np.argmin(distances))]
