"""One small picture a case, for the page on which cases are judged.

It is drawn with arrays alone, without graphics hardware or libraries, so that any worker can draw it, and
every worker draws the same bytes.
"""

from __future__ import annotations

import numpy as np
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ...anatomy.views import (
    BONE_WINDOW_HU,
    INNER_COLOUR,
    OUTER_COLOUR,
    Plane,
    View,
    anatomical_views,
    femur_planes,
    inner_edge,
    section,
)
from ...core.colours import NO_CORTEX_COLOUR, NOT_MEASURED_COLOUR, sequential
from ...core.errors import SurfaceError
from ...core.measures import MEASURES, VertexStatus
from ...core.surface import Surface
from ...core.volume import Volume
from ...pipeline.result import FemurResult

FAILED_COLOUR: tuple[float, float, float] = (0.05, 0.05, 0.06)
"""sRGB of a point whose fit failed: darker than any thickness."""

_HEIGHT_PX, _GAP_PX = 300, 6
_FINER = 2  # drawn so many times larger, then averaged, which rounds the edges off
_WIDEST_MAP = 0.8  # of the height
_JPEG_QUALITY = 82
_MEASURE = MEASURES["cortical_thickness"]
_N_COLOURS = 256
_LIGHT = np.array([-0.35, 0.45, 0.82])  # rightwards, up, towards the viewer


def thumbnail(volume: Volume, result: FemurResult) -> bytes:
    """Draw a case as a small JPEG.

    From the left: the CT in the plane of head and shaft and in axial planes (head, neck, and shaft where the
    bone has one), with the periosteal surface and the measured inner edge; then cortical thickness, anterior
    and posterior.

    Parameters
    ----------
    volume : Volume
        CT in HU.
    result : FemurResult
        Its periosteal surface is drawn.

    Returns
    -------
    bytes
        Of the file, 20 to 60 kB.
    """
    height = _HEIGHT_PX * _FINER
    bone = result.periosteal
    panels = _slices(volume, bone, _planes(result), height)
    panels += [_map(bone, view, height) for view in anatomical_views(result.side)[:2]]
    gap = np.ones((height, _GAP_PX * _FINER, 3))
    row = np.concatenate([part for panel in panels for part in (panel, gap)][:-1], axis=1)
    return _jpeg(_averaged(row))


def _planes(result: FemurResult) -> list[Plane]:
    """Choose the planes by the anatomy, as far as it was found; none where it was not."""
    anatomy = result.provenance.get("anatomy") or {}
    places = anatomy.get("landmarks_ras_mm", {})
    centre, radius = places.get("head_centre"), anatomy.get("measurements", {}).get("head_radius_mm")
    head = None if centre is None or radius is None else (np.array(centre), radius)
    trochanter = places.get("lesser_trochanter")
    try:
        return femur_planes(result.periosteal.points, head, trochanter and trochanter[2])
    except SurfaceError:
        return []


def _slices(volume: Volume, bone: Surface, planes: list[Plane], height: int) -> list[np.ndarray]:
    """Draw the long plane, and the axial ones over each other."""
    if not planes:
        return []
    long_plane, *axial = planes
    edges = [(bone, OUTER_COLOUR)]
    if "cortical_thickness" in bone.arrays:
        edges.append((inner_edge(bone), INNER_COLOUR))
    first = _slice(volume, long_plane, edges, long_plane.height_mm / height)
    pixel_mm = max(sum(plane.height_mm for plane in axial) / height, long_plane.height_mm / height)
    stack = [_slice(volume, plane, edges, pixel_mm) for plane in axial]
    width = max(panel.shape[1] for panel in stack)
    return [_fitted(first, height, first.shape[1]), _fitted(_stacked(stack, width), height, width)]


def _slice(
    volume: Volume, plane: Plane, edges: list[tuple[Surface, tuple[float, float, float]]], pixel_mm: float
) -> np.ndarray:
    """Draw a plane of the CT with the edges, shape (n_rows, n_columns, 3), first row above."""
    values = volume.sample(plane.grid(pixel_mm))
    low, high = BONE_WINDOW_HU
    grey = np.nan_to_num(np.clip((values - low) / (high - low), 0.0, 1.0))
    image = np.repeat(grey[..., None], 3, axis=2)
    corner = np.array([plane.width_mm, plane.height_mm]) / 2
    for surface, colour in edges:
        column, row = np.floor((_along(section(plane, surface), pixel_mm) + corner) / pixel_mm).astype(int).T
        for right, up in ((0, 0), (1, 0), (0, 1), (1, 1)):  # a line two fine pixels wide
            inside = (column + right >= 0) & (column + right < grey.shape[1])
            inside &= (row + up >= 0) & (row + up < grey.shape[0])
            image[row[inside] + up, column[inside] + right] = colour
    return image[::-1]


def _along(lines: vtk.vtkPolyData, step_mm: float) -> np.ndarray:
    """Give points along lines, at most a step apart, shape (n, 2)."""
    if lines.GetNumberOfLines() == 0:
        return np.empty((0, 2))
    points = vtk_to_numpy(lines.GetPoints().GetData())[:, :2]
    ends = vtk_to_numpy(lines.GetLines().GetConnectivityArray()).reshape(-1, 2)
    begin, along = points[ends[:, 0]], points[ends[:, 1]] - points[ends[:, 0]]
    longest = float(np.linalg.norm(along, axis=1).max())
    shares = np.linspace(0.0, 1.0, int(np.ceil(longest / step_mm)) + 2)
    return (begin[:, None] + shares[:, None] * along[:, None]).reshape(-1, 2)


def _map(bone: Surface, view: View, height: int) -> np.ndarray:
    """Draw the thickness as seen from one side, shape (height, n_columns, 3), first row above."""
    place = view.project(bone.points)
    low, size = place.min(axis=0), np.ptp(place, axis=0)
    # A short piece of bone is wide; it is drawn no wider than whole ones, in the middle.
    pixel_mm = max(size[1] / (height - 1), size[0] / (_WIDEST_MAP * height))
    low = low - [0.0, 0.5 * (height * pixel_mm - size[1] - pixel_mm)]
    shares = _within_triangles(bone, place, pixel_mm)
    one, other = (place[bone.triangles[:, corner]] - place[bone.triangles[:, 0]] for corner in (1, 2))
    corners = bone.triangles[one[:, 0] * other[:, 1] > one[:, 1] * other[:, 0]]  # those that face the viewer
    depth = ((bone.points @ view.towards_viewer)[corners] @ shares.T).ravel()
    spot = [((place[:, axis] - low[axis])[corners] @ shares.T).ravel() / pixel_mm for axis in range(2)]
    column, row = (np.floor(along).astype(int) for along in spot)
    order = np.argsort(depth, kind="stable")
    nearest = np.full((height, int(size[0] / pixel_mm) + 1), -1)
    nearest[row[order], column[order]] = order  # the nearest comes last and stays
    image = np.ones((*nearest.shape, 3))
    triangle, share = np.divmod(nearest[nearest >= 0], len(shares))
    image[nearest >= 0] = (_shaded(bone, view)[corners[triangle]] * shares[share][..., None]).sum(axis=1)
    return image[::-1]


def _within_triangles(bone: Surface, place: np.ndarray, pixel_mm: float) -> np.ndarray:
    """Give barycentric places that are close enough to leave no pixel of any triangle out, shape (k, 3)."""
    ends = place[bone.edges]
    longest = float(np.quantile(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1), 0.999))
    n = int(np.ceil(1.2 * longest / pixel_mm)) + 1
    first, second = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    kept = first + second <= n
    return np.stack([first[kept], second[kept], n - first[kept] - second[kept]], axis=1) / n


def _shaded(bone: Surface, view: View) -> np.ndarray:
    """Colour of each point in the light of this view, shape (n_points, 3)."""
    low, high = _MEASURE.range
    values = np.asarray(bone.arrays["cortical_thickness"], dtype=np.float64)
    place = np.clip((values - low) / (high - low), 0.0, 1.0) * (_N_COLOURS - 1)
    colours = sequential(_N_COLOURS)[np.rint(np.nan_to_num(place)).astype(int)]
    colours[~np.isfinite(values)] = NOT_MEASURED_COLOUR
    quality = bone.arrays["quality"]
    colours[quality == VertexStatus.NO_CORTEX] = NO_CORTEX_COLOUR
    colours[quality == VertexStatus.FIT_FAILED] = FAILED_COLOUR
    axes = np.stack([view.rightwards, view.up, view.towards_viewer], axis=1)
    light = np.clip(bone.normals @ axes @ (_LIGHT / np.linalg.norm(_LIGHT)), 0.0, 1.0)
    return np.clip(colours * (0.45 + 0.6 * light)[:, None], 0.0, 1.0)


def _stacked(panels: list[np.ndarray], width: int) -> np.ndarray:
    return np.concatenate([_fitted(panel, panel.shape[0], width) for panel in panels])


def _fitted(panel: np.ndarray, height: int, width: int) -> np.ndarray:
    """Put a panel on black of a size, what is too much cut off."""
    fitted = np.zeros((height, width, 3))
    rows, columns = min(height, panel.shape[0]), min(width, panel.shape[1])
    left = (width - columns) // 2
    fitted[:rows, left : left + columns] = panel[:rows, :columns]
    return fitted


def _averaged(image: np.ndarray) -> np.ndarray:
    """Make an image smaller by `_FINER`, as bytes."""
    rows, columns = (size // _FINER * _FINER for size in image.shape[:2])
    blocks = image[:rows, :columns].reshape(rows // _FINER, _FINER, columns // _FINER, _FINER, 3)
    return np.rint(255 * blocks.mean(axis=(1, 3))).astype(np.uint8)


def _jpeg(image: np.ndarray) -> bytes:
    picture = vtk.vtkImageData()
    picture.SetDimensions(image.shape[1], image.shape[0], 1)
    # VTK begins with the lowest row.
    picture.GetPointData().SetScalars(numpy_to_vtk(image[::-1].reshape(-1, 3), deep=True))
    writer = vtk.vtkJPEGWriter()
    writer.WriteToMemoryOn()
    writer.SetInputData(picture)
    writer.SetQuality(_JPEG_QUALITY)
    writer.Write()
    return vtk_to_numpy(writer.GetResult()).tobytes()
