"""``cbm map`` and ``cbm simulate`` from file to files, on bones of known thickness and density."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
import vtk
from scipy import ndimage
from vtk.util.numpy_support import vtk_to_numpy

from CorticalBoneMappingLib.atlas.average import load_average
from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.measures import STATUS_LABELS, VertexStatus
from CorticalBoneMappingLib.core.surface import Surface, to_polydata
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.io.volume_files import read_labelmap, read_volume, write_volume
from CorticalBoneMappingLib.mesh.closest import closest_points
from CorticalBoneMappingLib.mesh.cutting import cut_flat

DATA = Path(os.environ.get("CBM_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")) / "hips_ct_3mm"
FILES = [
    "average_femur.vtp",
    "periosteal_surface.vtp",
    "points.csv",
    "provenance.json",
    "regions.csv",
    "registered_average.vtp",
]
THICKNESS_MM, CORTEX_HU, MARROW_HU, MUSCLE_HU, METAL_HU = 3.0, 1400.0, 150.0, 50.0, 3071.0
FINE_MM, BLOCK = 0.5, 2


def inside(surface: Surface, low: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Voxels of `FINE_MM` whose centres lie in a closed surface, shape (n_k, n_j, n_i)."""
    image = vtk.vtkImageData()
    image.SetDimensions(*size.tolist())
    image.SetSpacing(FINE_MM, FINE_MM, FINE_MM)
    image.SetOrigin(*low)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    image.GetPointData().GetScalars().Fill(1)
    to_stencil = vtk.vtkPolyDataToImageStencil()
    to_stencil.SetInputData(to_polydata(surface))
    to_stencil.SetOutputOrigin(*low)
    to_stencil.SetOutputSpacing(FINE_MM, FINE_MM, FINE_MM)
    to_stencil.SetOutputWholeExtent(image.GetExtent())
    stencil = vtk.vtkImageStencil()
    stencil.SetInputData(image)
    stencil.SetStencilConnection(to_stencil.GetOutputPort())
    stencil.SetBackgroundValue(0)
    stencil.Update()
    values = vtk_to_numpy(stencil.GetOutput().GetPointData().GetScalars())
    return values.reshape(size[::-1]) > 0


def blocks(array: np.ndarray) -> np.ndarray:
    k, j, i = (n // BLOCK for n in array.shape)
    return array.reshape(k, BLOCK, j, BLOCK, i, BLOCK).mean(axis=(1, 3, 5))


@pytest.fixture(scope="module")
def hip(tmp_path_factory) -> Path:
    """The average femur as a 3 mm shell of 1400 HU, 1 mm voxels, with a metal ball in the head."""
    femur = load_average().surface
    low = femur.points.min(axis=0) - 16.0
    size = BLOCK * (np.ceil((np.ptp(femur.points, axis=0) + 32.0) / (BLOCK * FINE_MM)).astype(int))
    bone = inside(femur, low, size)
    depth = ndimage.distance_transform_edt(bone).astype(np.float32) * FINE_MM
    unsure = np.argwhere(
        bone & (np.abs(depth - THICKNESS_MM) < 2 * FINE_MM)
    )  # voxel edges are not the surface
    depth[tuple(unsure.T)] = closest_points(femur, low + FINE_MM * unsure[:, ::-1]).distance
    fine = np.select([~bone, depth < THICKNESS_MM], [MUSCLE_HU, CORTEX_HU], MARROW_HU).astype(np.float32)
    k, j, i = np.ogrid[tuple(slice(n) for n in fine.shape)]
    at = np.array([12.0, 0.0, 0.0])  # 10 mm below the surface of the head, whose centre is the origin
    x, y, z = (axis * FINE_MM + low[n] - at[n] for n, axis in ((0, i), (1, j), (2, k)))
    fine[x**2 + y**2 + z**2 < 5.0**2] = METAL_HU
    noise = np.random.default_rng(1).normal(0.0, 12.0, tuple(n // BLOCK for n in fine.shape))
    ct = ndimage.gaussian_filter(blocks(fine), 0.5) + noise
    ct[:, :2] = -900.0  # air, as every CT has
    matrix = np.diag([BLOCK * FINE_MM] * 3 + [1.0])
    matrix[:3, 3] = low + 0.5 * FINE_MM * (BLOCK - 1)
    folder = tmp_path_factory.mktemp("hip")
    write_volume(folder / "ct.nrrd", Volume(ct.astype(np.float32), matrix))
    write_volume(folder / "mask.nrrd", Volume((blocks(bone) >= 0.5).astype(np.uint8), matrix))
    return folder


def map_hip(hip: Path, out: Path, *more: str) -> int:
    arguments = ["map", str(hip / "ct.nrrd"), "--mask", str(hip / "mask.nrrd"), "--side", "right"]
    arguments += [
        "--out",
        str(out),
        "--spacing",
        "2.5",
        "--calibration",
        "linear:0.8,0",
        "--progress",
        "none",
    ]
    return main([*arguments, *more])


@pytest.fixture(scope="module")
def mapped(hip, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("mapped")
    assert map_hip(hip, out) == 0
    return out


def test_a_shell_of_known_thickness_and_density_is_measured_so(mapped):
    bone = read_surface(mapped / "periosteal_surface.vtp")
    good = bone.arrays["quality"] == VertexStatus.GOOD
    assert np.median(bone.arrays["cortical_thickness"][good]) == pytest.approx(THICKNESS_MM, abs=0.15)
    assert np.median(bone.arrays["cortical_density"][good]) == pytest.approx(0.8 * CORTEX_HU, rel=0.05)
    assert np.median(bone.arrays["trabecular_density"][good]) == pytest.approx(0.8 * MARROW_HU, abs=25)
    mass = bone.arrays["cortical_thickness"] * bone.arrays["cortical_density"] / 10.0
    np.testing.assert_allclose(bone.arrays["cortical_mass_surface_density"][good], mass[good], rtol=1e-5)
    assert bone.units["cortical_density"] == "mg/cm³"
    assert bone.units["cortical_mass_surface_density"] == "mg/cm²"


def test_values_stand_only_where_the_quality_is_good(mapped):
    for name in ("periosteal_surface.vtp", "average_femur.vtp"):
        surface = read_surface(mapped / name)
        good = surface.arrays["quality"] == VertexStatus.GOOD
        for measure in ("cortical_thickness", "cortical_density", "trabecular_density", "fit_residual"):
            np.testing.assert_array_equal(np.isfinite(surface.arrays[measure]), good)


def test_the_map_on_the_average_femur_shows_the_same_shell(mapped):
    average = read_surface(mapped / "average_femur.vtp")
    assert len(average.points) == len(load_average().surface.points)
    thickness = average.arrays["cortical_thickness"]
    assert np.isfinite(thickness).mean() > 0.85
    assert np.nanmedian(thickness) == pytest.approx(THICKNESS_MM, abs=0.15)


def test_metal_is_said_plainly_where_it_is(hip, mapped, capsys):
    bone = read_surface(mapped / "periosteal_surface.vtp")
    metal = bone.arrays["quality"] == VertexStatus.METAL
    record = json.loads((mapped / "provenance.json").read_text(encoding="utf-8"))
    assert metal.sum() > 10
    assert np.linalg.norm(bone.points[metal] - [22.0, 0.0, 0.0], axis=1).max() < 15  # beside the ball
    assert record["points"]["metal"] == metal.sum()
    assert any(note.startswith(f"Metal was found at {metal.sum()} points") for note in record["notes"])


def test_the_region_table_agrees_with_the_points(mapped):
    bone = read_surface(mapped / "periosteal_surface.vtp")
    with (mapped / "regions.csv").open(encoding="utf-8") as stream:
        rows = {(row["region"], row["measure"]): row for row in csv.DictReader(stream)}
    names = {name: number for number, name in load_average().region_names.items()}
    for region in ("femoral head", "neck superior", "subtrochanteric shaft"):
        row = rows[region, "cortical_thickness"]
        here = (bone.arrays["region"] == names[region]) & (bone.arrays["quality"] == VertexStatus.GOOD)
        mean = np.average(bone.arrays["cortical_thickness"][here], weights=bone.point_areas[here])
        assert float(row["mean"]) == pytest.approx(mean, rel=1e-3)
        assert int(row["n_points"]) == here.sum()
    assert int(rows["femoral head", "cortical_thickness"]["n_metal"]) > 0


def test_the_record_shows_how_to_do_it_again_and_nothing_of_the_machine(hip, mapped):
    text = (mapped / "provenance.json").read_text(encoding="utf-8")
    record = json.loads(text)
    assert str(hip) not in text
    assert str(mapped) not in text
    assert record["side"] == "right"
    assert record["settings"]["spacing_mm"] == 2.5
    assert record["settings"]["label"] == 1
    assert record["atlas"] == load_average().describe()
    assert 0.8 < record["shape"]["size"] < 1.2
    assert record["calibration"]["slope"] == 0.8
    assert record["inputs"]["ct"]["name"] == "ct.nrrd"
    assert sum(record["points"].values()) == record["surface"]["n_points"]
    assert record["command"].startswith("cbm map ct.nrrd --mask mask.nrrd --side right")
    assert set(record["timings_s"]) >= {"periosteal surface", "cortex", "registration"}


def test_the_same_input_gives_the_same_bytes_but_for_the_timings(hip, mapped, tmp_path, capsys):
    assert map_hip(hip, tmp_path) == 0
    said = capsys.readouterr().out
    assert "Metal was found" in said
    assert "femoral head" in said
    assert STATUS_LABELS[VertexStatus.NOT_MEASURED] in said
    assert sorted(file.name for file in tmp_path.iterdir()) == FILES
    for name in FILES:
        if name != "provenance.json":
            assert (tmp_path / name).read_bytes() == (mapped / name).read_bytes(), name
    first, second = (
        json.loads((folder / "provenance.json").read_text("utf-8")) for folder in (mapped, tmp_path)
    )
    for record in (first, second):
        record.pop("timings_s")
        record.pop("command")  # names the folder of the result, which is another one
    assert first == second


def test_a_simulated_hip_has_its_truth_where_its_labels_are(tmp_path):
    options = [
        "--voxel",
        "2",
        "--slice",
        "3",
        "--noise",
        "5",
        "--side",
        "left",
        "--format",
        "dicom",
        "--quiet",
    ]
    assert main(["simulate", "hip", "--out", str(tmp_path), *options]) == 0
    names = {"dicom", "labels.nrrd", "rods.csv", "simulation.json", "truth.vtp"}
    assert {file.name for file in tmp_path.iterdir()} == names
    truth, labels = read_surface(tmp_path / "truth.vtp"), read_labelmap(tmp_path / "labels.nrrd")
    ct = read_volume(tmp_path / "dicom")
    np.testing.assert_allclose(ct.ijk_to_ras, labels.ijk_to_ras, atol=1e-3)
    assert ct.spacing_mm == pytest.approx([2, 2, 3])
    femur = np.argwhere(labels.array == 1)[:, ::-1]
    below = labels.ijk_to_ras @ [0.0, 0.0, -0.5, 1.0]
    in_image = cut_flat(truth, below[:3], -labels.ijk_to_ras[:3, 2] / 3.0, 2.0)
    assert len(femur) * 12.0 == pytest.approx(in_image.volume_mm3, rel=0.03)
    places = labels.points_of(femur)
    np.testing.assert_allclose(places.max(axis=0), truth.points.max(axis=0), atol=2.5)
    record = json.loads((tmp_path / "simulation.json").read_text(encoding="utf-8"))
    density = truth.arrays["cortical_density"]
    assert density.min() < record["true_cortical_density"] < density.max()


@pytest.mark.skipif(not DATA.is_dir(), reason="no real CT of hips (set CBM_TEST_DATA)")
def test_the_real_hip_with_a_nail_runs_to_the_end_and_says_that_there_is_metal(tmp_path, capsys):
    arguments = ["map", str(DATA / "ct.nrrd"), "--mask", str(DATA / "labels.nrrd"), "--label", "1"]
    arguments += ["--side", "left", "--out", str(tmp_path), "--spacing", "3", "--progress", "none"]
    assert main(arguments) == 0
    assert "Metal was found" in capsys.readouterr().out
    bone = read_surface(tmp_path / "periosteal_surface.vtp")
    assert (bone.arrays["quality"] == VertexStatus.METAL).mean() > 0.05
    assert np.isnan(bone.arrays["cortical_thickness"][bone.arrays["quality"] != VertexStatus.GOOD]).all()
    assert bone.units["cortical_density"] == "HU"
    assert bone.units["cortical_mass_surface_density"] == "HU·cm"
