"""Volumes and label maps in files other than DICOM."""

import os
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hand_dicom import series
from known_volumes import ct, refuses

from CorticalBoneMappingLib.core.errors import VolumeError
from CorticalBoneMappingLib.io.volume_checks import check_overlap
from CorticalBoneMappingLib.io.volume_files import read_labelmap, read_volume, write_volume

DATA = Path(os.environ.get("CBM_TEST_DATA", Path(__file__).parents[3] / "../shared/data")) / "hips_ct_3mm"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"no real CT at {DATA}")


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
        (HU + 900, {}, "are not the HU of a CT"),  # MR, or unsigned CT
        (HU / 1000, {}, "are not the HU of a CT"),  # normalised for a network
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
    refuses(tmp_path / "a.nrrd", "this file or folder does not exist")
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


def test_a_dicom_folder_is_not_a_label_map(tmp_path):
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
    with pytest.raises(VolumeError, match="label 1 is missing; present: 2"):
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
