"""The registration of this library on the subjects, each result kept."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib import registration
from CorticalBoneMappingLib.registration import register
from CorticalBoneMappingLib.surface import Surface

from .cache import digest, kept
from .subjects import CACHE


@dataclass(frozen=True)
class Laid:
    """A template laid on a subject, and what it took.

    Attributes
    ----------
    surface : Surface
        The template's mesh in the space of the subject.
    covered : ndarray of shape (n_template,)
        Which vertices are said to have a counterpart.
    matrix : ndarray of shape (4, 4)
        Similarity from the template to the right-sided subject.
    seconds : float
        Time of the processor on one core.
    """

    surface: Surface
    covered: np.ndarray
    matrix: np.ndarray
    seconds: float


def lay(template: Surface, bone: Surface, side: str) -> Laid:
    """Register a bone to a template, or take the result from the cache."""
    key = digest(template.points, template.triangles, bone.points, bone.triangles, side, _library())
    made = kept(CACHE / "ours", key, lambda: _registered(template, bone, side))
    triangles = template.triangles if side == "right" else template.triangles[:, ::-1]
    return Laid(Surface(made["points"], triangles), made["covered"], made["matrix"], float(made["seconds"]))


def _registered(template: Surface, bone: Surface, side: str) -> dict[str, np.ndarray]:
    begun = time.process_time()
    found = register(bone, template, side)
    seconds = time.process_time() - begun
    return {
        "points": found.points,
        "covered": found.covered,
        "matrix": found.matrix,
        "seconds": np.array(seconds),
    }


def _library() -> bytes:
    """Everything a registration depends on: its own room and the ground floor."""
    room = Path(registration.__file__).parent
    files = sorted(room.glob("*.py")) + [room.parent / name for name in ("closest.py", "surface.py")]
    return b"".join(path.read_bytes() for path in files)
