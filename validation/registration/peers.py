"""Published methods on the same simulated pairs, in an environment of their own.

They are helped wherever there is a choice: they start from the true least-squares similarity, but for the one
that searches the pose itself, and both bones are cropped for them to what they share in truth.
"""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import tempfile
import venv
from functools import lru_cache
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.closest import closest_points
from CorticalBoneMappingLib.mesh.shape_model import ShapeModel, similarity

from . import bcpd, peer_worker
from .cache import digest, kept
from .errors import Errors, errors_of
from .peer_worker import ANY_POSE, METHODS
from .subjects import CACHE, END_Z_MM, Subject, Template

_HERE = Path(__file__).parent
_CORNERS = 8  # vertices that define a pose
_WORKER, _NEEDS = Path(peer_worker.__file__), _HERE / "peers.txt"


def peer_errors(
    method: str, template: Template, subject: Subject, shape_model: ShapeModel | None = None
) -> tuple[Errors, Errors, float]:
    """Run a peer on a pair, or take its result from the cache.

    Parameters
    ----------
    method : str
        Of `METHODS`.
    template : Template
        What is registered.
    subject : Subject
        To which.
    shape_model : ShapeModel, optional
        On the template's mesh, for the methods that use one.

    Returns
    -------
    as_given, on_surface : Errors
        Of its result, and of its result moved to the closest places on the subject's surface.
    seconds : float
        Time of the processor, one thread.
    """
    pair = _Pair(template, subject, shape_model, posed=method not in ANY_POSE)
    key = digest(*pair.arrays().values(), _source(method), _NEEDS.read_bytes())
    made = kept(CACHE / "peers", key, lambda: _run(method, pair.arrays()))
    moved = pair.back(made["points"])
    place = closest_points(subject.surface, moved.points)
    registered_template = Surface(place.points(subject.surface), moved.triangles)
    errors = [errors_of(subject, template, surface, pair.shared) for surface in (moved, registered_template)]
    return errors[0], errors[1], float(made["seconds"])


def similarity_errors(template: Template, subject: Subject) -> Errors:
    """The pose that the peers start from, by itself."""
    pair = _Pair(template, subject)
    return errors_of(subject, template, pair.back(pair.source[pair.shared]), pair.shared)


def true_start(template: Template, subject: Subject) -> dict[str, np.ndarray]:
    """Places of some vertices of the template in that pose, in the subject's own space, by their numbers."""
    pair = _Pair(template, subject)
    corners = np.linspace(0, len(pair.source) - 1, _CORNERS).astype(int)
    return {str(row): pair.source[row] * pair.mirror for row in corners}


def _source(method: str) -> bytes:
    """Text of a method, of what it calls in the worker, and of how the worker runs it."""
    names = [METHODS[method].__name__, *METHODS[method].__code__.co_names, "main"]
    texts = [inspect.getsource(getattr(peer_worker, name)) for name in names if hasattr(peer_worker, name)]
    own = Path(bcpd.__file__).read_bytes() if "bcpd" in names else b""
    return "".join(texts).encode() + own


class _Pair:
    """A template and a subject, cropped to what they share, the template in its true pose."""

    def __init__(
        self, template: Template, subject: Subject, shape_model: ShapeModel | None = None, posed: bool = True
    ) -> None:
        self.template, self.subject = template, subject
        truth = subject.truth(template.mean_points)
        self.shared = subject.exists(truth) & ~template.cut_end
        right = subject.surface if subject.side == "right" else subject.surface.mirrored()
        mirror = np.array([1.0 if subject.side == "right" else -1.0, 1.0, 1.0])
        self.mirror = mirror
        points = template.surface.points
        size, turn, shift = similarity(points[self.shared], (mirror * truth)[self.shared])
        if not posed:
            size, turn, shift = 1.0, np.eye(3), np.zeros(3)
        self.source = size * points @ turn.T + shift
        self.modes = None if shape_model is None else size * shape_model.modes[:, self.shared] @ turn.T
        on_mean = subject.on_mean(subject.surface.points)
        bare = subject.exists(subject.surface.points, margin_mm=0.2)
        self.target = right, (on_mean[:, 2] > END_Z_MM) & bare

    def arrays(self) -> dict[str, np.ndarray]:
        right, in_target = self.target
        source = _cropped(Surface(self.source, self.template.surface.triangles), self.shared)
        target = _cropped(right, in_target)
        arrays = {
            "source": source.points,
            "target": target.points,
            "source_triangles": source.triangles,
            "target_triangles": target.triangles,
        }
        return arrays if self.modes is None else arrays | {"modes": self.modes}

    def back(self, moved: np.ndarray) -> Surface:
        """The whole template in the subject's own space; what was cropped stays where it began."""
        points = self.source.copy()
        points[self.shared] = moved
        triangles = self.template.surface.triangles
        left = self.subject.side == "left"
        return Surface(points * self.mirror, triangles[:, ::-1] if left else triangles)


def _cropped(surface: Surface, chosen: np.ndarray) -> Surface:
    number = np.cumsum(chosen) - 1
    triangles = surface.triangles[chosen[surface.triangles].all(axis=1)]
    return Surface(surface.points[chosen], number[triangles])


def _run(method: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    with tempfile.TemporaryDirectory() as folder:
        given, result = Path(folder, "in.npz"), Path(folder, "out.npz")
        np.savez(given, **arrays)
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        subprocess.run(
            [_python(), str(_WORKER), method, str(given), str(result)],
            check=True,
            env={**os.environ, **one_thread},
        )
        with np.load(result) as made:
            return dict(made)


@lru_cache(maxsize=1)
def _python() -> str:
    """Python of the peers' environment, which is made on first use."""
    folder = CACHE / f"peers-{digest(_NEEDS.read_bytes())}"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not (folder / "whole").exists():
        venv.create(folder, clear=True, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--requirement", str(_NEEDS)], check=True)
        (folder / "whole").touch()
    return str(python)
