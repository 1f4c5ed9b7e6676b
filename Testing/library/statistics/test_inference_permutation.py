"""Permutation tests: exchange, Freedman–Lane, TFCE and what is corrected with them."""

import itertools
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import inference_case as case
import numpy as np
import pytest
from scipy import stats

from CorticalBoneMappingLib.core.errors import Cancelled, StatisticsError
from CorticalBoneMappingLib.core.progress import CallbackProgress
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.mesh.topology import edges_of
from CorticalBoneMappingLib.statistics.inference.clusters import connected_pieces, find_clusters
from CorticalBoneMappingLib.statistics.inference.exchange import Exchange, draw_shuffles
from CorticalBoneMappingLib.statistics.inference.freedman_lane import Rearranged
from CorticalBoneMappingLib.statistics.inference.permutation import (
    METHODS,
    PermutationSettings,
    permutation_tests,
)
from CorticalBoneMappingLib.statistics.inference.threshold_free import Neighbourhood, enhance

REFERENCES = json.loads((Path(__file__).parents[1] / "data" / "statistics_inference.json").read_text())
GROUP = np.array([[0.0, 1.0, 0.0]])


@pytest.fixture(scope="module")
def surface() -> Surface:
    return Surface(*case.mesh())


@pytest.fixture(scope="module")
def values(surface: Surface) -> np.ndarray:
    return case.maps(surface.points)


def plain_f(values: np.ndarray, design: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """F by the textbook: fit with and without the effect (here: the columns that the contrast picks)."""
    picked = contrast.any(axis=0)

    def squares(columns: np.ndarray) -> np.ndarray:
        coefficients, *_ = np.linalg.lstsq(columns, values, rcond=None)
        return ((values - columns @ coefficients) ** 2).sum(axis=0)

    whole, dof = squares(design), len(design) - design.shape[1]
    return (squares(design[:, ~picked]) - whole) / len(contrast) / (whole / dof)


def test_each_rearrangement_has_the_statistic_of_freedman_and_lane(values):
    """Against the recipe step by step: permute the reduced model's residuals, add its fit, fit the whole."""
    design = case.design()
    rest = design[:, [0, 2]]
    fitted = rest @ np.linalg.lstsq(rest, values, rcond=None)[0]
    order = np.random.default_rng(1).permutation(len(design))
    sign = np.where(np.random.default_rng(2).random(len(design)) < 0.5, 1, -1)
    again = fitted + sign[:, None] * (values - fitted)[order]
    t = Rearranged.of(values, design, GROUP).statistics(order[None], sign[None])[0]
    np.testing.assert_allclose(t**2, plain_f(again, design, GROUP), rtol=1e-8)
    effect = np.linalg.lstsq(design, again, rcond=None)[0][1]
    np.testing.assert_array_equal(np.sign(t), np.sign(effect))


def test_f_of_several_rows_is_that_of_the_textbook(values):
    design, contrast = case.design(), np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    identity = np.arange(len(design))[None]
    f = Rearranged.of(values, design, contrast).statistics(identity, np.ones_like(identity))[0]
    np.testing.assert_allclose(f, plain_f(values, design, contrast), rtol=1e-8)


def test_peaks_agree_with_nilearn_within_the_error_of_chance(surface, values):
    reference = REFERENCES["permuted_ols"]
    settings = PermutationSettings(("peak",), n_permutations=4000, seed=5)
    test = permutation_tests(surface, values, case.design(), GROUP, settings=settings)["peak"]
    np.testing.assert_allclose(test.statistic[reference["vertex"]], reference["t"], rtol=1e-5)
    p = np.array(reference["p"])
    error = np.sqrt(p * (1 - p) * (1 / 4000 + 1 / reference["n_permutations"])) + 1 / 4000
    assert np.all(np.abs(test.p[reference["vertex"]] - p) < 4.0 * error)
    assert p.min() < 0.01
    assert p.max() > 0.2


def enhanced_by_brute_force(statistic: np.ndarray, surface: Surface, powers: tuple) -> np.ndarray:
    """The integral over every interval between two heights of the map, pieces found anew in each."""
    total, edges = np.zeros(len(statistic)), edges_of(surface.triangles)
    extent_power, height_power = powers
    for sign in (1.0, -1.0):
        height, low = np.maximum(sign * statistic, 0.0), 0.0
        for high in np.unique(height[height > 0]):
            label, count = connected_pieces(edges, (height >= high).astype(np.int8))
            area = np.bincount(label, weights=surface.point_areas, minlength=count + 1)
            slab = (high ** (height_power + 1) - low ** (height_power + 1)) / (height_power + 1)
            total += sign * slab * np.where(label > 0, area[label] ** extent_power, 0.0)
            low = high
    return total


@pytest.mark.parametrize("powers", [(1.0, 2.0), (0.5, 2.0), (0.5, 0.0)])
def test_tfce_is_the_integral_over_all_thresholds(surface, values, powers):
    neighbourhood = Neighbourhood.of(surface)
    random = np.random.default_rng(3).normal(size=len(surface.points))
    for statistic in (values[0], random, np.round(values[1]), np.ones(len(random)), np.zeros(len(random))):
        expected = enhanced_by_brute_force(statistic, surface, powers)
        np.testing.assert_allclose(
            enhance(statistic, neighbourhood, *powers),
            expected,
            rtol=1e-10,
            atol=1e-12 * (1 + np.abs(expected).max()),
        )


def test_tfce_agrees_with_mne(surface, values):
    """MNE counts vertices and sums over steps, so equal areas here, and agreement to a step.

    It raises the step, not the threshold, to the power H, so only its H = 1, our H = 0, can be compared.
    """
    neighbourhood = Neighbourhood.of(surface)
    counted = Neighbourhood(neighbourhood.edges, neighbourhood.neighbours, np.ones(len(surface.points)))
    statistic = 3.0 * values[3] / np.abs(values[3]).max()
    for extent_power, expected in REFERENCES["tfce"]["enhanced"].items():
        ours = enhance(statistic, counted, float(extent_power), 0.0)[REFERENCES["vertices"]]
        assert np.abs(np.abs(ours) - expected).max() < 0.003 * np.max(expected)  # MNE gives no sign


def test_the_result_does_not_depend_on_who_does_the_work(surface, values):
    settings = PermutationSettings(METHODS, n_permutations=120, seed=3)
    alone = permutation_tests(surface, values, case.design(), GROUP, settings=settings)
    with ProcessPoolExecutor(2) as executor:
        shared = permutation_tests(
            surface, values, case.design(), GROUP, settings=settings, executor=executor
        )
    for method in METHODS:
        assert alone[method].p.tobytes() == shared[method].p.tobytes()
        assert alone[method].threshold == shared[method].threshold


def test_few_rows_are_rearranged_in_every_way_and_the_p_is_exact(surface, values):
    """Two groups of four: 70 ways. The p of the largest peak and cluster by listing them with itertools."""
    group = np.repeat([0.0, 1.0], 4)
    values = values[:8] + 20.0 * group[:, None] * (surface.points[:, 0] > 8.0)
    design, threshold = np.stack([np.ones(8), group], axis=1), stats.t.isf(0.02, 6)
    settings = PermutationSettings(("peak", "cluster extent", "cluster mass"), cluster_forming_p=0.02)
    tests = permutation_tests(surface, values, design, np.array([[0.0, 1.0]]), settings=settings)
    largest = []
    for chosen in itertools.combinations(range(8), 4):
        one, other = values[list(chosen)], np.delete(values, chosen, axis=0)
        pooled = (one.var(axis=0, ddof=1) + other.var(axis=0, ddof=1)) / 2.0
        t = (one.mean(axis=0) - other.mean(axis=0)) / np.sqrt(pooled / 2.0)
        found = find_clusters(surface, t, threshold)
        largest.append([np.abs(t).max(), found.area_mm2.max(initial=0), found.mass.max(initial=0)])
    clusters = find_clusters(surface, tests["peak"].statistic, threshold)
    observed = [np.abs(tests["peak"].statistic).max(), clusters.area_mm2.max(), clusters.mass.max()]
    share = np.mean(np.array(largest) >= np.array(observed) * (1 - 1e-9), axis=0)
    assert [np.nanmin(test.p) for test in tests.values()] == share.tolist()
    assert np.all(share < 0.2)
    assert "all 70" in tests["peak"].method


def test_a_mean_is_tested_by_flipping_signs_and_every_flip_is_listed(surface):
    values = np.random.default_rng(12).normal(0.3, 1.0, size=(7, len(surface.points)))
    design, contrast = np.ones((7, 1)), np.eye(1)
    settings = PermutationSettings(("peak",), n_permutations=500)
    with pytest.raises(StatisticsError, match="Flip signs"):
        permutation_tests(surface, values, design, contrast, settings=settings)
    test = permutation_tests(
        surface, values, design, contrast, Exchange("flip"), settings, alternative="greater"
    )["peak"]
    peaks = []
    for signs in itertools.product([1.0, -1.0], repeat=7):
        flipped = values * np.array(signs)[:, None]
        peaks.append((flipped.mean(axis=0) / (flipped.std(axis=0, ddof=1) / np.sqrt(7))).max())
    observed = test.statistic.max()
    assert np.nanmin(test.p) == np.mean(np.array(peaks) >= observed * (1 - 1e-9))
    assert np.nanmin(test.p) >= 1 / 128


def test_rows_stay_in_their_block_or_blocks_move_as_wholes():
    blocks = np.repeat(np.arange(6), 3)
    slots = np.tile(["b", "a", "c"], 6)
    slots[3:6] = ["c", "b", "a"]  # the second block has its rows in another order
    design = np.random.default_rng(0).normal(size=(18, 2))
    within = draw_shuffles(Exchange(blocks=blocks), design, 50, 1)
    np.testing.assert_array_equal(blocks[within.source], np.broadcast_to(blocks, within.source.shape))
    whole = draw_shuffles(Exchange(blocks=blocks, whole=True, slots=slots), design, 50, 1)
    np.testing.assert_array_equal(slots[whole.source], np.broadcast_to(slots, whole.source.shape))
    from_block = blocks[whole.source].reshape(len(whole), 6, 3)
    assert np.all(from_block == from_block[:, :, :1])
    for shuffles in (within, whole):
        np.testing.assert_array_equal(shuffles.source[0], np.arange(18))
        np.testing.assert_array_equal(np.sort(shuffles.source, axis=1)[7], np.arange(18))
        assert len(np.unique(shuffles.source, axis=0)) > 40
    flips = draw_shuffles(Exchange("flip", blocks, whole=True), design, 20, 1)
    flipped = flips.sign.reshape(len(flips), 6, 3)
    assert np.all(flipped == flipped[:, :, :1])
    assert 0.3 < np.mean(flips.sign[1:] > 0) < 0.7


def test_blocks_with_a_missing_visit_are_exchanged_only_among_their_like():
    blocks, slots = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4]), np.array([0, 1, 0, 1, 0, 2, 0, 2, 0])
    design = np.arange(18.0).reshape(9, 2)
    shuffles = draw_shuffles(Exchange(blocks=blocks, whole=True, slots=slots), design, 100, 0)
    assert shuffles.exhaustive
    assert len(shuffles) == 4  # the two with slots 0 and 1, times the two with 0 and 2
    np.testing.assert_array_equal(slots[shuffles.source], np.broadcast_to(slots, (4, 9)))


def test_an_effect_between_participants_is_not_tested_within_them(surface, values):
    blocks = np.repeat(np.arange(12), 2)
    design = np.stack([np.ones(24), np.repeat([0.0, 1.0], 12)], axis=1)
    with pytest.raises(StatisticsError, match="Exchange whole blocks"):
        permutation_tests(surface, values, design, np.array([[0.0, 1.0]]), Exchange(blocks=blocks))


def test_repeated_visits_count_as_one_participant_only_when_blocks_are_whole(surface):
    """Two identical visits of each of 12 persons: row by row the null looks twice as sure as it is."""
    random = np.random.default_rng(14)
    design = np.stack([np.ones(24), np.repeat([0.0, 1.0], 12)], axis=1)
    settings = PermutationSettings(("peak",), n_permutations=300)
    blocks, contrast = np.repeat(np.arange(12), 2), np.array([[0.0, 1.0]])
    thresholds = []
    persons = random.normal(size=(12, 12)) @ case.maps(surface.points)[:12]
    for exchange in (Exchange(), Exchange(blocks=blocks, whole=True)):
        tests = permutation_tests(
            surface, np.repeat(persons, 2, axis=0), design, contrast, exchange, settings
        )
        thresholds.append(tests["peak"].threshold)
    assert thresholds[1] > 1.2 * thresholds[0]


def test_a_missing_value_travels_with_its_error(values):
    """Each vertex by itself, by the recipe, on the rows that have a value after the exchange."""
    gaps, design, random = values[:, :40].copy(), case.design(), np.random.default_rng(16)
    gaps[random.random(gaps.shape) < 0.15] = np.nan
    orders = np.stack([np.arange(24), random.permutation(24), random.permutation(24)])
    t = Rearranged.of(gaps, design, GROUP).statistics(orders, np.ones_like(orders))
    for vertex, value in enumerate(gaps.T):
        known = np.isfinite(value)
        rest = design[known][:, [0, 2]]
        error = np.full(24, np.nan)
        error[known] = value[known] - rest @ np.linalg.lstsq(rest, value[known], rcond=None)[0]
        for order, found in zip(orders, t[:, vertex]):
            again = error[order]
            there = np.isfinite(again)
            expected = plain_f(again[there, None], design[there], GROUP)[0]
            assert found**2 == pytest.approx(expected, rel=1e-8)


def test_an_effect_that_missing_values_leave_undetermined_is_not_found(surface, values):
    """All of one group are missing at some vertices: no statistic, and no failure either."""
    gaps = values.copy()
    gaps[case.group() == 1, :3] = np.nan
    test = permutation_tests(
        surface, gaps, case.design(), GROUP, settings=PermutationSettings(("peak",), n_permutations=30)
    )["peak"]
    np.testing.assert_array_equal(test.statistic[:3], 0.0)
    assert np.all(test.p[:3] == 1.0)


def test_two_visits_exchanged_within_participants_have_the_t_of_pairs(surface, values):
    """Whatever the participants differ by; a participant with a gap does not count at that vertex."""
    random = np.random.default_rng(18)
    person = np.repeat(np.arange(10), 2)
    visit = np.tile([0.0, 1.0], 10)
    maps = 5.0 * values[:10][person] + random.normal(size=(20, len(surface.points)))
    maps[7, :50] = np.nan
    design = np.stack([np.ones(20), visit, person >= 5.0], axis=1)
    test = permutation_tests(
        surface,
        maps,
        design,
        np.array([[0.0, 1.0, 0.0]]),
        Exchange(blocks=person),
        PermutationSettings(("peak",), n_permutations=100),
    )["peak"]
    expected = stats.ttest_rel(maps[1::2], maps[::2], nan_policy="omit").statistic
    np.testing.assert_allclose(test.statistic, np.asarray(expected), rtol=1e-8)
    with pytest.raises(StatisticsError, match="between blocks"):
        permutation_tests(surface, maps, design, np.array([[0.0, 0.0, 1.0]]), Exchange(blocks=person))


def test_missing_and_untested_vertices_have_no_p_and_are_counted(surface, values):
    gaps = values.copy()
    gaps[3, 5:9] = np.nan
    gaps[:13, 20:22] = np.nan
    tested = case.tested(surface.points)
    settings = PermutationSettings(METHODS, n_permutations=60)
    tests = permutation_tests(surface, gaps, case.design(), GROUP, settings=settings, tested=tested)
    tested[20:22] = False
    for test in tests.values():
        np.testing.assert_array_equal(np.isfinite(test.p), tested)
        assert any("2 of 900 vertices" in sentence for sentence in test.warnings)
        assert any("At 4 vertices" in sentence for sentence in test.warnings)


def test_one_sided_tests_find_only_their_side(surface, values):
    settings = PermutationSettings(METHODS, n_permutations=200)
    for alternative, sign in (("greater", 1.0), ("less", -1.0)):
        tests = permutation_tests(
            surface, values, case.design(), GROUP, settings=settings, alternative=alternative
        )
        for method, test in tests.items():
            assert test.significant.any(), method
            assert np.all(sign * test.statistic[test.significant] > 0), method
            assert alternative in test.method
            assert test.p.min() >= 1 / 201


def test_significant_is_what_is_beyond_the_threshold(surface, values):
    settings = PermutationSettings(("peak", "TFCE"), n_permutations=199)
    for test in permutation_tests(surface, values, case.design(), GROUP, settings=settings).values():
        np.testing.assert_array_equal(test.significant, np.abs(test.statistic) > test.threshold)
        assert test.significant.any()


def test_too_few_rearrangements_to_be_significant_are_warned_of(surface):
    values = np.random.default_rng(15).normal(size=(4, len(surface.points)))
    test = permutation_tests(
        surface, values, np.ones((4, 1)), np.eye(1), Exchange("flip"), PermutationSettings(("peak",))
    )["peak"]
    assert "only 16 different" in test.warnings[0]
    assert not test.significant.any()


def test_cancelling_stops_a_permutation_test(surface, values):
    fractions = []
    progress = CallbackProgress(
        lambda fraction, text: fractions.append(fraction), lambda: len(fractions) >= 2
    )
    with pytest.raises(Cancelled):
        permutation_tests(surface, values, case.design(), GROUP, progress=progress)
    assert len(fractions) == 2


def test_a_vertex_with_as_many_values_as_columns_counts_for_nothing():
    # Four maps, two columns; at the second vertex two values are left: the model runs through them.
    values = np.random.default_rng(3).standard_normal((4, 3))
    values[2:, 1] = np.nan
    design = np.column_stack([np.ones(4), [0.0, 1.0, 0.0, 1.0]])
    prepared = Rearranged.of(values, design, np.array([[0.0, 1.0]]))
    source = np.array([[0, 1, 2, 3], [1, 0, 3, 2]])
    statistics = prepared.statistics(source, np.ones((2, 4)))
    assert np.all(statistics[:, 1] == 0.0)
    assert np.all(np.abs(statistics[:, [0, 2]]) > 0.0)
