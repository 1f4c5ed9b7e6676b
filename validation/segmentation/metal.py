"""Femurs with metal in them: what a nail, a screw and their streaks cost the found surface.

``python -m validation.segmentation.metal FOLDER`` takes the scans of `verdicts` in FOLDER (simulated
if they are not there), drives metal into them and prints the table of Docs/segmentation.md.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from scipy import ndimage

from CorticalBoneMappingLib.anatomy import measure_anatomy
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.io.volume_files import read_volume
from CorticalBoneMappingLib.pipeline.find.find_femur import find_femurs
from CorticalBoneMappingLib.segmentation.mask.voxelised import labelled

from .errors import errors_of
from .making import KnownScan, TrueFemur, with_tube
from .verdicts import plan_of, scan_of

_CASES = ((0, False, False), (1, True, False), (2, True, True), (1, True, True))  # hip, screw, streaks
_BLUR_MM = (0.5, 0.6, 0.5)
_NAIL_RADIUS_MM, _SCREW_RADIUS_MM, _METAL_HU = 5.5, 4.0, 12000.0
_TITANIUM_PER_CM = np.array([9.95, 3.45, 1.83, 1.22])  # at 40, 60, 80 and 100 keV
_SPECTRUM = np.array([0.2, 0.4, 0.25, 0.15])
_SOFT_PER_CM, _PHOTONS, _ANGLES = 0.2, 3e5, 180
_EXPECTED_PER_CM = 2.4  # of titanium, as reconstructed without hardening
_SEEN_HU = 2900.0  # what the scanner cannot show stays as bright as it is


def main() -> None:
    """Make the scans, find, print."""
    folder = Path(sys.argv[1])
    for number, screw, streaks in _CASES:
        known = _with_metal(_known(folder, number), _BLUR_MM[number % 3], screw)
        if streaks:
            known = replace(known, volume=with_streaks(known.volume))
        (found,) = find_femurs(known.volume, known.femurs[0].side)
        errors = errors_of(_as_found(found), known.femurs[0], known)
        near = (found.surface.arrays["near_metal"] > 0) & np.isfinite(errors.to_truth)
        off, expected = np.abs(errors.to_truth[near]), found.surface.arrays["expected_error"][near]
        print(
            f"hip {number}, screw {screw}, streaks {streaks}: {found.verdict}, Dice {errors.dice:.4f}, "
            f"mean {errors.mean_mm:.3f}, 95 % {errors.high_mm:.2f}, "
            f"near metal: 95 % {np.percentile(off, 95):.2f}, "
            f"root mean square {_rms(off):.2f}, expected {_rms(expected):.2f}, "
            f"completed {found.evidence.completed_share:.0%}",
            flush=True,
        )


def _known(folder: Path, number: int) -> KnownScan:
    place = scan_of(folder, number)
    volume, truth = read_volume(place / "ct.nrrd"), read_surface(place / "truth.vtp")
    femur = TrueFemur(plan_of(number)[0], 1, truth, np.full(3, np.nan), np.nan)
    return KnownScan(volume, labelled(truth, volume), (femur,))


def _as_found(found) -> SimpleNamespace:
    return SimpleNamespace(surface=found.surface, labelmap=lambda: found.labelmap)


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _with_metal(known: KnownScan, blur_mm: float, screw: bool) -> KnownScan:
    """Drive a nail down the shaft, and a screw through neck and lateral cortex."""
    femur = known.femurs[0]
    marks = measure_anatomy(femur.surface, femur.side).landmarks
    up = _unit(marks["shaft_proximal"] - marks["shaft_distal"])
    nail = np.array([marks["shaft_distal"] - 200.0 * up, marks["shaft_proximal"] + 15.0 * up])
    volume = with_tube(known.volume, nail, _NAIL_RADIUS_MM, _METAL_HU, blur_mm)
    if screw:
        out = _unit(marks["neck_base"] - marks["head_centre"])
        line = np.array([marks["head_centre"] - 5.0 * out, marks["head_centre"] + 95.0 * out])
        volume = with_tube(volume, line, _SCREW_RADIUS_MM, _METAL_HU, blur_mm)
    return replace(known, volume=volume)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def with_streaks(volume: Volume) -> Volume:
    """Add what beam hardening and lack of photons behind titanium leave in a reconstruction.

    In each slice with metal, the error of its projections is projected back with a ramp filter.

    Parameters
    ----------
    volume : Volume
        CT in HU; metal is as bright as the scanner can show.

    Returns
    -------
    Volume
    """
    random, out = np.random.default_rng(3), volume.array.copy()
    pixel_cm = 2.0 * volume.spacing_mm[0] / 10.0
    for number, plane in enumerate(volume.array):
        if (plane > 2800.0).any():
            error = _streaks(plane, pixel_cm, random) / _SOFT_PER_CM * 1000.0
            error = ndimage.zoom(error, np.array(plane.shape) / error.shape, order=1)
            shown = np.where(plane > _SEEN_HU, plane, plane + error)
            out[number] = np.clip(np.round(shown), -1024, 3071)
    return replace(volume, array=out)


def _streaks(plane: np.ndarray, pixel_cm: float, random: np.random.Generator) -> np.ndarray:
    """Error of attenuation in 1/cm, on every other pixel."""
    metal = ndimage.uniform_filter(np.clip((plane - 1500.0) / 1571.0, 0.0, 1.0), 2)[::2, ::2]
    tissue = np.where(metal > 0.2, 0.0, np.clip(plane[::2, ::2] / 1000.0 + 1.0, 0.0, None))
    size = int(np.ceil(np.hypot(*metal.shape))) + 2
    low = [(size - count) // 2 for count in metal.shape]
    inner = tuple(slice(first, first + count) for first, count in zip(low, metal.shape))
    padded, error = np.zeros((2, size, size)), np.zeros((size, size))
    padded[0][inner], padded[1][inner] = tissue * _SOFT_PER_CM * (1.0 - metal), metal
    ramp = 2.0 * np.abs(np.fft.fftfreq(2 * size))
    for angle in np.linspace(0.0, 180.0, _ANGLES, endpoint=False):
        soft, hard = (
            ndimage.rotate(part, angle, reshape=False, order=1).sum(axis=0) * pixel_cm for part in padded
        )
        passed = np.exp(-soft) * (_SPECTRUM @ np.exp(-np.outer(_TITANIUM_PER_CM, hard)))
        counted = np.maximum(random.poisson(_PHOTONS * passed), 1) / _PHOTONS
        wrong = np.where(hard > 0.01, -np.log(counted) - soft - _EXPECTED_PER_CM * hard, 0.0)
        filtered = np.real(np.fft.ifft(np.fft.fft(wrong, 2 * size) * ramp))[:size] / pixel_cm
        error += ndimage.rotate(np.tile(filtered, (size, 1)), -angle, reshape=False, order=1)
    return error[inner] * np.pi / (2 * _ANGLES)


if __name__ == "__main__":
    main()
