"""Headers of NIfTI, NRRD and MetaImage: what is missing, contradicts itself, or is not in mm."""

import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from known_volumes import ct, refuses

from CorticalBoneMappingLib.io.image_headers import read_nifti_header
from CorticalBoneMappingLib.io.volume_files import read_header, read_volume, write_volume

SHAPE = (7, 6, 5)
SAYS_NOT_HOW_IT_LIES = "does not state how the image lies in the patient"


def nifti(path, change=lambda raw: None):
    """Write the oblique left-handed CT and change its header; a name in .gz is packed."""
    plain = path.with_name("plain.nii")
    write_volume(plain, ct())
    raw = bytearray(plain.read_bytes())
    change(raw)
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def put(at, kind, *values):
    return lambda raw: struct.pack_into("<" + kind, raw, at, *values)


def other_byte_order(raw):
    """Turn the fields that a reader needs, and the voxels."""
    places = {"i": [0], "h": [*range(40, 56, 2), 70, 72, 252, 254]}
    places["f"] = [*range(76, 120, 4), *range(256, 328, 4)]
    for kind, at in ((kind, at) for kind, ats in places.items() for at in ats):
        struct.pack_into(">" + kind, raw, at, struct.unpack_from("<" + kind, raw, at)[0])
    raw[352:] = np.frombuffer(bytes(raw[352:]), "<f4").astype(">f4").tobytes()


def mirrored_sform(raw):
    rows = np.frombuffer(bytes(raw[280:328]), "<f4").reshape(3, 4).copy()
    rows[0] *= -1.0
    raw[280:328] = rows.tobytes()


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("change", [lambda raw: None, other_byte_order], ids=["little", "big"])
def test_the_header_is_read_in_either_byte_order_packed_or_not(tmp_path, name, change):
    path = nifti(tmp_path / name, change)
    header = read_nifti_header(path)
    assert header.shape == SHAPE[::-1]
    np.testing.assert_allclose(header.spacing, [0.7, 0.6, 2.0], rtol=1e-6)
    for matrix in (header.qform, header.sform):  # independent: NIfTI's own RAS, as the library's
        np.testing.assert_allclose(matrix, ct().ijk_to_ras[:3], atol=1e-3)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.array, ct().array)
    assert volume.warnings == ()


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("codes", [(1, 1), (2, 1), (1, 2), (1, 4)])
def test_two_orientations_in_one_file_are_refused(tmp_path, name, codes):
    def change(raw):
        put(252, "hh", *codes)(raw)
        mirrored_sform(raw)

    refuses(nifti(tmp_path / name, change), "qform and sform contradict", "mm apart")
    refuses(nifti(tmp_path / name, change), "qform", reader=read_header)


@pytest.mark.parametrize("codes", [(0, 1), (1, 0)])
def test_an_orientation_without_a_code_is_not_asked(tmp_path, codes):
    def change(raw):
        put(252, "hh", *codes)(raw)
        if codes[1] == 0:
            mirrored_sform(raw)
        else:
            raw[256:280] = bytes(24)

    assert read_volume(nifti(tmp_path / "a.nii", change)).warnings == ()


def test_orientations_that_differ_by_rounding_are_read(tmp_path):
    def change(raw):
        rows = np.frombuffer(bytes(raw[280:328]), "<f4").reshape(3, 4) * (1 + 2e-4)
        raw[280:328] = rows.astype("<f4").tobytes()

    assert read_volume(nifti(tmp_path / "a.nii", change)).warnings == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put(123, "B", 1), "lengths in metres"),
        (put(123, "B", 11), "micrometres"),  # with a unit of time
        (put(88, "f", 0.0), "spacing is 0.7 × 0.6 × 0 mm"),
        (put(88, "f", float("nan")), "0.6 × nan mm"),
        (put(88, "f", 1.5), "two voxel spacings in one file: 0.7 × 0.6 × 1.5 mm (pixdim)"),
        (put(280, "12f", *[0.0] * 12), "spacing is 0 × 0 × 0 mm"),
        (put(0, "i", 540), "NIfTI-2"),
    ],
)
def test_nifti_whose_lengths_are_uncertain_is_refused(tmp_path, change, words):
    refuses(nifti(tmp_path / "a.nii", change), words)
    refuses(nifti(tmp_path / "a.nii.gz", change), words)


def test_nifti_without_any_orientation_is_read_with_a_warning(tmp_path):
    path = nifti(tmp_path / "a.nii", put(252, "hh", 0, 0))
    (warning,) = read_volume(path).warnings
    assert SAYS_NOT_HOW_IT_LIES in warning
    assert "qform" in warning
    assert str(tmp_path) not in warning  # folders may hold names of patients


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_voxels_that_are_no_numbers_are_refused_in_every_format(tmp_path, ending, value, kind):
    array = ct().array.astype(kind)
    array[-1, -1, -1] = value
    array[0, 0, :2] = value
    sitk.WriteImage(sitk.GetImageFromArray(array), str(tmp_path / f"a{ending}"))
    refuses(tmp_path / f"a{ending}", "3 voxels are not finite")


# NRRD and MetaImage

BARE = "NRRD0005\ntype: short\ndimension: 3\nsizes: 5 6 7\nendian: little\nencoding: raw\n"
PLACED = "space: left-posterior-superior\nspace directions: {} (0,0.6,0) (0,0,2)\nspace origin: (0,0,0)"
VOXELS = ct().array.astype("<i2").tobytes()


def nrrd(path, *lines, detached=False):
    text = BARE + "\n".join(lines)
    if detached:
        path = path.with_suffix(".nhdr")
        path.with_name("a.raw").write_bytes(VOXELS)
        path.write_text(f"{text}\ndata file: a.raw\n\n")
    else:
        path.write_bytes(f"{text}\n\n".encode() + VOXELS)
    return path


def metaimage(path, *lines, detached=False):
    head = ["ObjectType = Image", "NDims = 3", "BinaryData = True", "BinaryDataByteOrderMSB = False"]
    head += ["DimSize = 5 6 7", "ElementType = MET_SHORT", *lines]
    if detached:
        path = path.with_suffix(".mhd")
        path.with_name("a.raw").write_bytes(VOXELS)
        path.write_text("\n".join([*head, "ElementDataFile = a.raw\n"]))
    else:
        path.write_bytes("\n".join([*head, "ElementDataFile = LOCAL\n"]).encode() + VOXELS)
    return path


MATRIX, SPACING = "TransformMatrix = 1 0 0 0 1 0 0 0 1", "ElementSpacing = 0.7 0.6 2"
PLACED_AXES = PLACED.format("(0.7,0,0)")


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize(
    ("make", "lines"),
    [
        (nrrd, [PLACED_AXES]),
        (nrrd, [PLACED_AXES, 'space units: "mm" "mm" "mm"']),
        (nrrd, [PLACED_AXES, "modality:=CT", "# spacings: 0 0 0"]),
        (metaimage, [MATRIX, SPACING]),
        (metaimage, [MATRIX, SPACING, "DistanceUnits = mm"]),
        (metaimage, [MATRIX, "ElementSize = 0.7 0.6 2"]),
    ],
)
def test_a_whole_header_is_read_without_a_warning(tmp_path, make, lines, detached):
    volume = read_volume(_named(make, tmp_path, lines, detached))
    np.testing.assert_allclose(volume.spacing_mm, [0.7, 0.6, 2.0])
    assert volume.warnings == ()


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize(
    ("make", "lines", "words"),
    [
        (nrrd, ["spacings: 0.7 0.6 2"], "without space directions"),
        (nrrd, [PLACED_AXES.replace("left-posterior-superior", "scanner-xyz")], "'scanner-xyz'"),
        (nrrd, [PLACED_AXES.replace("space: left-posterior-superior", "space dimension: 3")], "no 'space'"),
        (metaimage, [SPACING], "no 'TransformMatrix'"),
    ],
)
def test_a_header_that_does_not_say_how_the_image_lies_is_a_warning(tmp_path, make, lines, words, detached):
    (warning,) = read_volume(_named(make, tmp_path, lines, detached)).warnings
    assert SAYS_NOT_HOW_IT_LIES in warning
    assert words in warning


@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize(
    ("make", "lines", "words"),
    [
        (nrrd, [], "no voxel spacing"),
        (nrrd, ["spacings: 0.7 0.6 0"], "0.7 × 0.6 × 0 mm"),
        (nrrd, ["spacings: 0.7 0.6 nan"], "0.7 × 0.6 × nan mm"),
        (nrrd, ["spacings: 0.7 0.6 -2"], "0.7 × 0.6 × -2 mm"),
        (nrrd, [PLACED.format("(0,0,0)")], "0 × 0.6 × 2 mm"),
        (nrrd, [PLACED.format("none")], "no voxel spacing ('space directions' is none"),
        (nrrd, [PLACED_AXES, 'space units: "cm" "cm" "cm"'], "lengths in 'cm'"),
        (nrrd, ["spacings: 0.07 0.06 0.2", 'units: "cm" "cm" "cm"'], "lengths in 'cm'"),
        (metaimage, [MATRIX], "no voxel spacing (no 'ElementSpacing')"),
        (metaimage, [MATRIX, "ElementSpacing = 0.7 0 2"], "0.7 × 0 × 2 mm"),
        (metaimage, [MATRIX, SPACING, "DistanceUnits = cm"], "lengths in 'cm'"),
        (metaimage, [MATRIX, SPACING, "DistanceUnits = um"], "lengths in 'um'"),
    ],
)
def test_a_header_without_lengths_in_mm_is_refused(tmp_path, make, lines, words, detached):
    refuses(_named(make, tmp_path, lines, detached), words)


@pytest.mark.parametrize(
    ("spacing", "shape", "words"),
    [
        ((6.0, 6.0, 10.0), (3, 4, 5), "6 × 6 × 10 mm"),
        ((0.9, 0.9, 6.0), (3, 4, 5), "0.9 × 0.9 × 6 mm"),
        ((4.0, 4.0, 4.0), (3, 300, 400), "1.60 × 1.20 × 0.01 m in size"),
        ((0.9, 0.9, 5.0), (520, 4, 5), "2.60 m in size"),
    ],
)
def test_voxels_too_coarse_for_a_cortex_and_images_larger_than_a_ct_are_refused(
    tmp_path, spacing, shape, words
):
    image = sitk.GetImageFromArray(np.zeros(shape, np.uint8))
    image.SetSpacing(spacing)
    sitk.WriteImage(image, str(tmp_path / "a.nrrd"))
    for reader in (read_volume, read_header):
        refuses(tmp_path / "a.nrrd", words, reader=reader)


def _named(make, folder, lines, detached):
    return make(folder / ("a.nrrd" if make is nrrd else "a.mha"), *lines, detached=detached)
