"""DICOM files: every way of storing a slice is read rightly, every damage is seen, one series is chosen."""

import contextlib
import os
import tempfile
from pathlib import Path

import hand_dicom
import numpy as np
import pytest
from hand_dicom import SYNTAXES, dicom, series
from known_volumes import assert_values_lie_where_they_belong, ct, refuses

from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.errors import VolumeError
from CorticalBoneMappingLib.io.dicom_series import is_dicom
from CorticalBoneMappingLib.io.volume_files import read_header, read_volume, write_volume


@pytest.mark.parametrize(
    ("syntax", "photometric"),
    [
        (syntax, photometric)
        for syntax in SYNTAXES
        for photometric in ("MONOCHROME2", "MONOCHROME1")
        if (syntax, photometric) != ("deflated", "MONOCHROME1")
    ],
)
def test_hu_are_right_however_voxels_are_stored_and_shown(tmp_path, syntax, photometric):
    for name, is_signed in (("unsigned", False), ("signed", True)):
        folder = tmp_path / name
        series(folder, np.arange(4.0), syntax=syntax, photometric=photometric, is_signed=is_signed)
        volume = read_volume(folder)
        assert_values_lie_where_they_belong(volume)
        assert volume.warnings == ()


def test_monochrome_1_is_refused_where_reading_it_would_be_wrong(tmp_path):
    refuses(
        series(tmp_path / "ct", np.arange(4.0), syntax="deflated", photometric="MONOCHROME1") / "IM0001",
        "MONOCHROME1 in a deflated file",
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_file_of_damaged_bytes_is_refused_or_read_and_never_a_fault(tmp_path, seed):
    random = np.random.default_rng(seed)
    folder = series(tmp_path / "ct", np.arange(4.0), syntax=("implicit", "explicit", "big-endian")[seed])
    whole = np.frombuffer((folder / "IM0002").read_bytes(), np.uint8)
    for _ in range(60):
        damaged = whole.copy()
        places = random.integers(128, len(whole), random.integers(1, 6))
        damaged[places] = random.integers(0, 256, len(places))
        (folder / "IM0002").write_bytes(damaged.tobytes())
        with contextlib.suppress(VolumeError):
            assert read_volume(folder).array.shape == (4, 6, 8)


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "big-endian"])
def test_dicom_is_recognised_by_content_without_preamble(tmp_path, syntax):
    folder = series(tmp_path / "ct", np.arange(4.0), syntax=syntax, has_mark=False)
    (folder / "letter.txt").write_text("Dear doctor, this is long enough to be looked at.")
    assert_values_lie_where_they_belong(read_volume(folder))
    assert_values_lie_where_they_belong(read_volume(folder / "IM0002"))
    assert not is_dicom(folder / "letter.txt")


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big-endian", "deflated", "RLE", "JPEG 2000"])
@pytest.mark.parametrize("position", [0, 4])
def test_a_slice_at_either_end_is_never_lost_in_silence_wherever_its_file_is_cut(tmp_path, syntax, position):
    folder = series(tmp_path / "ct", np.arange(5.0), syntax=syntax)
    path = folder / f"IM{position + 1:04d}"
    whole = path.read_bytes()
    # The last eight bytes of a compressed image end a sequence; without them no voxel is lost.
    kept = 9 if syntax in ("RLE", "JPEG 2000") else 1
    for size in [*range(0, len(whole) - 96, 37), *range(len(whole) - 96, len(whole) - kept + 1)]:
        path.write_bytes(whole[:size])
        refuses(folder, path.name, "could not be read")
    path.write_bytes(b"\0" * len(whole))
    refuses(folder, path.name, "not DICOM")


def test_a_compressed_slice_whose_data_end_early_in_a_whole_file_is_refused(tmp_path, monkeypatch):
    for syntax, maker in (("RLE", "_rle"), ("JPEG 2000", "_by_itk"), ("JPEG lossless", "_by_itk")):
        folder = series(tmp_path / syntax, np.arange(4.0), syntax=syntax, shape=(30, 40))
        full = getattr(hand_dicom, maker)
        with monkeypatch.context() as patch:
            patch.setattr(hand_dicom, maker, lambda *given, full=full: full(*given)[:-100])
            dicom(folder / "IM0004", (-20, -10, 3.0), number=4, syntax=syntax, shape=(30, 40))
        refuses(folder / "IM0004", "damaged")


@pytest.mark.parametrize("syntax", ["RLE", "JPEG 2000", "JPEG lossless"])
@pytest.mark.parametrize("size", [0, 8, 30])
def test_a_compressed_slice_with_next_to_no_data_is_refused(tmp_path, monkeypatch, syntax, size):
    for maker in ("_rle", "_by_itk"):
        full = getattr(hand_dicom, maker)
        monkeypatch.setattr(hand_dicom, maker, lambda *given, full=full: full(*given)[:size])
    refuses(series(tmp_path / "ct", np.arange(4.0), syntax=syntax) / "IM0001", "cut short")


def test_a_damaged_file_counts_where_it_belongs(tmp_path):
    folder = series(tmp_path / "ct", np.arange(5.0))
    series(folder, np.arange(5.0), prefix="X", series="1.2.8", modality="MR")
    (folder / "X0001").write_bytes((folder / "X0001").read_bytes()[:-20])  # of another series
    (folder / "IM0007.txt").write_bytes(b"")  # another ending
    (folder / "empty").mkdir()
    (folder / "empty" / "IM0008").write_bytes(b"")  # another folder
    assert read_volume(folder).warnings == ()
    (folder / "LOCK").write_bytes(b"")
    assert "may be slices: LOCK (empty)" in read_volume(folder).warnings[0]
    (folder / "LOCK").unlink()
    cut = (folder / "IM0005").read_bytes()[:-20]
    (folder / "another name").write_bytes(cut)  # it says itself that it is of the series
    refuses(folder, "another name (cut short)")


def test_a_slice_of_the_series_without_its_place_is_refused(tmp_path):
    folder = series(tmp_path / "ct", np.arange(5.0))
    dicom(folder / "IM0005", (-20, -10, 4.0), number=5, position_text=None)
    refuses(folder, "ImagePositionPatient (0020,0032) is missing in 1 of the series' 5 slices: IM0005")


@pytest.mark.parametrize(
    ("lacking", "name"),
    [
        ("position_text", "ImagePositionPatient (0020,0032)"),
        ("orientation_text", "ImageOrientationPatient (0020,0037)"),
        ("spacing_text", "PixelSpacing (0028,0030)"),
    ],
)
@pytest.mark.parametrize("value", [None, "", "nonsense"])
def test_what_a_header_lacks_is_named(tmp_path, lacking, name, value):
    text = refuses(series(tmp_path / "ct", np.arange(4.0), **{lacking: value}), f"{name} is missing in 4")
    assert "no CT slices" not in text


@pytest.mark.parametrize("slope", ["-1", "0", "nan", "one"])
def test_a_slope_that_gives_no_hu_is_refused(tmp_path, slope):
    series(tmp_path / "ct", np.arange(4.0), slope_text=slope)
    refuses(tmp_path / "ct" / "IM0001", f"slope is '{slope}'")
    refuses(tmp_path / "ct", f"slope is '{slope}'", reader=read_header)


@contextlib.contextmanager
def locked(path):
    """Take the right to read a path away, of the administrator as well."""
    path.chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        yield
    finally:
        os.seteuid(user)
        path.chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
def test_what_may_not_be_read_is_said_so():
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are locked for others
        folder = Path(name)
        folder.chmod(0o755)
        series(folder / "ct", np.arange(5.0))
        series(folder / "ct" / "more", np.arange(5.0), modality="MR", series="1.2.8")
        with locked(folder / "ct"):
            refuses(folder / "ct", "this folder may not be read (permission denied)")
            refuses(folder / "ct" / "IM0001", "may not be read (permission denied)")
        with locked(folder / "ct" / "IM0005"):
            refuses(folder / "ct", "IM0005 (permission denied)")
        with locked(folder / "ct" / "more"):
            assert (
                "Subfolders may not be read, and may hold slices: more"
                in read_volume(folder / "ct").warnings[0]
            )
        write_volume(folder / "a.nrrd", ct())
        with locked(folder / "a.nrrd"):
            refuses(folder / "a.nrrd", "may not be read (permission denied)")


def test_series_of_one_description_are_chosen_by_number_and_a_volume_has_none(tmp_path):
    for number in (1, 2):
        kind = {"series": f"1.2.{9 - number}", "series_number": str(number), "description": "hip"}
        series(tmp_path / "ct", np.arange(3.0 + number), prefix=f"S{number}", **kind)
    refuses(tmp_path / "ct", "several CT series named 'hip'", series="hip")
    assert [len(read_volume(tmp_path / "ct", series=str(n)).array) for n in (1, 2)] == [4, 5]
    assert len(read_header(tmp_path / "ct", "2").array) == 5
    refuses(tmp_path / "ct", "no CT series '3'", series="3")
    write_volume(tmp_path / "a.nrrd", ct())
    refuses(tmp_path / "a.nrrd", "leave the series '1' out", series="1")


@pytest.mark.parametrize("command", [["map", "--side", "right"], ["segment"]])
def test_commands_list_the_series_and_take_one(tmp_path, capsys, command):
    folder = tmp_path / "ct"
    for number in (1, 2):
        kind = {"series": f"1.2.{number}", "kernel": f"B{number}0"}
        series(folder, np.arange(4.0), prefix=f"S{number}", **kind)
    words = [command[0], str(folder), *command[1:], "--out", str(tmp_path / "out"), "--quiet"]
    assert main(words) == 1
    said = capsys.readouterr().err
    assert "Choose one with --series" in said
    assert "B10" in said
    assert main([*words, "--series", "3"]) == 1
    assert "no CT series '3'" in capsys.readouterr().err
    assert main([*words, "--series", "2"]) == 1
    assert "no hip was found" in capsys.readouterr().err  # it was read


def test_an_unsupported_compression_is_named(tmp_path):
    syntax = "1.2.840.10008.1.2.4.999"
    folder = series(tmp_path / "ct", np.arange(4.0), syntax=syntax)
    refuses(folder, f"transfer syntax {syntax}")
    refuses(folder / "IM0001", f"transfer syntax {syntax}")
