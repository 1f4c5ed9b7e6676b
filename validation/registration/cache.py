"""Results kept on disk under the hash of what they were made from, as in the measurement's benchmark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh import meshing
from CorticalBoneMappingLib.mesh.meshing import remesh
from validation.measurement.cache import Arrays, code, digest, kept, sources

__all__ = ["Arrays", "code", "digest", "kept", "kept_surface", "remeshed", "sources"]


def kept_surface(folder: Path, key: str, make: Callable[[], Surface]) -> Surface:
    """Give a bare surface from the cache, or make it and keep it."""

    def made() -> dict[str, np.ndarray]:
        surface = make()
        return {"points": surface.points, "triangles": surface.triangles}

    arrays = kept(folder, key, made)
    return Surface(arrays["points"], arrays["triangles"])


def remeshed(folder: Path, surface: Surface, n_points: int) -> Surface:
    """Cover a surface with even triangles, or take them from the cache."""
    key = digest(surface.points, surface.triangles, n_points, sources(Path(meshing.__file__)))
    return kept_surface(folder, key, lambda: remesh(surface, n_points=n_points))
