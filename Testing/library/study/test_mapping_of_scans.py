"""`cbm study run` from scans to maps that the statistics read, with the mapping itself."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from scipy import ndimage
from small_study import write_study

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.volume_files import write_volume
from CorticalBoneMappingLib.segmentation.mask.voxelised import labelled
from CorticalBoneMappingLib.study.analysis.collect import collect_maps, read_study_table
from CorticalBoneMappingLib.study.study_file.study_toml import read_study_file

VOXEL_MM, CORTEX_MM, CORTEX_HU, MARROW_HU = 1.5, 4.5, 1200.0, 100.0
SETTINGS = 'method = "half-maximum"\nspacing_mm = 5\n'


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The average femur as a scan: a shell of 4.5 mm; and a row whose label is not in the mask."""
    folder = tmp_path_factory.mktemp("study")
    average = load_average().surface
    low, high = average.points.min(axis=0) - 12.0, average.points.max(axis=0) + 12.0
    matrix = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
    matrix[:3, 3] = low
    empty = Volume(np.zeros(np.ceil((high - low) / VOXEL_MM).astype(int)[::-1], np.int16), matrix)
    mask = labelled(average, empty, 1)
    depth = ndimage.distance_transform_edt(mask.array > 0) * VOXEL_MM
    hu = np.select([depth == 0, depth <= CORTEX_MM], [-50.0, CORTEX_HU], MARROW_HU).astype(np.float32)
    hu = ndimage.gaussian_filter(hu, 0.6)
    write_volume(folder / "ct.nrrd", Volume(hu, matrix, modality="CT"))
    write_volume(folder / "mask.nrrd", mask)
    rows = [
        ["P01", "0", "right", "ct.nrrd", "mask.nrrd", "1", ""],
        ["P02", "0", "right", "ct.nrrd", "mask.nrrd", "7", ""],
    ]
    analysis = '[[analysis]]\nname = "all"\nterms = ["age"]\ncontrast = "slope of age"\n'
    path = write_study(folder, rows, settings=SETTINGS)
    code = main(["study", "run", str(path), "--workers", "1", "--quiet"])
    with path.open("a", encoding="utf-8") as stream:  # which two people cannot answer, so it is asked later
        stream.write(analysis)
    return path, code


def test_a_study_is_mapped_in_workers_and_one_file_serves_run_and_statistics(study):
    path, code = study
    assert code == 1  # one case failed
    plan = read_study_file(path)
    table = read_study_table(plan)
    maps = collect_maps(table, plan.results, ("cortical_thickness",))["cortical_thickness"]
    assert maps.measured.mean(axis=1)[0] > 0.9
    assert np.isnan(maps.values[1]).all()
    region = maps.surface.arrays["region"]
    shaft = np.nanmedian(maps.values[0][region == region.max()])
    assert shaft == pytest.approx(CORTEX_MM, abs=1.0)
    with (plan.results / "cases.csv").open(encoding="utf-8", newline="") as stream:
        done, failed = csv.DictReader(stream)
    assert (done["status"], failed["status"]) == ("done", "failed")
    assert "label 7 is missing; present: 1" in failed["reason"]
    assert float(done["surface_distance_mm"]) < 1.0
    assert float(done["covered"]) > 0.95


def test_a_result_records_how_it_was_made_but_not_when(study):
    path, _ = study
    results = read_study_file(path).results
    folder = results / "sub-P01" / "ses-0" / "sub-P01_ses-0_hemi-R_femur"
    record = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    log = json.loads((results / "log" / f"{folder.name}.json").read_text(encoding="utf-8"))
    assert "timings_s" not in json.dumps(record)
    assert set(log["timings_s"]) >= {"cortex", "registration"}
    assert record["case"] == {"participant": "P01", "visit": "0", "side": "right"}
    assert record["inputs"] == json.loads((folder / "case.json").read_text(encoding="utf-8"))["inputs"]


def test_a_mapped_case_has_a_thumbnail_in_its_result_and_on_the_quality_page(study):
    path, _ = study
    results = read_study_file(path).results
    folder = results / "sub-P01" / "ses-0" / "sub-P01_ses-0_hemi-R_femur"
    size = (folder / "thumbnail.jpg").stat().st_size
    assert 5_000 < size < 60_000
    assert json.loads((folder / "case.json").read_text(encoding="utf-8"))["bytes"]["thumbnail.jpg"] == size
    assert main(["study", "qc", str(path), "--quiet"]) == 0
    text = (results / "qc.html").read_text(encoding="utf-8")
    assert text.count("<article") == text.count('src="data:image/jpeg') == 1
    assert "1 case not mapped" in text
