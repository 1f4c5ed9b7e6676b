"""A CT of a digital hip by physics: rays through the body, photons, filtered back-projection.

Simplifications, all stated: parallel rays (a fan after rebinning), axial scans whose rows do not diverge,
no scatter, no motion, no helical interpolation; detector aperture and focal spot blur the line integrals
instead of the intensities (no exponential edge gradient), and detectors do not alias.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib.core.progress import Progress
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.simulation.hip.bone import Hip

from .body import HEAD_ANTERIOR_MM, HEAD_FROM_MIDLINE_MM, Sections, patient, rod_centres
from .detector import Detector
from .materials import monochromatic, solution, tube
from .projection import Geometry, ImageProjector, add_rows
from .protocol import Protocol
from .raster import BoneRaster, Frame
from .reconstruction import BackProjector

FEMUR_LABEL, OTHER_BONE_LABEL = 1, 2

_SEEN_MM = 5.0  # above and below the slices, of which bones are still seen
_CELL_MM, _PROJECTOR_SIZE = 0.2, 1440  # 144 mm of bones, and as much again around them
_DEPTHS_IN_ROW, _DEPTHS_OF_STRUTS = 2, 4
_ABOVE_HEAD_MM, _FIELD_MARGIN_MM, _BELOW_RODS_MM = 12.0, 15.0, 14.0
_POSE_SD_DEG = 3.0
_SLICES_AT_ONCE = 40
_LOWEST_HU, _HIGHEST_HU = -1024, 3071


@dataclass(frozen=True)
class PhysicalScan:
    """A CT and its truth.

    Attributes
    ----------
    volume : Volume
        Whole HU, float32, with modality and slice thickness.
    labelmap : Volume
        1 where the femur fills at least half of a voxel, 2 where other bone does, uint8.
    hip : Hip
        Where it lay: ``hip.femur.surface`` carries true thickness and density, in the volume's RAS.
    rods : ndarray of shape (5, 3)
        Middle of each rod, RAS mm; densities are `body.ROD_DENSITY` and `body.ROD_WATER`.
    protocol : Protocol
        How it was made.
    seed : int
        Of position and noise.
    """

    volume: Volume
    labelmap: Volume
    hip: Hip
    rods: np.ndarray
    protocol: Protocol
    seed: int


def scan(
    hip: Hip,
    protocol: Protocol,
    seed: int = 0,
    geometry: Geometry | None = None,
    progress: Progress | None = None,
) -> PhysicalScan:
    """Scan a hip.

    Parameters
    ----------
    hip : Hip
        With its truth.
    protocol : Protocol
        Of the scanner; what it says about the patient is not used here.
    seed : int
        Of the patient's position (about 3° a rotation, a voxel's fraction of shift) and of the noise.
    geometry : Geometry, optional
        Views and detector.
    progress : Progress, optional
        Called with the fraction done and a text; can cancel.

    Returns
    -------
    PhysicalScan
        The same bits for the same arguments.
    """
    progress = progress or Progress()
    # The table stays where it is when the patient lies a little differently, and so do the voxels.
    frame = Frame(hip.head_centre - [hip.lateral[0] * HEAD_FROM_MIDLINE_MM, HEAD_ANTERIOR_MM, 0.0])
    hip = positioned(hip, protocol, seed)
    progress.report(0.0, "Drawing the bones")
    run = _Run(hip, frame, protocol, seed, geometry or Geometry())
    hu = run.reconstruct(progress.part(0.2, 1.0))
    hu = np.clip(np.round(hu), _LOWEST_HU, _HIGHEST_HU).astype(np.float32)
    matrix = run.ijk_to_ras
    volume = Volume(hu, matrix, "physical CT", "CT", protocol.slice_thickness_mm)
    labelmap = Volume(run.labels(), matrix, "physical CT, labels")
    middle = volume.points_of(0.5 * (np.array(hu.shape[::-1]) - 1.0))[2]
    lateral, anterior = rod_centres().T
    local = np.stack([run.body.lateral * lateral, -anterior, np.zeros(5)], axis=1)
    rods = run.frame.to_ras(local)
    rods[:, 2] = middle
    progress.report(1.0, "Scan done")
    return PhysicalScan(volume, labelmap, hip, rods, protocol, seed)


def positioned(hip: Hip, protocol: Protocol, seed: int) -> Hip:
    """Give the hip as it lies in the scanner: about 3° off in each rotation, shifted by part of a voxel."""
    random = np.random.default_rng([seed, 11])
    rotation = Rotation.from_euler("xyz", _POSE_SD_DEG * random.standard_normal(3), degrees=True)
    voxel = np.array([protocol.pixel_mm, protocol.pixel_mm, protocol.slice_spacing_mm])
    return hip.moved(rotation.as_matrix(), random.uniform(-0.5, 0.5, 3) * voxel)


class _Run:
    """One scan while it is made; rows of detectors go up along z, slices collect them."""

    def __init__(self, hip: Hip, frame: Frame, protocol: Protocol, seed: int, geometry: Geometry) -> None:
        self.frame, self.protocol, self.seed, self.geometry = frame, protocol, seed, geometry
        lateral = -hip.lateral[0]  # the slices' x looks to the patient's left
        femur = self.frame.from_ras(hip.femur.surface.points)
        self.body = patient(lateral, float(np.abs(femur[:, 0]).max()))
        self._depths = _DEPTHS_IN_ROW if hip.femur.microstructure is None else _DEPTHS_OF_STRUTS
        self.x, self.y, self.z = self._voxel_centres(femur, lateral, hip.head_radius_mm)
        self.cells = self._cells(hip, femur, lateral)
        reach = protocol.reach_mm + protocol.row_mm
        bones = ((FEMUR_LABEL, hip.femur), *((OTHER_BONE_LABEL, bone) for bone in hip.other_bones))
        z_range = (self.z[0] - reach, self.z[-1] + reach)
        self.bones = [(label, BoneRaster(bone, self.frame, z_range)) for label, bone in bones]
        self._head = (self.body.lateral * HEAD_FROM_MIDLINE_MM, -HEAD_ANTERIOR_MM)
        shape = (len(self.z), len(self.y), len(self.x))
        self._filled = {label: np.zeros(shape, dtype=np.float32) for label, _ in bones}

    @property
    def ijk_to_ras(self) -> np.ndarray:
        """Of the voxels, shape (4, 4)."""
        matrix = np.diag(
            [-self.protocol.pixel_mm, -self.protocol.pixel_mm, self.protocol.slice_spacing_mm, 1]
        )
        matrix[:3, 3] = self.frame.to_ras(np.array([self.x[0], self.y[0], self.z[0]]))
        return matrix

    def labels(self) -> np.ndarray:
        """Label map (n_z, n_y, n_x), once the scan has been made."""
        labels = np.zeros((len(self.z), len(self.y), len(self.x)), dtype=np.uint8)
        for label, filled in self._filled.items():
            labels[filled >= 0.5] = label
        return labels

    def reconstruct(self, progress: Progress) -> np.ndarray:
        """HU (n_z, n_y, n_x)."""
        back = BackProjector(self.geometry, self.protocol.kernel, self.x, self.y)
        detector = self._detector(back)
        hu = np.empty((len(self.z), len(self.y), len(self.x)), dtype=np.float32)
        block: list[np.ndarray] = []
        for number, sinogram in enumerate(self._slices(detector)):
            progress.report(number / len(self.z), "Scanning")
            block.append(sinogram)
            if len(block) == _SLICES_AT_ONCE or number + 1 == len(self.z):
                hu[number + 1 - len(block) : number + 1] = back.reconstruct(np.stack(block))
                block = []
        return 1000.0 * (hu - 1.0)

    def _slices(self, detector: Detector) -> Iterator[np.ndarray]:
        """Sinograms of the slices, mm of water, from the lowest up."""
        sections, row = Sections(self.body, self.geometry), self.protocol.row_mm
        reach = int(np.ceil(self.protocol.reach_mm / row + 0.5))
        measured: dict[int, np.ndarray] = {}
        rows_per_slice = round(self.protocol.slice_spacing_mm / row)
        # Rows tile the slices, so an odd number has a row in the middle of a slice.
        first = self.z[0] - 0.5 * (rows_per_slice - 1) * row
        for z in self.z:
            middle = (z - first) / row
            wanted = np.arange(int(np.floor(middle)) - reach, int(np.ceil(middle)) + reach + 1)
            weights = self.protocol.row_weights((wanted - middle) * row)
            wanted, weights = wanted[weights > 1e-6], weights[weights > 1e-6]
            measured = {n: s for n, s in measured.items() if n >= wanted[0]}
            for n in wanted:
                if n not in measured:
                    random = np.random.default_rng([self.seed, 12, n + 1000])
                    inside = n // rows_per_slice if 0 <= n < rows_per_slice * len(self.z) else None
                    integrals = self._integrals(sections, first + n * row, inside)
                    measured[n] = detector.measure(*integrals, random)
            yield np.tensordot(weights.astype(np.float32), np.stack([measured[n] for n in wanted]), axes=1)

    def _integrals(self, sections: Sections, z: float, inside: int | None) -> np.ndarray:
        """Line integrals (2, n_views, n_detectors) of water and mineral in a row."""
        total = sections.at(z)
        contrast = self._contrast(z, inside)
        if contrast is not None:
            integrals, first = self._projector.project(contrast)
            add_rows(total[0], integrals.real, first)
            add_rows(total[1], integrals.imag, first)
        return total

    def _contrast(self, z: float, inside: int | None) -> np.ndarray | None:
        """Water + i · mineral (g/cm³) of the bones less what they displace, averaged over a row.

        What fills the voxels of slice `inside` is noted for the label map.
        """
        x, y = self.cells
        depths = self._depths
        step = self.protocol.row_mm / depths
        heights = z + step * (np.arange(depths) - 0.5 * (depths - 1))
        filled, density = (np.zeros((len(y), len(x)), dtype=np.float32) for _ in range(2))
        for label, bone in self.bones:
            drawn = [both for height in heights if (both := bone.draw(x, y, height)) is not None]
            if not drawn:
                continue
            part = sum(f for f, _ in drawn) / depths
            filled += part
            density += sum(d for _, d in drawn) / depths
            if inside is not None:
                down, across = self._to_voxels
                share = self.protocol.row_mm / self.protocol.slice_spacing_mm
                self._filled[label][inside] += share * (down @ part @ across.T)
        if not filled.any():
            return None
        water, mineral = solution(density, filled)
        around = self._surroundings(z)
        return (water - filled * around[0] + 1j * (mineral - filled * around[1])).astype(np.complex64)

    def _surroundings(self, z: float) -> np.ndarray:
        """Water and mineral that the bones displace, from every second cell."""
        x, y = self.cells
        coarse = self.body.at(x[::2], y[::2], z)
        return coarse.repeat(2, axis=1).repeat(2, axis=2)[:, : len(y), : len(x)]

    def _detector(self, back: BackProjector) -> Detector:
        """With as many photons as give the noise that the protocol states, at the centre of the head."""
        beam = (tube if self.protocol.beam_hardening else monochromatic)(self.protocol.kvp)
        if self.protocol.noise_hu == 0:
            return Detector(beam)
        variance = Detector(beam).variance(*self._integrals(Sections(self.body, self.geometry), 0.0, None))
        row, reach = self.protocol.row_mm, int(np.ceil(self.protocol.reach_mm / self.protocol.row_mm + 0.5))
        centred = 0.5 * (1 - round(self.protocol.slice_spacing_mm / row) % 2)
        weights = self.protocol.row_weights((np.arange(-reach, reach + 1) + centred) * row)
        for_one = 1000.0**2 * back.noise_variance(variance, *self._head) * float(weights @ weights)
        return Detector(beam, for_one / self.protocol.noise_hu**2)

    def _voxel_centres(
        self, femur: np.ndarray, lateral: float, head_radius: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Along x, y and z of the slices: the femur and the rods."""
        rods = rod_centres()
        low, high = femur.min(axis=0) - _FIELD_MARGIN_MM, femur.max(axis=0) + _FIELD_MARGIN_MM
        high[1] = -rods[:, 1].min() + _BELOW_RODS_MM
        across = lateral * rods[:, 0]
        low[0], high[0] = min(low[0], across.min() - 10.0), max(high[0], across.max() + 10.0)
        pixel, spacing = self.protocol.pixel_mm, self.protocol.slice_spacing_mm
        x, y = (pixel * np.arange(np.floor(low[n] / pixel), np.ceil(high[n] / pixel)) for n in (0, 1))
        top = round((head_radius + _ABOVE_HEAD_MM) / spacing)
        count = int(np.ceil(self.protocol.length_mm / spacing))
        return x, y, spacing * np.arange(top - count + 1, top + 1)

    def _cells(self, hip: Hip, femur: np.ndarray, lateral: float) -> tuple[np.ndarray, np.ndarray]:
        """Fine cells around the bones; what is medial or behind of too large a pelvis is left out."""
        others = [self.frame.from_ras(bone.surface.points) for bone in hip.other_bones]
        ends = self.z[0] - _SEEN_MM, self.z[-1] + _SEEN_MM
        others = [points[(points[:, 2] > ends[0]) & (points[:, 2] < ends[1])] for points in others]
        points = np.concatenate([femur, *others])
        low, high = points[:, :2].min(axis=0) - 1.0, points[:, :2].max(axis=0) + 1.0
        most = _PROJECTOR_SIZE // 2 * _CELL_MM - 1.0
        if lateral > 0:
            low[0] = max(low[0], high[0] - most)
        else:
            high[0] = min(high[0], low[0] + most)
        high[1] = min(high[1], low[1] + most)
        return tuple(
            _CELL_MM * np.arange(np.floor(a / _CELL_MM), np.ceil(b / _CELL_MM)) for a, b in zip(low, high)
        )

    @cached_property
    def _projector(self) -> ImageProjector:
        x, y = self.cells
        return ImageProjector(self.geometry, (x[len(x) // 2], y[len(y) // 2]), _CELL_MM, _PROJECTOR_SIZE)

    @cached_property
    def _to_voxels(self) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
        """Averages of cells over voxels, along y and x."""
        return tuple(
            _average(v, c, self.protocol.pixel_mm)
            for v, c in ((self.y, self.cells[1]), (self.x, self.cells[0]))
        )


def _average(voxels: np.ndarray, cells: np.ndarray, width: float) -> sparse.csr_matrix:
    """Overlap of each cell with each voxel, as a share of the voxel."""
    cell = cells[1] - cells[0]
    overlap = 0.5 * (width + cell) - np.abs(voxels[:, None] - cells)
    return sparse.csr_matrix((np.clip(overlap, 0.0, min(cell, width)) / width).astype(np.float32))
