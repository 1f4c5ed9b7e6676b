"""Closed triangle surfaces: where a field crosses a level, and near-uniform triangles of a chosen size."""

from __future__ import annotations

import numpy as np
import vtk
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..core.errors import SurfaceError
from ..core.surface import Surface
from .closest import closest_points
from .topology import defects, edges_of, euler_characteristic, flip_to_delaunay, pieces, refine

# Random Poisson-disk points at distance r number about 0.70 area/r²; a hexagonal lattice of edge h has
# 1.155 area/h². Hence the first radius; it is corrected by the count that it gives.
_FIRST_RADIUS = 0.70
# The edges of a relaxed mesh are that much longer than those of a hexagonal lattice as dense.
_IRREGULARITY = 1.013
_CANDIDATES_PER_POINT = 6
_RELAXATIONS = 10


def isosurface(array: np.ndarray, ijk_to_ras: np.ndarray, level: float) -> Surface:
    """Give the closed surface around everything above a level, by flying edges (Schroeder 2015).

    Parameters
    ----------
    array : ndarray of shape (n_k, n_j, n_i)
        A scalar field; the inside is where it is above `level`.
    ijk_to_ras : ndarray of shape (4, 4)
        From voxel index (i, j, k) to RAS mm; may be left-handed.
    level : float
        In the unit of the field.

    Returns
    -------
    Surface
        RAS mm, outward triangles, each vertex once. Where the inside reaches the border of the array,
        the surface is closed half a voxel beyond the border.

    Raises
    ------
    SurfaceError
        If the field is not finite, or nowhere above the level.
    """
    field = np.asarray(array, dtype=np.float32) - np.float32(level)
    if not np.all(np.isfinite(field)):
        raise SurfaceError("The field to find a surface in holds values that are not finite.")
    if not np.any(field > 0):
        raise SurfaceError(f"No surface was found: nothing in the volume is above {level:g}.")
    # An exact hit puts several vertices on one grid point; a nudge keeps them apart and the surface manifold.
    nudge = np.float32(1e-4) * np.abs(field).max()
    field = np.where(np.abs(field) < nudge, np.where(field > 0, nudge, -nudge), field)
    points, triangles = _flying_edges(_closed_at_border(field))
    points = (points - 1.0) @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3]
    if np.linalg.det(ijk_to_ras[:3, :3]) < 0:
        triangles = triangles[:, ::-1].copy()
    return Surface(points, triangles)


def _closed_at_border(field: np.ndarray) -> np.ndarray:
    """Pad by one voxel that lies outside; it mirrors the border, so the cap is half a voxel away."""
    padded = np.pad(field, 1, mode="edge")
    mirrored = -np.abs(padded)
    mirrored[1:-1, 1:-1, 1:-1] = field
    return mirrored


def _flying_edges(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Zero level of a field in index coordinates (i, j, k), triangles looking to the negative side."""
    image = vtk.vtkImageData()
    image.SetDimensions(*field.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(field).ravel(), deep=False))
    filter_ = vtk.vtkFlyingEdges3D()
    filter_.SetInputData(image)
    filter_.SetValue(0, 0.0)
    filter_.ComputeNormalsOff()
    filter_.ComputeGradientsOff()
    filter_.ComputeScalarsOff()
    filter_.Update()
    mesh = filter_.GetOutput()
    points = vtk_to_numpy(mesh.GetPoints().GetData()).astype(np.float64)
    triangles = vtk_to_numpy(mesh.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64)
    return points, triangles


def remesh(surface: Surface, spacing_mm: float | None = None, n_points: int | None = None) -> Surface:
    """Cover a closed surface with near-uniform triangles.

    Vertices are sown as a Poisson disk; the dense surface is shared among them by distance along it,
    and where three shares meet there is a triangle (the dual of a Voronoi diagram, as in Valette and
    Chassery 2004). Flips to Delaunay and moves to the centroid then make the triangles even. The same
    input gives the same mesh.

    Parameters
    ----------
    surface : Surface
        One closed manifold piece. Its arrays are not carried: take them over with
        `closest.closest_points` and `closest.interpolate`.
    spacing_mm : float, optional
        Mean edge length in mm.
    n_points : int, optional
        Number of vertices, met within a few percent. Give this or `spacing_mm`.

    Returns
    -------
    Surface
        Vertices on `surface`; closed, manifold, outward, of the same Euler characteristic.

    Raises
    ------
    SurfaceError
        If the surface is not one closed manifold piece, or its shape needs smaller triangles.
    """
    if (spacing_mm is None) == (n_points is None):
        raise TypeError("remesh needs either spacing_mm or n_points")
    surface = _checked(surface)
    area = float(surface.triangle_areas.sum())
    if n_points is None:
        n_points = _number_for(area, spacing_mm)
    if n_points < 20:
        raise SurfaceError(
            f"The surface measures only {area:.3g} mm²: too little for the triangle size asked for. "
            "Ask for a smaller spacing."
        )
    lattice_edge = np.sqrt(2.0 * area / (np.sqrt(3.0) * n_points))
    for fineness in (0.7, 0.35, 0.2):
        dense = Surface(*refine(surface.points, surface.triangles, fineness * lattice_edge))
        coarse = _dual_mesh(dense, n_points, lattice_edge)
        if coarse is not None:
            relaxed = _relaxed(coarse, dense)
            return Surface(closest_points(surface, relaxed.points).points(surface), relaxed.triangles)
    raise SurfaceError(
        f"Triangles of {lattice_edge:.2g} mm are too large for the shape of this surface (it has parts, "
        "holes or bridges smaller than that). Ask for a smaller spacing, or smooth the mask."
    )


def _number_for(area: float, spacing_mm: float) -> int:
    if not (np.isfinite(spacing_mm) and spacing_mm > 0):
        raise SurfaceError(f"The vertex spacing must be more than 0 mm; it is {spacing_mm}.")
    return round(area / (np.sqrt(3.0) / 2.0 * (spacing_mm / _IRREGULARITY) ** 2))


def _checked(surface: Surface) -> Surface:
    """Give the surface without unused vertices and outward, or refuse one that remeshing does not support."""
    if not len(surface.triangles):
        raise SurfaceError("The surface has no triangles.")
    used, triangles = np.unique(surface.triangles, return_inverse=True)
    surface = Surface(surface.points[used], triangles.reshape(-1, 3))
    if not np.all(np.isfinite(surface.points)):
        raise SurfaceError("Some points of the surface are not finite numbers.")
    broken = defects(surface.triangles, len(surface.points))
    if len(broken):
        raise SurfaceError(
            f"The surface is open, or touches itself, at {len(broken)} of its {len(surface.points)} points. "
            "A closed surface is needed."
        )
    n_pieces = pieces(surface.triangles, len(surface.points)).max() + 1
    if n_pieces > 1:
        raise SurfaceError(f"The surface has {n_pieces} separate pieces; one is needed.")
    if surface.volume_mm3 < 0:
        surface = Surface(surface.points, surface.triangles[:, ::-1].copy())
    return surface


def _dual_mesh(dense: Surface, n_points: int, lattice_edge: float) -> Surface | None:
    """Coarse mesh whose vertices are some of the dense ones, or none if the topology is not met."""
    ends = edges_of(dense.triangles)
    length = np.linalg.norm(dense.points[ends[:, 0]] - dense.points[ends[:, 1]], axis=1)
    n_dense = len(dense.points)
    ends = ends.astype(np.int32)  # with 64-bit indices dijkstra fails before SciPy 1.15
    graph = coo_array(
        (np.tile(length, 2), (ends.ravel(order="F"), ends[:, ::-1].ravel(order="F"))), (n_dense, n_dense)
    ).tocsr()
    seeds = _sow_number(dense, n_points, lattice_edge)
    characteristic = euler_characteristic(dense.triangles)
    for _ in range(12):
        share, distance = _shares(graph, seeds)
        triangles = share[dense.triangles]
        triangles = triangles[np.all(triangles != np.roll(triangles, 1, axis=1), axis=1)]
        broken = defects(triangles, len(seeds))
        if not len(broken):
            same = euler_characteristic(triangles) == characteristic
            return Surface(dense.points[seeds], triangles) if same else None
        # Where shares meet more than once they are too large for the shape there: divide them.
        is_broken = np.isin(share, broken)
        order = np.lexsort((-distance, share))
        farthest = order[np.unique(share[order], return_index=True)[1]]
        more = np.setdiff1d(farthest[is_broken[farthest]], seeds)
        if not len(more):
            return None
        seeds = np.concatenate([seeds, more])
    return None


def _shares(graph: coo_array, seeds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest seed of each dense vertex along the mesh, so each share hangs together; its distance."""
    distance, _, source = dijkstra(graph, indices=seeds, min_only=True, return_predecessors=True)
    number = np.full(graph.shape[0], -1)
    number[seeds] = np.arange(len(seeds))
    return number[source], distance


def _sow_number(dense: Surface, n_points: int, lattice_edge: float) -> np.ndarray:
    """Poisson-disk seeds, about `n_points` of them."""
    radius = _FIRST_RADIUS * lattice_edge
    first = _sow(dense, n_points, radius)
    return _sow(dense, n_points, radius * np.sqrt(len(first) / n_points))


def _sow(dense: Surface, n_points: int, radius: float) -> np.ndarray:
    """Dense vertices no two of which are nearer than `radius`: parallel dart throwing (Luby 1986)."""
    random = np.random.default_rng(0)
    areas = np.cumsum(dense.point_areas)
    n_darts = _CANDIDATES_PER_POINT * n_points
    darts = (np.arange(n_darts) + random.random(n_darts)) / n_darts * areas[-1]
    candidates = np.unique(np.minimum(np.searchsorted(areas, darts), len(areas) - 1))
    pairs = cKDTree(dense.points[candidates]).query_pairs(radius, output_type="ndarray")
    normals = dense.normals[candidates]
    # Opposite sides of a thin sheet do not compete, however near they are in space.
    pairs = pairs[np.einsum("ij,ij->i", normals[pairs[:, 0]], normals[pairs[:, 1]]) > 0]
    rank = random.permutation(len(candidates))
    chosen, open_ = np.zeros(len(candidates), dtype=bool), np.ones(len(candidates), dtype=bool)
    while open_.any():
        rival = np.full(len(candidates), len(candidates))
        np.minimum.at(rival, pairs.ravel(), rank[pairs[:, ::-1].ravel()])
        new = open_ & (rank < rival)
        chosen |= new
        open_ &= ~new
        open_[pairs[:, ::-1][new[pairs]]] = False
        pairs = pairs[open_[pairs].all(axis=1)]
    return candidates[chosen]


def _relaxed(coarse: Surface, dense: Surface) -> Surface:
    """Even out the triangles; vertices glide on the tangent planes of the dense surface."""
    points, triangles = coarse.points, coarse.triangles
    tree = cKDTree(dense.points)
    for _ in range(_RELAXATIONS):
        for _ in range(3):
            triangles, n_flips = flip_to_delaunay(points, triangles)
            if not n_flips:
                break
        points = _centroids(Surface(points, triangles))
        _, nearest = tree.query(points)
        normals = dense.normals[nearest]
        height = np.einsum("ij,ij->i", points - dense.points[nearest], normals)
        points = points - height[:, None] * normals
    return Surface(points, triangles)


def _centroids(surface: Surface) -> np.ndarray:
    """Area-weighted centroid of the triangles around each vertex, shape (n_points, 3)."""
    corner = surface.triangles.ravel()
    centres = surface.points[surface.triangles].mean(axis=1) * surface.triangle_areas[:, None]
    n_points = len(surface.points)
    total = np.stack(
        [np.bincount(corner, np.repeat(centres[:, axis], 3), n_points) for axis in range(3)], axis=1
    )
    area = 3.0 * surface.point_areas[:, None]
    return np.where(area > 0, total / np.where(area > 0, area, 1.0), surface.points)
