"""Simulated femurs of known correspondence: where every point of the mean shape lies on each, and back.

A subject is a draw from the population's dimensions (with seeds of the benchmark's own), changed by a
deformation of the benchmark's own and scaled, or a person with all that the simulation varies. It is cut by a
plane, mirrored if it is a left one, placed anywhere, and meshed by itself. The mean shape's dense mesh,
carried along, is the truth.
"""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from CorticalBoneMappingLib import simulation
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.closest import closest_points
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.simulation.hip.femur_shape import SHAFT_AXIS, mean_shape
from CorticalBoneMappingLib.simulation.hip.population import PointMap, draw_dimensions, individual_map
from CorticalBoneMappingLib.simulation.hip.variation import draw_variation, fields_covariance

from .cache import digest, kept, kept_surface, sources
from .cutting import cut_off
from .deformation import LARGEST_SCALE, own_deformation
from .unseen import at, unseen_part

CACHE = Path(tempfile.gettempdir()) / "cortical-bone-mapping-registration"
END_Z_MM = -105.0
"""Where the template's shaft ends on the mean shape, as the average femur's does."""
_VERTICES = (8000, 9500)
_SEED = 70_413  # the shipped population has seeds of its own
# Heights on the mean shape, whose lesser trochanter has its tip at -53 mm.
_CUT_SHORT_MM, _CUT_LONG_MM = (-118.0, -60.0), (-140.0, -125.0)
_TILT_SHORT_DEG, _TILT_LONG_DEG = 25.0, 5.0
_FARTHEST_MM = 300.0
DEFORMED, SIMULATED = "deformed", "simulated"
"""Kinds of subjects: dimensions and a deformation of the benchmark's own; all that the simulation varies."""
_SEEN_POINTS = 3000


@dataclass(frozen=True)
class Subject:
    """A simulated femur and the truth about it.

    Attributes
    ----------
    name : str
        For tables.
    surface : Surface
        What is registered: bare, closed, in the subject's own pose, RAS mm.
    side : str
        ``left`` or ``right``.
    cut_short : bool
        Whether the shaft ends above the end of the average femur's.
    dense_points : ndarray of shape (n_dense, 3)
        Where the vertices of the dense mean shape lie on the subject, also those beyond the cut.
    cuts : ndarray of shape (n_cuts, 2, 3)
        A point of each plane where the bone was cut, and the normal that looks away from the bone.
    unseen : ndarray of shape (n_seen, 3)
        By how much the points of `seen_mean` were moved without a trace in the subject's shape, mm; see
        `unseen_part`.
    """

    name: str
    surface: Surface
    side: str
    cut_short: bool
    dense_points: np.ndarray
    cuts: np.ndarray
    unseen: np.ndarray

    def truth(self, mean_points: np.ndarray) -> np.ndarray:
        """Where points on the mean shape lie on the subject, RAS mm, shape (n, 3)."""
        place = closest_points(dense_mean(), mean_points)
        return place.points(Surface(self.dense_points, dense_mean().triangles))

    def seen_truth(self, mean_points: np.ndarray) -> np.ndarray:
        """Where points on the mean shape would lie without what leaves no trace, RAS mm, shape (n, 3)."""
        return self.truth(mean_points - at(seen_mean(), self.unseen, mean_points))

    def exists(self, points: np.ndarray, margin_mm: float = 0.0) -> np.ndarray:
        """Whether points of the whole femur are on this side of all cuts, by a margin, shape (n,)."""
        heights = [(points - point) @ normal for point, normal in self.cuts]
        return np.max(heights, axis=0, initial=-np.inf) < -margin_mm

    def on_mean(self, points: np.ndarray) -> np.ndarray:
        """Where points on the subject come from on the mean shape, mm, shape (n, 3)."""
        triangles = dense_mean().triangles if self.side == "right" else dense_mean().triangles[:, ::-1]
        place = closest_points(Surface(self.dense_points, triangles), points)
        return place.points(Surface(dense_mean().points, triangles))

    def seen_on_mean(self, points: np.ndarray) -> np.ndarray:
        """Where they seem to come from by the subject's shape: the inverse of `seen_truth`, shape (n, 3)."""
        mean_points = self.on_mean(points)
        return mean_points + at(seen_mean(), self.unseen, mean_points)


@lru_cache(maxsize=1)
def dense_mean() -> Surface:
    """Give the mean shape, densely meshed, in the frame of the bone."""
    return mean_shape()


@dataclass(frozen=True)
class Template:
    """A femur to register to the subjects, and where its vertices come from on the mean shape.

    Attributes
    ----------
    surface : Surface
        A right femur, bare.
    mean_points : ndarray of shape (n_points, 3)
        mm.
    cut_end : ndarray of shape (n_points,)
        Whether a vertex lies on its own flat end, and so has no counterpart on anybody.
    """

    surface: Surface
    mean_points: np.ndarray
    cut_end: np.ndarray


@lru_cache(maxsize=4)
def mean_femur(n_points: int = 8000) -> Template:
    """Give the mean shape itself as a template, cut where the average femur ends."""
    key = digest(_key(), n_points)
    surface = kept_surface(
        CACHE / "template", key, lambda: remesh(mean_shape(end_z_mm=END_Z_MM), n_points=n_points)
    )
    place = closest_points(dense_mean(), surface.points)
    return Template(surface, place.points(dense_mean()), surface.points[:, 2] < END_Z_MM + 0.1)


def draw_subjects(count: int, kind: str = DEFORMED) -> list[Subject]:
    """Draw the first `count` subjects; every other one is cut short, every third is a left femur."""
    return [draw_subject(number, kind) for number in range(count)]


def draw_subject(number: int, kind: str = DEFORMED) -> Subject:
    """Draw one subject, from the cache where it is there."""
    made = kept(CACHE / "subjects", digest(_key(), number, kind), lambda: _made(number, kind))
    surface = Surface(made["points"], made["triangles"])
    side, cut_short = _side(number), _is_cut_short(number)
    name = f"{number + 1}, {side}" + (", cut short" if cut_short else "")
    return Subject(name, surface, side, cut_short, made["dense"], made["cuts"], made["unseen"])


def _side(number: int) -> str:
    return "left" if number % 3 == 2 else "right"


def _is_cut_short(number: int) -> bool:
    return number % 2 == 1


def _made(number: int, kind: str) -> dict[str, np.ndarray]:
    random = np.random.default_rng([_SEED, number] if kind == DEFORMED else [_SEED, number, 1])
    mean = dense_mean()
    to_subject, unseen = (_deformed if kind == DEFORMED else _simulated)(random)
    axis = SHAFT_AXIS[1] - SHAFT_AXIS[0]
    level = random.uniform(*(_CUT_SHORT_MM if _is_cut_short(number) else _CUT_LONG_MM))
    middle = SHAFT_AXIS[0] + axis * (level - SHAFT_AXIS[0][2]) / axis[2]
    carried = to_subject(np.concatenate([mean.points, [middle, middle + 5.0 * axis / 136.0]]))
    dense, (cut_point, beyond) = carried[:-2], carried[-2:]
    tilt = np.radians(_TILT_SHORT_DEG if _is_cut_short(number) else _TILT_LONG_DEG) * random.uniform()
    cut_normal = _tilted(beyond - cut_point, tilt, random)
    mirror = np.array([-1.0 if _side(number) == "left" else 1.0, 1.0, 1.0])
    turn = Rotation.random(random_state=int(random.integers(2**31))).as_matrix()
    shift = random.uniform(-_FARTHEST_MM, _FARTHEST_MM, 3)
    n_points = int(random.integers(_VERTICES[0], _VERTICES[1] + 1))
    bone = remesh(cut_off(Surface(dense, mean.triangles), cut_point, cut_normal), n_points=n_points)
    triangles = bone.triangles if _side(number) == "right" else bone.triangles[:, ::-1]
    return {
        "points": (mirror * bone.points) @ turn.T + shift,
        "triangles": triangles.copy(),
        "dense": (mirror * dense) @ turn.T + shift,
        "cuts": np.array([[(mirror * cut_point) @ turn.T + shift, (mirror * cut_normal) @ turn.T]]),
        "unseen": unseen,
    }


def _deformed(random: np.random.Generator) -> tuple[PointMap, np.ndarray]:
    """The map of a subject with a deformation of the benchmark's own, and what of it is unseen."""
    to_person, own = individual_map(draw_dimensions(random)), own_deformation(dense_mean(), random)
    scale = 1.0 + random.uniform(-LARGEST_SCALE, LARGEST_SCALE)
    return (lambda points: scale * to_person(own(points))), own.unseen(seen_mean())


def _simulated(random: np.random.Generator) -> tuple[PointMap, np.ndarray]:
    """The map of a person of the simulation, and what of the person's fields is unseen."""
    dimensions = draw_dimensions(random)
    fields = draw_variation(copy.deepcopy(random)).fields  # the same that the map has
    return individual_map(dimensions, random), unseen_part(fields, fields_covariance, seen_mean())


@lru_cache(maxsize=1)
def seen_mean() -> Surface:
    """Give the mean shape with points 3 mm apart, at which a displacement is seen."""
    return remesh(mean_shape(), n_points=_SEEN_POINTS)


def _tilted(axis: np.ndarray, angle: float, random: np.random.Generator) -> np.ndarray:
    """Unit vector at an angle from an axis, in any direction around it."""
    axis = axis / np.linalg.norm(axis)
    aside = np.cross(axis, random.standard_normal(3))
    return np.cos(angle) * axis + np.sin(angle) * aside / np.linalg.norm(aside)


@lru_cache(maxsize=1)
def _key() -> str:
    room, here = Path(simulation.__file__).parent, Path(__file__)
    library = [
        room / "hip" / "population.py",
        room / "hip" / "variation.py",
        room.parent / "mesh" / "meshing.py",
        room.parent / "mesh" / "topology.py",
    ]
    return digest(*[sources(path) for path in (here, *library)])
