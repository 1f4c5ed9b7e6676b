"""`cbm power`: planning from a study whose spread is computed beside it."""

import csv
import json

import numpy as np
import pytest
from study_of_maps import MASS, write_trial

from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.statistics.power import detectable_difference, needed_per_arm

STUDY = """
[study]
name = "Pilot"
table = "late.csv"
results = "maps"
[columns]
reference = { arm = "placebo" }
[[analysis]]
name = "late"
measure = "cortical_mass_surface_density"
model = "least-squares"
smoothing_fwhm_mm = 0
terms = ["arm"]
contrast = "denosumab − placebo"
[[analysis]]
name = "change"
outcome = "percent-change"
terms = ["arm"]
contrast = "denosumab − placebo"
[[analysis]]
name = "slope"
model = "least-squares"
terms = ["arm", "age"]
contrast = "slope of age"
"""


@pytest.fixture(scope="module")
def pilot(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pilot")
    with write_trial(folder, people=10).open(encoding="utf-8", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["visit"] == "36"]
    with (folder / "late.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    return folder, rows


def _plan(folder, *words):
    arguments = ["power", str(folder / "study.toml"), "--out", str(folder / "power"), "--quiet", *words]
    assert main(arguments) == 0
    with (folder / "power" / "power.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    record = json.loads((folder / "power" / "provenance.json").read_text(encoding="utf-8"))
    return read_surface(folder / "power" / "power.vtp"), rows, record


def test_the_plan_follows_from_the_spread_of_the_study(pilot):
    folder, rows = pilot
    surface, table, record = _plan(folder, "--n", "12", "50", "--difference", "8", "--power", "0.9")
    maps = np.stack(
        [read_surface(folder / "maps" / r["path"] / "average_femur.vtp").arrays[MASS] for r in rows]
    )
    treated = np.array([row["arm"] == "denosumab" for row in rows])
    sd = np.sqrt((maps[treated].var(axis=0, ddof=1) + maps[~treated].var(axis=0, ddof=1)) / 2.0)
    reference = maps[~treated].mean(axis=0)
    inside = surface.arrays["region"] > 0
    np.testing.assert_allclose(surface.arrays["sd_per_participant"][inside], sd[inside], rtol=1e-4)
    found = 100.0 * detectable_difference(sd, 50, 0.9) / reference
    np.testing.assert_allclose(surface.arrays["detectable_percent_50"][inside], found[inside], rtol=1e-4)
    needed = needed_per_arm(sd[inside], 0.08 * reference[inside], 0.9)
    assert np.mean(surface.arrays["needed_per_arm"][inside] == needed) > 0.999
    assert np.isnan(surface.arrays["needed_per_arm"][~inside]).all()
    assert record["participants_per_arm"] == [5, 5]
    assert [row["n_per_arm"] for row in table[:2]] == ["12", "50"]
    assert float(table[0]["detectable"]) > float(table[1]["detectable"])


def test_a_corrected_plan_needs_more(pilot):
    folder, _ = pilot
    alone, table, _ = _plan(folder, "--n", "20")
    whole, more, record = _plan(folder, "--n", "20", "--corrected")
    inside = alone.arrays["region"] > 0
    assert np.all(whole.arrays["needed_per_arm"][inside] > alone.arrays["needed_per_arm"][inside])
    assert all(float(b["detectable"]) > float(a["detectable"]) for a, b in zip(table, more))
    assert 0.05 / 10 < record["alpha_at_a_region"] < 0.05
    assert record["alpha_at_a_vertex"] < record["alpha_at_a_region"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--analysis", "early"], "no analysis 'early'; it has late, change, slope"),
        (["--analysis", "change"], "percentages are of values"),
        (["--analysis", "slope"], "no reference for percentages"),
        (["--n", "1"], "2 or more per arm"),
        (["--difference", "0"], "above 0 %"),
        (["--power", "1.2"], "must lie between 0 and 1"),
    ],
)
def test_what_has_no_plan_is_refused_in_a_sentence(pilot, capsys, words, sentence):
    folder, _ = pilot
    out = folder / "nothing"
    assert main(["power", str(folder / "study.toml"), "--out", str(out), "--quiet", *words]) == 1
    assert sentence in capsys.readouterr().err
    assert not out.exists()
