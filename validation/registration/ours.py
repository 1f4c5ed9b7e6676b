"""The registration of this library, each result kept."""

from __future__ import annotations

import ast
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib import registration
from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.core.errors import RegistrationError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.shape_model import ShapeModel
from CorticalBoneMappingLib.registration import RegistrationSettings, register
from CorticalBoneMappingLib.registration.template import template_of

from .cache import code, digest, kept
from .subjects import CACHE

_NEVER_USED = 1.0 + 1e-9  # a flexibility for which no template was made before


@dataclass(frozen=True)
class Registered:
    """A template registered to a bone, and what it took.

    Attributes
    ----------
    surface : Surface
        The template's mesh in the space of the bone, triangles looking outward.
    covered : ndarray of shape (n_template,)
        Which vertices are said to have a counterpart.
    matrix : ndarray of shape (4, 4)
        Similarity from the template to the right-sided bone.
    expected_mm : ndarray of shape (n_template,)
        The error that the registration itself expects; not-a-number where not covered.
    look_at_it : bool
        Whether it asks to be looked at.
    folded : int
        Folded triangles, by the registration's own count.
    off_template_mm : float
        Mean distance of the bone's vertices from the registered template.
    seconds : float
        Time of the processor on one core.
    """

    surface: Surface
    covered: np.ndarray
    matrix: np.ndarray
    expected_mm: np.ndarray
    look_at_it: bool
    folded: int
    off_template_mm: float
    seconds: float


def register_average(
    bone: Surface, side: str, density: str = "standard", start: dict[str, np.ndarray] | None = None
) -> Registered:
    """Register the shipped average to a bone with its shape model; see `register_template`."""
    average = load_average(density)
    return register_template(average.surface, bone, side, average.shape_model, start)


def register_template(
    template: Surface,
    bone: Surface,
    side: str,
    shape_model: ShapeModel | None = None,
    start: dict[str, np.ndarray] | None = None,
) -> Registered:
    """Register a bone to a template, or take the result from the cache.

    Parameters
    ----------
    template, bone : Surface
        What is registered, and to which.
    side : str
        The bone's.
    shape_model : ShapeModel, optional
        On the template's mesh.
    start : dict of str to ndarray of shape (3,), optional
        Where vertices of the template, by their numbers, lie in the pose to begin with. No other pose is
        tried then, and the side is not checked.

    Raises
    ------
    RegistrationError
        If the registration refuses the bone.
    """
    model = [shape_model.mean, shape_model.modes] if shape_model else []
    begin = [part for name, place in sorted((start or {}).items()) for part in (name, place)]
    meshes = [template.points, template.triangles, bone.points, bone.triangles]
    key = digest(*meshes, *model, *begin, side, _LIBRARY)
    made = kept(CACHE / "ours", key, lambda: _registered(template, bone, side, shape_model, start))
    if "refused" in made:
        raise RegistrationError(str(made["refused"]))
    triangles = template.triangles if side == "right" else template.triangles[:, ::-1]
    return Registered(
        Surface(made["points"], triangles),
        made["covered"],
        made["matrix"],
        made["expected_mm"],
        bool(made["look_at_it"]),
        int(made["folded"]),
        float(made["off_template_mm"]),
        float(made["seconds"]),
    )


def _registered(
    template: Surface,
    bone: Surface,
    side: str,
    shape_model: ShapeModel | None,
    start: dict[str, np.ndarray] | None,
) -> dict[str, np.ndarray]:
    own = {name: template.points[int(name)] for name in start or {}} or None
    settings = RegistrationSettings(check_side=start is None)
    # What depends on the template alone is made once for all bones: `template_seconds`.
    template_of(template, shape_model, settings.flexibility)
    begun = time.process_time()
    try:
        found = register(
            bone,
            template,
            side,
            shape_model=shape_model,
            landmarks=start,
            average_landmarks=own,
            settings=settings,
        )
    except RegistrationError as error:
        return {"refused": np.array(str(error))}
    seconds = time.process_time() - begun
    return {
        "points": found.points,
        "covered": found.covered,
        "matrix": found.matrix,
        "expected_mm": found.expected_error,
        "look_at_it": np.array(found.look_at_it),
        "folded": np.array(found.folded),
        "off_template_mm": np.array(found.distances.to_average_mean),
        "seconds": np.array(seconds),
    }


def template_seconds() -> float:
    """Time that the first registration to an average takes in addition, on one core."""
    average = load_average()
    begun = time.process_time()
    template_of(average.surface, average.shape_model, flexibility=_NEVER_USED)
    return time.process_time() - begun


def _library() -> bytes:
    """Code of everything a registration depends on: its own room and the ground floor."""
    room = Path(registration.__file__).parent
    ground = [room.parent / f"{name}.py" for name in ("mesh/closest", "core/surface", "mesh/shape_model")]
    files = [Path(__file__), *sorted(room.glob("*.py")), *ground]
    return b"".join(code(ast.parse(path.read_bytes())) for path in files)


# Read when the library is imported: what is edited later is not what runs.
_LIBRARY = _library()
