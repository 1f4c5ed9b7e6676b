import csv

import numpy as np
import pytest

from CorticalBoneMappingLib.calibration import Calibration
from CorticalBoneMappingLib.calibration.beam_hardening import HARDENING_RELATIVE_SD
from CorticalBoneMappingLib.calibration.rods import Rods
from CorticalBoneMappingLib.core.measures import MEASURES
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.pipeline.regions import region_rows
from CorticalBoneMappingLib.pipeline.result import FemurResult, read_result, write_result

RODS = Rods((0.0, 100.0, 200.0, 400.0), (4.0, 139.0, 291.0, 566.0), equivalent="K2HPO4")


def bone(calibration):
    """A sheet whose HU and thickness are known, with the maps that a calibration makes of them."""
    x, y = (a.ravel() for a in np.meshgrid(np.arange(12.0), np.arange(9.0), indexing="ij"))
    n = np.arange(11)[:, None] * 9 + np.arange(8)
    triangles = (
        np.stack([n, n + 9, n + 10], -1).reshape(-1, 3),
        np.stack([n, n + 10, n + 1], -1).reshape(-1, 3),
    )
    surface = Surface(np.column_stack([x, y, 0 * x]), np.concatenate(triangles))
    cortex_hu, trabecular_hu, thickness = 1200.0 + 25 * x, 150.0 + 10 * y, 0.5 + 0.3 * x
    density = calibration.density(cortex_hu)
    maps = {
        "cortical_thickness": thickness,
        "cortical_density": density,
        "cortical_mass_surface_density": density * thickness / 10,
        "trabecular_density": calibration.density(trabecular_hu),
        "fit_residual": calibration.slope * (20.0 + x),
    }
    return surface.with_arrays(**maps, quality=np.zeros(len(x), dtype=np.uint8))


def rows_of(calibration, **options):
    made = bone(calibration)
    return {row["measure"]: row for row in region_rows(made, np.zeros(108, int), {}, calibration, **options)}


def test_a_density_is_as_uncertain_as_it_is_over_repeated_calibrations():
    random = np.random.default_rng(4)
    found = Calibration.from_rods(RODS)
    lines = random.multivariate_normal([found.slope, found.intercept], found.covariance, 20000)
    for hu in (-100.0, 0.0, 250.0, 1300.0):
        assert found.density_sd(np.array(hu)) == pytest.approx((lines @ [hu, 1.0]).std(), rel=0.03)


def test_the_covariance_of_rods_is_the_scatter_of_the_fit_and_the_beam():
    found = Calibration.from_rods(RODS)
    of_beam = HARDENING_RELATIVE_SD * found.slope
    assert found.covariance[0][0] == pytest.approx(found.fit.slope_se**2 + of_beam**2)
    exact = Calibration.from_rods(Rods(RODS.density, tuple(5.0 + 1.4 * np.array(RODS.density))))
    assert exact.density_sd(1300.0) == pytest.approx(HARDENING_RELATIVE_SD * exact.density(1300.0), rel=1e-6)


def test_an_unknown_uncertainty_is_not_a_number():
    for calibration in (
        Calibration.none(),
        Calibration.linear(0.8, 0.0),
        Calibration.from_rods(Rods((0.0, 800.0), (10.0, 1210.0))),
    ):
        assert np.isnan(calibration.density_sd(np.array([0.0, 500.0]))).all()
        assert all(np.isnan(row["calibration_sd"]) for row in rows_of(calibration).values())


def test_regional_means_shift_by_their_calibration_sd_when_the_calibration_is_made_anew():
    random = np.random.default_rng(6)
    found = Calibration.from_rods(RODS)
    anew = [
        rows_of(Calibration.linear(*line))
        for line in random.multivariate_normal([found.slope, found.intercept], found.covariance, 400)
    ]
    for measure, row in rows_of(found).items():
        spread = np.std([again[measure]["mean"] for again in anew])
        assert row["calibration_sd"] == pytest.approx(spread, rel=0.1, abs=1e-9), measure
    assert rows_of(found)["cortical_thickness"]["calibration_sd"] == 0


def test_a_given_density_has_no_uncertainty_but_thickness_has():
    rows = rows_of(Calibration.from_rods(RODS), density_given=True)
    assert rows["cortical_density"]["calibration_sd"] == 0
    assert np.isnan(rows["cortical_thickness"]["calibration_sd"])
    assert rows["trabecular_density"]["calibration_sd"] > 0


def test_the_region_table_carries_it_to_the_file_and_back(tmp_path):
    found = Calibration.from_rods(RODS)
    made = bone(found).with_arrays(region=np.zeros(108, int))
    rows = region_rows(made, made.arrays["region"], {}, found)
    write_result(FemurResult(made, made, rows, {"timings_s": {}}, "right"), tmp_path)
    with (tmp_path / "regions.csv").open(encoding="utf-8", newline="") as stream:
        table = {row["measure"]: row for row in csv.DictReader(stream)}
    assert list(table) == [name for name in MEASURES if name in made.arrays]
    expected = next(row for row in rows if row["measure"] == "cortical_density")["calibration_sd"]
    assert float(table["cortical_density"]["calibration_sd"]) == pytest.approx(expected, rel=1e-4)
    again = {row["measure"]: row for row in read_result(tmp_path).regions}
    assert again["cortical_density"]["calibration_sd"] == pytest.approx(expected, rel=1e-4)
