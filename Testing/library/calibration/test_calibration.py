import json
from dataclasses import replace

import numpy as np
import pytest

from CorticalBoneMappingLib.calibration import Calibration, parse_calibration
from CorticalBoneMappingLib.calibration.rods import Rods, read_rods
from CorticalBoneMappingLib.core.errors import CalibrationError
from CorticalBoneMappingLib.core.volume import Volume

# The typical Mindways certificate: density and water term of the five rods, mg/cm³.
MINDWAYS_DENSITY = (375.8, 157.0, 58.9, -53.4, -51.8)
MINDWAYS_WATER = (923.2, 1119.5, 1103.6, 1057.0, 1012.2)


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def phantom(noise_hu=0.0, spacing=(0.8, 0.7, 2.0)):
    """Four rods of 100 to 400 HU along the slices of a turned volume, 8 mm radius, in water."""
    turn = np.array([[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.array(spacing)
    matrix[:3, 3] = [-40.0, 12.0, -300.0]
    array = np.zeros((12, 60, 140), np.float32)
    volume = Volume(array, matrix)
    index = np.stack(np.meshgrid(np.arange(140), np.arange(60), [0.0], indexing="ij"), -1).reshape(-1, 3)
    places = volume.points_of(index)
    centres = volume.points_of(np.array([[20 + 33 * n, 30.0, 6.0] for n in range(4)]))
    for number, centre in enumerate(centres):
        inside = np.linalg.norm((places - centre)[:, :2], axis=1) < 8.0
        i, j = index[inside, 0].astype(int), index[inside, 1].astype(int)
        array[:, j, i] = 100.0 * (number + 1)
    array += np.random.default_rng(3).normal(0, noise_hu, array.shape) if noise_hu else 0
    return volume, centres


def table_of_places(path, centres, densities, extra=""):
    rows = "".join(f"{d},{x:.4f},{y:.4f},{z:.4f}\n" for d, (x, y, z) in zip(densities, centres))
    return write(path, f"{extra}density,x_ras,y_ras,z_ras\n{rows}")


def test_without_calibration_values_are_hu_and_the_unit_shows_it():
    calibration = parse_calibration("none")
    assert not calibration.is_calibrated
    assert calibration.unit == "HU"
    assert calibration.equivalent is None
    np.testing.assert_array_equal(calibration.density(np.array([-1000.0, 0.0, 1234.5])), [-1000, 0, 1234.5])


def test_linear_is_slope_times_hu_plus_intercept_and_keeps_single_precision():
    calibration = parse_calibration("linear:0.79,-4.5")
    hu = np.array([[0.0, 100.0], [-50.0, 2000.0]], np.float32)
    density = calibration.density(hu)
    assert density.dtype == np.float32
    np.testing.assert_allclose(density, [[-4.5, 74.5], [-44.0, 1575.5]], rtol=1e-6)
    assert (calibration.kind, calibration.unit, calibration.equivalent) == ("linear", "mg/cm³", None)
    assert parse_calibration("linear: 0.79, -4.5, k2hpo4").equivalent == "K2HPO4"


def test_mindways_certificate_returns_the_scanner_constants_it_was_made_with():
    # HU of the rods as the phantom's model makes them, for made-up scanner constants.
    sigma_reference, beta_reference = 1.5874, -1003.2
    hu = np.array(MINDWAYS_WATER) + sigma_reference * np.array(MINDWAYS_DENSITY) + beta_reference
    calibration = Calibration.from_rods(Rods(MINDWAYS_DENSITY, tuple(hu), MINDWAYS_WATER))
    sigma_ct, beta_ct = sigma_reference - 0.2174, beta_reference + 999.6
    assert calibration.slope == pytest.approx(1 / sigma_ct, rel=1e-12)
    assert calibration.intercept == pytest.approx(-beta_ct / sigma_ct, rel=1e-9)
    assert calibration.equivalent == "K2HPO4"
    assert calibration.fit.rms_hu == pytest.approx(0, abs=1e-9)
    # By hand: a voxel of 200 HU holds (200 + 3.6) / 1.37 mg/cm³.
    assert calibration.density(200.0) == pytest.approx(203.6 / 1.37, rel=1e-9)


def test_qrm_rods_agree_with_the_textbook_line_through_three_points():
    density, hu = np.array([0.0, 100.0, 200.0]), np.array([3.0, 140.0, 292.0])
    calibration = Calibration.from_rods(Rods(tuple(density), tuple(hu), equivalent="HA"))
    sigma = (292.0 - 3.0) / 200.0  # with three even steps the middle point does not turn the line
    beta = hu.mean() - sigma * 100.0
    assert calibration.slope == pytest.approx(1 / sigma)
    assert calibration.intercept == pytest.approx(-beta / sigma)
    np.testing.assert_allclose(calibration.fit.residuals_hu, hu - sigma * density - beta, atol=1e-10)
    assert calibration.equivalent == "HA"


@pytest.mark.parametrize("water", [MINDWAYS_WATER, None])
def test_standard_errors_are_the_spread_over_repeated_noisy_scans(water):
    # Without a water term the line is put far from the origin, where slope and intercept go together.
    offset = np.array(water) - 1000.0 if water else 400.0
    clean = offset + 1.6 * np.array(MINDWAYS_DENSITY)
    rng = np.random.default_rng(11)
    fits = [
        Calibration.from_rods(Rods(MINDWAYS_DENSITY, tuple(clean + rng.normal(0, 4.0, 5)), water))
        for _ in range(3000)
    ]
    for value, error in (("slope", "slope_se"), ("intercept", "intercept_se")):
        spread = np.std([getattr(fit, value) for fit in fits])
        found = np.sqrt(np.mean([getattr(fit.fit, error) ** 2 for fit in fits]))
        assert found == pytest.approx(spread, rel=0.06)


def test_two_rods_fit_exactly_and_have_no_standard_error():
    calibration = Calibration.from_rods(Rods((0.0, 800.0), (10.0, 1210.0), equivalent="HA"))
    assert calibration.slope == pytest.approx(800 / 1200)
    assert calibration.fit.slope_se is None
    assert calibration.fit.intercept_se is None


def test_provenance_is_plain_json_and_states_unit_and_substance():
    calibration = Calibration.from_rods(Rods((0.0, 100.0, 200.0), (1.0, 150.0, 301.0), equivalent="HA"))
    described = json.loads(json.dumps(calibration.describe(), allow_nan=False))
    assert described["unit"] == "mg/cm³"
    assert described["equivalent"] == "HA"
    assert described["fit"]["rods"]["hu"] == [1.0, 150.0, 301.0]
    assert described["fit"]["slope_se"] > 0
    assert Calibration.none().describe()["equivalent"] is None


def test_table_with_hu_is_read_with_comments_and_substance(tmp_path):
    text = "# QRM, scanner 2\n# equivalent: HA\n\ndensity, hu\n0, 2\n# the middle one\n100, 152\n200, 302\n"
    calibration = parse_calibration(f"rods:{write(tmp_path / 'rods.csv', text)}")
    assert calibration.equivalent == "HA"
    assert calibration.density(152.0) == pytest.approx(100.0)


def test_water_column_selects_the_mindways_model(tmp_path):
    rows = "".join(f"{d},{w},{w + 1.55 * d - 998.0}\n" for d, w in zip(MINDWAYS_DENSITY, MINDWAYS_WATER))
    calibration = parse_calibration(
        f"rods:{write(tmp_path / 'rods.csv', 'density,water,hu' + chr(10) + rows)}"
    )
    assert calibration.slope == pytest.approx(1 / (1.55 - 0.2174))
    assert calibration.equivalent == "K2HPO4"


def test_rods_are_measured_at_their_ras_places_in_a_turned_volume(tmp_path):
    volume, centres = phantom(noise_hu=20.0)
    path = table_of_places(tmp_path / "rods.csv", centres, (80.0, 160.0, 240.0, 320.0))
    rods = read_rods(path, volume)
    # 9 or so slices of some 140 voxels: the mean is known to about 0.6 HU
    np.testing.assert_allclose(rods.hu, [100, 200, 300, 400], atol=3.0)
    np.testing.assert_allclose(rods.hu_sd, 20.0, rtol=0.1)
    expected = np.pi * 5.0**2 * 10.0 / (0.8 * 0.7 * 2.0)  # cylinder over voxel volume
    np.testing.assert_allclose(rods.n_voxels, expected, rtol=0.05)
    assert Calibration.from_rods(rods).slope == pytest.approx(0.8, rel=0.02)


def test_a_bubble_in_a_rod_hardly_moves_its_mean(tmp_path):
    volume, centres = phantom(noise_hu=5.0)
    i, j, k = np.round(volume.index_of(centres[1])).astype(int)
    volume.array[
        k - 1 : k + 2, j : j + 2, i : i + 3
    ] = -300.0  # 18 of some 700 voxels: -13 HU on a plain mean
    rods = read_rods(table_of_places(tmp_path / "rods.csv", centres, (80, 160, 240, 320)), volume)
    assert rods.hu[1] == pytest.approx(200.0, abs=2.0)


@pytest.mark.parametrize(("rod", "noise_hu"), [(4, 0.0), (4, 25.0), (1, 12.0)])
def test_a_cylinder_that_reaches_beyond_its_rod_is_refused(tmp_path, rod, noise_hu):
    volume, centres = phantom(noise_hu)
    shifted = centres.copy()
    shifted[rod - 1] += volume.ijk_to_ras[:3, 1] * 9  # 6.3 mm: a third of it lies in water
    path = table_of_places(tmp_path / "rods.csv", shifted, (80, 160, 240, 320))
    with pytest.raises(CalibrationError, match=rf"rod {rod} vary by .* reaches beyond one rod"):
        read_rods(path, volume)


def test_a_rod_outside_the_ct_is_refused(tmp_path):
    volume, centres = phantom()
    path = table_of_places(tmp_path / "rods.csv", centres * [-1, -1, 1], (80, 160, 240, 320))
    with pytest.raises(CalibrationError, match=r"Rod 1 .* not wholly inside the CT"):
        read_rods(path, volume)


def test_places_without_a_ct_are_refused(tmp_path):
    _, centres = phantom()
    path = table_of_places(tmp_path / "rods.csv", centres, (80, 160, 240, 320))
    with pytest.raises(CalibrationError, match="a CT is needed"):
        parse_calibration(f"rods:{path}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("density,hu\n0,1\nhundred,150\n", "row 3: 'hundred' in column 'density' is not a number"),
        ("# a\ndensity,hu\n0,1\n100,\n", "row 4: '' in column 'hu' is not a number"),
        ("density,hu\n0,1\n100,nan\n", "row 3: 'nan' in column 'hu' is not a number"),
        ("density,hu\n0,1\n100\n", "row 3 has 1 cell, the header has 2"),
        ("density;hu\n1.200;1\n1.500;2\n", "row 2, column 'density': '1.200' may be 1.200 or 1200"),
        ("density;hu\n1.2;1\n100,5;2\n", "'100,5' is written with another decimal sign"),
        ("density,watr,hu\n0,1,2\n", "unknown column 'watr'"),
        ("density,x_ras,y_ras\n0,1,2\n", "either 'hu' or all of x_ras, y_ras, z_ras"),
        ("density,hu,x_ras,y_ras,z_ras\n0,1,2,3,4\n", "either 'hu' or all of"),
        ("density,hu\n", "the table has no rows below its header"),
        ("# equivalent: chalk\ndensity,hu\n0,1\n100,150\n", "'chalk' is not a known substance"),
    ],
)
def test_a_faulty_table_is_refused_with_its_place(tmp_path, text, sentence):
    with pytest.raises(CalibrationError) as caught:
        read_rods(write(tmp_path / "rods.csv", text))
    assert sentence in str(caught.value)
    assert "rods.csv" in str(caught.value) or "chalk" in sentence


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_rods_are_read_as_a_spreadsheet_saves_them(tmp_path, encoding):
    text = "sep=;\r\n# equivalent: HA; ±2\r\nDensity;HU;\r\n0;1,5;\r\n;;\r\n100,25;150;\r\n"
    (tmp_path / "rods.csv").write_bytes(text.encode(encoding))
    rods = read_rods(tmp_path / "rods.csv")
    assert (rods.density, rods.hu, rods.equivalent) == ((0.0, 100.25), (1.5, 150.0), "HA")


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(CalibrationError, match=r"nowhere\.csv: this table does not exist"):
        parse_calibration(f"rods:{tmp_path / 'nowhere.csv'}")


@pytest.mark.parametrize(
    "text",
    ["", "linear", "linear:", "linear:1", "linear:a,b", "rods", "none:1", "lin:1,2", "linear:1,2,HA,x"],
)
def test_text_that_is_not_a_calibration_is_refused(text):
    with pytest.raises(CalibrationError):
        parse_calibration(text)


@pytest.mark.parametrize("slope", [0.0, -0.8, 0.19, 5.1, np.nan, np.inf])
def test_an_impossible_slope_is_refused(slope):
    with pytest.raises(CalibrationError, match=r"slope|finite"):
        Calibration.linear(slope, 0.0)


GOOD = Rods((0.0, 100.0, 200.0, 400.0, 800.0), (2.0, 150.0, 305.0, 600.0, 1198.0))


def test_two_swapped_rods_are_named():
    swapped = replace(GOOD, hu=(2.0, 600.0, 305.0, 150.0, 1198.0))
    with pytest.raises(CalibrationError, match="rods 2 and 4 look swapped"):
        Calibration.from_rods(swapped)


def test_a_wrong_rod_is_named():
    wrong = replace(GOOD, hu=(2.0, 150.0, 305.0, -100.0, 1198.0))
    with pytest.raises(CalibrationError, match=r"check rod 4|look swapped") as caught:
        Calibration.from_rods(wrong)
    assert "check rod 4" in str(caught.value)


def test_rods_in_reversed_order_are_refused():
    with pytest.raises(CalibrationError, match="order reversed"):
        Calibration.from_rods(Rods((0.0, 100.0, 200.0), (300.0, 150.0, 1.0)))


def test_rods_of_one_density_are_refused():
    with pytest.raises(CalibrationError, match="two different densities"):
        Calibration.from_rods(Rods((100.0, 100.0), (150.0, 152.0)))


def test_a_mindways_phantom_is_never_hydroxyapatite():
    hu = tuple(np.array(MINDWAYS_WATER) + 1.6 * np.array(MINDWAYS_DENSITY) - 1000.0)
    with pytest.raises(CalibrationError, match="K2HPO4, not HA"):
        Calibration.from_rods(Rods(MINDWAYS_DENSITY, hu, MINDWAYS_WATER, "HA"))


@pytest.mark.parametrize("faulty", [{"hu": (1.0, np.nan)}, {"hu": (1.0, 2.0, 3.0)}, {"water": (1.0,)}])
def test_rods_with_values_missing_are_refused(faulty):
    with pytest.raises(CalibrationError, match=r"finite numbers|Every rod needs"):
        Calibration.from_rods(replace(Rods((0.0, 100.0), (1.0, 150.0)), **faulty))
