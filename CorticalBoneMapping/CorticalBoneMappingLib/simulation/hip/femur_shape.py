"""The mean femur's shape: the average of thirteen real people, in the frame of the bone.

Frame of a right femur, in mm: z is superior as a person lies in the scanner, x is lateral, y anterior, and
the origin lies on the shaft's axis at the height of the head's centre. The neck points straight medially; the
shaft leans as it does in people who lie on their back. The mesh and the places on it are files in ``data``,
which ``python -m tools.shipped_atlas`` makes; whose bones they come from and under which licence is in
``data/README.md``.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import vtk

from ...core.surface import Surface, from_polydata, to_polydata
from ...io.surface_files import read_surface
from ...mesh.cutting import cut_flat
from ...mesh.meshing import remesh

DATA = Path(__file__).parent / "data"
MESH, PLACES = "mean_femur.vtp", "mean_femur.json"

_FACTS = json.loads((DATA / PLACES).read_text(encoding="utf-8"))
PLACE = {name: np.array(place) for name, place in _FACTS["places"].items()}
"""Places on and in the mean femur, mm; the landmarks are those of `anatomy.LANDMARKS`, but for
``greater_trochanter``, which is the middle of its top (`anatomy.trochanters.greater_trochanter_top`)."""
DIMENSIONS: dict[str, float] = _FACTS["dimensions"]
"""What `measure_anatomy` finds on the mean femur, by the names of `population.FemurDimensions`."""
RESPONSE = np.array(_FACTS["response"])
"""By how much each measured dimension changes (rows) for each that is asked for (columns), at the mean."""

HEAD_CENTRE = PLACE["head_centre"]
HEAD_RADIUS_MM = DIMENSIONS["head_diameter_mm"] / 2.0
NECK_BASE = PLACE["neck_base"]
SHAFT_AXIS = (PLACE["shaft_proximal"], PLACE["shaft_distal"])
LESSER_TROCHANTER_TIP = PLACE["lesser_trochanter"]
GREATER_TROCHANTER_TOP = PLACE["greater_trochanter"]
END_Z_MM = -150.0
"""Height of the flat end of the shaft; scans and the average femur end above it."""
_DENSE_MM = 0.8  # about what one subdivision of the stored mesh gives


def axis_at(z_mm: float) -> np.ndarray:
    """Return the point of the shaft's axis at a height in the frame of the bone, mm, shape (3,)."""
    first, last = SHAFT_AXIS
    return first + (last - first) * (z_mm - first[2]) / (last[2] - first[2])


@lru_cache(maxsize=4)
def mean_shape(spacing_mm: float = _DENSE_MM, end_z_mm: float = END_Z_MM) -> Surface:
    """Return the mean femur as a dense mesh.

    Parameters
    ----------
    spacing_mm : float
        Distance of its vertices, mm; the usual one is that of the stored mesh, subdivided once.
    end_z_mm : float
        Height of the flat end of the shaft, mm; not below `END_Z_MM`.

    Returns
    -------
    Surface
        Closed, in the frame of the bone (a right femur).
    """
    end, down = np.array([0.0, 0.0, end_z_mm]), np.array([0.0, 0.0, -1.0])
    dense = cut_flat(_subdivided(read_surface(DATA / MESH)), end, down, spacing_mm)
    return dense if spacing_mm == _DENSE_MM else remesh(dense, spacing_mm=spacing_mm)


def _subdivided(surface: Surface) -> Surface:
    """Divide each triangle into four on a smooth surface through the points (Zorin et al. 1996)."""
    subdivide = vtk.vtkButterflySubdivisionFilter()
    subdivide.SetInputData(to_polydata(Surface(surface.points, surface.triangles)))
    subdivide.SetNumberOfSubdivisions(1)
    subdivide.Update()
    return from_polydata(subdivide.GetOutput())
