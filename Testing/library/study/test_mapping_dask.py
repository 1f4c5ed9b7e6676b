"""The same run on a Dask cluster: a scheduler and two workers, processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from mapping_work import cases_in, digest, run, study_of, work
from scipy.spatial import ConvexHull

from CorticalBoneMappingLib.core.errors import SettingError
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.statistics.inference.permutation import PermutationSettings, permutation_tests
from CorticalBoneMappingLib.study.mapping.executors import open_executor
from CorticalBoneMappingLib.study.mapping.map_scans import map_scans

distributed = pytest.importorskip("distributed", reason="Dask is an extra: pip install .[cluster]")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A scheduler and two workers of one thread; yields the file with their address."""
    folder = tmp_path_factory.mktemp("cluster")
    file = folder / "scheduler.json"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(
            [str(Path(__file__).parents[1] / "helpers"), os.environ.get("PYTHONPATH", "")]
        ),
        "PYTHONWARNINGS": "ignore",
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",  # so that it is this library that tries again
    }
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    programs = [
        ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *common],
        ["distributed.cli.dask_worker", "--nworkers", "2", "--nthreads", "1", *common],
    ]
    started = []
    for program in programs:
        command = [sys.executable, "-m", *program]
        started.append(
            subprocess.Popen(
                command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        )
        while not file.exists():
            time.sleep(0.1)
    yield file
    for process in reversed(started):
        process.terminate()
        process.wait()


def test_a_cluster_gives_the_bytes_of_the_local_pool_even_if_a_worker_is_killed_in_the_middle(
    cluster, tmp_path
):
    study_of(tmp_path, "P00", "wrong1", *(f"slow{n}" for n in range(2, 9)))
    with open_executor(2) as executor:
        local = run(tmp_path, executor)
    expected = digest(tmp_path / "results")
    with distributed.Client(scheduler_file=str(cluster), set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        victim = next(iter(client.run(os.getpid).values()))
    killer = threading.Thread(target=kill_after_first_result, args=(tmp_path / "dask", victim))
    killer.start()
    with open_executor(dask=str(cluster)) as executor:
        done = map_scans(cases_in(tmp_path), tmp_path / "dask", executor, work=work)
    killer.join()
    with pytest.raises(ProcessLookupError):
        os.kill(victim, 0)
    assert (done.mapped + done.kept, done.failed) == (local.mapped, local.failed) == (8, 1)
    assert digest(tmp_path / "dask") == expected


def kill_after_first_result(results: Path, victim: int) -> None:
    while not list(results.glob("sub-*/*/*/case.json")):
        time.sleep(0.02)
    os.kill(victim, signal.SIGKILL)


def test_a_case_that_kills_every_worker_is_given_up_and_the_others_are_mapped(cluster, tmp_path):
    study_of(tmp_path, "P00", "dies1", "P02")
    with open_executor(dask=str(cluster)) as executor:
        done = map_scans(cases_in(tmp_path), tmp_path / "results", executor, work=work)
    assert (done.mapped + done.kept, done.failed) == (2, 1)
    assert "ended twice" in done.failures[0][1]


def test_permutations_on_a_cluster_give_the_numbers_of_this_process(cluster):
    random = np.random.default_rng(3)
    points, triangles = icosahedron()
    values = random.standard_normal((12, len(points)))
    design = np.stack([np.ones(12), np.arange(12) % 2], axis=1)
    settings = PermutationSettings(methods=("peak", "cluster extent"), n_permutations=120, seed=5)
    arguments = (Surface(points, triangles), values, design, np.array([[0.0, 1.0]]), None, settings)
    here = permutation_tests(*arguments)
    with open_executor(dask=str(cluster)) as executor:
        there = permutation_tests(*arguments, executor=executor)
    for method, test in here.items():
        np.testing.assert_array_equal(there[method].p, test.p)


def icosahedron() -> tuple[np.ndarray, np.ndarray]:
    golden = (1 + 5**0.5) / 2
    points = np.array([[0, a, b * golden] for a in (-1, 1) for b in (-1, 1)], dtype=np.float64)
    points = np.concatenate([np.roll(points, turn, axis=1) for turn in range(3)]) * 20.0
    hull = ConvexHull(points)
    inward = np.einsum("ij,ij->i", hull.equations[:, :3], np.cross(*edges_of(points, hull.simplices))) < 0
    return points, np.where(inward[:, None], hull.simplices[:, ::-1], hull.simplices).astype(np.int64)


def edges_of(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    return b - a, c - a


def test_a_scheduler_that_does_not_answer_is_named_with_its_address(monkeypatch):
    monkeypatch.setattr("CorticalBoneMappingLib.study.mapping.executors._CONNECT_S", 0.5)
    sentence = r"No Dask scheduler answers at tcp://127\.0\.0\.1:9"
    with pytest.raises(SettingError, match=sentence), open_executor(dask="tcp://127.0.0.1:9"):
        pass


def test_without_dask_a_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    sentence = r"pip install cortical-bone-mapping\[cluster\]"
    with pytest.raises(SettingError, match=sentence), open_executor(dask="tcp://127.0.0.1:9"):
        pass
