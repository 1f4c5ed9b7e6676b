"""Simulate a CT scan: from a hip of known truth to HU and a label map.

The scan is made in the space of the image: bones on a fine grid with partial volume, the point-spread
function in the plane of the slices, the slice profile across them, then beam hardening, noise, rounding
and clipping as on the console of a scanner. Left out on purpose: the raw data and their reconstruction
(so no streaks, no aliasing, noise that is the same everywhere), scatter, the spectrum (beam hardening is a
darkening in proportion to the bone nearby, and a cupping of the body), motion, helical artefacts, metal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...core.progress import Progress
from ...core.volume import Volume
from ..hip.bone import Bone, Hip
from ..hip.soft_tissue import SoftTissue
from .field import Background, ScanField, rotation
from .optics import correlated_noise, psf_matrices, slice_matrix
from .phantom import Phantom, phantom_under
from .settings import ScannerSettings
from .voxelise import Layer, VoxelisedBone, voxelise

FEMUR_LABEL, OTHER_BONE_LABEL = 1, 2

_LOWEST_HU, _HIGHEST_HU = -1024, 3071  # twelve bits, as scanners store
_BONE_SHADOW_MM = 12.0  # how far bone darkens bone beside it; chosen by hand
_BONE_SHADOW_HU = 1000.0


@dataclass(frozen=True)
class SimulatedScan:
    """A simulated CT and its truth.

    Attributes
    ----------
    volume : Volume
        Whole HU as float32, with modality and slice thickness.
    labelmap : Volume
        1 where the femur fills at least half of a voxel, 2 where another bone does, uint8.
    hip : Hip
        The hip where it lay in the scanner: its surfaces are the truth in the coordinates of the volume.
    phantom : Phantom or None
        The rods under the patient.
    settings : ScannerSettings
        What it was made with.
    """

    volume: Volume
    labelmap: Volume
    hip: Hip
    phantom: Phantom | None
    settings: ScannerSettings


def simulate_scan(
    hip: Hip,
    settings: ScannerSettings | None = None,
    progress: Progress | None = None,
    body_half_axes: tuple[float, float] | None = None,
) -> SimulatedScan:
    """Simulate a scan of a hip.

    Parameters
    ----------
    hip : Hip
        With its truth.
    settings : ScannerSettings, optional
        Of the scanner and the position of the patient.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.
    body_half_axes : tuple of float, optional
        Half width and half height of the body, mm; by default fitted to this hip.

    Returns
    -------
    SimulatedScan
        The same bits for the same hip and settings.

    Raises
    ------
    SurfaceError
        If a surface is open, or lacks its thickness or density.
    """
    settings, progress = settings or ScannerSettings(), progress or Progress()
    hip = hip.moved(rotation(settings.patient_rotation_deg), np.array(settings.patient_position_mm))
    tissue = SoftTissue(hip, body_half_axes)
    phantom = _phantom(hip, tissue, settings) if settings.rods else None
    field = ScanField.around(hip, phantom, settings)
    progress.report(0.0, "Placing muscle and fat")
    background = Background(tissue, field)
    bones = _bones(hip, field, background, settings, progress.part(0.1, 0.5))
    kernel, profile = _blur(field, settings)
    bone_hu, labels = _image(field, bones, kernel, profile, progress.part(0.5, 0.9))
    bone_hu *= np.float32(settings.slope_hu)
    hu = background.image(kernel, profile) + _hardened(bone_hu, field, settings)
    if phantom is not None:
        _add_phantom(hu, phantom, field, settings)
    progress.report(0.9, "Adding noise")
    hu += _noise(hu.shape, field, settings)
    hu = np.clip(np.round(hu), _LOWEST_HU, _HIGHEST_HU).astype(np.float32)
    progress.report(1.0, "Scan done")
    volume = Volume(hu, field.ijk_to_ras, "simulated CT", "CT", settings.profile_mm)
    return SimulatedScan(volume, Volume(labels, field.ijk_to_ras, "simulated labels"), hip, phantom, settings)


def _bones(
    hip: Hip, field: ScanField, background: Background, settings: ScannerSettings, progress: Progress
) -> list[tuple[int, VoxelisedBone]]:
    """The bones in the field with their labels."""

    def surroundings(points: np.ndarray) -> np.ndarray:
        return (background.at_corners(points) - settings.intercept_hu) / settings.slope_hu

    labelled: list[tuple[int, Bone]] = [(FEMUR_LABEL, hip.femur)]
    labelled += [(OTHER_BONE_LABEL, bone) for bone in hip.other_bones]
    bones = []
    for number, (label, bone) in enumerate(labelled):
        part = progress.part(number / len(labelled), (number + 1) / len(labelled))
        sampled = voxelise(bone, field.grid, surroundings, part)
        if sampled is not None:
            bones.append((label, sampled))
    return bones


def _blur(
    field: ScanField, settings: ScannerSettings
) -> tuple[list[tuple[float, np.ndarray, np.ndarray]], np.ndarray]:
    """Weights and matrices (y, x) of the blur in the plane, and the slice profile."""
    y, x = (
        psf_matrices(
            field.centres(axis), field.cell_centres(axis), settings.psf_sigma_mm, settings.edge_enhancement
        )
        for axis in (1, 0)
    )
    cells = field.cell_centres(2, whole_blocks=True)
    profile = slice_matrix(field.centres(2), cells, settings.profile_mm, settings.slice_profile)
    return [(weight, down, across) for (weight, down), (_, across) in zip(y, x)], profile


def _image(
    field: ScanField,
    bones: list[tuple[int, VoxelisedBone]],
    kernel: list[tuple[float, np.ndarray, np.ndarray]],
    profile: np.ndarray,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """Blurred density of the bones above that of their surroundings, and the label map."""
    voxel = field.grid.cell_mm * field.cells
    box = [
        slice_matrix(field.centres(axis), field.cell_centres(axis, whole_blocks=axis == 2), voxel[axis])
        for axis in range(3)
    ]
    image = np.zeros(field.shape, dtype=np.float32)
    labels = np.zeros(field.shape, dtype=np.uint8)
    for number, (label, bone) in enumerate(bones):
        part = progress.part(number / len(bones), (number + 1) / len(bones))
        for k, layer in _slices(bone, profile, box[2]):
            part.report(k / len(image), "Blurring the slices")
            for weight, down, across in kernel:
                blurred = down[:, layer.y] @ layer.contrast @ across[:, layer.x].T
                image[k] += np.float32(weight) * blurred
            filled = box[1][:, layer.y] @ layer.occupancy @ box[0][:, layer.x].T
            labels[k][filled >= 0.5] = label
    return image, labels


def _slices(bone: VoxelisedBone, profile: np.ndarray, box: np.ndarray) -> Iterator[tuple[int, Layer]]:
    """Yield each slice once: contrast under the slice profile, occupancy as the mean over the voxel.

    A slice is kept until the last of its fine layers has come, so that few are in memory at a time.
    """
    z_cells = bone.grid.block[2]
    touched = (profile > 0) | (box > 0)
    last = profile.shape[1] - 1 - np.argmax(touched[:, ::-1], axis=1)
    waiting: dict[int, Layer] = {}
    for z in range(bone.grid.blocks[2]):
        layer, cells = bone.layer(z), slice(z * z_cells, (z + 1) * z_cells)
        if layer is not None:
            for k in np.flatnonzero(touched[:, cells].any(axis=1)):
                contrast = np.tensordot(profile[k, cells], layer.contrast, axes=1)
                occupancy = np.tensordot(box[k, cells], layer.occupancy, axes=1)
                before = waiting.get(k)
                if before is not None:
                    contrast, occupancy = before.contrast + contrast, before.occupancy + occupancy
                waiting[k] = Layer(layer.y, layer.x, contrast, occupancy)
        for k in [k for k in waiting if last[k] < cells.stop]:
            yield int(k), waiting.pop(k)


def _hardened(bone_hu: np.ndarray, field: ScanField, settings: ScannerSettings) -> np.ndarray:
    """Bone as a polychromatic beam shows it, and the cupping of the body.

    Bone loses a share of its HU that grows with the bone within about 12 mm; the rods, alone in soft
    tissue, keep theirs, so a calibration by rods underestimates the densest bone.
    """
    if settings.bone_hardening:
        sigma = _BONE_SHADOW_MM / settings.voxel_mm
        shadow = ndimage.gaussian_filter(bone_hu, (0.0, sigma, sigma), truncate=3.0) / _BONE_SHADOW_HU
        bone_hu = bone_hu * (1.0 - settings.bone_hardening * np.clip(shadow, 0.0, 1.0))
    if settings.cupping_hu:
        y, x = (np.linspace(-1.0, 1.0, count, dtype=np.float32) for count in field.shape[1:])
        bone_hu = bone_hu - settings.cupping_hu * (1.0 - 0.5 * (y[:, None] ** 2 + x**2))
    return bone_hu


def _phantom(hip: Hip, tissue: SoftTissue, settings: ScannerSettings) -> Phantom:
    points = hip.femur.surface.points
    middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
    middle[2] += 0.5 * settings.shaft_cut_mm
    edge = tissue.posterior_edge(middle[0] + np.linspace(-Phantom.HALF_WIDTH_MM, Phantom.HALF_WIDTH_MM, 25))
    return phantom_under(edge, middle, settings.slope_hu, settings.intercept_hu)


def _add_phantom(hu: np.ndarray, phantom: Phantom, field: ScanField, settings: ScannerSettings) -> None:
    """Draw the phantom into the rows of the image that show it."""
    highest = phantom.corners[:, 1].max() + 4.0 * settings.psf_sigma_mm
    here = field.rows_below(highest)
    points = field.points(here)
    drawn = phantom.add_to(hu[:, here].ravel(), points.reshape(-1, 3), settings.psf_sigma_mm)
    hu[:, here] = drawn.reshape(points.shape[:-1])


def _noise(shape: tuple[int, ...], field: ScanField, settings: ScannerSettings) -> np.ndarray | float:
    if not settings.noise_hu:
        return 0.0
    x, y = settings.noise_correlation_mm, settings.noise_correlation_mm * settings.noise_anisotropy
    voxel = (field.grid.cell_mm * field.cells)[::-1]
    random = np.random.default_rng([settings.seed, 2])
    lengths = (settings.noise_correlation_z_mm, y, x)
    return np.float32(settings.noise_hu) * correlated_noise(shape, voxel, lengths, random)
