import os
import shutil
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from CorticalBoneMappingLib.errors import Cancelled, VolumeError
from CorticalBoneMappingLib.progress import CallbackProgress
from CorticalBoneMappingLib.volume import Volume
from CorticalBoneMappingLib.volume_checks import check_overlap
from CorticalBoneMappingLib.volume_files import read_labelmap, read_volume, write_volume

DATA = Path(os.environ.get("CBM_TEST_DATA", Path(__file__).parents[2] / "../shared/data")) / "hips_ct_3mm"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real CT at {DATA}")
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def hu_of(points_ras):
    """HU that differ at every place, so that a voxel at a wrong place cannot go unseen."""
    return np.round(points_ras @ [3.0, -5.0, 7.0]) - 300.0


def element(group, number, kind, value):
    value = value.encode() if isinstance(value, str) else value
    value += (b"\0" if kind == "UI" else b" ") * (len(value) % 2)
    long = kind in ("OB", "OW")
    head = struct.pack(
        "<HH2sHI" if long else "<HH2sH",
        group,
        number,
        kind.encode(),
        *((0, len(value)) if long else (len(value),)),
    )
    return head + value


def dicom(
    path, position, orientation=AXIAL, spacing=(0.8, 0.6), shape=(6, 8), number=1, hu=None, rows=None, **tags
):
    """Write one CT slice by hand: positions LPS, HU by `hu_of` unless given; stored as 2 (HU + 1024)."""
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    r, c = np.indices(shape)
    places = np.array(position) + c[..., None] * spacing[1] * row + r[..., None] * spacing[0] * column
    hu = hu_of(places * [-1, -1, 1]) if hu is None else hu
    text = {
        (0x08, 0x08, "CS"): "ORIGINAL\\PRIMARY\\AXIAL",
        (0x08, 0x16, "UI"): "1.2.840.10008.5.1.4.1.1.2",
        (0x08, 0x18, "UI"): f"1.2.3.{number}",
        (0x08, 0x60, "CS"): "CT",
        (0x08, 0x103E, "LO"): "hip bone",
        (0x18, 0x50, "DS"): "1.5",
        (0x20, 0x0D, "UI"): "1.2.9",
        (0x20, 0x0E, "UI"): "1.2.3",
        (0x20, 0x13, "IS"): str(number),
        (0x20, 0x32, "DS"): "\\".join(f"{x:.6g}" for x in position),
        (0x20, 0x37, "DS"): "\\".join(f"{x:.8g}" for x in orientation),
        (0x28, 0x04, "CS"): "MONOCHROME2",
        (0x28, 0x30, "DS"): "\\".join(f"{x:g}" for x in spacing),
        (0x28, 0x1052, "DS"): "-1024",
        (0x28, 0x1053, "DS"): "0.5",
    }
    names = {
        "modality": (0x08, 0x60, "CS"),
        "series": (0x20, 0x0E, "UI"),
        "description": (0x08, 0x103E, "LO"),
        "thickness": (0x18, 0x50, "DS"),
        "kind": (0x08, 0x08, "CS"),
        "intercept": (0x28, 0x1052, "DS"),
        "rescale_type": (0x28, 0x1054, "LO"),
        "frames": (0x28, 0x08, "IS"),
    }
    text |= {names[name]: value for name, value in tags.items()}
    numbers = {0x02: 1, 0x10: rows or shape[0], 0x11: shape[1], 0x100: 16, 0x101: 16, 0x102: 15, 0x103: 0}
    body = {(g, e): element(g, e, kind, value) for (g, e, kind), value in text.items() if value is not None}
    body |= {(0x28, e): element(0x28, e, "US", struct.pack("<H", value)) for e, value in numbers.items()}
    pixels = np.round((hu + 1024.0) / 0.5).astype("<u2").tobytes()
    body[(0x7FE0, 0x10)] = element(0x7FE0, 0x10, "OW", pixels)
    meta = element(2, 1, "OB", b"\0\1") + element(2, 2, "UI", text[(0x08, 0x16, "UI")])
    meta += element(2, 3, "UI", f"1.2.3.{number}") + element(2, 0x10, "UI", "1.2.840.10008.1.2.1")
    meta = element(2, 0, "UL", struct.pack("<I", len(meta))) + meta
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0" * 128 + b"DICM" + meta + b"".join(body[key] for key in sorted(body)))


def series(folder, heights, shift_mm=0.0, prefix="IM", **options):
    """Write axial slices at heights; each is moved to posterior by `shift_mm` a mm of height."""
    for number, height in enumerate(heights, start=1):
        position = (-20.0, -10.0 + shift_mm * (height - heights[0]), height)
        dicom(folder / f"{prefix}{number:04d}", position, number=number, **options)
    return folder


def ct(shape=(7, 6, 5), **options):
    """Make a small oblique left-handed CT whose HU tell the place."""
    matrix = np.eye(4)
    c, s = np.cos(0.3), np.sin(0.3)
    matrix[:3, :3] = np.array([[c, s, 0], [s, -c, 0], [0, 0, 1]]) @ np.diag([0.7, 0.6, 2.0])
    matrix[:3, 3] = [31.0, -17.5, 400.25]
    volume = Volume(np.zeros(shape, np.float32), matrix, **options)
    index = np.moveaxis(np.indices(shape[::-1]), 0, -1)
    return replace(volume, array=hu_of(volume.points_of(index)).T.astype(np.float32) - 2800)


def assert_values_lie_where_they_belong(volume):
    index = np.moveaxis(np.indices(volume.array.shape[::-1]), 0, -1)
    np.testing.assert_allclose(volume.array, hu_of(volume.points_of(index)).T, atol=1.01)


def refuses(path, *words, reader=read_volume, **options):
    with pytest.raises(VolumeError) as caught:
        reader(path, **options)
    text = str(caught.value)
    for word in (Path(path).name, *words):
        assert word in text
    assert "Traceback" not in text
    return text


# DICOM


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
    text = refuses(tmp_path / "ct", "several CT series", "by its UID")
    assert "1.2.3  'bone kernel'  5 slices" in text
    assert "1.2.4  'soft kernel'  4 slices" in text
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


def test_reading_a_series_tells_its_progress_and_stops_when_asked(tmp_path):
    folder, told = series(tmp_path / "ct", np.arange(70.0)), []
    read_volume(folder, progress=CallbackProgress(lambda fraction, text: told.append(fraction)))
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert len(told) > 5
    with pytest.raises(Cancelled):
        read_volume(folder, progress=CallbackProgress(lambda *_: None, lambda: True))


# Other files


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz", ".nii", ".mha"])
def test_written_volumes_come_back_with_values_places_modality_and_thickness(tmp_path, ending):
    volume = ct(modality="CT", slice_thickness_mm=1.25, kvp=100.0)
    write_volume(tmp_path / f"ct.v1{ending}", volume)
    back = read_volume(tmp_path / f"ct.v1{ending}")
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(back.ijk_to_ras, volume.ijk_to_ras, atol=2e-5)  # NIfTI keeps single precision
    assert (back.modality, back.slice_thickness_mm, back.kvp) == ("CT", 1.25, 100.0)
    write_volume(tmp_path / f"bare{ending}", ct())
    bare = read_volume(tmp_path / f"bare{ending}")
    assert (bare.modality, bare.slice_thickness_mm, bare.kvp) == (None, None, None)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"bare{ending}", f"ct.v1{ending}"]


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz", ".mha"])
def test_files_are_lps_as_simpleitk_sees_them(tmp_path, ending):
    volume = ct()
    write_volume(tmp_path / f"ct{ending}", volume)
    image = sitk.ReadImage(str(tmp_path / f"ct{ending}"))
    for index in ((0, 0, 0), (4, 0, 0), (1, 5, 6)):
        lps = np.array(image.TransformIndexToPhysicalPoint(index))
        np.testing.assert_allclose(lps * [-1, -1, 1], volume.points_of(index), atol=1e-3)
        assert image[index] == volume.array[index[::-1]]


def test_a_ras_nrrd_header_by_hand_is_read_at_its_place(tmp_path):
    values = np.arange(-60, 60, dtype="<i2").reshape(4, 5, 6) * 9
    header = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: right-anterior-superior\nsizes: 6 5 4\nendian: little\n"
        "space directions: (0.5,0,0) (0,0.6,0) (0,0,2)\nencoding: raw\nspace origin: (10,20,30)\n\n"
    )
    (tmp_path / "a.nrrd").write_bytes(header.encode() + values.tobytes())
    volume = read_volume(tmp_path / "a.nrrd")
    np.testing.assert_array_equal(volume.array, values)
    np.testing.assert_allclose(volume.points_of([5, 0, 3]), [12.5, 20.0, 36.0])


def sheared_nrrd(path):
    header = (
        "NRRD0004\ntype: short\ndimension: 3\nspace: left-posterior-superior\nsizes: 6 5 4\nendian: little\n"
        "space directions: (0.5,0,0) (0,0.6,0) (0,0.2,2)\nencoding: raw\nspace origin: (1,2,3)\n\n"
    )
    path.write_bytes(header.encode() + (np.arange(-60, 60, dtype="<i2") * 9).tobytes())


def sheared_nifti(path):
    write_volume(path, ct())
    raw = bytearray(path.read_bytes())
    rows = np.array([[0.7, 0, 0, 1], [0, 0.6, 0.3, 2], [0, 0, 2.0, 3]], "<f4")
    raw[252:256] = struct.pack("<hh", 0, 1)  # qform_code, sform_code
    raw[280:328] = rows.tobytes()
    path.write_bytes(raw)


@pytest.mark.parametrize(("name", "make"), [("a.nrrd", sheared_nrrd), ("a.nii", sheared_nifti)])
def test_sheared_grids_are_refused(tmp_path, name, make):
    make(tmp_path / name)
    refuses(tmp_path / name, "not at right angles", "Resample")


def test_a_sheared_volume_is_not_written(tmp_path):
    volume = ct()
    volume.ijk_to_ras[1, 2] += 0.2
    with pytest.raises(VolumeError, match="not at right angles"):
        write_volume(tmp_path / "a.nii.gz", volume)
    assert not list(tmp_path.iterdir())


def image_file(path, array, spacing=None, vector=False, **notes):
    image = sitk.GetImageFromArray(array, isVector=vector)
    if spacing:
        image.SetSpacing(spacing)
    for key, value in notes.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(path))
    return path


HU = np.linspace(-900, 1400, 4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)


@pytest.mark.parametrize(
    ("array", "options", "words"),
    [
        (np.stack([HU, HU]), {}, "4 dimensions"),
        (HU[0], {}, "2 dimensions"),
        (np.stack([HU, HU, HU], -1), {"vector": True}, "each voxel holds 3 values"),
        (HU[:2], {}, "6 × 5 × 2 voxels"),
        (HU, {"spacing": (0.6, 0.6, 12.0)}, "spacing is 0.6 × 0.6 × 12 mm"),
        (HU, {"spacing": (0.0006, 0.0006, 0.001)}, "Are the units millimetres?"),
        (np.where(HU > 1000, np.nan, HU), {}, "voxels are not finite"),
        (np.where(HU > 1390, np.inf, HU), {}, "1 voxels are not finite"),
        (HU * 0 - 1000, {}, "every voxel has the same value (-1000)"),
        (HU + 900, {}, "cannot be the HU of a CT"),  # MR, or unsigned CT
        (HU / 1000, {}, "cannot be the HU of a CT"),  # normalised for a network
        (HU, {"modality": "MR"}, "MR, not CT"),
    ],
)
def test_images_that_are_no_ct_volume_are_refused(tmp_path, array, options, words):
    refuses(image_file(tmp_path / "a.mha", array.astype(np.float32), **options), words)


def test_a_metaimage_that_says_it_is_mr_is_refused(tmp_path):
    path = image_file(tmp_path / "a.mha", HU)
    path.write_bytes(path.read_bytes().replace(b"ElementType", b"Modality = MET_MOD_MR\nElementType", 1))
    refuses(path, "MR, not CT")


def test_a_crop_with_fat_but_no_air_and_metal_beyond_the_range_is_a_ct(tmp_path):
    values = np.random.default_rng(1).normal(60, 40, (5, 6, 7))
    values[:2] -= 160  # fat
    values[3, 3, 3] = 30000.0  # metal
    volume = read_volume(image_file(tmp_path / "a.nrrd", values.astype(np.float32)))
    assert volume.array.max() == 30000.0


def test_missing_damaged_and_foreign_files_are_refused(tmp_path):
    refuses(tmp_path / "a.nrrd", "there is no such file")
    (tmp_path / "b.nrrd").write_text("NRRD0004\nrubbish")
    refuses(tmp_path / "b.nrrd", "the file is damaged")
    (tmp_path / "c.docx").write_text("x")
    refuses(tmp_path / "c.docx", "knows .nrrd", "not '.docx'")
    with pytest.raises(VolumeError, match=r"knows .* not '\.mhd'"):
        write_volume(tmp_path / "e.mhd", ct())


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz", ".nii", ".mha"])
@pytest.mark.parametrize("part", [0.0, 0.05, 0.6, 0.98])
def test_files_cut_short_are_refused(tmp_path, ending, part):
    path = tmp_path / f"a{ending}"
    write_volume(path, ct())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    refuses(path, "the file is damaged")


def test_a_flipped_bit_in_a_packed_nifti_is_noticed(tmp_path):
    path = tmp_path / "a.nii.gz"
    write_volume(path, ct())
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 1  # in the checksum: the voxels unpack to their full number
    path.write_bytes(raw)
    refuses(path, "the file is damaged")


def test_reading_keeps_the_terminal_clean(tmp_path, capfd):
    read_volume(series(tmp_path / "ct", np.arange(4.0)))
    write_volume(tmp_path / "a.nii.gz", ct())
    read_volume(tmp_path / "a.nii.gz")
    sheared_nifti(tmp_path / "b.nii")
    with pytest.raises(VolumeError):
        read_volume(tmp_path / "b.nii")
    assert capfd.readouterr() == ("", "")


# Label maps


def labels(**options):
    array = np.zeros((7, 6, 5), np.uint8)
    array[2:5, 2:4, 1:4] = 2
    return replace(ct(), array=array, source="mask.nrrd", **options)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64, bool])
def test_label_maps_are_integers_whatever_they_are_stored_as(tmp_path, kind):
    written = replace(labels(), array=labels().array.astype(kind))
    write_volume(tmp_path / "m.nii.gz", written)
    back = read_labelmap(tmp_path / "m.nii.gz")
    assert back.array.dtype.kind in "iu"
    np.testing.assert_array_equal(back.array, written.array)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: a * 0.25, "whole numbers only"),
        (lambda a: a * -1.0, "no negative values"),
        (lambda a: a * 0, "nothing is labelled"),
        (lambda a: np.where(a > 0, np.nan, 0.0), "not numbers"),
    ],
)
def test_images_that_are_no_label_map_are_refused(tmp_path, change, words):
    write_volume(tmp_path / "m.nrrd", replace(labels(), array=change(labels().array.astype(float))))
    refuses(tmp_path / "m.nrrd", words, reader=read_labelmap)


def test_a_dicom_folder_is_no_label_map(tmp_path):
    refuses(series(tmp_path / "ct", np.arange(4.0)), "not from DICOM", reader=read_labelmap)


def test_overlap_counts_voxels_in_the_ct_on_another_grid():
    volume, mask = ct(), labels()
    assert check_overlap(volume, mask) == 1.0
    # Moved by 2.8 voxels along i, labels at 1 to 3 of 0 to 4: the first stays inside, two leave.
    moved = mask.ijk_to_ras.copy()
    moved[:3, 3] += 2.8 * moved[:3, 0]
    assert check_overlap(volume, replace(mask, ijk_to_ras=moved)) == pytest.approx(1 / 3)


def test_a_mask_of_another_place_or_without_the_label_is_refused():
    away = labels().ijk_to_ras.copy()
    away[:3, 3] += [500.0, 0.0, 0.0]
    with pytest.raises(VolumeError, match=r"mask\.nrrd: .* different places.*R 532 to 534"):
        check_overlap(ct(), replace(labels(), ijk_to_ras=away))
    with pytest.raises(VolumeError, match="no label 1; present: 2"):
        check_overlap(ct(), labels(), label=1)


@needs_data
def test_the_real_ct_and_its_labels_lie_on_each_other():
    volume, mask = read_volume(DATA / "ct.nrrd"), read_labelmap(DATA / "labels.nrrd")
    assert volume.array.shape == mask.array.shape == (46, 101, 122)
    np.testing.assert_allclose(volume.spacing_mm, 3.0)
    assert check_overlap(volume, mask, label=2) == 1.0
    bone, all_points = mask.array == 2, mask.points_of(np.argwhere(mask.array > 0)[:, ::-1])
    assert volume.array[bone].mean() > volume.array[mask.array == 0].mean() + 300
    right = mask.points_of(np.argwhere(bone)[:, ::-1])
    assert right[:, 0].mean() > all_points[:, 0].mean()  # R is positive: LPS was turned to RAS
