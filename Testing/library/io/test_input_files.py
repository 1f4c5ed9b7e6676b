"""The hash of an input covers every byte that is read of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import SimpleITK as sitk
from hand_dicom import series
from mapping_work import run
from small_study import write_mask, write_scan, write_study

from CorticalBoneMappingLib.io.input_files import files_of, hash_of, stamp_of
from CorticalBoneMappingLib.io.volume_files import read_volume
from CorticalBoneMappingLib.pipeline.provenance import input_record


def names(path):
    return [file.relative_to(path.parent).as_posix() for file in files_of(path)]


def metaimage(folder, data, text=""):
    header = folder / "ct.mhd"
    header.write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 6 6 6\nElementSpacing = 1 1 1\n"
        f"ElementType = MET_SHORT\nElementDataFile = {data}\n{text}"
    )
    return header


def nrrd(folder, data, text="", name="ct.nhdr"):
    header = folder / name
    header.write_text(
        "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 6 6 6\n"
        "space directions: (1,0,0) (0,1,0) (0,0,1)\nendian: little\nencoding: raw\n"
        f"space origin: (0,0,0)\ndata file: {data}\n{text}"
    )
    return header


SLICES = [f"s{number:02d}.raw" for number in range(1, 7)]
LIST = "\n".join(SLICES) + "\n"


@pytest.mark.parametrize(
    ("write", "data", "text", "expected"),
    [
        (metaimage, "voxels.raw", "", ["voxels.raw"]),
        (metaimage, "my voxels.raw", "", ["my voxels.raw"]),
        (metaimage, "LIST", LIST, SLICES),
        (metaimage, "s%02d.raw 1 6 1", "", SLICES),
        (nrrd, "voxels.raw", "", ["voxels.raw"]),
        (nrrd, "LIST", LIST, SLICES),
        (nrrd, "s%02d.raw 1 6 1 2", "", SLICES),
        (nrrd, "s%02d.raw 6 1 -1 2", "", SLICES[::-1]),
    ],
)
def test_the_files_that_a_header_names_are_those_that_are_read(tmp_path, write, data, text, expected):
    header = write(tmp_path, data, text)
    assert names(header) == [header.name, *expected]
    voxels = np.arange(216, dtype="<i2").reshape(len(expected), -1) - 100
    for name, part in zip(expected, voxels):
        (tmp_path / name).write_bytes(part.tobytes())
    read = sitk.GetArrayFromImage(sitk.ReadImage(str(header)))
    np.testing.assert_array_equal(read.ravel(), voxels.ravel())
    before, stamp = input_record(header), stamp_of(header)
    assert before["covers"] == [header.name, *expected]
    (tmp_path / expected[-1]).write_bytes((voxels[-1] + 1).tobytes())
    assert input_record(header)["sha256"] != before["sha256"]
    assert stamp_of(header) != stamp
    (tmp_path / expected[0]).unlink()
    with pytest.raises(FileNotFoundError, match=expected[0].replace(".", r"\.")):
        hash_of(header)


@pytest.mark.parametrize("name", ["ct.nrrd", "ct.nii.gz", "ct.nii", "ct.mha"])
def test_a_file_that_holds_its_voxels_is_hashed_alone(tmp_path, name):
    write_scan(tmp_path / name)
    (tmp_path / "other.json").write_text("{}")
    assert names(tmp_path / name) == [name]
    assert set(input_record(tmp_path / name)) == {"name", "sha256"}


@pytest.mark.parametrize("name", ["ct.nii.gz", "ct.nii"])
def test_the_json_file_beside_a_nifti_is_part_of_it(tmp_path, name):
    write_scan(tmp_path / name)
    alone = input_record(tmp_path / name)
    (tmp_path / "ct.json").write_text('{"SliceThickness": 2}')
    assert names(tmp_path / name) == [name, "ct.json"]
    with_two = input_record(tmp_path / name)
    (tmp_path / "ct.json").write_text('{"SliceThickness": 5}')
    assert len({each["sha256"] for each in (alone, with_two, input_record(tmp_path / name))}) == 3


def test_one_slice_represents_its_folder_and_hidden_files_for_nothing(tmp_path):
    folder = series(tmp_path / "dicom", [0.0, 2.0, 4.0, 6.0])
    slices = sorted(folder.iterdir())
    record = input_record(slices[1])
    assert record["name"] == "IM0002"
    assert record["covers"] == ["4 files of the folder"]
    assert record["sha256"] == input_record(folder)["sha256"]
    (folder / ".DS_Store").write_bytes(b"x")
    assert input_record(slices[1]) == record
    stamp, read = stamp_of(slices[1]), read_volume(slices[1]).array
    content = bytearray(slices[3].read_bytes())
    content[-40:] = bytes(40)
    slices[3].write_bytes(content)
    assert not np.array_equal(read_volume(slices[1]).array, read)
    assert input_record(slices[1])["sha256"] != record["sha256"]
    assert stamp_of(slices[1]) != stamp


def _detached(folder, value):
    image = sitk.ReadImage(str(write_scan(folder / "whole.nrrd", value=value)))
    image.SetMetaData("Modality", "MET_MOD_CT")
    sitk.WriteImage(image, str(folder / "ct.mhd"))
    return "ct.mhd"


def _slice(folder, value):
    hu = np.linspace(-1000, 900 + value, 48).reshape(6, 8)
    series(folder / "dicom", [0.0, 2.0, 4.0, 6.0, 8.0, 10.0], hu=hu)
    return "dicom/IM0003"


@pytest.mark.parametrize("write", [_detached, _slice])
def test_a_study_maps_again_what_was_read_from_a_file_that_is_not_named(tmp_path, write):
    write_mask(tmp_path / "mask.nrrd")
    path = write(tmp_path, 0.0)
    write_study(tmp_path, [["P0", "0", "right", path, "mask.nrrd", "1", ""]])
    header = (tmp_path / path).read_bytes()
    assert run(tmp_path).mapped == 1
    assert run(tmp_path).kept == 1
    write(tmp_path, 300.0)
    (tmp_path / path).write_bytes(header)  # the file that the table names is as it was
    done = run(tmp_path)
    assert (done.mapped, done.kept, done.failed) == (1, 0, 0)
    (record,) = (tmp_path / "results").glob("sub-*/*/*/provenance.json")
    assert len(json.loads(record.read_text(encoding="utf-8"))["inputs"]["ct"]["covers"]) >= 1


def test_a_study_maps_again_when_the_json_file_of_a_scan_appears_or_changes(tmp_path):
    write_scan(tmp_path / "ct.nii.gz")
    write_mask(tmp_path / "mask.nrrd")
    write_study(tmp_path, [["P0", "0", "right", "ct.nii.gz", "mask.nrrd", "1", ""]])
    assert run(tmp_path).mapped == 1
    for text in ("{}", '{"Modality": "CT"}'):
        (tmp_path / "ct.json").write_text(text)
        assert run(tmp_path).mapped == 1
        assert run(tmp_path).kept == 1
