"""The command line as a user types it: what it says, what it writes, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.cortex import METHODS
from CorticalBoneMappingLib.io.surface_files import read_surface, write_surface
from CorticalBoneMappingLib.pipeline.settings import MapSettings

PROGRAM = [sys.executable, "-m", "CorticalBoneMappingLib.cli"]


@pytest.fixture(scope="module")
def left_femur(tmp_path_factory) -> tuple[Path, Surface]:
    """A left femur that is the average's mirror image, 5 % larger and somewhere else, with a map."""
    average = load_average().surface
    left = average.mirrored()
    left = replace(left, points=1.05 * left.points + [-120.0, 30.0, -400.0])
    z = left.points[:, 2]
    thickness = (1.0 + (z.max() - z) / 40.0).astype(np.float32)
    left = left.with_arrays(cortical_thickness=thickness, quality=np.zeros(len(z), dtype=np.uint8))
    path = tmp_path_factory.mktemp("femur") / "femur.vtp"
    write_surface(path, left)
    return path, left


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)], capture_output=True, encoding="utf-8", check=False
    )


def test_help_loads_none_of_the_heavy_libraries():
    script = (
        "import sys\nfrom CorticalBoneMappingLib.cli.__main__ import main\n"
        "try: main(['map', '--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'numpy', 'scipy', 'vtk', 'SimpleITK'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_names_every_method_and_the_defaults_that_the_library_has(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["map", "--help"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    default = MapSettings()
    for method in METHODS:
        assert (f"{method} (default)" in said) == (method == default.method)
        assert method in said
    assert f"distance between points of the surface (default: {default.spacing_mm:g})" in said
    assert f"maximum (default: {default.smoothing_fwhm_mm:g}, none)" in said


@pytest.mark.parametrize(
    "arguments",
    [[], ["map"], ["map", "ct.nrrd", "--mask", "m.nrrd", "--side", "up", "--out", "o"], ["simulate", "knee"]],
)
def test_a_wrong_command_line_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: cbm" in capsys.readouterr().err


def test_what_fails_is_one_sentence_on_stderr_and_ends_with_1(tmp_path, capsys):
    ct, out = str(tmp_path / "no.nrrd"), tmp_path / "out"
    code = main(["map", ct, "--mask", "m.nrrd", "--side", "left", "--quiet", "--out", str(out)])
    captured = capsys.readouterr()
    assert code == 1
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert "no.nrrd" in captured.err
    assert captured.err.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--spacing", "0.01", "0.4 to 5 mm"),
        ("--method", "magic", "half-maximum"),
        ("--smooth", "-1", "0 to 40 mm"),
    ],
)
def test_a_setting_out_of_bounds_is_refused_with_its_bounds(option, value, said, tmp_path, capsys):
    code = main(["map", "ct", "--mask", "m", "--side", "left", "--out", str(tmp_path), option, value])
    assert code == 1
    assert said in capsys.readouterr().err


def test_register_finds_a_known_scale_and_carries_the_map_to_the_mirrored_side(left_femur, tmp_path, capsys):
    path, femur = left_femur
    assert main(["register", str(path), "--side", "left", "--out", str(tmp_path), "--progress", "none"]) == 0
    record = json.loads((tmp_path / "registration.json").read_text(encoding="utf-8"))
    assert record["registration"]["scale"] == pytest.approx(1.05, rel=0.003)
    assert record["command"] == f"cbm register femur.vtp --side left --out {tmp_path.name} --progress none"
    assert str(tmp_path) not in json.dumps(record)
    registered_template = read_surface(tmp_path / "registered_average.vtp")
    assert np.linalg.norm(registered_template.points - femur.points, axis=1).mean() < 0.3
    carried = read_surface(tmp_path / "average_femur.vtp").arrays["cortical_thickness"]
    measured = np.isfinite(carried)
    # The femur's vertices are the average's, so every vertex has to get its own value back.
    assert measured.mean() > 0.9
    assert np.abs(carried - femur.arrays["cortical_thickness"])[measured].max() < 0.05
    assert "Scale 1.05" in capsys.readouterr().out


def test_render_writes_the_picture_that_was_asked_for_and_refuses_another_kind(left_femur, tmp_path, capsys):
    path, _ = left_femur
    arguments = ["render", str(path), "--array", "cortical_thickness", "--side", "left", "--width", "800"]
    assert main([*arguments, "--out", str(tmp_path / "map.png")]) == 0
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")
    assert main([*arguments, "--out", str(tmp_path / "map.jpg")]) == 1
    assert "map.jpg" in capsys.readouterr().err


def test_render_takes_a_range_for_an_array_that_has_none(left_femur, tmp_path, capsys):
    _, femur = left_femur
    other = tmp_path / "change.vtp"
    write_surface(other, replace(femur, arrays={"change": femur.points[:, 2]}))
    arguments = [
        "render",
        str(other),
        "--array",
        "change",
        "--out",
        str(tmp_path / "c.png"),
        "--width",
        "800",
    ]
    assert main(arguments) == 1
    assert "no fixed range" in capsys.readouterr().err
    assert main([*arguments, "--range", "-10", "10", "--unit", "%", "--difference"]) == 0
    assert main([*arguments, "--range", "10", "-10"]) == 1
    assert "from 10 to -10" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that can be caught")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_asked_to_stop_ends_with_130_and_leaves_nothing(how, left_femur, tmp_path):
    path, _ = left_femur
    out = tmp_path / "out"
    command = [*PROGRAM, "register", str(path), "--side", "left", "--out", str(out), "--progress", "json"]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=_as_a_terminal_does,
    ) as running:
        first = json.loads(running.stderr.readline())
        running.send_signal(how)
        said, errors = running.communicate(timeout=60)
    assert 0 <= first["fraction"] < 1
    assert running.returncode == 130
    assert errors.splitlines()[-1] == "Cancelled: no file is left half-written."
    assert "Traceback" not in errors
    assert said == ""
    assert not out.exists()


def _as_a_terminal_does() -> None:
    """Heed Ctrl-C, which a shell has its background jobs ignore, and with them all that they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_quiet_says_nothing_when_all_is_well(left_femur, tmp_path):
    path, _ = left_femur
    done = run(
        "render",
        path,
        "--array",
        "cortical_thickness",
        "--out",
        tmp_path / "m.png",
        "--width",
        "600",
        "--quiet",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_name_that_the_locale_cannot_read_is_refused_before_itk_ends_the_process(capsys):
    assert main(["map", "ct \udcc3\udca9.nrrd", "--side", "right", "--out", "x"]) == 1
    output = capsys.readouterr().err
    assert "locale" in output
    assert "UTF-8" in output
