"""`cbm compare`: a patient whose change and whose difference from controls are known."""

import csv
import json

import numpy as np
import pytest

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.io.surface_files import read_surface, write_surface
from CorticalBoneMappingLib.mesh.smoothing import smooth

_NOISE_MM = 0.02


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    """Ten hips scanned twice, twelve controls, and a patient whose lateral trochanter gains 0.3 mm."""
    folder = tmp_path_factory.mktemp("clinic")
    average = load_average().surface
    rng = np.random.default_rng(3)
    draws = smooth(average, rng.standard_normal((len(average.points), 40)), 10.0)
    noise = iter((draws / draws.std(axis=0)).T)

    def scan(name, thickness, side="right"):
        values = (thickness + _NOISE_MM * next(noise)).astype(np.float32)
        (folder / name).mkdir()
        mapped = average.with_arrays(units={"cortical_thickness": "mm"}, cortical_thickness=values)
        write_surface(folder / name / "average_femur.vtp", mapped)
        (folder / name / "provenance.json").write_text(json.dumps({"side": side}), encoding="utf-8")
        return name

    repeats = [("participant", "path")]
    for hip in range(10):
        thickness = rng.normal(2.0, 0.2)
        repeats += [(f"R{hip}", scan(f"repeat_{hip}_{number}", thickness)) for number in range(2)]
    controls = [("participant", "path", "age")]
    for person in range(12):
        age = 50.0 + 3.0 * person
        controls.append(
            (f"C{person}", scan(f"control_{person}", 3.0 - 0.01 * age + rng.normal(0.0, 0.1)), age)
        )
    gain = 0.3 * (average.arrays["region"] == 7)
    scan("before", 2.0)
    scan("after", 2.0 + gain)
    scan("other_side", 2.0, "left")
    scan("thin", 3.0 - 0.01 * 60.0 - 0.5)
    for name, rows in (("repeats.csv", repeats), ("controls.csv", controls)):
        with (folder / name).open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows(rows)
    return folder


def _compare(folder, *words):
    out = folder / "answer"
    code = main(["compare", *words, "--fwhm", "0", "--out", str(out), "--quiet"])
    with (out / "regions.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["region"]: row for row in csv.DictReader(stream)}
    return code, read_surface(out / "comparison.vtp"), rows, json.loads((out / "provenance.json").read_text())


def test_a_gain_is_found_where_it_is_and_elsewhere_as_rarely_as_it_says(clinic, monkeypatch):
    monkeypatch.chdir(clinic)
    code, surface, rows, record = _compare(clinic, "before", "after", "--repeats", "repeats.csv")
    there = surface.arrays["region"] == 7
    assert code == 0
    assert np.mean(surface.arrays["direction"][there] == 1) > 0.999
    assert 0.01 < np.mean(surface.arrays["direction"][~there] != 0) < 0.12
    assert np.mean(surface.arrays["least_significant_change"]) == pytest.approx(
        2.23 * 2**0.5 * _NOISE_MM, rel=0.1
    )
    assert np.array_equal(
        np.isfinite(surface.arrays["change_where_significant"]), surface.arrays["direction"] != 0
    )
    assert np.mean(surface.arrays["q"][there] < 0.05) > 0.999
    trochanter = rows["lateral trochanter"]
    assert float(trochanter["ci_lower"]) < 0.3 < float(trochanter["ci_upper"])
    assert trochanter["direction"] == "1"
    assert float(rows["lateral trochanter"]["change_percent"]) == pytest.approx(15.0, abs=1.0)
    assert surface.units["change"] == "mm"
    assert record["others"]["rows"] == 20
    assert str(clinic) not in json.dumps(record)


def test_a_thin_cortex_differs_from_controls_of_that_age(clinic, monkeypatch):
    monkeypatch.chdir(clinic)
    code, surface, rows, record = _compare(
        clinic, "thin", "--controls", "controls.csv", "--terms", "age", "--patient", "age=60"
    )
    assert code == 0
    whole = rows["whole femur"]
    assert float(whole["expected"]) == pytest.approx(2.4, abs=0.1)
    assert float(whole["difference"]) == pytest.approx(-0.5, abs=0.1)
    assert float(whole["z"]) < -2.5
    assert float(whole["percentile"]) < 1.0
    assert float(whole["dof"]) == 10.0
    measured = surface.arrays["region"] > 0
    assert np.mean(surface.arrays["z"][measured]) == pytest.approx(float(whole["z"]), abs=0.5)
    assert record["patient"] == {"age": "60"}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["before", "other_side", "--repeats", "repeats.csv"], "right femur and other_side a left one"),
        (["before", "--repeats", "repeats.csv"], "name two scans"),
        (["before", "after", "--repeats", "controls.csv"], "No bone was scanned twice"),
        (["thin", "--controls", "controls.csv", "--terms", "age"], "own age must be given, as 'age=…'"),
        (["thin", "--controls", "controls.csv", "--terms", "age", "--patient", "age"], "COLUMN=VALUE"),
        (["thin", "--controls", "controls.csv"], "--terms to adjust for"),
        (["nowhere", "after", "--repeats", "repeats.csv"], "not the folder of a mapped femur"),
        (["before", "after", "--repeats", "repeats.csv", "--measure", "width"], "measure 'width' is unknown"),
    ],
)
def test_what_has_no_comparison_is_refused_in_a_sentence(clinic, monkeypatch, capsys, words, sentence):
    monkeypatch.chdir(clinic)
    assert main(["compare", *words, "--out", "nothing", "--quiet"]) == 1
    assert sentence in capsys.readouterr().err
    assert not (clinic / "nothing").exists()
