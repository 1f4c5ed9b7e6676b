"""DICOM folders: what is read, and what is refused in which words."""

import shutil

import numpy as np
import pytest
import SimpleITK as sitk
from hand_dicom import dicom, series
from known_volumes import assert_values_lie_where_they_belong, refuses

from CorticalBoneMappingLib.core.errors import Cancelled
from CorticalBoneMappingLib.core.progress import CallbackProgress
from CorticalBoneMappingLib.io.volume_files import read_volume


def test_dicom_voxels_are_hu_at_their_ras_places_whatever_the_file_order(tmp_path):
    heights = [10.0, 13.0, 11.5, 8.5, 7.0]
    volume = read_volume(series(tmp_path / "ct", heights))
    assert volume.array.shape == (5, 6, 8)
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.spacing_mm, [0.6, 0.8, 1.5])
    np.testing.assert_allclose(volume.points_of([0, 0, 0]), [20.0, 10.0, 7.0])
    assert_values_lie_where_they_belong(volume)
    assert (volume.modality, volume.slice_thickness_mm) == ("CT", 1.5)


def test_oblique_and_feet_first_series_keep_their_places(tmp_path):
    c, s = np.cos(0.4), np.sin(0.4)
    for name, orientation in (("oblique", (c, s, 0, 0, 0, -1.0)), ("feet", (-1.0, 0, 0, 0, 1.0, 0))):
        normal = np.cross(orientation[:3], orientation[3:])
        for number in range(5):
            dicom(
                tmp_path / name / f"{number}", [5, 6, 7] + 2.0 * number * normal, orientation, number=number
            )
        volume = read_volume(tmp_path / name)
        np.testing.assert_allclose(volume.slice_normal, normal * [-1, -1, 1], atol=1e-6)
        assert_values_lie_where_they_belong(volume)


def test_a_series_that_simpleitk_wrote_has_the_geometry_of_its_image(tmp_path):
    image = sitk.GetImageFromArray((np.arange(4 * 6 * 8).reshape(4, 6, 8) * 5 - 500).astype(np.int16))
    image.SetSpacing((0.5, 0.7, 2.5))
    image.SetOrigin((-12.0, 30.0, -250.0))
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in range(4):
        piece = image[:, :, k]
        place = image.TransformIndexToPhysicalPoint((0, 0, k))
        for key, value in {"0008|0060": "CT", "0020|000e": "1.2.5", "0018|0050": "3", "0028|1052": "0",
                           "0020|0037": "1\\0\\0\\0\\1\\0", "0028|1053": "1",
                           "0020|0032": "\\".join(map(str, place))}.items():  # fmt: skip
            piece.SetMetaData(key, value)
        writer.SetFileName(str(tmp_path / f"{k}.dcm"))
        writer.Execute(piece)
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array, sitk.GetArrayFromImage(image))
    for index in ((0, 0, 0), (7, 5, 3)):
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(volume.points_of(index), lps * [-1, -1, 1])
    assert volume.slice_thickness_mm == 3.0


def test_one_missing_slice_is_named(tmp_path):
    heights = np.arange(60.0)
    series(tmp_path / "ct", np.delete(heights, 40))
    refuses(
        tmp_path / "ct", "The slices are not equally spaced (1 mm and 2 mm): slice 41 seems to be missing"
    )


def test_several_missing_slices_are_named(tmp_path):
    series(tmp_path / "ct", np.delete(np.arange(30) * 0.6, [4, 11, 12]))
    refuses(tmp_path / "ct", "slices 5, 12 and 13 seem to be missing")


def test_a_slice_that_is_damaged_is_named_as_unreadable(tmp_path):
    folder = series(tmp_path / "ct", np.arange(9.0))
    whole = (folder / "IM0004").read_bytes()
    (folder / "IM0004").write_bytes(whole[:200])
    refuses(folder, "slice 4 seems to be missing", "could not be read: IM0004")


def test_slice_positions_rounded_to_a_tenth_are_accepted(tmp_path):
    heights = np.round(np.arange(40) * 0.625, 1)
    volume = read_volume(series(tmp_path / "ct", heights))
    assert volume.spacing_mm[2] == pytest.approx(0.625, abs=0.003)


@pytest.mark.parametrize(
    "heights",
    [
        np.concatenate([np.arange(20.0), 20 + 1.4 * np.arange(10)]),
        np.concatenate([np.arange(30.0), 30 + 1.1 * np.arange(30)]),  # each step within a fifth: it adds up
    ],
)
def test_unequal_spacing_is_refused(tmp_path, heights):
    text = refuses(series(tmp_path / "ct", heights), "not equally spaced (1 mm and 1.")
    assert "missing" not in text


def test_doubled_slices_are_named(tmp_path):
    folder = series(tmp_path / "ct", [0.0, 1.0, 2.0, 3.0])
    shutil.copy(folder / "IM0002", folder / "IM0002 (copy)")
    refuses(folder, "1 slice position(s) occur twice", "IM0002 and IM0002 (copy)")


@pytest.mark.parametrize("degrees", [5.0, -12.5])
def test_a_tilted_gantry_is_refused_with_its_angle(tmp_path, degrees):
    folder = series(tmp_path / "ct", np.arange(20) * 2.0, shift_mm=np.tan(np.radians(degrees)))
    refuses(folder, f"tilted by {abs(degrees):.1f}°", "export as NRRD")


def test_slices_that_jump_sideways_are_refused(tmp_path):
    folder = series(tmp_path / "ct", np.arange(10.0))
    dicom(folder / "IM0005", (-17.0, -10.0, 4.0), number=5)
    refuses(folder, "shifted sideways")


def test_the_only_ct_is_found_among_scouts_other_series_and_other_files(tmp_path):
    folder = series(tmp_path / "disc" / "DICOM", np.arange(5.0))
    scouts = {"series": "1.2.7", "kind": "ORIGINAL\\PRIMARY\\LOCALIZER"}
    for number in range(3):
        dicom(folder / f"scout{number}", (0, number, 100), (1, 0, 0, 0, 0, -1), number=80 + number, **scouts)
    dicom(folder / "scout in the series", (0, 0, 100), (1, 0, 0, 0, 0, -1), shape=(9, 9), number=91)
    series(folder / "pet", np.arange(5.0), modality="PT", series="1.2.8")
    (tmp_path / "disc" / "README.txt").write_text("A disc.")
    (tmp_path / "disc" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM and rubbish")
    (folder / ".DS_Store").write_bytes(b"x")
    volume = read_volume(tmp_path / "disc")
    assert volume.array.shape == (5, 6, 8)
    assert_values_lie_where_they_belong(volume)


def test_several_ct_series_are_listed_and_can_be_chosen(tmp_path):
    series(tmp_path / "ct", np.arange(5.0), prefix="A", series="1.2.3", description="bone kernel")
    series(tmp_path / "ct", np.arange(0, 8, 2.0), prefix="B", series="1.2.4", description="soft kernel")
    text = refuses(tmp_path / "ct", "several CT series", "--series")
    lines = [line.split() for line in text.splitlines()[1:]]
    assert lines[0] == ["number", "slices", "thickness", "kernel", "description", "UID"]
    assert lines[1] == ["1", "5", "1.5", "mm", "–", "bone", "kernel", "1.2.3"]
    assert lines[2] == ["2", "4", "1.5", "mm", "–", "soft", "kernel", "1.2.4"]
    assert read_volume(tmp_path / "ct", series="2").array.shape[0] == 4
    assert read_volume(tmp_path / "ct", series="1.2.4").array.shape[0] == 4
    assert read_volume(tmp_path / "ct", series="bone kernel").array.shape[0] == 5
    assert read_volume(tmp_path / "ct" / "B0002").array.shape[0] == 4
    refuses(tmp_path / "ct", "no CT series '9.9'", series="9.9")


def test_mr_is_refused(tmp_path):
    refuses(series(tmp_path / "mr", np.arange(5.0), modality="MR"), "no CT slices", "5 of MR")


def test_a_multi_frame_file_is_refused(tmp_path):
    frames = np.zeros((18, 8))
    dicom(tmp_path / "ct" / "a", (0, 0, 0), shape=(18, 8), hu=frames, frames="3", rows=6)
    refuses(tmp_path / "ct", "one multi-frame DICOM file", "convert it to NRRD")


def test_colour_pictures_of_a_ct_are_no_slices(tmp_path):
    folder = series(tmp_path / "ct", np.arange(4.0))
    picture = sitk.GetImageFromArray(np.zeros((6, 8, 3), np.uint8), isVector=True)
    picture.SetMetaData("0008|0060", "CT")
    sitk.WriteImage(picture, str(folder / "dose report.dcm"))
    assert read_volume(folder).array.shape[0] == 4


def test_a_dicom_file_without_an_image_is_refused(tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"\0" * 128 + b"DICM and rubbish")
    refuses(tmp_path / "a.dcm", "damaged, or holds no image")
    refuses(tmp_path, "none of the 1 files in this folder is a DICOM image")


def test_too_few_slices_are_refused(tmp_path):
    refuses(series(tmp_path / "ct", [0.0, 1.0]), "only 2 slice(s)")


def test_a_series_of_two_directions_is_refused(tmp_path):
    folder = series(tmp_path / "ct", np.arange(6.0))
    for number in range(4):
        dicom(folder / f"coronal{number}", (0, number, 0), (1, 0, 0, 0, 0, -1), number=50 + number)
    refuses(folder, "different direction", "6 and 4 slices")


def test_values_that_are_not_hu_are_refused(tmp_path):
    refuses(series(tmp_path / "iodine", np.arange(4.0), rescale_type="MGML"), "'MGML', not in HU")


def test_a_missing_rescale_intercept_is_refused(tmp_path):
    refuses(
        series(tmp_path / "ct", np.arange(4.0), intercept=None), "rescale slope and intercept are missing"
    )


def test_changing_slice_thickness_is_refused_and_absent_thickness_is_none(tmp_path):
    folder = series(tmp_path / "a", np.arange(6.0))
    dicom(folder / "IM0003", (-20, -10, 2), number=3, thickness="3.0")
    refuses(folder, "slice thickness changes", "1.5 to 3 mm")
    assert read_volume(series(tmp_path / "b", np.arange(6.0), thickness=None)).slice_thickness_mm is None


def test_empty_and_foreign_folders_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    refuses(tmp_path / "empty", "the folder is empty")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("Dear doctor")
    refuses(tmp_path / "letters", "none of the 1 files")


def test_reading_a_series_reports_its_progress_and_can_be_cancelled(tmp_path):
    folder, fractions = series(tmp_path / "ct", np.arange(70.0)), []
    read_volume(folder, progress=CallbackProgress(lambda fraction, text: fractions.append(fraction)))
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert len(fractions) > 5
    with pytest.raises(Cancelled):
        read_volume(folder, progress=CallbackProgress(lambda *_: None, lambda: True))
