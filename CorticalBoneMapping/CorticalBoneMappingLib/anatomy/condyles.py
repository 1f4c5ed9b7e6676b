"""Find the condyles at the far end of a whole femur: where its back lies on a table."""

from __future__ import annotations

import numpy as np
from scipy.spatial import ConvexHull

from ..core.surface import Surface
from .frame import Frame

_WHOLE = 12.0  # radii of the head from its centre to the far end; whole femurs have 16 to 20
_END = 2.0  # radii of the head: how much of the far end may be condyles; chosen by hand
_BEHIND_DEG = 60.0  # between straight backward and the direction of the condyles; anteversions are -20 to 50
# Of the head's radius. Between the condyles the hull bridges a notch; behind, no other side of it is as long.
# In 11 whole femurs (femur_surfaces_mpl, vhf) the bridge has 2.0 to 2.3, the next side 0.5 to 0.9.
_LEAST_BRIDGE, _LONGEST_BRIDGE = 1.5, 3.0
_CLEARLY = 1.5  # chosen by hand: times the next longest side of the hull


def find_condyles(surface: Surface, frame: Frame, head_radius_mm: float) -> dict[str, np.ndarray]:
    """Find the most posterior points of the condyles: where a table touches them.

    Seen along the shaft, the convex hull of the far end has one long side behind, from condyle to condyle.

    Parameters
    ----------
    surface : Surface
        Of a right femur, mm.
    frame : Frame
        Of it.
    head_radius_mm : float
        Of its head.

    Returns
    -------
    dict of str to ndarray of shape (3,)
        ``medial_condyle`` and ``lateral_condyle``, mm; empty where the far end is missing or has not two
        condyles.
    """
    places = frame.coordinates(surface.points)
    end = places[:, 2].min()
    if end > -_WHOLE * head_radius_mm:
        return {}
    far = np.flatnonzero(places[:, 2] < end + _END * head_radius_mm)
    across = places[far, :2]  # lateral, anterior
    corners = ConvexHull(across).vertices  # counter-clockwise
    sides = np.roll(corners, -1)
    along = across[sides] - across[corners]
    length = np.linalg.norm(along, axis=1)
    looks = np.degrees(np.arctan2(-along[:, 0], along[:, 1]))  # outward, from lateral towards anterior
    behind = np.abs((looks + 90.0 + 180.0) % 360.0 - 180.0) < _BEHIND_DEG
    if behind.sum() < 2:
        return {}
    # Of a hull's sides within a hand's breadth several may lie along one bridge; the longest is it.
    order = np.argsort(np.where(behind, length, 0.0))[::-1]
    bridge, next_longest = order[0], order[1]
    is_bridge = _LEAST_BRIDGE * head_radius_mm < length[bridge] < _LONGEST_BRIDGE * head_radius_mm
    if not is_bridge or length[bridge] < _CLEARLY * length[next_longest]:
        return {}
    ends = far[[corners[bridge], sides[bridge]]]
    medial, lateral = ends[np.argsort(places[ends, 0])]
    return {"medial_condyle": surface.points[medial], "lateral_condyle": surface.points[lateral]}
