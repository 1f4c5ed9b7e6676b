"""A full disk is one sentence that names the file; nothing half-written is left, and no library prints."""

from __future__ import annotations

import os
import subprocess

import numpy as np
import pytest

from CorticalBoneMappingLib.cli.__main__ import main
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.files import write_text
from CorticalBoneMappingLib.io.surface_files import write_surface
from CorticalBoneMappingLib.io.volume_files import write_volume
from CorticalBoneMappingLib.pipeline.result import write_result
from CorticalBoneMappingLib.report.pictures.canvas import Canvas

from ..pipeline.test_both_hips import result

resource = pytest.importorskip("resource")


def _random(*shape):
    return np.random.default_rng(0).integers(0, 30000, shape).astype(np.int16)


def _surface():
    n = 30_000
    points = np.random.default_rng(0).random((n, 3))
    return Surface(points, np.arange(n).reshape(-1, 3))


WRITERS = {
    "ct.nrrd": lambda path: write_volume(path, Volume(_random(40, 100, 100), np.eye(4))),
    "ct.nii": lambda path: write_volume(path, Volume(_random(40, 100, 100), np.eye(4))),
    "ct.nii.gz": lambda path: write_volume(path, Volume(_random(40, 100, 100), np.eye(4))),
    "ct.mha": lambda path: write_volume(path, Volume(_random(40, 100, 100), np.eye(4))),
    "bone.vtp": lambda path: write_surface(path, _surface()),
    "points.csv": lambda path: write_text(path, "1.2345,6.789\n" * 40_000),
}


@pytest.fixture
def little_room():
    """No file may grow beyond 200 kB: for the writers as if the disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_that_has_no_room_names_its_file_and_leaves_nothing(tmp_path, little_room, capfd, name):
    with pytest.raises(OSError, match="File too large") as caught:
        WRITERS[name](tmp_path / name)
    assert caught.value.filename == str(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_a_picture_that_has_no_room_names_its_file(tmp_path, little_room, capfd):
    canvas = Canvas(900, 900)
    noise = np.random.default_rng(0).random((8100, 3))
    left, bottom = np.divmod(np.arange(8100), 90)
    canvas.rectangles(np.stack([left, bottom, left + 1, bottom + 1], axis=1) * 10.0, noise)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    with pytest.raises(OSError, match="File too large") as caught:
        canvas.save(tmp_path / "picture.png")
    assert caught.value.filename == str(tmp_path / "picture.png")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_the_command_says_it_in_one_sentence_and_keeps_what_was_there(tmp_path, little_room, capfd):
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    for side in ("left", "right"):
        write_result(result(side, 2.0), tmp_path / side)
    out = tmp_path / "both"
    command = ["both-hips", str(tmp_path / "left"), str(tmp_path / "right"), "--out", str(out), "--quiet"]
    assert main(command) == 0
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    assert main(command) == 1
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err == (
        f"error: {out}: the comparison of both hips could not be written (both_hips.vtp: the disk is full). "
        "What was there is unchanged.\n"
    )
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("name", WRITERS)
def test_a_disk_that_is_full_is_reported_as_such(tmp_path, capfd, name):
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("no file system could be mounted")
    try:
        (tmp_path / "other").write_bytes(bytes(900_000))
        with pytest.raises(OSError, match="No space left") as caught:
            WRITERS[name](tmp_path / name)
        assert caught.value.filename == str(tmp_path / name)
        assert [file.name for file in tmp_path.iterdir()] == ["other"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert capfd.readouterr() == ("", "")
