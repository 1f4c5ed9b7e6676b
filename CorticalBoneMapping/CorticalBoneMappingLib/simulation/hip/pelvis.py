"""The surfaces of a pelvis around a socket: hip bone, sacrum, and the pubis of the other side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from ...core.surface import Surface
from ...mesh.meshing import isosurface
from ...mesh.topology import pieces
from .bone import Hip
from .forms.nets import HIP_BONE, MIDLINE_MM, SACRUM
from .forms.socket import Socket
from .forms.solids import Grid, sheets_level, smooth_minimum, smooth_step, unevenness

_GRID_MM = 1.25
_LOW, _HIGH = np.array([-MIDLINE_MM - 0.5 * _GRID_MM, -98.0, -84.0]), np.array([60.0, 70.0, 130.0])
_MEAN_HEAD_RADIUS_MM = 24.0
_SEAM_MM, _BLUR_MM = 5.0, 1.3
_HALF_SYMPHYSIS_MM = 2.2
_SACROILIAC_GAP_MM = 2.5
_ROUGH_MM, _ROUGH_LENGTH_MM = 0.35, 7.0  # SD, and Gaussian correlation length
_RIM_EDGE_MM = 2.2
_NOTCH_MM = 7.0  # from the line of the rim to the bone between the horns
_SLOPE = 0.8  # of the bone over the rim, outward


class PelvisSurfaces(NamedTuple):
    """Closed surfaces in RAS mm.

    Attributes
    ----------
    hip_bone : Surface
        Of the side of the socket.
    sacrum : Surface
        Both halves.
    other_pubis : Surface
        What the other side's hip bone has within about 35 mm of the midline.
    """

    hip_bone: Surface
    sacrum: Surface
    other_pubis: Surface


def pelvis_surfaces(hip: Hip, socket: Socket, random: np.random.Generator | None = None) -> PelvisSurfaces:
    """Make the bones around a socket.

    Parameters
    ----------
    hip : Hip
        Its femur is kept clear by the joint space.
    socket : Socket
        In the same place.
    random : numpy.random.Generator, optional
        Of the person; without it the mean pelvis.

    Returns
    -------
    PelvisSurfaces
    """
    grid = Grid.over(_LOW, _HIGH, _GRID_MM)
    place = _PersonalNets(socket, random)
    level = sheets_level(grid, [place(np.array(net, dtype=float)) for net in HIP_BONE], _SEAM_MM, _BLUR_MM)
    level += unevenness(grid, _ROUGH_MM, _ROUGH_LENGTH_MM, random)
    _carve_socket(level, grid, hip, socket)
    beyond = grid.axes[0][:, None, None] + np.float32(MIDLINE_MM - _HALF_SYMPHYSIS_MM)
    level = smooth_minimum(level, beyond, 3.0)
    sacrum_grid = Grid.over(_LOW, np.array([-30.0, _HIGH[1], _HIGH[2]]), _GRID_MM)
    sacrum = sheets_level(sacrum_grid, [place(np.array(net, dtype=float)) for net in SACRUM], 9.0, _BLUR_MM)
    beside = -level[: sacrum_grid.shape[0]] - np.float32(_SACROILIAC_GAP_MM)
    sacrum = smooth_minimum(sacrum, beside, 1.0)
    medial = level[: int(36.0 / _GRID_MM)]
    return PelvisSurfaces(
        _surface(level, grid.low, hip),
        # The midline lies midway between the first two layers: the half and its mirror image meet there.
        _surface(
            np.concatenate([sacrum[:0:-1], sacrum[1:]]),
            grid.low - [(len(sacrum) - 2) * _GRID_MM, 0.0, 0.0],
            hip,
        ),
        _surface(medial[::-1], grid.low - [(len(medial) - 2) * _GRID_MM, 0.0, 0.0], hip),
    )


class _PersonalNets:
    """A person's nets: the mean ones scaled with the head, tilted, bent and thickened."""

    def __init__(self, socket: Socket, random: np.random.Generator | None) -> None:
        draw = np.zeros(4) if random is None else np.clip(random.standard_normal(4), -2.0, 2.0)
        relative = socket.head_radius_mm / _MEAN_HEAD_RADIUS_MM
        self._near = (socket.head_radius_mm + socket.joint_space_mm) / (_MEAN_HEAD_RADIUS_MM + 3.0)
        self._far = relative**0.6 * (1.0 + 0.025 * draw[0])
        self._thickness = relative**0.7 * (1.0 + 0.05 * draw[1])
        self._tilt = np.radians(4.0 * draw[2])
        waves = np.random.default_rng(0) if random is None else random
        self._wave = waves.standard_normal((24, 3)) / 45.0
        self._phase = waves.uniform(0.0, 2.0 * np.pi, 24)
        size = 0.0 if random is None else 1.6
        self._size = waves.standard_normal((24, 4)) * np.sqrt(2.0 / 24) * size * np.array([1, 1, 1, 0.3])

    def __call__(self, net: np.ndarray) -> np.ndarray:
        points = net[..., :3].copy()
        bend = np.cos(points @ self._wave.T + self._phase) @ self._size
        free = smooth_step((points[..., :1] + MIDLINE_MM) / 30.0)  # the symphysis stays on the midline
        near = np.exp(-((points**2).sum(axis=-1, keepdims=True) / 55.0**2))
        scaled = points * (self._far + (self._near - self._far) * near) + bend[..., :3]
        scaled[..., :1] = points[..., :1] + free * (scaled[..., :1] - points[..., :1])
        c, s = np.cos(self._tilt), np.sin(self._tilt)
        tilted = scaled @ np.array([[1.0, 0.0, 0.0], [0.0, c, s], [0.0, -s, c]])
        points = near * scaled + (1.0 - near) * tilted  # the socket has its own direction
        radius = np.maximum(net[..., 3:] * self._thickness + 0.5 * bend[..., 3:], 1.2)
        return np.concatenate([points, radius], axis=-1)


def _carve_socket(level: np.ndarray, grid: Grid, hip: Hip, socket: Socket) -> None:
    """Give a level, in place, the wall of the socket and its hollow, clear of the femur."""
    reach = socket.head_radius_mm + socket.joint_space_mm + socket.fossa_mm + 22.0
    box = grid.box(np.full(3, -reach), np.full(3, reach))
    local = grid.points(box)
    points = local * _mirror(hip) + hip.head_centre
    at = socket.place(points)
    begin, in_fossa = socket.bone_radius(at)
    inside_rim = (at.angle - socket.rim(at.azimuth)) * np.minimum(at.radius, socket.head_radius_mm + 8.0)
    up = np.maximum(local @ np.array([-0.25, 0.0, 0.97], dtype=np.float32), 0.0) / np.maximum(at.radius, 1.0)
    wall = 4.6 + 2.0 * smooth_step(inside_rim / 14.0) + 5.0 * up**2
    wall = wall + in_fossa * (2.4 - wall)
    horns = inside_rim - _NOTCH_MM * socket.over_notch(at.azimuth)
    shell = smooth_minimum(begin + wall - at.radius, horns, _RIM_EDGE_MM)
    here = -smooth_minimum(-level[box].ravel(), -shell, 5.0)
    # The way out of the socket is free; away from the head, bone may rise over the rim by a slope.
    way = 0.8 * (inside_rim + _SLOPE * np.maximum(at.radius - begin - 2.0, 0.0))
    here = smooth_minimum(here, way, _RIM_EDGE_MM)
    here = smooth_minimum(here, at.radius - begin, 1.0)
    near = np.flatnonzero(here > -3.0)
    most = 1.8 * socket.joint_space_mm + 2.0
    clearance, _ = cKDTree(hip.femur.surface.points).query(points[near], distance_upper_bound=most)
    # Beside a head that is not round, or a trochanter, the pelvis still keeps its distance.
    kept = np.minimum(clearance, most) - np.minimum(socket.space(at)[near], most - 2.0)
    here[near] = smooth_minimum(here[near], kept, 0.15)
    level[box] = here.reshape(level[box].shape)


def _surface(level: np.ndarray, low: np.ndarray, hip: Hip) -> Surface:
    """The largest closed piece of a surface."""
    matrix = np.diag([_GRID_MM * hip.lateral[0], _GRID_MM, _GRID_MM, 1.0])
    matrix[:3, 3] = low * _mirror(hip) + hip.head_centre
    return _largest_piece(isosurface(level.transpose(2, 1, 0), matrix, 0.0))


def _mirror(hip: Hip) -> np.ndarray:
    return np.array([hip.lateral[0], 1.0, 1.0])


def _largest_piece(surface: Surface) -> Surface:
    piece = pieces(surface.triangles, len(surface.points))
    kept = piece == np.bincount(piece).argmax()
    number = np.cumsum(kept) - 1
    triangles = surface.triangles[kept[surface.triangles[:, 0]]]
    return Surface(surface.points[kept], number[triangles])
