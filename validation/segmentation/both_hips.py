"""Both hips of a body in one scan: two halves that share one grid and meet at the body's midline."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from CorticalBoneMappingLib.core.errors import SettingError
from CorticalBoneMappingLib.core.progress import Progress
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.simulation.hip.bone import Hip
from CorticalBoneMappingLib.simulation.hip.soft_tissue import SoftTissue
from CorticalBoneMappingLib.simulation.scanner.field import ScanField
from CorticalBoneMappingLib.simulation.scanner.optics import correlated_noise
from CorticalBoneMappingLib.simulation.scanner.phantom import Phantom, phantom_under
from CorticalBoneMappingLib.simulation.scanner.scanner import FEMUR_LABEL, SimulatedScan, simulate_scan
from CorticalBoneMappingLib.simulation.scanner.settings import ScannerSettings

LEFT_FEMUR_LABEL = 3

_LOWEST_HU, _HIGHEST_HU = -1024, 3071
_MIDLINE_MM = (
    88.0  # from either head centre, where `SoftTissue` has it; there the outlines of both halves meet
)
_BESIDE_MM = 8.0  # of air beside the body
_MARGIN_MM = 80.0  # around the femur: medially across the midline, laterally beyond the skin


@dataclass(frozen=True)
class BothHipsScan:
    """A simulated CT of both hips and its truth.

    Attributes
    ----------
    volume : Volume
        Whole HU as float32, with modality and slice thickness.
    labelmap : Volume
        1 the right femur, 2 other bone, 3 the left femur, uint8; half-filled voxels count.
    right, left : Hip
        Where they lay in the scanner.
    phantom : Phantom or None
        The rods under the patient.
    settings : ScannerSettings
        What it was made with.
    """

    volume: Volume
    labelmap: Volume
    right: Hip
    left: Hip
    phantom: Phantom | None
    settings: ScannerSettings


def scan_both_hips(
    right: Hip, left: Hip, settings: ScannerSettings | None = None, progress: Progress | None = None
) -> BothHipsScan:
    """Scan two hips side by side, as a CT of the pelvis shows them.

    The left hip is moved by less than half a voxel, so that one grid serves both.

    Parameters
    ----------
    right, left : Hip
        Of one person, or of two of about the same size. Their heads are placed 88 mm to either side of the
        midline; to turn a leg, give a hip that was `moved`.
    settings : ScannerSettings, optional
        Of the scanner. The margin counts upward; to the sides the field holds the whole body, whose
        outline is the larger of both hips'.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    BothHipsScan
        The same bits for the same hips and settings.

    Raises
    ------
    SettingError
        If a hip is of the wrong side, or the settings rotate patient or grid, or ask for cupping.
    SurfaceError
        If the simulation of a bone fails.
    """
    settings, progress = settings or ScannerSettings(), progress or Progress()
    _check(right, left, settings)
    half = replace(
        settings, noise_hu=0.0, rods=False, margin_mm=_MARGIN_MM, patient_position_mm=(0.0, 0.0, 0.0)
    )
    middle = np.array(settings.patient_position_mm)
    right, left = (_placed(hip, middle) for hip in (right, left))
    left = left.moved(np.eye(3), _onto_grid(right, left, half))
    axes = tuple(max(pair) for pair in zip(*(SoftTissue(hip).half_axes for hip in (right, left))))
    scans = [
        simulate_scan(hip, half, progress.part(at, at + 0.45), body_half_axes=axes)
        for hip, at in ((right, 0.0), (left, 0.45))
    ]
    volume, labels = _joined(scans, float(middle[0]), axes[0] + _BESIDE_MM, settings.margin_mm)
    phantom = _phantom(SoftTissue(right, axes), middle, settings) if settings.rods else None
    hu = volume.array
    if phantom is not None:
        _add_phantom(volume, phantom, settings)
    progress.report(0.95, "Adding noise")
    hu = np.clip(np.round(hu + _noise(hu.shape, settings)), _LOWEST_HU, _HIGHEST_HU).astype(np.float32)
    progress.report(1.0, "Scan done")
    volume = replace(volume, array=hu, source="simulated CT of both hips")
    return BothHipsScan(volume, labels, right, left, phantom, settings)


def _check(right: Hip, left: Hip, settings: ScannerSettings) -> None:
    if (right.side, left.side) != ("right", "left"):
        raise SettingError(f"A right and a left hip are needed; these are {right.side} and {left.side}.")
    if settings.cupping_hu or any(settings.patient_rotation_deg) or any(settings.grid_rotation_deg):
        raise SettingError("A scan of both hips is made without cupping and without rotation.")


def _placed(hip: Hip, middle: np.ndarray) -> Hip:
    """The hip with its head beside the middle of the body."""
    return hip.moved(np.eye(3), middle + _MIDLINE_MM * hip.lateral - hip.head_centre)


def _onto_grid(right: Hip, left: Hip, settings: ScannerSettings) -> np.ndarray:
    """The shift of the left hip by which the voxels of its own field fall on those of the right one's."""
    origins = [ScanField.around(hip, None, settings).ijk_to_ras[:3, 3] for hip in (right, left)]
    voxel = np.array([settings.voxel_mm, settings.voxel_mm, settings.slice_spacing_mm])
    steps = (origins[0] - origins[1]) / voxel
    return (steps - np.round(steps)) * voxel


def _joined(
    scans: list[SimulatedScan], midline: float, half_width_mm: float, margin_mm: float
) -> tuple[Volume, Volume]:
    """Place the halves side by side; columns run from the right of the patient to the left."""
    right, left = scans
    first = right.volume
    step = np.round(first.index_of(left.volume.ijk_to_ras[:3, 3])).astype(int)
    size, other = (np.array(one.volume.array.shape[::-1]) for one in scans)
    low, high = np.maximum(step, 0), np.minimum(step + other, size)
    highest = max(one.hip.femur.surface.points[:, 2].max() for one in scans) + margin_mm
    high[2] = min(high[2], int(np.ceil(first.index_of(np.array([0.0, 0.0, highest]))[2])))
    sides = midline + half_width_mm * np.array([1.0, 0.0, -1.0])
    columns = np.ceil(first.index_of(sides[:, None] * [1.0, 0.0, 0.0])[:, 0]).astype(int)
    start, seam, stop = np.clip(columns, 0, (step + other)[0])
    rows, slices = (slice(low[axis], high[axis]) for axis in (1, 2))
    matrix = first.ijk_to_ras.copy()
    matrix[:3, 3] = first.points_of([start, low[1], low[2]])

    def join(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        z, y = (
            slice(part.start - step[axis], part.stop - step[axis]) for axis, part in ((2, slices), (1, rows))
        )
        halves = [ours[slices, rows, start:seam], theirs[z, y, seam - step[0] : stop - step[0]]]
        return np.concatenate(halves, axis=2)

    labels = left.labelmap.array.copy()
    labels[labels == FEMUR_LABEL] = LEFT_FEMUR_LABEL
    hu = join(first.array, left.volume.array)
    labelmap = Volume(join(right.labelmap.array, labels), matrix, "simulated labels of both hips")
    return replace(first, array=hu, ijk_to_ras=matrix), labelmap


def _phantom(body: SoftTissue, middle: np.ndarray, settings: ScannerSettings) -> Phantom:
    across = middle[0] + np.linspace(-Phantom.HALF_WIDTH_MM, Phantom.HALF_WIDTH_MM, 25)
    edge = body.posterior_edge(across)
    place = np.array([middle[0], 0.0, body.hip.femur.surface.points[:, 2].mean()])
    return phantom_under(edge, place, settings.slope_hu, settings.intercept_hu)


def _add_phantom(volume: Volume, phantom: Phantom, settings: ScannerSettings) -> None:
    """Draw the phantom into every slice, in place."""
    _, n_rows, n_columns = volume.array.shape
    index = np.stack(np.meshgrid(np.arange(n_columns), np.arange(n_rows), [0]), axis=-1)[:, :, 0]
    places = volume.points_of(index)
    here = np.flatnonzero(places[:, 0, 1] < phantom.corners[:, 1].max() + 4.0 * settings.psf_sigma_mm)
    if not len(here):
        return
    places = places[here]
    for plane in volume.array:
        drawn = phantom.add_to(plane[here].ravel(), places.reshape(-1, 3), settings.psf_sigma_mm)
        plane[here] = drawn.reshape(places.shape[:-1])


def _noise(shape: tuple[int, ...], settings: ScannerSettings) -> np.ndarray | float:
    if not settings.noise_hu:
        return 0.0
    along_x = settings.noise_correlation_mm
    lengths = (settings.noise_correlation_z_mm, along_x * settings.noise_anisotropy, along_x)
    spacing = np.array([settings.slice_spacing_mm, settings.voxel_mm, settings.voxel_mm])
    random = np.random.default_rng([settings.seed, 2])
    return np.float32(settings.noise_hu) * correlated_noise(shape, spacing, lengths, random)
