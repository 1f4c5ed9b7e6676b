"""From corresponding shapes, parts of which may be missing, to their mean and modes."""

from __future__ import annotations

import numpy as np

from ..shape_model import ShapeModel, pose_basis, similarity
from ..surface import Surface

_ROUNDS = 30
_SETTLED_MM = 0.002
EXPLAINED = 0.98
"""As many modes are kept as explain this share of the variance of shape."""


def shape_model_of(
    shapes: np.ndarray, covered: np.ndarray, average: Surface, explained: float = EXPLAINED
) -> ShapeModel:
    """Find the mean and the modes of shapes of which points may be missing.

    The shapes are aligned to the mean (generalised Procrustes; Gower 1975), missing points are filled with
    what the model so far expects, mean and modes are found anew, and so on until the mean rests
    (expectation-maximisation of principal components; Roweis 1998).

    Parameters
    ----------
    shapes : ndarray of shape (people, n, 3)
        Corresponding points of right femurs, mm, in any pose and size.
    covered : ndarray of bool, shape (people, n)
        Which points are known.
    average : Surface
        Mesh of n points near the mean; fixes the pose of the mean.
    explained : float
        As many modes are kept as explain this share of the variance.

    Returns
    -------
    ShapeModel
        Its mean has the size of the shapes (geometric mean) and the pose of `average`.
    """
    people, n = covered.shape
    model = ShapeModel(
        Surface(average.points, average.triangles), np.zeros((0, n, 3)), 1.0, people, np.zeros(0)
    )
    for _ in range(_ROUNDS):
        aligned, sizes = _aligned(shapes, covered, model)
        mean = aligned.mean(axis=0) * np.exp(np.log(sizes).mean())
        _, rotation, translation = similarity(mean, average.points, rigid=True)
        mean = mean @ rotation.T + translation
        moved = np.sqrt(((mean - model.mean) ** 2).sum(axis=1).mean())
        deviations = np.exp(np.log(sizes).mean()) * (aligned - aligned.mean(axis=0)) @ rotation.T
        model = _principal(Surface(mean, average.triangles), deviations, explained)
        if moved < _SETTLED_MM:
            break
    return model


def _aligned(shapes: np.ndarray, covered: np.ndarray, model: ShapeModel) -> tuple[np.ndarray, np.ndarray]:
    """Bring each shape onto the mean and fill what is missing; the sizes taken away."""
    aligned, sizes = np.empty_like(shapes), np.empty(len(shapes))
    for row, (points, known) in enumerate(zip(shapes, covered)):
        fit = model.fit(points, known)
        back = (points - fit.translation) @ fit.rotation / fit.size
        aligned[row] = np.where(known[:, None], back, model.reconstruct(fit.coordinates))
        sizes[row] = fit.size
    return aligned, sizes


def _principal(mean: Surface, deviations: np.ndarray, explained: float) -> ShapeModel:
    """Principal components of the deviations, without what is left of pose and size."""
    people = len(deviations)
    rows = deviations.reshape(people, -1)
    pose, _ = np.linalg.qr(pose_basis(mean.points).T)
    rows = rows - (rows @ pose) @ pose.T
    variances, vectors = np.linalg.eigh(rows @ rows.T / (people - 1))
    variances, vectors = np.maximum(variances[::-1], 0.0), vectors[:, ::-1]
    shares = variances / variances.sum()
    count = min(int(np.searchsorted(np.cumsum(shares), explained)) + 1, people - 1)
    modes = vectors[:, :count].T @ rows / np.sqrt(people - 1)
    # An eigenvector has no sign of its own; the point that moves most decides, so that a build repeats.
    most = np.take_along_axis(modes, np.abs(modes).argmax(axis=1)[:, None], axis=1)
    modes = (modes * np.sign(most)).reshape(count, -1, 3)
    left = variances[count:].sum() / rows.shape[1]
    return ShapeModel(mean, modes, float(np.sqrt(left)), people, shares[:count])
