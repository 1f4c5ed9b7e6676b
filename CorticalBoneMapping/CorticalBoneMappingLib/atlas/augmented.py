"""A shape model of few real people, augmented by simulated ones: real modes first, then simulated ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..core.errors import SurfaceError
from ..core.surface import Surface
from ..mesh.shape_model import ShapeModel, similarity
from ..mesh.shape_modes import left_out_of, principal_modes, weights_of, without_pose
from .cohort_shapes import EXPLAINED, aligned_to, shape_model_of

_ALIGNMENTS = 4  # of complete shapes to their mean: it moves less than a micrometre after three


def augmented_model(
    real: np.ndarray,
    simulated: np.ndarray,
    mean: Surface,
    n_modes: int = 30,
    *,
    covered: np.ndarray | None = None,
    persons: Sequence[str] | None = None,
    judged: np.ndarray | None = None,
    explained: float = EXPLAINED,
) -> ShapeModel:
    """Make the modes of real people, and add simulated modes of what those leave.

    The real modes stay what they are, so a covariate means a way in which real people differ. The simulated
    people are freed of all that the real modes describe; the principal components of the rest follow. On
    people left out this errs as little as the best weighted sum of the real and the simulated covariance,
    and needs no weight (``python -m validation.shape_modes``).

    Parameters
    ----------
    real : ndarray of shape (femurs, n, 3)
        Points of real right femurs that correspond to those of `mean`, in any pose and size, mm.
    simulated : ndarray of shape (simulated, n, 3)
        Of simulated ones, likewise; all points are known.
    mean : Surface
        The mean that the model gets, n points.
    n_modes : int
        Number of modes, real and simulated together.
    covered : ndarray of bool, shape (femurs, n), optional
        Which points of the real femurs are known; by default all.
    persons : sequence of str, optional
        Whose each real femur is; by default every one is another person's.
    judged : ndarray of bool, shape (n,), optional
        Which points count where a shape is judged: the flat end of the shaft does not. By default all.
    explained : float
        Real modes are kept until they explain this share of the real people's variance.

    Returns
    -------
    ShapeModel
        Its `people` are the real ones, its `explained` shares of their variance, and its `left_out` is of
        real people left out, while all simulated ones stay.

    Raises
    ------
    SurfaceError
        If the shapes have not the points of `mean`.
    """
    for shapes, whose in ((real, "real"), (simulated, "simulated")):
        if np.shape(shapes)[1:] != mean.points.shape:
            raise SurfaceError(
                f"The {whose} shapes have {np.shape(shapes)[1]} points and the mean {len(mean.points)}; "
                "they must correspond."
            )
    covered = np.ones(real.shape[:2], dtype=bool) if covered is None else covered
    persons = [str(row) for row in range(len(real))] if persons is None else persons
    weights = weights_of(persons)
    found = shape_model_of(real, covered, mean, explained, persons)
    rows = _rows(aligned_to(found, real, covered), found.mean, mean)
    rows_simulated = _simulated_rows(simulated, mean)

    def model_of(kept: np.ndarray) -> ShapeModel:
        off = np.average(rows[kept], axis=0, weights=weights[kept])
        centre = Surface(mean.points + off.reshape(-1, 3), mean.triangles)
        return _composed(centre, rows[kept] - off, weights[kept], rows_simulated, n_modes, explained)

    whole = replace(model_of(np.ones(len(real), dtype=bool)), surface=Surface(mean.points, mean.triangles))
    known = covered if judged is None else covered & judged
    return replace(whole, left_out=left_out_of(whole, real, known, persons, model_of))


def _composed(
    mean: Surface,
    rows: np.ndarray,
    weights: np.ndarray,
    rows_simulated: np.ndarray,
    n_modes: int,
    explained: float,
) -> ShapeModel:
    real = principal_modes(mean, rows, weights, explained=explained, most=n_modes)
    axes, _ = np.linalg.qr(real.modes.reshape(len(real.modes), -1).T)
    rest = rows_simulated - (rows_simulated @ axes) @ axes.T
    more = principal_modes(mean, rest, np.ones(len(rest)), most=n_modes - len(real.modes))
    modes = np.concatenate([real.modes, more.modes])
    axes, _ = np.linalg.qr(modes.reshape(len(modes), -1).T)
    variance = weights @ rows**2
    along = weights @ (rows @ axes) ** 2
    left = (variance.sum() - along.sum()) / ((weights.sum() - 1.0) * rows.shape[1])
    return replace(
        real,
        modes=modes,
        explained=along / variance.sum(),
        residual_sd_mm=float(np.sqrt(max(left, 0.0))),
    )


def _rows(aligned: np.ndarray, centre: np.ndarray, mean: Surface) -> np.ndarray:
    """Deviations of aligned shapes from their mean, in the pose and size of `mean`, shape (m, 3 n)."""
    size, rotation, _ = similarity(centre, mean.points)
    rows = size * (aligned - centre) @ rotation.T
    return without_pose(rows.reshape(len(aligned), -1), mean.points)


def _simulated_rows(shapes: np.ndarray, mean: Surface) -> np.ndarray:
    """Deviations of complete shapes from their own mean (generalised Procrustes)."""
    centre = mean.points
    for _ in range(_ALIGNMENTS):
        aligned = np.empty_like(shapes)
        for row, points in enumerate(shapes):
            size, rotation, translation = similarity(centre, points)
            aligned[row] = (points - translation) @ rotation / size
        centre = aligned.mean(axis=0)
    return _rows(aligned, centre, mean)
