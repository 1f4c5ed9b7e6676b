"""Bones as fine images of water and mineral, slice by slice, from the distance to their surface.

The distance is exact (to triangles, by VTK) at the nodes of a grid of 0.4 mm near the cortex and linear
between them; cells of 0.2 mm are filled in proportion to how far a boundary has passed through them, which
keeps the mass of the thinnest shell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import vtk
from scipy import ndimage, sparse
from vtk.util.numpy_support import vtk_to_numpy

from CorticalBoneMappingLib.core.surface import Surface, to_polydata
from CorticalBoneMappingLib.mesh.closest import closest_points, interpolate
from CorticalBoneMappingLib.simulation.hip.bone import Bone

_NODE_MM = 0.4
_MARGIN_MM = 1.2
_CHUNK = 200_000


@dataclass(frozen=True)
class Frame:
    """Where the slices are: x to the patient's left, y to the back, z up, from the axis of rotation.

    Attributes
    ----------
    origin : ndarray of shape (3,)
        RAS mm of the point x = y = z = 0.
    """

    origin: np.ndarray

    def from_ras(self, points: np.ndarray) -> np.ndarray:
        """From RAS (n, 3) to slice coordinates (n, 3), mm."""
        return (points - self.origin) * [-1.0, -1.0, 1.0]

    def to_ras(self, points: np.ndarray) -> np.ndarray:
        """From slice coordinates (n, 3) to RAS (n, 3), mm."""
        return points * [-1.0, -1.0, 1.0] + self.origin


class BoneRaster:
    """One bone, ready to be drawn at any height of a range.

    Parameters
    ----------
    bone : Bone
        With its truth, RAS.
    frame : Frame
        Of the slices.
    z_range : tuple of float
        Lowest and highest height that will be asked for, mm.
    """

    def __init__(self, bone: Bone, frame: Frame, z_range: tuple[float, float]) -> None:
        surface = replace(bone.surface, points=frame.from_ras(bone.surface.points))
        low, high = surface.points.min(axis=0) - _MARGIN_MM, surface.points.max(axis=0) + _MARGIN_MM
        low[2], high[2] = max(low[2], z_range[0] - _NODE_MM), min(high[2], z_range[1] + _NODE_MM)
        self._bone, self._frame = bone, frame
        self.low, self.counts = low, np.maximum(np.ceil((high - low) / _NODE_MM).astype(int) + 1, 0)
        self.is_empty = bool(np.any(self.counts < 2))
        if not self.is_empty:
            self._fields = self._sample(bone, surface, frame)

    @property
    def axes(self) -> list[np.ndarray]:
        """Nodes along x, y and z, mm."""
        return [start + _NODE_MM * np.arange(count) for start, count in zip(self.low, self.counts)]

    def draw(self, x: np.ndarray, y: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray] | None:
        """Draw the bone at a height.

        Parameters
        ----------
        x, y : ndarray of shape (n_x,), (n_y,)
            Cell centres, equally spaced, mm.
        z : float
            Height, mm.

        Returns
        -------
        filled, density : ndarray of shape (n_y, n_x)
            Which part of a cell is bone, and its mg/cm³ averaged over the whole cell; None beyond its ends.
        """
        level = (z - self.low[2]) / _NODE_MM
        below = int(np.floor(level))
        if self.is_empty or below < 0 or below + 1 >= self.counts[2]:
            return None
        share = np.float32(level - below)
        across, down = (_interpolation(a, n) for a, n in ((x, self.axes[0]), (y, self.axes[1])))
        planes = [(1 - share) * field[below] + share * field[below + 1] for field in self._fields]
        if self._bone.microstructure is not None:
            return self._draw_structure(x, y, z, planes)
        depth, thickness, cortical, trabecular = (down @ plane @ across.T for plane in planes)
        cell = abs(x[1] - x[0])
        filled = np.clip(0.5 + depth / cell, 0.0, 1.0)
        within = np.clip(0.5 + (depth - thickness) / cell, 0.0, 1.0)
        within = np.minimum(within, filled)
        return filled, (filled - within) * cortical + within * trabecular

    def _draw_structure(
        self, x: np.ndarray, y: np.ndarray, z: float, planes: list[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw bone with microstructure: cells of the bone's box are the mean of 2 × 2 parts."""
        structure, axes = self._bone.microstructure, self.axes
        filled, density = (np.zeros((len(y), len(x)), dtype=np.float32) for _ in range(2))
        columns, rows = (
            slice(*np.searchsorted(cells, (nodes[0], nodes[-1])))
            for cells, nodes in ((x, axes[0]), (y, axes[1]))
        )
        if columns.start == columns.stop or rows.start == rows.stop:
            return filled, density
        part = 0.5 * abs(x[1] - x[0])
        fine_x, fine_y = (
            (cells[:, None] + part * np.array([-0.5, 0.5])).ravel() for cells in (x[columns], y[rows])
        )
        across, down = (_interpolation(a, n) for a, n in ((fine_x, axes[0]), (fine_y, axes[1])))
        depth, thickness, cortical, trabecular, zone_mm = (down @ plane @ across.T for plane in planes)
        starts = self._frame.to_ras(np.stack(np.broadcast_arrays(0.0, fine_y, z), axis=1))
        steps = np.stack(np.broadcast_arrays(-fine_x, 0.0, 0.0), axis=1)
        made = structure.expected(depth, thickness, zone_mm, cortical, trabecular)
        rough = structure.structure.roughness_mm * structure.roughness.on_blocks(starts, steps)
        inside = np.clip(0.5 + (depth - rough) / part, 0.0, 1.0)
        network = structure.network.on_blocks(starts, steps, made.network, part)
        fraction = structure.fraction(made, network, structure.pores.on_blocks(starts, steps))
        for whole, values in (
            (filled, inside),
            (density, inside * structure.density(made, network, fraction)),
        ):
            whole[rows, columns] = values.reshape(len(fine_y) // 2, 2, len(fine_x) // 2, 2).mean(axis=(1, 3))
        return filled, density

    def _sample(self, bone: Bone, surface: Surface, frame: Frame) -> list[np.ndarray]:
        """Depth, thickness, cortical and trabecular density at the nodes (z, y, x)."""
        inside = _inside(surface, self.low, self.counts)
        depth = np.where(
            inside, ndimage.distance_transform_edt(inside), -ndimage.distance_transform_edt(~inside)
        )
        depth = (_NODE_MM * depth).astype(np.float32)
        thickness = surface.arrays["cortical_thickness"]
        near = np.flatnonzero((depth > -_MARGIN_MM) & (depth < thickness.max() + _MARGIN_MM))
        count = 3 if bone.microstructure is None else 4  # the last is the width of the trabecularised zone
        fields = [depth] + [np.zeros_like(depth) for _ in range(count)]
        for chunk in np.array_split(near, len(near) // _CHUNK + 1):
            closest = closest_points(surface, self._points(chunk))
            sign = np.where(inside.ravel()[chunk], 1.0, -1.0)
            depth.ravel()[chunk] = sign * closest.distance
            for field, name in zip(fields[1:3], ("cortical_thickness", "cortical_density")):
                field.ravel()[chunk] = interpolate(surface, name, closest.triangle, closest.weights)
        for chunk in np.array_split(near := np.flatnonzero(depth > -_MARGIN_MM), len(near) // _CHUNK + 1):
            points = frame.to_ras(self._points(chunk))
            fields[3].ravel()[chunk] = bone.trabecular_density(points, np.maximum(depth.ravel()[chunk], 0))
            if bone.microstructure is not None:
                fields[3].ravel()[chunk] = bone.microstructure.bundled(points, fields[3].ravel()[chunk])
                fields[4].ravel()[chunk] = bone.microstructure.zone_mm(points)
        return fields

    def _points(self, nodes: np.ndarray) -> np.ndarray:
        z, y, x = np.unravel_index(nodes, self.counts[::-1])
        return self.low + _NODE_MM * np.stack([x, y, z], axis=1)


def _inside(surface: Surface, low: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Whether nodes (z, y, x) lie in a closed surface."""
    to_stencil = vtk.vtkPolyDataToImageStencil()
    to_stencil.SetInputData(to_polydata(replace(surface, arrays={}, units={})))
    to_stencil.SetOutputOrigin(*low)
    to_stencil.SetOutputSpacing(_NODE_MM, _NODE_MM, _NODE_MM)
    to_stencil.SetOutputWholeExtent(0, counts[0] - 1, 0, counts[1] - 1, 0, counts[2] - 1)
    to_image = vtk.vtkImageStencilToImage()
    to_image.SetInputConnection(to_stencil.GetOutputPort())
    to_image.SetInsideValue(1)
    to_image.SetOutsideValue(0)
    to_image.SetOutputScalarTypeToUnsignedChar()
    to_image.Update()
    scalars = to_image.GetOutput().GetPointData().GetScalars()
    return vtk_to_numpy(scalars).reshape(counts[::-1]).astype(bool)


def _interpolation(places: np.ndarray, nodes: np.ndarray) -> sparse.csr_matrix:
    """Linear interpolation from nodes to places; beyond the nodes the last one counts."""
    level = np.clip((places - nodes[0]) / _NODE_MM, 0.0, len(nodes) - 1.001)
    below = level.astype(int)
    share = (level - below).astype(np.float32)
    rows = np.arange(len(places))
    return sparse.csr_matrix(
        (np.concatenate([1 - share, share]), (np.tile(rows, 2), np.concatenate([below, below + 1]))),
        shape=(len(places), len(nodes)),
    )
