"""The surface a measurement starts from: of a label map that is wrong as those of people are."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
from scipy import ndimage

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.segmentation import periosteal_surface

from . import cache

SPACING_MM = 1.6
ERROR_SD_MM, ERROR_LENGTH_MM = 0.5, 8.0
_MOST_ERROR_SD = 4.0
_WAVES = 300
_FEMUR_LABEL = 1


def start_surface(labelmap: Volume, seed: int, folder: Path) -> Surface:
    """Give the periosteal surface of the femur in a label map with a smooth random error of its boundary.

    Parameters
    ----------
    labelmap : Volume
        Exact; 1 is the femur.
    seed : int
        Of the error.
    folder : Path
        Of the cache.

    Returns
    -------
    Surface
        With ``cut_end``.
    """
    source = Path(periosteal_surface.__code__.co_filename)
    own = cache.code(ast.parse(Path(__file__).read_bytes()))
    parts = (cache.sources(source), own, labelmap.array, labelmap.ijk_to_ras, seed)

    def make() -> cache.Arrays:
        found = periosteal_surface(imperfect(labelmap, seed), 1, SPACING_MM).surface
        return {"points": found.points, "triangles": found.triangles, "cut_end": found.arrays["cut_end"]}

    arrays = cache.kept(folder / "start_surfaces", cache.digest(*parts), make)
    return Surface(arrays["points"], arrays["triangles"], {"cut_end": arrays["cut_end"]})


def imperfect(labelmap: Volume, seed: int) -> Volume:
    """Give the femur's mask with its boundary moved by a smooth random field.

    The field has a standard deviation of 0.5 mm and a Gaussian correlation of 8 mm; voxels of other bone
    stay other bone.

    Parameters
    ----------
    labelmap : Volume
        Exact; 1 is the femur.
    seed : int
        Of the field.

    Returns
    -------
    Volume
        uint8.
    """
    femur, spacing = labelmap.array == _FEMUR_LABEL, labelmap.spacing_mm[::-1]
    inside, outside = (ndimage.distance_transform_edt(side, sampling=spacing) for side in (femur, ~femur))
    # Both distances are to centres of voxels; the boundary runs half way between them.
    depth = np.where(femur, inside - 0.5 * spacing[1], 0.5 * spacing[1] - outside)
    near = np.argwhere(np.abs(depth) < _MOST_ERROR_SD * ERROR_SD_MM)
    moved = depth[tuple(near.T)] + ERROR_SD_MM * _random_field(labelmap.points_of(near[:, ::-1]), seed)
    mask = femur.copy()
    mask[tuple(near.T)] = moved > 0
    mask &= labelmap.array <= _FEMUR_LABEL
    return Volume(mask.astype(np.uint8), labelmap.ijk_to_ras, "imperfect labels")


def _random_field(points: np.ndarray, seed: int) -> np.ndarray:
    """Unit variance and the correlation exp(−d²/2L²): plane waves with a Gaussian spectrum."""
    random = np.random.default_rng([seed, 17])
    wave = (random.standard_normal((_WAVES, 3)) / ERROR_LENGTH_MM).astype(np.float32)
    phase = random.uniform(0, 2 * np.pi, _WAVES).astype(np.float32)
    total = np.zeros(len(points), dtype=np.float32)
    for k, shift in zip(wave, phase):
        total += np.cos(points.astype(np.float32) @ k + shift)
    return total * np.sqrt(2.0 / _WAVES)
