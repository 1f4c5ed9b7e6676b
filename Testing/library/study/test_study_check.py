"""`cbm study check`: what is wrong with a study is reported before anything runs, all at once."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import SimpleITK as sitk
from small_study import HEADER, write_mask, write_scan, write_study

from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.errors import SettingError, TableError
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.simulation.scanner.dicom_writer import write_dicom_series
from CorticalBoneMappingLib.study.check import cases_to_map, check_study
from CorticalBoneMappingLib.study.study_file.case_names import (
    case_folder,
    case_name,
    case_of,
    label_of,
    text_of,
)
from CorticalBoneMappingLib.study.study_file.scans import cases_of, read_scans
from CorticalBoneMappingLib.study.study_file.study_toml import read_study_file, study_file_text


@pytest.fixture
def folder(tmp_path):
    write_scan(tmp_path / "ct.nrrd")
    write_mask(tmp_path / "mask.nrrd")
    return tmp_path


def row(person="P01", visit="0", side="right", path="ct.nrrd", mask="mask.nrrd", label="1", calibration=""):
    return [person, visit, side, path, mask, label, calibration]


def check(folder, rows, header=HEADER, settings=""):
    return check_study(
        read_study_file(write_study(folder, rows, header, settings), needs_analysis=False)
    ).problems


def reported(problems, severity="error"):
    return [(p.row, p.column, p.value) for p in problems if p.severity == severity]


def test_a_valid_study_has_no_problems_and_is_counted(folder, capsys):
    rows = [row(side="both"), row(visit="12", path="")]
    assert reported(check(folder, rows)) == []
    assert main(["study", "check", str(folder / "study.toml"), "--progress", "none"]) == 0
    assert "2 femurs in 1 scan: 0 errors, 0 warnings, 1 note" in capsys.readouterr().out


def test_every_fault_is_reported_at_once_with_its_row_and_value(folder):
    write_scan(folder / "mr.nrrd", modality="MR")
    (folder / "broken.nrrd").write_bytes(b"NRRD0004\nnonsense")
    write_mask(folder / "far.nrrd", origin=50.0)
    rows = [
        row(person=""),
        row(person="P02", visit=""),
        row(person="P03", side="rigth"),
        row(person="P04", path="absent.nrrd"),
        row(person="P05", path="mr.nrrd"),
        row(person="P06", path="broken.nrrd"),
        row(person="P07", mask="absent_mask.nrrd"),
        row(person="P08", mask="far.nrrd", path="ct.nrrd"),
        row(person="P09", label="femur", path=""),
        row(person="P10", calibration="linear:0.8", path=""),
        row(person="P11", mask="", path="ct.nrrd"),
    ]
    found = check(folder, rows)
    errors = set(reported(found))
    assert errors >= {
        (2, "participant", ""),
        (3, "visit", ""),
        (4, "side", "rigth"),
        (5, "path", "absent.nrrd"),
        (6, "path", "mr.nrrd"),
        (7, "path", "broken.nrrd"),
        (8, "mask", "absent_mask.nrrd"),
        (9, "mask", "far.nrrd"),
        (10, "label", "femur"),
    }
    assert (12, "mask", "") not in errors  # the femur will be found
    sentences = {(p.row, p.column): p.sentence for p in found}
    assert "MR, not CT" in sentences[6, "path"]
    assert "write left, right or both" in sentences[4, "side"]


def test_a_wrong_calibration_is_reported_in_its_row_and_that_of_the_study_once(folder):
    rows = [row(), row(person="P02", visit="0", calibration="linear:0.8", path="ct2.nrrd")]
    write_scan(folder / "ct2.nrrd")
    assert reported(check(folder, rows)) == [(3, "calibration", "linear:0.8")]
    of_study = check(folder, [row(side="both")], settings='calibration = "rods:absent.csv"')
    assert [(p.row, p.column) for p in of_study if p.severity == "error"] == [(0, "calibration")]
    (folder / "rods.csv").write_text("density\n0\n200\n", encoding="utf-8")
    assert reported(check(folder, [row()], settings='calibration = "rods:rods.csv"')) == []


def test_the_same_femur_twice_is_an_error_even_if_only_capitals_differ(folder):
    rows = [row(side="both"), row(side="left"), row(person="p01")]
    assert reported(check(folder, rows)) == [(3, "participant", "P01"), (4, "participant", "p01")]


def test_one_scan_for_two_people_is_an_error(folder):
    assert reported(check(folder, [row(), row(person="P02")])) == [(3, "path", "ct.nrrd")]


@pytest.mark.parametrize(
    ("one", "other"), [("01", "1"), ("P1", "p1"), ("12", "12.0"), ("P 1", "P  1"), ("Zo\u00eb", "Zoe\u0308")]
)
def test_participants_that_look_alike_are_two_and_are_warned_of(folder, one, other):
    write_scan(folder / "ct2.nrrd")
    found = check(folder, [row(person=one), row(person=other, visit="12", path="ct2.nrrd")])
    assert reported(found) == []
    assert reported(found, "warning") == [(3, "participant", other)]


@pytest.mark.parametrize(
    ("name", "values", "wrong", "hint"),
    [
        ("age", ["70", "7000", "65"], [3], "18 to 115"),
        ("age", ["70", "1951", "65"], [3], "year of birth"),
        ("height", ["162", "1.71", "158"], [3], "write it in cm"),
        ("height", ["1.62", "1.71", "158"], [4], "write it in m"),
        ("height_m", ["162", "171", "1.58"], [2, 3], "write it in m"),
        ("weight (kg)", ["61", "61000", "1"], [3, 4], "kg"),
        ("age", ["70", "seventy", "65", "61", "64", "66"], [3], "not a number"),
        ("areal_bmd", ["0.7", "0.8", "0.8", "0.7", "0.9", "?"], [7], "not a number"),
    ],
)
def test_a_number_that_no_adult_has_is_reported_with_its_likely_unit(folder, name, values, wrong, hint):
    rows = [[*row(person=f"P{n:02d}", path=""), value] for n, value in enumerate(values)]
    found = [p for p in check(folder, rows, (*HEADER, name)) if p.severity == "error"]
    assert [(p.row, p.column) for p in found] == [(number, name) for number in wrong]
    assert hint in found[0].sentence


def test_heights_in_one_unit_pass_whichever_it_is(folder):
    for values in (["162", "171"], ["1.62", "1.71"], ["64", "67"]):
        rows = [[*row(person=f"P{n}", path=""), value] for n, value in enumerate(values)]
        assert reported(check(folder, rows, (*HEADER, "height"))) == []


def test_an_arm_that_changes_is_a_warning_and_a_visit_without_a_row_a_note(folder):
    rows = [
        [*row(path=""), "placebo"],
        [*row(visit="12", path=""), "denosumab"],
        [*row(person="P02", path=""), "placebo"],
    ]
    found = check(folder, rows, (*HEADER, "arm"))
    assert reported(found, "warning") == [(3, "arm", "denosumab")]
    assert any(p.severity == "note" and "P02 has no row for visit 12" in p.sentence for p in found)


def test_a_dicom_folder_with_a_slice_missing_is_recognised_from_its_headers(folder):
    matrix = np.diag([1.0, 1.0, 2.0, 1.0])
    array = np.arange(-1024, 1024, dtype=np.float32).reshape(8, 16, 16)
    series = folder / "series"
    write_dicom_series(series, Volume(array, matrix, modality="CT"), 1)
    assert reported(check(folder, [row(path="series")])) == []
    files = sorted(series.iterdir())
    place = {}
    for file in files:
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(file))
        reader.ReadImageInformation()
        place[float(reader.GetMetaData("0020|0032").split("\\")[2])] = file
    place[sorted(place)[4]].unlink()
    (problem,) = [p for p in check(folder, [row(path="series")]) if p.severity == "error"]
    assert "slice 5 seems to be missing" in problem.sentence


def test_a_check_that_finds_errors_ends_with_1_and_keeps_all_in_a_csv(folder, capsys):
    study = write_study(folder, [row(side="?"), row(person="P02", path="absent.nrrd")])
    out = folder / "problems.csv"
    assert main(["study", "check", str(study), "--out", str(out), "--quiet"]) == 1
    with out.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(r["severity"], r["row"], r["column"]) for r in rows if r["severity"] == "error"] == [
        ("error", "2", "side"),
        ("error", "3", "path"),
    ]
    assert "correct what is named" in capsys.readouterr().err


def test_settings_of_the_study_reach_the_cases_and_a_row_replaces_them(folder):
    settings = 'method = "half-maximum"\nspacing_mm = 3\nlabel = 4\ncalibration = "linear:0.8,-2"\n'
    rows = [row(label=""), row(person="P02", label="2", calibration="rods:r.csv")]
    plan = read_study_file(write_study(folder, rows, settings=settings), needs_analysis=False)
    first, second = cases_of(read_scans(plan.table), plan.scans)[0]
    assert (first.settings.method, first.settings.spacing_mm, first.settings.label) == (
        "half-maximum",
        3.0,
        4,
    )
    assert first.settings.calibration == "linear:0.8,-2"
    assert second.settings.label == 2
    assert second.settings.calibration == f"rods:{folder.resolve() / 'r.csv'}"
    (folder / "copy.toml").write_text(study_file_text(plan), encoding="utf-8")
    assert read_study_file(folder / "copy.toml", needs_analysis=False).scans == plan.scans


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ("speed = 3", "speed"),
        ("spacing_mm = 99", "distance between points"),
        ('spacing_mm = "3"', "spacing_mm"),
    ],
)
def test_an_invalid_setting_is_refused_with_the_name_of_the_file(folder, settings, named):
    with pytest.raises(SettingError, match=f"study.toml.*{named}"):
        read_study_file(write_study(folder, [row()], settings=settings), needs_analysis=False)


def test_a_table_without_a_column_that_is_needed_is_refused(folder):
    study = write_study(folder, [["P01", "0", "left"]], ("participant", "visit", "side"))
    with pytest.raises(SettingError, match="column 'path' is missing"):
        check_study(read_study_file(study, needs_analysis=False))
    (folder / "participants.csv").unlink()
    with pytest.raises(TableError, match="does not exist"):
        check_study(read_study_file(study, needs_analysis=False))


@pytest.mark.parametrize("text", ["P01", "P-01", "Zoë 3", "Z5a", "a_b.c", "β"])
def test_names_hold_letters_and_digits_alone_and_can_be_read_back(text):
    assert label_of(text).isascii()
    assert label_of(text).isalnum()
    assert text_of(label_of(text)) == text
    assert case_of(case_name(text, "M 12", "left")) == (text, "M 12", "left")


def test_a_case_is_named_as_bids_names_a_hemisphere():
    assert case_folder("P01", "12", "right").as_posix() == "sub-P01/ses-12/sub-P01_ses-12_hemi-R_femur"


@pytest.mark.parametrize(("one", "other"), [("1_12", "11_2"), ("1001.001", "1001.002"), ("A1", "A10")])
def test_participants_that_are_equal_as_numbers_are_two_without_a_warning(folder, one, other):
    write_scan(folder / "ct2.nrrd")
    found = check(folder, [row(person=one), row(person=other, path="ct2.nrrd")])
    assert reported(found) + reported(found, "warning") == []
    assert case_folder(one, "0", "right") != case_folder(other, "0", "right")


@pytest.mark.parametrize("visit", ["02-Jan", "2. Jan", "Jan-12", "1.00E+05", "1,2E+11"])
def test_an_id_that_a_spreadsheet_may_have_rewritten_is_warned_of(folder, visit):
    write_scan(folder / "ct2.nrrd")
    header = ";".join(HEADER)
    lines = [header, ";".join(row()), ";".join(row(visit=visit, path="ct2.nrrd"))]
    study = write_study(folder, [])
    (folder / "participants.csv").write_text("\n".join(lines), encoding="utf-8")
    found = check_study(read_study_file(study, needs_analysis=False)).problems
    assert reported(found, "warning") == [(3, "visit", visit)]


def test_an_error_of_a_spreadsheet_and_an_assumed_encoding_are_reported(folder):
    rows = [row(), row(person="#N/A", path=""), row(person="Müller", visit="12", path="")]
    study = write_study(folder, rows)
    table = folder / "participants.csv"
    table.write_bytes(table.read_text(encoding="utf-8").encode("cp1252"))
    found = check_study(read_study_file(study, needs_analysis=False)).problems
    assert (3, "participant", "#N/A") in reported(found)
    assert any("Windows-1252, such as 'Müller'" in p.sentence for p in found if p.severity == "warning")


def test_a_label_is_a_whole_number(folder):
    rows = [
        row(label="2.5"),
        row(person="P02", label="1_2", path=""),
        row(person="P03", label="3.0", path=""),
    ]
    assert reported(check(folder, rows)) == [(2, "label", "2.5"), (3, "label", "1_2")]


TRIAL = (*HEADER, "arm", "age", "areal_bmd")
ANALYSIS = {
    "name": '"gain"',
    "terms": '["visit", "arm", "visit × arm", "age"]',
    "contrast": '"denosumab − placebo in the change from visit 0 to visit 12"',
    "endpoints": '["areal_bmd"]',
    "hips": '"both"',
}


def write_trial(folder, analysis=(), columns='reference = { arm = "placebo" }'):
    """Write a trial of four people at two visits; `analysis` replaces keys of its question."""
    rows = []
    for person in range(4):
        for visit in ("0", "12"):
            name = f"ct{person}_{visit}.nrrd"
            write_scan(folder / name)
            arm = "denosumab" if person % 2 else "placebo"
            age = ("61.5", "70", "68.2", "66")[person]
            cells = row(person=f"P{person}", visit=visit, path=name)
            rows.append([*cells, arm, age, f"0.7{person}{visit[-1]}"])
    study = write_study(folder, rows, TRIAL)
    lines = [f"{key} = {value}" for key, value in (ANALYSIS | dict(analysis)).items()]
    text = study.read_text(encoding="utf-8") + f"[columns]\n{columns}\n[[analysis]]\n" + "\n".join(lines)
    study.write_text(text + "\n", encoding="utf-8")
    return study


def test_questions_that_fit_the_table_have_no_problem(folder):
    plan = read_study_file(write_trial(folder))
    assert reported(check_study(plan).problems) == []
    assert len(cases_to_map(plan)) == 8


@pytest.mark.parametrize(
    ("analysis", "columns", "words"),
    [
        ({"terms": '["visit", "arm", "agee"]'}, "", ("no column 'agee'", "it has", "age")),
        ({"contrast": '"denosumb − placebo"'}, "", ("'denosumb'", "arm: denosumab, placebo")),
        ({"contrast": '"denosumab − placebo at visit 36"'}, "", ("'visit 36'", "visit: 0, 12")),
        ({"contrast": '"slope of weight"'}, "", ("'weight'", "it has age")),
        ({"endpoints": '["areal_bdm"]'}, "", ("no column 'areal_bdm'",)),
        ({"endpoints": '["arm"]'}, "", ("'arm' does not hold numbers",)),
        ({"outcome": '"change"', "baseline": '"1"'}, "", ("visit '1'", "0, 12")),
        ({"hips": '"left"'}, "", ("No row of the table is of the left hip",)),
        ({}, 'reference = { arm = "Placebo" }', ("'Placebo' does not occur in", "denosumab, placebo")),
        ({}, 'reference = { amr = "placebo" }', ("no column 'amr'",)),
        ({}, 'categorical = ["centre"]', ("no column 'centre'",)),
    ],
)
def test_a_misspelt_question_is_found_before_anything_is_mapped(folder, capsys, analysis, columns, words):
    study = write_trial(folder, analysis, columns)
    problems = [p for p in check_study(read_study_file(study)).problems if p.severity == "error"]
    assert {(p.row, p.file) for p in problems} == {(0, str(study))}
    assert problems[0].value == "gain" or problems[0].column == "[columns]"
    assert all(word in problems[0].sentence for word in words), problems[0]
    for command in (["check"], ["run", "--workers", "1"]):
        assert main(["study", command[0], str(study), *command[1:], "--quiet"]) == 1
    assert "correct the questions first" in capsys.readouterr().err
    assert not (folder / "results").exists()
