"""Both hips of one scan in a run of a study."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from mapping_work import Inline, cases_in, run, study_of, table
from small_study import write_scan, write_study

from CorticalBoneMappingLib.io.volume_files import read_volume
from CorticalBoneMappingLib.study.mapping import measuring as shared_scan
from CorticalBoneMappingLib.study.mapping.executors import SeparateProcesses


def both_hips(folder, *names):
    """A study of these people, both hips of each in one scan."""
    study_of(folder, *names)
    rows = [[name, "0", "both", f"ct{n}.nrrd", f"mask{n}.nrrd", "1", ""] for n, name in enumerate(names)]
    write_study(folder, rows)


def test_one_worker_does_both_hips_of_a_scan(tmp_path):
    both_hips(tmp_path, "P00", "P01")
    given = []

    class Watched(Inline):
        def submit(self, work, /, *args):
            given.append([(case.participant, case.side) for case in args[1]])
            return super().submit(work, *args)

    assert run(tmp_path, Watched()).mapped == 4
    assert given == [[(name, "left"), (name, "right")] for name in ("P00", "P01")]


def test_a_worker_that_dies_at_one_hip_does_not_cost_the_other(tmp_path):
    both_hips(tmp_path, "diesonce0", "dies1", "P02")
    with SeparateProcesses(2) as executor:
        done = run(tmp_path, executor)
    rows = table(tmp_path / "results" / "cases.csv")
    assert [row["status"] for row in rows] == ["done"] * 2 + ["failed"] * 2 + ["done"] * 2
    assert done.failed == 2


def test_a_scan_is_read_and_searched_once_for_both_hips_and_again_if_it_changed(tmp_path, monkeypatch):
    both_hips(tmp_path, "P00", "P01")
    left, right, other, _ = cases_in(tmp_path)
    did = []

    def read(path, series, progress):
        did.append(f"read {path.name}")
        return read_volume(path)

    def search(volume, femur, progress):
        did.append("search")
        return [SimpleNamespace(side=side) for side in ("left", "right")]

    monkeypatch.setattr(shared_scan, "read_volume", read)
    monkeypatch.setattr(shared_scan, "find_heads", search)

    def sides_in(case):
        scan = shared_scan.scan_of(case)
        return [head.side for head in scan.find_heads(scan.volume, None, case.side)]

    assert [sides_in(left), sides_in(right)] == [["left"], ["right"]]
    assert did == ["read ct0.nrrd", "search"]
    write_scan(tmp_path / "ct0.nrrd", value=500.0)
    assert shared_scan.scan_of(right).volume.array.max() == pytest.approx(1500.0)
    assert did[2:] == ["read ct0.nrrd"]
    shared_scan.scan_of(other)
    assert len(shared_scan._last) == 1  # two scans would need twice the memory
