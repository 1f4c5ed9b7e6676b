"""The review of mapped cases: the program suggests, a person decides, the statistics respect it."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
from mapping_work import Inline, run, study_of, table, work
from small_study import people, write_scan
from study_of_maps import MASS, write_trial

from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.errors import SettingError, StatisticsError
from CorticalBoneMappingLib.study.analysis.analyse_maps import analyse_maps
from CorticalBoneMappingLib.study.analysis.collect import collect_maps, read_study_table
from CorticalBoneMappingLib.study.check import cases_to_map
from CorticalBoneMappingLib.study.mapping.decisions import Decision, decide, decision_now
from CorticalBoneMappingLib.study.mapping.ledger import mark_of, write_record
from CorticalBoneMappingLib.study.mapping.map_scans import map_scans
from CorticalBoneMappingLib.study.mapping.results_table import left_out
from CorticalBoneMappingLib.study.mapping.review import REVIEW_COLUMNS, Review, read_reviews, suggestion
from CorticalBoneMappingLib.study.study_file.study_toml import read_study_file

QC = "participant,visit,side,verdict,note,suggestion\n"  # as a person writes it, without marks of results
ANALYSIS = """
[[analysis]]
name = "month 36"
terms = ["visit", "arm", "visit × arm"]
contrast = "denosumab − placebo in the change from visit 0 to visit 36"
model = "least-squares"
"""
VALID = {
    "fit_failed": 0.0,
    "no_cortex": 0.0,
    "outside_scan": 0.0,
    "metal": 0.0,
    "surface_distance_mm": 0.4,
    "expected_error_mm": 0.6,
    "covered": 1.0,
    "segmentation": "good",
}


@pytest.fixture(scope="module")
def maps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    write_trial(folder, people=6)
    text = '[study]\nname = "T"\ntable = "participants.csv"\nresults = "maps"\n' + ANALYSIS
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def scanned(maps, tmp_path):
    """The same as a study of scans, as `cbm study run` would have left it."""
    with (maps / "participants.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    lines = ["participant,visit,side,path,mask,arm"]
    lines += [f"{r['participant']},{r['visit']},right,{r['path']}.nrrd,m.nrrd,{r['arm']}" for r in rows]
    (tmp_path / "participants.csv").write_text("\n".join(lines), encoding="utf-8")
    text = '[study]\nname = "T"\ntable = "participants.csv"\nresults = "results"\n[scans]\n' + ANALYSIS
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    for case in cases_to_map(read_study_file(tmp_path / "study.toml")):
        folder = tmp_path / "results" / case.folder
        shutil.copytree(maps / "maps" / case.ct.stem, folder)
        sizes = {file.name: file.stat().st_size for file in folder.iterdir()}
        (folder / "case.json").write_text(json.dumps({"key": "k", "bytes": sizes}), encoding="utf-8")
    return tmp_path


def test_decisions_and_notes_outlive_every_run_and_new_cases_are_added_in_order(tmp_path):
    people(tmp_path, 2)
    study = tmp_path / "study.toml"
    results = tmp_path / "results"
    map_scans(cases_to_map(read_study_file(study, False)), results, Inline(), work=work)
    qc = results / "qc.csv"
    marks = [mark_of(results / case.folder) for case in cases_to_map(read_study_file(study, False))]
    assert qc.read_text(encoding="utf-8") == (
        f"{QC.strip()},of_result\nP00,0,right,,,good,{marks[0]}\nP01,0,right,,,good,{marks[1]}\n"
    )
    decided = QC.strip() + ',reader\nP01,0,right,reject,"moved, twice",good,KP\n'
    qc.write_text(decided, encoding="utf-8")
    people(tmp_path, 3)
    map_scans(cases_to_map(read_study_file(study, False)), results, Inline(), work=work)
    with qc.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["participant"] for row in rows] == ["P00", "P01", "P02"]
    assert (rows[1]["verdict"], rows[1]["note"], rows[1]["reader"]) == ("reject", "moved, twice", "KP")
    before = qc.read_bytes()
    map_scans(cases_to_map(read_study_file(study, False)), results, Inline(), work=work)
    assert qc.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("fit_failed", 0.2, "fit failed at 20%"),
        ("metal", 0.01, "metal at 1%"),
        ("surface_distance_mm", 3.0, "3.0 mm off the bone"),
        ("covered", 0.5, "only 50%"),
        ("segmentation", "look at it", "not sure"),
    ],
)
def test_a_figure_out_of_bounds_asks_for_a_look_and_says_why(name, value, reason):
    assert suggestion(VALID) == "good"
    assert suggestion(VALID | {name: value}).startswith("look: ")
    assert reason in suggestion(VALID | {name: value})


def test_a_rejected_row_is_left_out_counted_and_reported(maps):
    plan = read_study_file(maps / "study.toml")
    qc = maps / "maps" / "qc.csv"
    everyone = analyse_maps(plan, plan.analyses[0]).provenance
    qc.write_text(
        QC
        + "P03,36,right,reject,motion,good\nP01,0,right,accept,,good\nP99,0,left,Reject,,\nP02,0,right,,,\n",
        encoding="utf-8",
    )
    try:
        record = analyse_maps(plan, plan.analyses[0]).provenance
        values = collect_maps(read_study_table(plan), plan.results, (MASS,))[MASS].values
    finally:
        qc.unlink()
    assert (everyone["design"]["rows"], record["design"]["rows"]) == (12, 11)
    assert everyone["left_out"]["rejected"] == []
    assert record["left_out"]["accepted"] == 1
    assert record["left_out"]["not_judged"] == 1
    assert len(record["left_out"]["rejected"]) == 1
    assert "participant P03, visit 36" in record["left_out"]["rejected"][0]
    assert any("Quality control rejected" in note and "motion" in note for note in record["notes"])
    assert any("the study does not have" in note and "P99" in note for note in record["notes"])
    assert [bool((values[row] != values[row]).all()) for row in range(12)] == [row == 7 for row in range(12)]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (QC + "P01,0,right,maybe,,\n", "row 2: the verdict is"),
        (QC + "P01,0,right,,,\nP01,0,right,reject,,\n", "row 3.*two rows"),
        ("participant,visit,side\nP01,0,right\n", "column 'verdict' is missing"),
    ],
)
def test_an_invalid_review_table_is_refused_with_its_name_and_row(tmp_path, text, named):
    (tmp_path / "qc.csv").write_text(text, encoding="utf-8")
    with pytest.raises(SettingError, match=f"qc.csv.*{named}"):
        read_reviews(tmp_path)


def test_reviews_are_found_after_a_spreadsheet_has_changed_numbers_and_separators(tmp_path):
    text = QC.replace(",", ";") + "1;0;right;reject;;\n"
    (tmp_path / "qc.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    case = ("001", "0", "right")
    assert list(read_reviews(tmp_path, [case, ("011", "0", "right")])) == [case]
    assert list(read_reviews(tmp_path)) == [("1", "0", "right")]
    assert list(read_reviews(tmp_path, [case, ("1", "0", "right")])) == [("1", "0", "right")]
    with pytest.raises(
        SettingError, match=r"row 2: participant 1, visit 0, right may be participant 01, .* 001"
    ):
        read_reviews(tmp_path, [("01", "0", "right"), case])


def test_reviews_are_found_after_a_spreadsheet_has_garbled_their_letters(tmp_path):
    (tmp_path / "qc.csv").write_text(QC + "MÃ¼ller,0,right,reject,,\n", encoding="utf-8")
    case = ("Müller", "0", "right")
    assert list(read_reviews(tmp_path, [case, ("Möller", "0", "right")])) == [case]


def test_one_file_serves_mapping_and_statistics(maps, scanned):
    plan, other = read_study_file(scanned / "study.toml"), read_study_file(maps / "study.toml")
    values = collect_maps(read_study_table(plan), plan.results, (MASS,))[MASS].values
    expected = collect_maps(read_study_table(other), other.results, (MASS,))[MASS].values
    assert (values == expected).all()
    assert "mask" not in read_study_table(plan)


def test_a_failed_case_is_left_out_and_reported_and_an_unmapped_one_is_refused(scanned):
    plan = read_study_file(scanned / "study.toml")
    case = cases_to_map(plan)[4]
    shutil.rmtree(scanned / "results" / case.folder)
    with pytest.raises(StatisticsError, match=f"1 case is not mapped yet, such as {case.name}"):
        read_study_table(plan)
    write_record(scanned / "results", case, {"status": "failed", "reason": "The slices are not equal."})
    record = analyse_maps(plan, plan.analyses[0]).provenance
    assert record["design"]["rows"] == 11
    assert record["left_out"]["failed"] == [f"{case.name} (The slices are not equal.)"]
    assert any("The mapping failed for" in note for note in record["notes"])


@pytest.fixture
def reviewed(tmp_path):
    """Four mapped cases, to be reviewed."""
    people(tmp_path, 4)
    run(tmp_path)
    return tmp_path


def write_by_hand(folder, decisions, tied=True):
    """Write decisions as a person does in a spreadsheet; `tied` keeps the marks that the run has written."""
    rows = table(folder / "results" / "qc.csv")
    for row in rows:
        row["verdict"] = decisions.get(row["participant"], row["verdict"])
        row["of_result"] = row["of_result"] if tied else ""
    with (folder / "results" / "qc.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(REVIEW_COLUMNS))
        writer.writeheader()
        writer.writerows(rows)


def reviews_of(folder) -> dict[str, Review]:
    return {person: review for (person, _, _), review in read_reviews(folder / "results").items()}


def lost(folder):
    plan = read_study_file(folder / "study.toml", False)
    return left_out(read_study_table(plan), plan.results, (plan.table, plan.scans))


@pytest.mark.parametrize("tied", [True, False])
def test_a_decision_stays_with_the_result_that_was_reviewed(reviewed, tied):
    write_by_hand(reviewed, {"P00": "accept", "P01": "reject", "P02": "accept"}, tied)
    for number in (0, 1, 3):
        write_scan(reviewed / f"ct{number}.nrrd", value=500.0 + number)
    assert run(reviewed).mapped == 3
    found = reviews_of(reviewed)
    assert {person: review.decision for person, review in found.items()} == {
        "P00": "accept",
        "P01": "reject",
        "P02": "accept",
        "P03": "",
    }
    assert [person for person, review in found.items() if review.is_of_earlier] == ["P00", "P01"]
    assert [review.counted for review in found.values()] == ["", "reject", "accept", ""]
    out = lost(reviewed)
    assert (out.accepted, out.not_judged, len(out.rejected)) == (1, 2, 1)
    assert out.record()["earlier"] == list(out.earlier)
    assert ["accept" in out.earlier[0], "P01" in out.earlier[1], len(out.earlier)] == [True, True, 2]
    assert any("made on an earlier result, so look again" in note for note in out.notes())
    before = (reviewed / "results" / "qc.csv").read_bytes()
    run(reviewed)
    assert (reviewed / "results" / "qc.csv").read_bytes() == before


def test_a_decision_counts_again_when_the_first_inputs_come_back(reviewed):
    write_by_hand(reviewed, {"P00": "accept"})
    first = (reviewed / "ct0.nrrd").read_bytes()
    write_scan(reviewed / "ct0.nrrd", value=500.0)
    run(reviewed)
    assert reviews_of(reviewed)["P00"].is_of_earlier
    (reviewed / "ct0.nrrd").write_bytes(first)
    run(reviewed)
    assert reviews_of(reviewed)["P00"].counted == "accept"


@pytest.mark.parametrize("how", ["command", "by hand"])
def test_a_second_review_confirms_a_decision(reviewed, how):
    write_by_hand(reviewed, {"P00": "accept"})
    write_scan(reviewed / "ct0.nrrd", value=500.0)
    run(reviewed)
    assert reviews_of(reviewed)["P00"].counted == ""
    if how == "command":
        results = reviewed / "results"
        assert main(["study", "qc", str(results), "--decide", "P00", "0", "right", "accept", "--quiet"]) == 0
    else:
        write_by_hand(reviewed, {}, tied=False)
    assert reviews_of(reviewed)["P00"].counted == "accept"
    run(reviewed)
    assert reviews_of(reviewed)["P00"].counted == "accept"
    write_scan(reviewed / "ct0.nrrd", value=700.0)
    run(reviewed)
    assert reviews_of(reviewed)["P00"].counted == ""


def test_a_table_of_decisions_ties_only_what_it_changes_to_the_present_result(reviewed):
    results = reviewed / "results"
    write_by_hand(reviewed, {"P00": "accept", "P01": "reject"})
    page = {person: review.of_result for person, review in reviews_of(reviewed).items()}
    for number in range(4):
        write_scan(reviewed / f"ct{number}.nrrd", value=500.0 + number)
    run(reviewed)
    decisions = {
        "P00": Decision("accept", "said the same, not on what"),
        "P01": Decision("accept", "changed, not said on what"),
        "P02": Decision("accept", "on the page of before", page["P02"]),
    }
    assert decide(results, {(person, "0", "right"): one for person, one in decisions.items()}) == 3
    found = reviews_of(reviewed)
    assert [found[person].counted for person in decisions] == ["", "accept", ""]
    assert [found[person].note for person in decisions] == [one.note for one in decisions.values()]
    confirmed = {("P00", "0", "right"): decision_now(results, ("P00", "0", "right"), "accept", "")}
    assert (decide(results, confirmed), decide(results, confirmed)) == (1, 0)
    assert reviews_of(reviewed)["P00"].counted == "accept"


def test_a_decision_is_tied_after_a_spreadsheet_has_written_001_as_1(tmp_path):
    study_of(tmp_path, "001")
    run(tmp_path)
    qc = tmp_path / "results" / "qc.csv"
    qc.write_text(QC + "1,0.0,right,accept,,\n", encoding="utf-8")
    assert read_reviews(tmp_path / "results")["001", "0", "right"].counted == "accept"
    write_scan(tmp_path / "ct0.nrrd", value=500.0)
    run(tmp_path)
    assert read_reviews(tmp_path / "results")["001", "0", "right"].is_of_earlier


def test_rows_that_a_person_sorted_or_doubled_are_kept(reviewed):
    qc = reviewed / "results" / "qc.csv"
    write_by_hand(reviewed, {"P01": "accept"})
    header, *rows = qc.read_text(encoding="utf-8").splitlines()
    by_hand = "\n".join([header, *rows[::-1], rows[0]]) + "\n"
    qc.write_text(by_hand, encoding="utf-8")
    run(reviewed)
    assert qc.read_text(encoding="utf-8") == by_hand


def test_a_spreadsheet_does_not_read_a_mark_as_a_number(tmp_path):
    for key in ("1234567890123456", "12345e6789012345"):
        (tmp_path / "case.json").write_text(json.dumps({"key": key}), encoding="utf-8")
        with pytest.raises(ValueError, match="could not convert"):
            float(mark_of(tmp_path))
    (tmp_path / "case.json").write_text("{", encoding="utf-8")
    assert mark_of(tmp_path) == mark_of(tmp_path / "none") == ""
