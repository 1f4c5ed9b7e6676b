"""Beam hardening by bone: what it takes from the HU of bone, predicted from the CT itself and given back.

After Joseph and Spital 1978, J Comput Assist Tomogr 2:100: bone seen in the CT is projected; what the
scanner's water correction leaves wrong of each ray is reconstructed, and taken off the CT. What is wrong
of bone is split in two: a smooth share of its own mineral, which the CT shows sharply, and a smooth rest; so
neither noise nor blur is added. The reference is mineral under the patient, where rods of a phantom lie.

The same rest stands in the muscle between the bones, dark and bright bands of some HU: whether the CT shows
them tells whether it needs the correction. Some scanners have made it already.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from ..core.volume import Volume
from .attenuation import WATER_IN_SOLUTION, Tube
from .body_section import PIXEL_MM, SLICE_MM, BodySection, Pelvis, water_and_mineral
from .parallel_beam import ParallelBeam

ASSUMED_KVP = 120.0
LEFT_RELATIVE_SD = 0.025
"""What is uncertain about bone density after the correction; Docs/validation/beam_hardening.md."""

_UNSEEN_RELATIVE_SD = 0.05  # where the CT does not show whether it needed the correction

_PASSES, _FIRST_WATER_MM = 2, 150.0
_SLICES_AT_ONCE = 16
_AXIAL = 0.9
# Muscle that can show the bands, and how fine they are looked at.
_MUSCLE_HU, _MUSCLE_SPREAD_HU, _FAT_HU, _BONE_HU = (0.0, 110.0), 20.0, -10.0, 150.0
_FROM_BONE_PX, _FROM_FAT_PX, _BAND_MM, _SMOOTH_PX = 5, 5, 15.0, 1.0
_BLOCK_MM, _LEAST_BLOCKS = 30.0, 12
_DECISIVE_SD, _HALF = 0.25, 0.5


@dataclass(frozen=True)
class HardeningCorrection:
    """A CT after the correction, or as it was with the reason.

    Attributes
    ----------
    volume : Volume
        HU as if all bone were seen by the beam that sees the rods under the patient.
    applied : bool
        Whether it was corrected.
    statement : str
        What was done and why, a sentence.
    kvp : float
        Of the tube.
    kvp_known : bool
        Whether that was told, not assumed.
    strength, strength_sd : float
        How strongly the CT shows the predicted bands in muscle: 1 as predicted, 0 none; not-a-number
        where too little muscle is seen.
    bone_share : float
        Which share of its density dense bone had lost by the prediction.
    """

    volume: Volume
    applied: bool
    statement: str
    kvp: float
    kvp_known: bool
    strength: float = float("nan")
    strength_sd: float = float("nan")
    bone_share: float = float("nan")

    @property
    def left_relative_sd(self) -> float:
        """Which share of bone density stays uncertain after the correction."""
        seen = self.strength_sd < _DECISIVE_SD and self.strength >= _HALF
        return LEFT_RELATIVE_SD if seen else _UNSEEN_RELATIVE_SD

    def describe(self) -> dict[str, Any]:
        """Everything but the voxels as plain values, for a provenance file."""
        names = ("applied", "kvp", "kvp_known", "strength", "strength_sd", "bone_share", "statement")
        return {name: getattr(self, name) for name in names}


def correct_hardening(
    volume: Volume,
    femur: np.ndarray,
    side: str,
    kvp: float | None = None,
    *,
    tube: Tube | None = None,
    pelvis: Pelvis | None = None,
    always: bool = False,
) -> HardeningCorrection:
    """Give bone back what beam hardening took, if the CT shows that it did.

    Parameters
    ----------
    volume : Volume
        The CT in HU, axial.
    femur : ndarray of shape (n, 3)
        Points of the femur, RAS mm.
    side : {"left", "right"}
        Of the femur.
    kvp : float, optional
        Of the tube; default the volume's own, else 120.
    tube : Tube, optional
        Default one of that voltage with the usual filter.
    pelvis : Pelvis, optional
        The body where the CT ends; default a usual one.
    always : bool
        Correct even a CT that shows no bands.

    Returns
    -------
    HardeningCorrection
    """
    told = kvp if kvp is not None else volume.kvp
    known, told = told is not None, ASSUMED_KVP if told is None else told
    if abs(volume.slice_normal[2]) < _AXIAL or abs(volume.ijk_to_ras[0, 0]) < _AXIAL * volume.spacing_mm[0]:
        text = "Beam hardening by bone is not corrected: the slices are not axial."
        return HardeningCorrection(volume, False, text, told, known)
    section = BodySection.around(volume, femur, side, pelvis or Pelvis())
    predicted = predict_hardening(section, tube or Tube(told))
    strength, sd = strength_of(predicted.rest_hu, section)
    applied = bool(always or not (sd < _DECISIVE_SD and strength < _HALF))
    if applied:
        volume = _corrected(volume, section, predicted)
    text = _statement(applied, told, known, strength, sd, predicted.bone_share)
    return HardeningCorrection(volume, applied, text, told, known, strength, sd, predicted.bone_share)


@dataclass(frozen=True)
class PredictedHardening:
    """What beam hardening adds to a CT: ``gain · mineral · 1000 + rest_hu`` HU.

    Attributes
    ----------
    gain : ndarray of shape (n_slices, n_rows, n_columns)
        Brightness of mineral there, less that under the patient; mostly negative.
    rest_hu : ndarray of shape (n_slices, n_rows, n_columns)
        The smooth rest.
    brightness : float
        Attenuation of 1 g/cm³ of mineral under the patient, relative to water.
    bone_share : float
        Which share of its density dense bone loses.
    """

    gain: np.ndarray
    rest_hu: np.ndarray
    brightness: float
    bone_share: float


def predict_hardening(section: BodySection, tube: Tube) -> PredictedHardening:
    """Project the bones, and reconstruct what is wrong of the rays.

    Parameters
    ----------
    section : BodySection
        The body.
    tube : Tube
        The beam.

    Returns
    -------
    PredictedHardening
    """
    beam = ParallelBeam(section.hu.shape[1:], PIXEL_MM)
    reference = float(tube.mineral_brightness(np.array([_FIRST_WATER_MM]), np.zeros(1))[0])
    lost = np.zeros_like(section.hu)
    for _ in range(_PASSES):  # the second knows that bone is denser than it looks
        water, mineral = section.tissues(lost, reference)
        paths = beam.project(water), beam.project(mineral)
        # A trace of mineral at a pixel is as bright as the mean over the rays that meet there.
        brightness = beam.back_project(tube.mineral_brightness(*paths))
        reference = section.under_patient(brightness)
        gain = brightness - reference
        wrong = tube.water_equivalent(*paths) - (paths[0] + reference * paths[1])
        rest = 1000.0 * (beam.reconstruct(wrong) - gain * beam.reconstruct(paths[1]))
        lost = 1000.0 * gain * mineral + rest
    dense = np.isfinite(section.hu) & (mineral > 0.5 * mineral.max())
    full = 1000.0 * mineral[dense] * (reference + WATER_IN_SOLUTION[1])
    share = float(np.median(-lost[dense] / full)) if dense.any() and mineral.max() > 0 else 0.0
    return PredictedHardening(gain, rest, reference, share)


def strength_of(rest_hu: np.ndarray, section: BodySection) -> tuple[float, float]:
    """Measure how strongly muscle in the CT shows the predicted bands.

    In muscle away from fat and bone, what differs from the neighbourhood (15 mm) in the smoothed CT is
    regressed on the same of the prediction. The standard deviation comes from blocks of 30 mm: muscle
    differs from place to place, not from voxel to voxel.

    Parameters
    ----------
    rest_hu : ndarray of shape (n_slices, n_rows, n_columns)
        The smooth rest of `predict_hardening`.
    section : BodySection
        The body.

    Returns
    -------
    strength, sd : float
        Not-a-number where fewer than 12 blocks hold muscle.
    """
    hu = np.nan_to_num(section.hu, nan=-1000.0)
    smooth = ndimage.gaussian_filter(hu, (0.0, _SMOOTH_PX, _SMOOTH_PX))
    muscle = (ndimage.maximum_filter(hu, (1, _FROM_BONE_PX, _FROM_BONE_PX)) < _BONE_HU) & (
        ndimage.minimum_filter(hu, (1, _FROM_FAT_PX, _FROM_FAT_PX)) > _FAT_HU
    )
    muscle &= (smooth > _MUSCLE_HU[0]) & (smooth < _MUSCLE_HU[1])
    if not muscle.any():
        return float("nan"), float("nan")
    muscle &= np.abs(smooth - np.median(smooth[muscle])) < _MUSCLE_SPREAD_HU
    seen, expected = _bands(smooth, muscle)[muscle], _bands(rest_hu, muscle)[muscle]
    block = _blocks(section, muscle)
    both, own = np.bincount(block, seen * expected), np.bincount(block, expected**2)
    filled = own > 0
    if filled.sum() < _LEAST_BLOCKS:
        return float("nan"), float("nan")
    strength = both.sum() / own.sum()
    scatter = (both - strength * own)[filled]
    return float(strength), float(np.sqrt(np.sum(scatter**2)) / own.sum())


def _bands(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Take the mean of the neighbourhood, of what counts in it, off an image."""
    width = (0.0, _BAND_MM / PIXEL_MM, _BAND_MM / PIXEL_MM)
    share = ndimage.gaussian_filter(where.astype(np.float32), width)
    total = ndimage.gaussian_filter(np.where(where, image, 0.0).astype(np.float32), width)
    return image - total / np.maximum(share, 1e-6)


def _blocks(section: BodySection, where: np.ndarray) -> np.ndarray:
    """Number the block in which each chosen pixel lies."""
    k, j, i = np.nonzero(where)
    in_slice, across = (max(1, round(_BLOCK_MM / size)) for size in (PIXEL_MM, SLICE_MM))
    shape = np.array(section.hu.shape) // [across, in_slice, in_slice] + 1
    return np.ravel_multi_index((k // across, j // in_slice, i // in_slice), tuple(shape))


def _corrected(volume: Volume, section: BodySection, predicted: PredictedHardening) -> Volume:
    array = np.empty_like(volume.array, dtype=np.float32)
    shape = volume.array.shape
    for start in range(0, shape[0], _SLICES_AT_ONCE):  # a few slices at a time: memory
        some = slice(start, min(start + _SLICES_AT_ONCE, shape[0]))
        hu = volume.array[some]
        mineral = water_and_mineral(hu, predicted.brightness)[1]
        gain, rest = (section.in_slices(x, some, shape) for x in (predicted.gain, predicted.rest_hu))
        array[some] = hu - 1000.0 * gain * mineral - rest
    return replace(volume, array=array)


def _statement(applied: bool, kvp: float, known: bool, strength: float, sd: float, share: float) -> str:
    voltage = f"{kvp:.0f} kV" if known else f"{kvp:.0f} kV (assumed: the scan does not tell it)"
    seen = f"bands between the bones {strength:.2f} ± {sd:.2f} times as strong as predicted"
    if np.isnan(strength):
        seen = "too little muscle is seen to tell whether the scan needs it"
    if applied:
        return (
            f"Beam hardening by bone was predicted for {voltage} and corrected: dense bone had lost "
            f"{share:.0%} of its density against rods under the patient ({seen})."
        )
    return (
        f"Beam hardening by bone is not corrected: {seen}, so the scanner has corrected it already. For "
        f"{voltage} {share:.0%} of dense bone would have been lost."
    )
