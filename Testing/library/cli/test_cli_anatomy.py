"""``cbm anatomy``: what it prints, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

from CorticalBoneMappingLib.anatomy import LANDMARKS, measure_anatomy
from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.io.surface_files import read_surface, write_surface


@pytest.fixture(scope="module")
def left_femur(tmp_path_factory):
    path = tmp_path_factory.mktemp("anatomy") / "femur.vtp"
    write_surface(path, load_average().surface.mirrored())
    return path


def test_anatomy_prints_what_the_library_measures(left_femur, capsys):
    assert main(["anatomy", str(left_femur), "--side", "left", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    found = measure_anatomy(read_surface(left_femur), "left")
    assert record["side"] == "left"
    assert record["measurements"]["neck_shaft_angle_deg"] == pytest.approx(
        found.neck_shaft_angle_deg, abs=1e-3
    )
    assert "anteversion_deg" not in record["measurements"]
    assert list(record["landmarks_ras_mm"]) == list(LANDMARKS)
    for name, place in record["landmarks_ras_mm"].items():
        np.testing.assert_allclose(place, found.landmarks[name], atol=1e-3)


def test_anatomy_as_a_table_has_units_and_needs_condyles_for_anteversion(left_femur, tmp_path, capsys):
    picture = tmp_path / "regions.png"
    assert main(["anatomy", str(left_femur), "--side", "left", "--picture", str(picture)]) == 0
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.startswith("femoral offset")).split()
    assert row[-1] == "mm"
    assert 35 < float(row[-2]) < 60
    assert next(line for line in lines if line.startswith("anteversion")).endswith("needs the condyles")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_condyles_give_the_anteversion_and_one_alone_is_refused(left_femur, capsys):
    command = ["anatomy", str(left_femur), "--side", "left", "--json"]
    medial, lateral = "--medial-condyle=-20,-30,-400", "--lateral-condyle=-70,-30,-400"
    assert main([*command, medial, lateral]) == 0
    record = json.loads(capsys.readouterr().out)
    found = measure_anatomy(read_surface(left_femur), "left")
    expected = found.anteversion_deg(np.array([-20, -30, -400.0]), np.array([-70, -30, -400.0]))
    assert record["measurements"]["anteversion_deg"] == pytest.approx(expected, abs=1e-3)
    assert main([*command, medial]) == 1
    assert "both condyles" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, "--medial-condyle=1,2"])
    assert "'1,2' is not a point" in capsys.readouterr().err


def test_anatomy_says_which_part_is_missing(left_femur, capsys):
    assert main(["anatomy", str(left_femur), "--side", "right"]) == 1
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("error: The lesser trochanter was not found")
    assert "Give the side as 'left'" in said
