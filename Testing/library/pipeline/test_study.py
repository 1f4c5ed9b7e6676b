"""One femur from file to files: regions, accuracy, provenance and the files themselves."""

from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from CorticalBoneMappingLib.core.errors import CorticalBoneMappingError
from CorticalBoneMappingLib.core.measures import MEASURES, STATUS_LABELS, VertexStatus
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.pipeline.accuracy import accuracy_rows, thickness_errors
from CorticalBoneMappingLib.pipeline.provenance import input_record, plain, without_folders
from CorticalBoneMappingLib.pipeline.regions import WHOLE_FEMUR, region_rows
from CorticalBoneMappingLib.pipeline.result import FemurResult, points_table, read_result, write_result


def strip(n_fine: int = 40) -> Surface:
    """A flat strip 0 ≤ x ≤ 20, 0 ≤ y ≤ 10, meshed four times finer in its right half."""
    x = np.concatenate([np.linspace(0, 10, n_fine // 4 + 1), np.linspace(10, 20, n_fine + 1)[1:]])
    y = np.linspace(0, 10, 11)
    points = np.stack([*np.meshgrid(x, y, indexing="ij"), np.zeros((len(x), len(y)))], axis=-1).reshape(-1, 3)
    place = np.arange(len(points)).reshape(len(x), len(y))
    a, b, c, d = place[:-1, :-1], place[1:, :-1], place[1:, 1:], place[:-1, 1:]
    triangles = np.concatenate(
        [np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)]
    )
    return Surface(points, triangles)


def with_maps(surface: Surface, thickness: np.ndarray, quality: np.ndarray | None = None) -> Surface:
    quality = np.zeros(len(surface.points), dtype=np.uint8) if quality is None else quality
    maps = {name: thickness * (index + 1) for index, name in enumerate(MEASURES)}
    units = {name: measure.unit for name, measure in MEASURES.items()}
    return surface.with_arrays(units=units, **maps, quality=quality)


def result_of(surface: Surface) -> FemurResult:
    region = np.where(surface.points[:, 0] < 10, 1, 2)
    bone = surface.with_arrays(region=region)
    rows = region_rows(bone, region, {1: "left part", 2: "right part"})
    return FemurResult(bone, bone, rows, {"timings_s": {"cortex": 1.0}, "notes": []}, "left")


def test_regional_means_weigh_by_area_not_by_the_number_of_points():
    surface = strip()
    # The mean of x over the strip is 10, whatever the mesh; the mean over points is about 13.
    bone = with_maps(surface, surface.points[:, 0])
    row = region_rows(bone, np.zeros(len(surface.points), dtype=int), {})[0]
    assert surface.points[:, 0].mean() > 12.5
    assert row["region"] == WHOLE_FEMUR
    assert row["mean"] == pytest.approx(10.0, abs=0.1)
    assert row["sd"] == pytest.approx(20 / np.sqrt(12), rel=0.02)
    assert row["area_mm2"] == pytest.approx(200.0)


def test_coverage_is_the_measured_part_of_the_area_and_reasons_are_counted_separately():
    surface = strip()
    x = surface.points[:, 0]
    quality = np.select([x < 4, x > 19], [VertexStatus.NO_CORTEX, VertexStatus.FIT_FAILED], VertexStatus.GOOD)
    bone = with_maps(surface, np.where(quality == VertexStatus.GOOD, 2.0, np.nan), quality)
    row = region_rows(bone, np.ones(len(x), dtype=int), {1: "all"})[0]
    assert row["coverage"] == pytest.approx(1 - (4 + 1) / 20, abs=0.04)
    assert row["mean"] == pytest.approx(2.0)
    assert row["n_no_cortex"] == np.sum(x < 4)
    assert row["n_fit_failed"] == np.sum(x > 19)
    assert row["n_points"] + row["n_no_cortex"] + row["n_fit_failed"] == len(x)


def test_the_cut_end_of_the_bone_belongs_to_no_region():
    surface = strip()
    cut = surface.points[:, 0] < 5
    quality = np.where(cut, VertexStatus.NOT_MEASURED, VertexStatus.GOOD)
    bone = with_maps(surface, np.where(cut, np.nan, 3.0), quality)
    row = region_rows(bone, np.ones(len(cut), dtype=int), {1: "all"})[0]
    assert row["coverage"] == pytest.approx(1.0)
    assert row["area_mm2"] == pytest.approx(150.0, abs=6)


def test_a_region_without_a_measured_point_has_no_mean_and_no_coverage():
    surface = strip()
    quality = np.full(len(surface.points), VertexStatus.METAL)
    bone = with_maps(surface, np.full(len(surface.points), np.nan), quality)
    for row in region_rows(bone, np.ones(len(surface.points), dtype=int), {1: "all", 2: "empty"}):
        assert np.isnan(row["mean"])
        assert row["coverage"] == 0
    assert row["n_metal"] == 0


def test_a_known_error_is_found_in_its_own_thickness_bin():
    truth = strip().with_arrays(cortical_thickness=0.4 + strip().points[:, 0] * 0.2)  # 0.4 to 4.4 mm
    measured_at = strip(n_fine=80)
    true_there = 0.4 + measured_at.points[:, 0] * 0.2
    put_in = np.where(true_there < 0.8, 0.3, np.where(true_there < 2.0, -0.1, 0.0))
    put_in[true_there > 3.5] = np.nan
    quality = np.where(np.isnan(put_in), VertexStatus.FIT_FAILED, VertexStatus.GOOD)
    quality[true_there > 4.3] = VertexStatus.NOT_MEASURED
    measured = measured_at.with_arrays(cortical_thickness=true_there + put_in, quality=quality)
    rows = {row["bin"]: row for row in accuracy_rows(*thickness_errors(measured, truth))}
    assert rows["below 0.8"]["bias"] == pytest.approx(0.3)
    assert rows["0.8 to 1.2"]["bias"] == pytest.approx(-0.1)
    assert rows["1.2 to 2"]["mean_absolute"] == pytest.approx(0.1)
    assert rows["2 to 3"]["bias"] == pytest.approx(0.0, abs=1e-9)
    assert rows["above 3"]["n_points"] - rows["above 3"]["n_measured"] == np.sum(
        quality == VertexStatus.FIT_FAILED
    )


def test_a_result_comes_back_from_its_files_as_it_was_written(tmp_path):
    surface = strip()
    thickness = np.where(surface.points[:, 1] < 1, np.nan, 1.0 + surface.points[:, 0])
    quality = np.where(np.isnan(thickness), VertexStatus.FIT_FAILED, VertexStatus.GOOD).astype(np.uint8)
    result = result_of(with_maps(surface, thickness, quality))
    write_result(result, tmp_path / "out")
    back = read_result(tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "average_femur.vtp",
        "periosteal_surface.vtp",
        "points.csv",
        "provenance.json",
        "regions.csv",
    ]
    assert back.side == "left"
    np.testing.assert_allclose(back.periosteal.points, surface.points, atol=1e-6)
    np.testing.assert_array_equal(back.periosteal.arrays["quality"], quality)
    np.testing.assert_allclose(back.average.arrays["cortical_thickness"], thickness)
    assert back.periosteal.units == result.periosteal.units
    for before, after in zip(result.regions, back.regions, strict=True):
        assert list(after) == list(before)
        for name, value in before.items():
            expected = value if isinstance(value, str) else pytest.approx(value, rel=1e-5, nan_ok=True)
            assert after[name] == expected


def test_writing_twice_gives_the_same_bytes(tmp_path):
    surface = strip()
    result = result_of(with_maps(surface, surface.points[:, 0]))
    write_result(result, tmp_path / "one")
    write_result(result, tmp_path / "two")
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_a_failed_write_leaves_the_earlier_result_untouched(tmp_path):
    surface = strip()
    good = result_of(with_maps(surface, surface.points[:, 0]))
    write_result(good, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    broken = replace(good, provenance={"value": float("nan")}, side="right")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_result(broken, tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_folder_that_holds_no_result_is_refused_by_name(tmp_path):
    with pytest.raises(CorticalBoneMappingError, match="not a folder of a mapped femur"):
        read_result(tmp_path)


def test_the_table_of_points_has_units_in_its_header_and_empty_cells_where_nothing_was_measured():
    surface = strip()
    thickness = np.where(np.arange(len(surface.points)) == 3, np.nan, 2.5)
    quality = np.where(np.isnan(thickness), VertexStatus.NO_CORTEX, VertexStatus.GOOD)
    rows = list(csv.DictReader(points_table(with_maps(surface, thickness, quality)).splitlines()))
    assert len(rows) == len(surface.points)
    assert rows[3]["cortical_thickness [mm]"] == ""
    assert rows[3]["quality"] == STATUS_LABELS[VertexStatus.NO_CORTEX]
    assert float(rows[4]["cortical_density [mg/cm³]"]) == pytest.approx(5.0)
    assert float(rows[4]["y_ras [mm]"]) == pytest.approx(surface.points[4, 1], abs=1e-4)


def test_an_input_is_known_by_its_content_not_by_its_folder(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "ct.nrrd").write_bytes(b"voxels")
    record = input_record(tmp_path / "a" / "ct.nrrd")
    assert record == input_record(tmp_path / "b" / "ct.nrrd")
    assert record == {"name": "ct.nrrd", "sha256": hashlib.sha256(b"voxels").hexdigest()}


def test_a_dicom_folders_hash_changes_with_any_file_in_it(tmp_path):
    for name in ("1.dcm", "2.dcm"):
        (tmp_path / name).write_bytes(name.encode())
    before = input_record(tmp_path)["sha256"]
    assert input_record(tmp_path)["sha256"] == before
    (tmp_path / "2.dcm").write_bytes(b"other")
    assert input_record(tmp_path)["sha256"] != before


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("/data/people/ct.nrrd", "ct.nrrd"),
        ("C:\\data\\ct.nrrd", "ct.nrrd"),
        ("rods:/data/phantom.csv", "rods:phantom.csv"),
        ("folder/", "folder"),
        ("linear:0.8,-2.5", "linear:0.8,-2.5"),
        ("--mask", "--mask"),
    ],
)
def test_a_record_keeps_names_of_files_and_drops_folders(given, kept):
    assert without_folders(given) == kept


def test_values_unknown_to_json_become_plain():
    content = {"a": np.float32(1.5), "b": np.array([1.0, np.nan]), "c": (np.int64(3), float("inf"))}
    assert json.loads(json.dumps(plain(content), allow_nan=False)) == {
        "a": 1.5,
        "b": [1.0, None],
        "c": [3, None],
    }


def test_added_provenance_is_before_the_timings():
    result = result_of(with_maps(strip(), strip().points[:, 0])).with_provenance(command="cbm map ct.nrrd")
    assert list(result.provenance) == ["notes", "command", "timings_s"]
