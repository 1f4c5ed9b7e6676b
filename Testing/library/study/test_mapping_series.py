"""A DICOM folder with several series in a study: each row names its own, and the result follows from it."""

import json

import numpy as np
from hand_dicom import series
from mapping_work import cases_in, run
from small_study import HEADER, write_mask, write_study

from CorticalBoneMappingLib.study.check import check_study
from CorticalBoneMappingLib.study.mapping.case import is_up_to_date
from CorticalBoneMappingLib.study.mapping.ledger import CASE_FILE
from CorticalBoneMappingLib.study.mapping.measuring import scan_of
from CorticalBoneMappingLib.study.study_file.study_toml import read_study_file

COLUMNS = (*HEADER, "series")


def row(visit, which, side="right", person="P01"):
    return [person, visit, side, "ct", "mask.nrrd", "1", "", which]


def study_with(folder, *rows):
    """Write two series, of 5 and 6 slices, into one folder, and a study of some rows."""
    for number in (1, 2):
        kind = {"series": f"1.2.{number}", "description": f"hip {number}"}
        series(folder / "ct", np.arange(4.0 + number), prefix=f"S{number}", **kind)
    write_mask(folder / "mask.nrrd")
    return write_study(folder, rows, COLUMNS)


def problems_of(study):
    return [p.sentence for p in check_study(read_study_file(study, needs_analysis=False)).problems]


def test_without_a_series_the_check_lists_those_of_the_folder(tmp_path):
    (sentence,) = problems_of(study_with(tmp_path, row("0", "")))
    assert "several CT series" in sentence
    assert "hip 1" in sentence
    assert "hip 2" in sentence


def test_two_visits_may_share_a_folder_but_not_a_series(tmp_path):
    said = problems_of(study_with(tmp_path, row("0", "1"), row("1", "2")))
    assert not any("same place" in s or "given for" in s for s in said)
    said = problems_of(study_with(tmp_path, row("0", "1.2.1"), row("1", "1.2.1")))
    assert any("This scan is given for participant P01 at visit 0 (row 2) as well" in s for s in said)
    said = problems_of(study_with(tmp_path, row("0", "1.2.1"), row("1", "hip 1")))
    assert any("the same place as that of participant P01 at visit 0 (row 2)" in s for s in said)


def test_a_result_follows_from_the_series_that_is_named(tmp_path):
    study_with(tmp_path, row("0", "hip 1"))
    assert run(tmp_path).mapped == 1
    assert run(tmp_path).kept == 1
    study_with(tmp_path, row("0", "hip 2"))
    (case,) = cases_in(tmp_path)
    assert not is_up_to_date(case, tmp_path / "results")
    assert run(tmp_path).mapped == 1
    folder = tmp_path / "results" / case.folder
    for name in (CASE_FILE, "provenance.json"):
        record = json.loads((folder / name).read_text(encoding="utf-8"))
        assert record["inputs"]["ct"]["series"] == "hip 2"


def test_both_hips_share_their_series_and_no_other(tmp_path):
    study_with(tmp_path, row("0", "1", side="both"), row("1", "2"))
    left, right, later = cases_in(tmp_path)
    first = scan_of(left)
    assert scan_of(right) is first
    assert len(first.volume.array) == 5
    assert len(scan_of(later).volume.array) == 6
