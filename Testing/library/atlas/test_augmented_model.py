"""Simulated modes help where real people are few, and leave the real modes as they are."""

from functools import lru_cache

import numpy as np
import pytest

from CorticalBoneMappingLib.atlas.augmented import augmented_model
from CorticalBoneMappingLib.atlas.cohort_shapes import shape_model_of
from CorticalBoneMappingLib.core.errors import SurfaceError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.mesh.shape_model import ShapeModel
from CorticalBoneMappingLib.simulation.hip.femur_shape import mean_shape
from CorticalBoneMappingLib.simulation.hip.population import draw_dimensions, individual_map

REAL, SIMULATED, NEW, MODES = 10, 60, 8, 20


@lru_cache(maxsize=1)
def _shapes() -> np.ndarray:
    """People of one population; the first ones play the real people, the last ones are new."""
    random = np.random.default_rng(12)
    return np.array(
        [
            individual_map(draw_dimensions(random), random)(_mean().points)
            for _ in range(REAL + SIMULATED + NEW)
        ]
    )


@lru_cache(maxsize=1)
def _mean() -> Surface:
    return remesh(mean_shape(spacing_mm=2.0, end_z_mm=-105.0), n_points=400)


@lru_cache(maxsize=1)
def _real() -> ShapeModel:
    real = _shapes()[:REAL]
    return shape_model_of(real, np.ones(real.shape[:2], dtype=bool), _mean())


@lru_cache(maxsize=1)
def _augmented() -> ShapeModel:
    # The mean may be of another size than the people: it may have been moved to published dimensions.
    mean = Surface(0.9 * _real().mean, _mean().triangles)
    return augmented_model(_shapes()[:REAL], _shapes()[REAL : REAL + SIMULATED], mean, MODES)


def test_the_first_modes_are_those_of_the_real_people_in_the_size_of_the_mean():
    real, both = _real(), _augmented()
    assert (both.people, len(both.modes)) == (REAL, MODES)
    np.testing.assert_allclose(both.mean, 0.9 * real.mean)
    np.testing.assert_allclose(both.modes[: len(real.modes)], 0.9 * real.modes, atol=0.02)
    rows = both.modes.reshape(MODES, -1)
    cosines = rows @ rows.T / np.outer(*[np.linalg.norm(rows, axis=1)] * 2)
    np.testing.assert_allclose(cosines, np.eye(MODES), atol=1e-6)


def test_simulated_modes_leave_less_of_new_people():
    alone, both = (
        np.mean([model.fit(person).residual_mm for person in _shapes()[-NEW:]])
        for model in (_real(), _augmented())
    )
    assert both < 0.75 * alone


def test_shares_are_of_the_real_peoples_variance():
    real, both = _real(), _augmented()
    np.testing.assert_allclose(both.explained[: len(real.modes)], real.explained, atol=0.002)
    assert both.explained.sum() <= 1.0 + 1e-9
    assert both.left_out.people == REAL
    assert both.left_out.explained.sum() < both.explained.sum()
    assert 0.3 < both.left_out.explained[:2].sum() < 0.95
    # Modes of people left out explain new people as much as was said.
    found = []
    axes, _ = np.linalg.qr(both.modes.reshape(MODES, -1).T)
    for person in _shapes()[-NEW:]:
        fit = both.fit(person)
        off = ((person - fit.translation) @ fit.rotation / fit.size - both.mean).ravel()
        found.append([((off @ axes) ** 2).sum(), off @ off])
    explained = np.sum(found, axis=0)
    assert explained[0] / explained[1] == pytest.approx(both.left_out.explained.sum(), abs=0.1)


def test_shapes_of_another_mesh_are_refused():
    with pytest.raises(SurfaceError, match=r"simulated shapes have (\d+) points and the mean (?!\1)\d+;"):
        augmented_model(_shapes()[:REAL], _shapes()[REAL:, :-1], _mean())
