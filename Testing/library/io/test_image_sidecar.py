"""The JSON file beside an image: what it states is read, what it lacks or has wrong harms nothing."""

import json
from dataclasses import replace

import pytest
from known_volumes import ct, refuses

from CorticalBoneMappingLib.io.image_sidecar import sidecar_of
from CorticalBoneMappingLib.io.volume_files import read_header, read_volume, write_volume

STATED = {
    "Modality": "CT",
    "SliceThickness": 2.5,
    "SpacingBetweenSlices": 2,
    "KVP": 120,
    "ConvolutionKernel": "B30f",
}


def image(folder, content=None, name="ct.nii.gz", volume=None):
    """Write a CT, and a JSON file beside it: of an object, or of bytes as they are."""
    write_volume(folder / name, volume or ct())
    if content is not None:
        beside = folder / f"{name.split('.')[0]}.json"
        beside.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return folder / name


@pytest.mark.parametrize("name", ["ct.nii.gz", "ct.nii", "ct.nrrd", "CT.NII.GZ"])
def test_what_a_converter_wrote_beside_an_image_is_read(tmp_path, name):
    path = image(tmp_path, STATED, name.lower())
    path = path.rename(tmp_path / name)
    beside = tmp_path / f"{name.split('.')[0]}.json"
    (tmp_path / "ct.json").rename(beside)
    assert sidecar_of(path) == beside
    for volume in (read_volume(path), read_header(path)):
        assert (volume.modality, volume.slice_thickness_mm, volume.kvp) == ("CT", 2.5, 120.0)
        assert volume.slice_thickness_from == beside.name
        assert volume.warnings == ()


def test_an_image_without_one_is_read_as_before(tmp_path):
    path = image(tmp_path)
    assert sidecar_of(path) is None
    assert sidecar_of(tmp_path) is None
    volume = read_volume(path)
    assert (volume.slice_thickness_mm, volume.slice_thickness_from, volume.warnings) == (None, None, ())


@pytest.mark.parametrize(
    "content", [b'{"SliceThickness": 2.5,', b"", b"\xff\xfe\x00{", b"[" * 100_000, "café".encode("latin-1")]
)
def test_a_damaged_one_is_a_warning(tmp_path, content):
    volume = read_volume(image(tmp_path, content))
    (warning,) = volume.warnings
    assert "ct.json" in warning
    assert volume.slice_thickness_mm is None


@pytest.mark.parametrize("value", ["thin", -2, [2], 1e400, True, {"mm": 2}])
def test_an_impossible_thickness_is_a_warning_with_the_value(tmp_path, value):
    volume = read_volume(image(tmp_path, {"SliceThickness": value, "KVP": "100"}))
    (warning,) = volume.warnings
    assert "SliceThickness" in warning
    assert volume.slice_thickness_mm is None
    assert volume.kvp == 100.0


@pytest.mark.parametrize(
    "content", [[1, 2], {"landmarks": []}, {"SliceThickness": None}, 3, b"\xef\xbb\xbf{}"]
)
def test_json_of_another_kind_is_not_a_sidecar(tmp_path, content):
    volume = read_volume(image(tmp_path, content))
    assert (volume.slice_thickness_mm, volume.slice_thickness_from, volume.warnings) == (None, None, ())


def test_a_spacing_that_is_not_that_of_the_image_is_a_warning(tmp_path):
    (warning,) = read_volume(image(tmp_path, STATED | {"SpacingBetweenSlices": 4})).warnings
    assert "4 mm apart" in warning
    assert "2 mm" in warning


def test_the_images_own_header_goes_before_and_a_difference_is_said(tmp_path):
    own = replace(ct(), slice_thickness_mm=2.0)
    volume = read_volume(image(tmp_path, STATED, volume=own))
    (warning,) = volume.warnings
    assert "2.5 mm" in warning
    assert "2 mm" in warning
    assert (volume.slice_thickness_mm, volume.slice_thickness_from) == (2.0, None)


def test_mr_by_its_json_is_refused(tmp_path):
    refuses(image(tmp_path, {"Modality": "MR"}), "MR")
