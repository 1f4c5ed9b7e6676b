"""Shape coordinates, size and pose are found together, with missing points, and are what they claim."""

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from CorticalBoneMappingLib.atlas.average import DATA, SHAPE_MODEL, load_atlas
from CorticalBoneMappingLib.atlas.cohort_shapes import shape_model_of
from CorticalBoneMappingLib.core.errors import SurfaceError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.mesh.meshing import remesh
from CorticalBoneMappingLib.mesh.plausibility import Plausibility
from CorticalBoneMappingLib.mesh.shape_model import ShapeModel, similarity
from CorticalBoneMappingLib.mesh.shape_model_files import read_shape_model, write_shape_model

_TURN = Rotation.from_rotvec([0.9, -1.7, 0.4]).as_matrix()
_SHIFT = np.array([120.0, -40.0, 900.0])


@pytest.fixture(scope="module")
def model() -> ShapeModel:
    return read_shape_model(DATA / SHAPE_MODEL)


def _posed(points: np.ndarray, size: float = 1.0) -> np.ndarray:
    return size * points @ _TURN.T + _SHIFT


def test_a_shape_of_the_model_gives_its_coordinates_size_and_pose(model):
    true = np.random.default_rng(0).standard_normal(len(model.modes))
    fit = model.fit(_posed(model.reconstruct(true), size=1.13))
    assert np.abs(fit.coordinates[:8] - true[:8]).max() < 0.05
    assert fit.size == pytest.approx(1.13, rel=2e-4)
    assert np.allclose(fit.rotation, _TURN, atol=1e-4)
    back = fit.size * model.reconstruct(fit.coordinates) @ fit.rotation.T + fit.translation
    off = np.linalg.norm(back - _posed(model.reconstruct(true), size=1.13), axis=1)
    assert off.max() < 0.3
    assert fit.residual_mm == pytest.approx(np.sqrt((off**2).mean()), rel=1e-9)


def test_a_shaft_cut_short_changes_neither_size_nor_coordinates(model):
    true = 0.8 * np.random.default_rng(1).standard_normal(len(model.modes))
    points = _posed(model.reconstruct(true), size=0.93)
    whole, cut = model.fit(points), model.fit(points, model.mean[:, 2] > -60.0)
    assert cut.size == pytest.approx(whole.size, rel=4e-3)
    assert np.abs(cut.coordinates - whole.coordinates)[:6].max() < 0.15
    # A plain similarity to the points that are there takes the cut for a change of size.
    there = model.mean[:, 2] > -60.0
    plain = similarity(model.mean[there], points[there])[0]
    assert abs(plain / 0.93 - 1.0) > 2 * abs(cut.size / 0.93 - 1.0)


def test_points_that_are_not_finite_count_as_missing(model):
    points = _posed(model.reconstruct(np.array([1.0, -1.0, 0.5])))
    there = model.mean[:, 2] > -50.0
    gaps = np.where(there[:, None], points, np.nan)
    assert np.array_equal(model.coordinates(gaps), model.coordinates(points, there))


def test_coordinates_are_the_most_likely_ones(model):
    few = ShapeModel(model.surface, model.modes[:4], model.residual_sd_mm, model.people, model.explained[:4])
    random = np.random.default_rng(2)
    points = _posed(few.reconstruct([1.5, -0.5, 1.0, -2.0])) + 0.4 * random.standard_normal(few.mean.shape)
    known = few.mean[:, 2] > -40.0
    patch = 25.0**2 * len(few.mean) / few.surface.triangle_areas.sum()
    noise = few.residual_sd_mm * np.sqrt(patch)

    def penalties(unknowns: np.ndarray) -> np.ndarray:
        size, turn, shift = np.exp(unknowns[4]), Rotation.from_rotvec(unknowns[5:8]), unknowns[8:]
        registered_template = (
            size * few.reconstruct(unknowns[:4])[known] @ turn.as_matrix().T + _SHIFT + shift
        )
        off = (points[known] - registered_template) / noise  # the size is about 1, so mm are mm of the model
        return np.concatenate([off.ravel(), unknowns[:4]])

    start = np.concatenate([np.zeros(5), Rotation.from_matrix(_TURN).as_rotvec(), np.zeros(3)])
    best = least_squares(penalties, start, xtol=1e-14, ftol=1e-14)
    fit = few.fit(points, known)
    assert np.allclose(fit.coordinates, best.x[:4], atol=2e-3)
    assert fit.size == pytest.approx(np.exp(best.x[4]), rel=1e-4)


def test_without_people_left_out_plausibility_is_the_share_of_people_with_longer_coordinates():
    people = np.random.default_rng(3).standard_normal((4000, 5))
    one = np.array([1.2, -0.7, 0.3, 1.0, -1.4])
    usual = Plausibility.of(one)
    farther = np.mean(np.linalg.norm(people, axis=1) > usual.mahalanobis)
    assert usual.share_beyond == pytest.approx(farther, abs=0.02)
    assert usual.share_beyond == pytest.approx(chi2.sf(one @ one, 5), rel=1e-12)
    assert usual.residual_mm is None


def test_a_written_model_is_read_back_to_a_few_micrometres(model, tmp_path):
    write_shape_model(tmp_path / "model.vtp", model)
    back = read_shape_model(tmp_path / "model.vtp")
    assert np.abs(back.modes - model.modes).max() <= 0.5 / 256
    assert np.allclose(back.mean, model.mean, atol=1e-4)
    assert (back.people, back.residual_sd_mm) == (model.people, pytest.approx(model.residual_sd_mm, abs=1e-6))
    arrays = read_surface(tmp_path / "model.vtp").arrays
    assert np.allclose(arrays["mode_01"], model.modes[0] * [-1, -1, 1], atol=1 / 256)  # LPS, as the points


def test_the_shipped_model_is_small_and_of_the_average_femur():
    atlas = load_atlas()
    assert (DATA / SHAPE_MODEL).stat().st_size < 400_000
    assert np.array_equal(atlas.shape_model.mean, atlas.surface.points)
    # Modes of thirteen people, then simulated ones of what these leave.
    spread = atlas.shape_model.spread_mm
    assert len(spread) == 30
    assert np.all(np.diff(spread[:12]) < 0.01)
    assert np.all(np.diff(spread[12:]) < 0.01)
    assert 0.95 < atlas.shape_model.explained.sum() < 1.0


def test_something_else_is_not_taken_for_a_shape_model(tmp_path):
    with pytest.raises(SurfaceError, match=r"average_femur\.vtp: .*not a shape model"):
        read_shape_model(DATA / "average_femur.vtp")


def test_resampling_to_middles_of_edges_gives_the_mean_of_their_ends(model):
    edge = model.surface.edges[:300]
    middles = model.mean[edge].mean(axis=1)
    there = model.resampled(Surface(middles, np.arange(300).reshape(-1, 3)))
    assert np.allclose(there.modes, model.modes[:, edge].mean(axis=2), atol=1e-9)


def test_too_few_points_are_refused(model):
    known = np.zeros(len(model.mean), dtype=bool)
    known[:7] = True
    with pytest.raises(SurfaceError, match="Only 7 points"):
        model.fit(model.mean, known)


def test_the_modes_that_made_a_population_are_found_whatever_pose_size_and_gaps(model):
    model = model.resampled(remesh(model.surface, n_points=600))
    random = np.random.default_rng(4)
    people, made = 50, model.modes[:3]
    coordinates = random.standard_normal((people, 3))
    coordinates -= coordinates.mean(axis=0)
    sizes = np.exp(0.05 * random.standard_normal(people))
    turns = Rotation.random(people, random_state=5).as_matrix()
    shapes = np.array(
        [
            size * (model.mean + np.tensordot(one, made, axes=1)) @ turn.T
            for one, size, turn in zip(coordinates, sizes, turns)
        ]
    )
    ends = random.uniform(-110.0, -50.0, people)
    covered = model.mean[None, :, 2] > ends[:, None]
    found = shape_model_of(np.where(covered[..., None], shapes, 1e6), covered, model.surface, explained=0.995)
    # Where at least half of the people have bone; beyond, a mean is hardly known.
    size, most = np.exp(np.log(sizes).mean()), covered.mean(axis=0) >= 0.5
    factor, rotation, translation = similarity(model.mean[most], found.mean[most])
    expected = factor * model.mean @ rotation.T + translation
    assert factor == pytest.approx(size, rel=1e-3)
    assert np.linalg.norm(found.mean - expected, axis=1)[most].max() < 0.05
    assert len(found.modes) == 3
    ours, theirs = (np.linalg.qr(m[:, most].reshape(3, -1).T)[0] for m in (found.modes, made))
    assert np.linalg.svd(ours.T @ theirs)[1].min() > 0.98
