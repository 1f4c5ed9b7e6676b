"""Both hips of a person on one surface: numbers, gaps, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from CorticalBoneMappingLib.anatomy.regions import region_names_of, with_region_names
from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.errors import SettingError
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.io.tables import read_rows
from CorticalBoneMappingLib.pipeline.both_hips import COLUMNS, both_hips
from CorticalBoneMappingLib.pipeline.regions import region_rows
from CorticalBoneMappingLib.pipeline.result import FemurResult, write_result


def result(side: str, thickness: float, gap_region: int | None = None) -> FemurResult:
    """A map that grows towards the knee, without values in one region."""
    average = load_average()
    surface = average.surface
    values = thickness - 0.01 * surface.points[:, 2]
    values = np.where(average.measured & (average.region != gap_region), values, np.nan).astype(np.float32)
    quality = np.where(np.isfinite(values), 0, 1).astype(np.uint8)
    surface = surface.with_arrays({"cortical_thickness": "mm"}, cortical_thickness=values, quality=quality)
    provenance = {"atlas": average.describe(), "settings": {"method": "surface-map"}, "timings_s": {}}
    rows = region_rows(surface, average.region, average.region_names)
    return FemurResult(surface, surface, rows, provenance, side)


def test_mean_and_difference_are_those_of_left_and_right_and_gaps_stay_gaps():
    left, right = result("left", 2.0, gap_region=6), result("right", 1.5, gap_region=2)
    both = both_hips(right, left)
    arrays, region = both.surface.arrays, load_average().region
    common = (region != 6) & (region != 2) & (region != 0)
    np.testing.assert_allclose(arrays["cortical_thickness_difference"][common], 0.5, atol=1e-6)
    np.testing.assert_allclose(
        arrays["cortical_thickness_mean"][common],
        left.average.arrays["cortical_thickness"][common] - 0.25,
        atol=1e-6,
    )
    for name in ("mean", "difference"):
        assert np.isnan(arrays[f"cortical_thickness_{name}"][~common]).all()
    assert np.isfinite(arrays["cortical_thickness_left"][region == 2]).all()
    assert set(arrays["measured_on"][region == 6]) == {2}
    assert set(arrays["measured_on"][region == 2]) == {1}
    assert set(arrays["measured_on"][common]) == {3}
    assert set(arrays["measured_on"][region == 0]) == {0}
    assert both.surface.units["cortical_thickness_difference"] == "mm"


def test_the_table_takes_only_points_that_both_sides_have():
    both = both_hips(result("left", 2.0, gap_region=6), result("right", 1.5))
    rows = {row["region"]: row for row in both.regions}
    assert rows["femoral head"]["difference"] == pytest.approx(0.5, abs=1e-6)
    head = load_average().region == 1
    surface = both.surface
    expected = np.average(1.5 - 0.01 * surface.points[head, 2], weights=surface.point_areas[head])
    assert rows["femoral head"]["right"] == pytest.approx(expected, abs=1e-6)
    assert rows["femoral head"]["difference_percent"] == pytest.approx(50.0 / (expected + 0.25), abs=1e-3)
    assert rows["greater trochanter"]["n_points"] == 0
    assert rows["greater trochanter"]["coverage"] == 0.0
    assert np.isnan(rows["greater trochanter"]["left"])
    # Were the gap of one side filled by the other, the whole femur's difference would not be 0.5.
    assert rows["whole femur"]["difference"] == pytest.approx(0.5, abs=1e-6)
    assert 0.5 < rows["whole femur"]["coverage"] < 1.0
    assert "cut end" not in rows


def test_regions_are_named_by_the_atlas_of_the_maps():
    left, right = (
        replace(one, average=with_region_names(one.average, {1: "caput femoris"}))
        for one in (result("left", 2.0), result("right", 1.5))
    )
    both = both_hips(left, right)
    assert {"caput femoris", "region 2"} <= {row["region"] for row in both.regions}
    assert region_names_of(both.surface) == {1: "caput femoris"}


def test_two_of_one_side_or_on_different_average_femurs_or_in_different_units_are_refused():
    left, right = result("left", 2.0), result("right", 1.5)
    with pytest.raises(SettingError, match="of a left femur"):
        both_hips(left, left)
    other = {"atlas": {"sha256": "another"}} | {"settings": {}}
    with pytest.raises(SettingError, match="different average femurs"):
        both_hips(left, replace(right, provenance=other))
    hu = replace(right, average=replace(right.average, units={"cortical_thickness": "HU"}))
    with pytest.raises(SettingError, match="in mm on the left and in HU on the right"):
        both_hips(left, hu)


def test_settings_that_differ_are_a_warning():
    left, right = result("left", 2.0), result("right", 1.5)
    other = right.provenance | {"settings": {"method": "half-maximum"}}
    assert both_hips(left, right).warnings == ()
    warnings = both_hips(left, replace(right, provenance=other)).warnings
    assert warnings == ("Method differs: surface-map on the left, half-maximum on the right.",)


def test_a_surface_mirrored_there_and_back_is_the_same_to_the_last_bit():
    surface = load_average().surface
    back = surface.mirrored().mirrored()
    assert np.array_equal(back.points, surface.points)
    assert np.array_equal(back.triangles, surface.triangles)
    assert surface.mirrored().volume_mm3 == pytest.approx(surface.volume_mm3)


def test_the_command_writes_surface_table_and_record_and_refuses_two_lefts(tmp_path, capsys):
    write_result(result("left", 2.0), tmp_path / "l")
    write_result(result("right", 1.5), tmp_path / "r")
    out = tmp_path / "both"
    assert main(["both-hips", str(tmp_path / "r"), str(tmp_path / "l"), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    row = next(line for line in said.splitlines() if line.startswith("femoral head")).split()
    assert row[4] == "0.50"
    surface = read_surface(out / "both_hips.vtp")
    measured = surface.arrays["measured_on"] == 3
    np.testing.assert_allclose(surface.arrays["cortical_thickness_difference"][measured], 0.5, atol=1e-5)
    assert surface.units["cortical_thickness_mean"] == "mm"
    rows = read_rows(out / "both_hips.csv", COLUMNS)
    assert {row["measure"] for row in rows} == {"cortical_thickness"}
    record = json.loads((out / "both_hips.json").read_text(encoding="utf-8"))
    assert record["inputs"]["left"]["folder"] == "l"
    assert record["atlas"]["sha256"] == load_average().sha256
    assert str(tmp_path) not in json.dumps(record)
    assert main(["both-hips", str(tmp_path / "l"), str(tmp_path / "l"), "--out", str(out)]) == 1
    assert "of a left femur" in capsys.readouterr().err


def test_warnings_of_either_side_are_warnings_of_both():
    left, right = result("left", 2.0), result("right", 1.5)
    left.provenance["warnings"] = ["The slices are thicker than they lie apart."]
    right.provenance["segmentation"] = {"verdict": "look at it", "reasons": ["Metal is near."]}
    said = both_hips(left, right).warnings
    assert "Left: The slices are thicker than they lie apart." in said
    assert "Right: Metal is near." in said
    assert not any(
        sentence.startswith("Left: ") for sentence in both_hips(result("left", 2.0), right).warnings
    )
