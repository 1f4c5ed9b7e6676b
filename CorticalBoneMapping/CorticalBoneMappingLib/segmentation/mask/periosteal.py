"""Make the periosteal surface of a bone from its label map."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from ...core.errors import SurfaceError
from ...core.progress import Progress
from ...core.slice_axis import towards_lps
from ...core.surface import Surface
from ...core.volume import Volume
from ...mesh.meshing import isosurface, remesh
from ...mesh.topology import euler_characteristic, pieces
from .bone_mask import bone_mask
from .cut_planes import at_planes, cut_planes

_MARGIN_VOXELS = 4
_MOST_POINTS = 1_000_000  # memory
_CLOSINGS = (0, 1, 2, 3)  # voxels by which the mask is closed, until it has no tunnel
# Tuned, in voxels of the mask along each axis, on balls and cylinders of 5–25 mm radius and voxels of
# 0.5 × 0.5 × 0.5 to 0.8 × 0.8 × 2.5 and 3 × 3 × 3 mm: the steps go, and the shape stays.
_SMOOTHING_VOXELS = 0.9
_BALANCE_VOXELS = 2.0
_BALANCE_ROUNDS = 3


@dataclass(frozen=True)
class PeriostealSurface:
    """A bone's outer surface, with notes on how it was made.

    Attributes
    ----------
    surface : Surface
        Closed, outward, near-uniform; point array ``cut_end`` (uint8): 1 where the bone was cut off and
        has no cortex, and within about one vertex spacing of that.
    notes : list of str
        What was dropped, filled, or closed in the mask, for the user.
    """

    surface: Surface
    notes: list[str] = field(default_factory=list)


def periosteal_surface(
    labelmap: Volume, label: int | None = None, spacing_mm: float = 1.2, progress: Progress | None = None
) -> PeriostealSurface:
    """Make the smooth surface of one bone of a label map.

    The surface runs between the voxels' centres without their steps; a bone that is cut off, by the
    border of the label map or flat within it, is closed by a cap there.

    Parameters
    ----------
    labelmap : Volume
        Any label map (whole numbers, 0 outside), of any spacing and orientation.
    label : int, optional
        Which label; not needed if there is only one.
    spacing_mm : float
        Mean distance between neighbouring vertices in mm.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    PeriostealSurface

    Raises
    ------
    SurfaceError
        If the mask is not one bone, or too small or too ragged for this spacing.
    """
    progress = progress or Progress()
    if not (np.isfinite(spacing_mm) and spacing_mm > 0):
        raise SurfaceError(f"The vertex spacing must be more than 0 mm; it is {spacing_mm}.")
    progress.report(0.0, "Reading the mask")
    mask, notes = bone_mask(labelmap, label)
    planes = cut_planes(mask, labelmap)
    progress.report(0.1, "Smoothing the mask")
    dense, closing = _dense_surface(mask, spacing_mm)
    notes = notes + closing + _coarseness(mask, spacing_mm)
    area = dense.triangle_areas.sum()
    if area / (0.866 * spacing_mm**2) > _MOST_POINTS:
        raise SurfaceError(
            f"A spacing of {spacing_mm:g} mm would give more than {_MOST_POINTS:,} points on this bone of "
            f"{area / 100:.0f} cm². Ask for a larger spacing."
        )
    progress.report(0.5, "Making even triangles")
    surface = remesh(dense, spacing_mm)
    cut = at_planes(surface.points, planes, within_mm=spacing_mm).astype(np.uint8)
    if cut.all():
        raise SurfaceError(f"{labelmap.source}: the bone lies wholly at the border of the label map.")
    progress.report(1.0, "Surface made")
    return PeriostealSurface(surface.with_arrays(cut_end=cut), notes)


def _dense_surface(mask: Volume, spacing_mm: float) -> tuple[Surface, list[str]]:
    """Outer surface of the mask, whose gaps are closed step by step until no tunnel is left."""
    mask = towards_lps(mask)  # so that the triangles do not depend on how a file stores the axes
    spacing_kji = mask.spacing_mm[::-1]
    padded = np.pad(mask.array, _MARGIN_VOXELS)
    step = float(np.clip(spacing_mm, 0.5 * spacing_kji.min(), spacing_kji.min()))
    for closing in _CLOSINGS:
        closed = _closed(padded, closing)
        smooth, factors = smooth_field(closed, spacing_kji, step)
        matrix = mask.ijk_to_ras.copy()
        matrix[:3, :3] /= factors[::-1]
        matrix[:3, 3] = mask.points_of([-_MARGIN_VOXELS] * 3)
        surface = _outer_piece(isosurface(smooth, matrix, 0.0))
        handles = 1 - euler_characteristic(surface.triangles) // 2
        if not handles:
            note = f"Tunnels through the mask were closed (by {closing} voxel(s))."
            return surface, [note] if closing else []
    raise SurfaceError(
        f"{mask.source}: {handles} tunnel(s) lead through the bone's mask. Fill its inside and smooth it in "
        "the segmentation program."
    )


def _closed(mask: np.ndarray, voxels: int) -> np.ndarray:
    if not voxels:
        return mask
    ball = ndimage.generate_binary_structure(3, 1)
    wide = ndimage.binary_dilation(mask, ball, iterations=voxels)
    wide = ndimage.binary_fill_holes(wide)
    return ndimage.binary_erosion(wide, ball, iterations=voxels, border_value=1) | mask


def _outer_piece(surface: Surface) -> Surface:
    """Keep the largest of several pieces; smoothing tore off the others, or they are cavities."""
    piece = pieces(surface.triangles, len(surface.points))
    largest = np.bincount(piece).argmax()
    kept = surface.triangles[piece[surface.triangles[:, 0]] == largest]
    used, triangles = np.unique(kept, return_inverse=True)
    return Surface(surface.points[used], triangles.reshape(-1, 3))


def _coarseness(mask: Volume, spacing_mm: float) -> list[str]:
    coarsest = float(mask.spacing_mm.max())
    if spacing_mm >= coarsest / 2.0:
        return []
    return [
        f"The mask's voxels (up to {coarsest:g} mm) are coarse against the vertex spacing of "
        f"{spacing_mm:g} mm; details between them are interpolated."
    ]


def smooth_field(mask: np.ndarray, spacing_kji: np.ndarray, step_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a smooth signed distance without steps of the voxels, which keeps the local volume.

    Distances between voxel centres of both sides (shape-based interpolation: Raya and Udupa 1990) are
    interpolated on a finer grid and smoothed by a Gaussian of fourth order, 2G − G∘G, which unlike a
    plain one hardly moves curved surfaces inward (its second moment is zero). What shift remains is taken
    back where it is: locally, as much volume lies inside the surface as inside the mask.

    Parameters
    ----------
    mask : ndarray of bool of shape (n_k, n_j, n_i)
        With a margin of at least two empty voxels on every side.
    spacing_kji : ndarray of shape (3,)
        Voxel spacing in mm, in the order of the mask's axes.
    step_mm : float
        Spacing of the field's grid, at most.

    Returns
    -------
    field : ndarray of float32
        In mm, positive inside; on a grid `factors` times finer than the mask's, with the same first voxel.
    factors : ndarray of int of shape (3,)
        Number of steps per voxel, axis by axis.
    """
    factors = np.maximum(1, np.ceil(spacing_kji / step_mm - 0.05)).astype(int)
    limit = 3.0 * float(spacing_kji.max())
    inside = ndimage.distance_transform_edt(mask, sampling=spacing_kji)
    outside = ndimage.distance_transform_edt(~mask, sampling=spacing_kji)
    distance = np.clip(inside - outside, -limit, limit).astype(np.float32)
    field = _finer(distance, factors)
    field = _low_pass(field, _SMOOTHING_VOXELS * factors)
    centres = tuple(slice(None, None, factor) for factor in factors)
    width = float(spacing_kji.min())
    # A surface that is δ too far in lacks δ/(σ√2π) of occupancy at its place after smoothing with σ.
    gain = _BALANCE_VOXELS * width * np.sqrt(2.0 * np.pi)
    for _ in range(_BALANCE_ROUNDS):
        lack = mask - np.clip(0.5 + field[centres] / width, 0.0, 1.0)
        field += _finer(gain * ndimage.gaussian_filter(lack, _BALANCE_VOXELS), factors)
    return field, factors


def _finer(array: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Interpolate `factors` times finer; the first and last samples stay where they are."""
    for axis, factor in enumerate(factors):
        if factor == 1:
            continue
        n = array.shape[axis]
        position = np.arange((n - 1) * factor + 1) / factor
        low = np.minimum(position.astype(int), n - 2)
        shape = [-1 if a == axis else 1 for a in range(3)]
        weight = (position - low).astype(np.float32).reshape(shape)
        array = np.take(array, low, axis) * (1 - weight) + np.take(array, low + 1, axis) * weight
    return array.astype(np.float32)


def _low_pass(field: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    once = ndimage.gaussian_filter(field, sigma, mode="nearest", truncate=3.0)
    return 2.0 * once - ndimage.gaussian_filter(once, sigma, mode="nearest", truncate=3.0)
