"""What a CT's header or grid says against its numbers is a warning that results repeat, or a refusal."""

from dataclasses import replace

import numpy as np
import pytest
from hand_dicom import dicom, series
from known_volumes import assert_values_lie_where_they_belong, ct, refuses

from CorticalBoneMappingLib.io.volume_files import read_header, read_volume, write_volume
from CorticalBoneMappingLib.io.volume_warnings import thickness_warnings


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ({"kind": "DERIVED\\SECONDARY\\REFORMATTED"}, "ImageType DERIVED"),
        ({"sop_class": "1.2.840.10008.5.1.4.1.1.7"}, "secondary capture"),
        ({"lossy": "01"}, "compressed with loss"),
        ({"contrast": "Ultravist"}, "contrast agent (Ultravist)"),
        ({"tilt": "-8"}, "tilted by 8°"),
        ({"burned_in": "YES"}, "burned into"),
    ],
)
def test_what_a_header_says_against_its_numbers_is_a_warning(tmp_path, header, word):
    volume = read_volume(series(tmp_path / "ct", np.arange(4.0), **header))
    assert_values_lie_where_they_belong(volume)
    (said,) = volume.warnings
    assert word in said
    assert read_header(tmp_path / "ct").warnings == (said,)


def test_an_image_said_to_be_without_loss_or_contrast_has_no_warning(tmp_path):
    plain = {
        "lossy": "00",
        "contrast": "NONE",
        "tilt": "0",
        "burned_in": "NO",
        "kvp": "120",
        "kernel": "B30f",
    }
    volume = read_volume(series(tmp_path / "ct", np.arange(4.0), syntax="JPEG 2000", **plain))
    assert (volume.warnings, volume.kvp) == ((), 120.0)


@pytest.mark.parametrize(("header", "word"), [("kvp", "tube voltage"), ("kernel", "kernel")])
def test_what_changes_within_a_series_is_a_warning(tmp_path, header, word):
    folder = series(tmp_path / "ct", np.arange(4.0), **{header: "100"})
    dicom(folder / "IM0002", (-20, -10, 1.0), number=2, **{header: "140"})
    volume = read_volume(folder)
    assert f"The {word} changes within the series (100" in volume.warnings[0]
    assert volume.kvp is None


def test_projections_and_slices_of_two_people_are_refused(tmp_path):
    refuses(series(tmp_path / "mip", np.arange(4.0), kind="DERIVED\\PRIMARY\\MIP"), "projections")
    folder = series(tmp_path / "two", np.arange(4.0), patient="A")
    dicom(folder / "IM0002", (-20, -10, 1.0), number=2, patient="B")
    refuses(folder, "PatientID changes within the series (A and B)")


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ((1, 0, 0, 0, 0, -1), "coronal"),
        ((0, 1, 0, 0, 0, -1), "sagittal"),
        ((1, 0, 0, 0, 0.8, -0.6), "oblique"),
    ],
)
def test_slices_that_are_not_axial_are_read_with_a_warning(tmp_path, row, name):
    normal = np.cross(row[:3], row[3:])
    for number in range(4):
        dicom(tmp_path / f"{number}", 2.0 * number * normal, row, number=number)
    volume = read_volume(tmp_path)
    assert_values_lie_where_they_belong(volume)
    assert f"The slices are {name}" in volume.warnings[0]


def test_slices_of_another_size_at_the_end_are_left_out_with_a_warning(tmp_path):
    folder = series(tmp_path / "ct", np.arange(6.0))
    dicom(folder / "IM0006", (-20, -10, 5.0), number=6, spacing=(0.4, 0.3))
    volume = read_volume(folder)
    assert len(volume.array) == 5
    assert "left out: IM0006" in volume.warnings[0]


@pytest.mark.parametrize(
    ("spacing", "thickness", "words"),
    [
        (2.0, None, ""),
        (3.0, 3.0, ""),
        (5.0, None, "5 mm apart"),
        (2.0, 5.0, "5 mm thick"),
        (4.0, 1.0, "4 mm apart"),
    ],
)
def test_thick_slices_are_a_warning_whatever_the_format(spacing, thickness, words):
    matrix = np.diag([0.7, 0.7, spacing, 1.0])
    warned = thickness_warnings(replace(ct(), ijk_to_ras=matrix, slice_thickness_mm=thickness))
    assert words in "".join(warned)
    assert bool(warned) == bool(words)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_reformat_in_another_format_is_known_by_its_thick_axis(tmp_path, axis):
    """However the axes are ordered in the file: what counts is where the thick one lies in the patient."""
    for order in ((0, 1, 2), (2, 0, 1)):
        columns = np.eye(3) * np.where(np.arange(3) == axis, 2.5, 0.8)
        matrix = np.eye(4)
        matrix[:3, :3] = columns[:, order]
        write_volume(tmp_path / "a.nrrd", replace(ct(), ijk_to_ras=matrix))
        warned = read_volume(tmp_path / "a.nrrd").warnings
        assert len(warned) == (0 if axis == 2 else 1)
        assert axis == 2 or f"The slices are {('sagittal', 'coronal')[axis]}" in warned[0]
