"""A study whose run is killed at random moments: nothing is lost, and the bytes are those of a quiet run.

``python -m validation.trial_kills [--kills 100] [--whole-mapping]`` writes
``Docs/validation/trial_kills.md`` (or ``trial_kills_mapping.md``). Three kinds of kills (SIGKILL) are drawn
at random: of the run alone, of the run with all its workers at once (as a power cut would), and of one worker
while the run goes on. After each, every case has to be whole or absent. When all cases are there, their bytes
are held against a quiet run's, and the next round begins with nothing. Without ``--whole-mapping`` a case is
surface and thickness alone, no registration, so that there are many moments to be killed at in the time there
is.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.calibration import Calibration
from CorticalBoneMappingLib.core.measures import STATUS_LABELS, VertexStatus
from CorticalBoneMappingLib.core.progress import JsonProgress, Progress
from CorticalBoneMappingLib.cortex import measure_cortex
from CorticalBoneMappingLib.io.volume_files import read_labelmap, read_volume, write_volume
from CorticalBoneMappingLib.pipeline.regions import region_rows
from CorticalBoneMappingLib.pipeline.result import FemurResult
from CorticalBoneMappingLib.segmentation import periosteal_surface
from CorticalBoneMappingLib.simulation import ScannerSettings, simulate_hip, simulate_scan
from CorticalBoneMappingLib.study.check import cases_to_map
from CorticalBoneMappingLib.study.mapping.case import run_case
from CorticalBoneMappingLib.study.mapping.executors import open_executor
from CorticalBoneMappingLib.study.mapping.ledger import has_result
from CorticalBoneMappingLib.study.mapping.map_scans import map_scans
from CorticalBoneMappingLib.study.mapping.measuring import measure_case
from CorticalBoneMappingLib.study.study_file.scans import Case
from CorticalBoneMappingLib.study.study_file.study_toml import read_study_file

REPORTS = Path(__file__).parents[1] / "Docs" / "validation"
WORKERS = 2
RUN, EVERYTHING, WORKER = "the run", "the run and its workers", "one worker"


def surface_and_thickness(case: Case, progress: Progress) -> FemurResult:
    """Measure a femur without carrying it to the average."""
    volume, labelmap = read_volume(case.ct), read_labelmap(case.mask)
    found = periosteal_surface(labelmap, 1, case.settings.spacing_mm, progress=progress.part(0.0, 0.5))
    excluded = found.surface.arrays["cut_end"].astype(bool)
    method = {"method": case.settings.method, "excluded": excluded, "progress": progress.part(0.5, 1.0)}
    cortical = measure_cortex(found.surface, volume, Calibration.none(), **method)
    bone = found.surface.with_arrays(**cortical.arrays(), region=np.ones(len(found.surface.points), np.int16))
    quality = bone.arrays["quality"]
    record = {
        "points": {STATUS_LABELS[kind]: int(np.sum(quality == kind)) for kind in VertexStatus},
        "registration": {"distances_mm": {"to_average_95": 0.0}, "expected_error_mm": 0.0, "covered": 1.0},
        "notes": [],
        "timings_s": {},
    }
    return FemurResult(bone, bone, region_rows(bone, bone.arrays["region"], {1: "all"}), record, case.side)


def write_study(folder: Path, cases: int) -> Path:
    """Write a study of some small scans, made of two simulated hips and shifts of a few HU."""
    settings = ScannerSettings(voxel_mm=1.6, slice_spacing_mm=2.0)
    made = [simulate_scan(simulate_hip(seed), replace(settings, seed=seed)) for seed in (1, 2)]
    lines = ["participant,visit,side,path,mask,label"]
    for number in range(cases):
        person, visit = divmod(number, 2)
        volume = made[visit].volume
        write_volume(folder / f"ct{number}.nrrd", replace(volume, array=volume.array + 2.0 * person))
        write_volume(folder / f"mask{number}.nrrd", made[visit].labelmap)
        lines.append(f"P{person:02d},{12 * visit},right,ct{number}.nrrd,mask{number}.nrrd,1")
    (folder / "participants.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    study = folder / "study.toml"
    study.write_text(
        '[study]\nname = "Killed"\ntable = "participants.csv"\n[scans]\n[map]\n'
        'method = "half-maximum"\nspacing_mm = 3\n',
        encoding="utf-8",
    )
    return study


def run_quietly(study: Path, results: Path, whole: bool) -> None:
    """Run the study in this process; a child of the benchmark does."""
    measure = measure_case if whole else surface_and_thickness
    with open_executor(WORKERS) as executor:
        map_scans(
            cases_to_map(read_study_file(study, False)),
            results,
            executor,
            JsonProgress(),
            partial(run_case, measure=measure),
        )


def digest(results: Path) -> dict[str, str]:
    """Hashes of all files of results; logs, times and the lock are none."""
    files = [file for file in results.glob("sub-*/**/*") if file.is_file()] + [results / "qc.csv"]
    return {str(file.relative_to(results)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


class Killer:
    """Kills until it has killed often enough, and keeps count."""

    def __init__(self, study: Path, results: Path, whole: bool, kills: int, seed: int) -> None:
        self._command = [sys.executable, __file__, "--child", str(study), str(results)]
        self._command += ["--whole-mapping"] if whole else []
        self._cases = cases_to_map(read_study_file(study, False))
        self._results, self._wanted = results, kills
        self._dice = random.Random(seed)
        self.killed: Counter[str] = Counter()
        self.torn = 0
        self.rounds: list[dict[str, str]] = []

    def work(self) -> None:
        """Run and kill, round by round."""
        while self.killed.total() < self._wanted:
            while not self._one_run():
                pass
            self.rounds.append(digest(self._results))
            shutil.rmtree(self._results)

    def _one_run(self) -> bool:
        """Start the run, perhaps kill; whether it came to its end."""
        process = subprocess.Popen(self._command, stderr=subprocess.PIPE, text=True, start_new_session=True)
        if self.killed.total() < self._wanted:
            self._wait_for_a_moment(process)
            self._kill(process)
        process.stderr.read()
        done = process.wait() == 0
        process.stderr.close()
        _wait_until_gone(process.pid)
        self._check()
        return done

    def _wait_for_a_moment(self, process: subprocess.Popen) -> None:
        cases = self._dice.choice((0, 0, 1, 2))
        for line in process.stderr:
            text = json.loads(line)["text"]
            if cases == 0:
                break
            cases -= text.startswith("Case")
        time.sleep(self._dice.random() ** 2 * 4.0)

    def _kill(self, process: subprocess.Popen) -> None:
        kind = self._dice.choice((RUN, EVERYTHING, WORKER))
        workers = _children(process.pid)
        if process.poll() is not None or (kind == WORKER and not workers):
            return
        if kind == WORKER:
            os.kill(self._dice.choice(workers), signal.SIGKILL)
        elif kind == RUN:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
        self.killed[kind] += 1
        print(f"{self.killed.total()} of {self._wanted} kills, {self.torn} torn", flush=True)

    def _check(self) -> None:
        for case in self._cases:
            folder = self._results / case.folder
            self.torn += folder.exists() and not has_result(self._results, case)


def _children(pid: int) -> list[int]:
    """Worker processes of a run: what it started, but for the tracker of semaphores."""
    try:
        found = [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return [one for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]
    except OSError:
        return []


def _wait_until_gone(session: int) -> None:
    while True:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)


def main() -> None:
    """Run the benchmark, or be its child."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--cases", type=int, default=12, help="of a round")
    parser.add_argument("--whole-mapping", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", nargs=2, type=Path, metavar=("STUDY", "RESULTS"))
    chosen = parser.parse_args()
    if chosen.child:
        run_quietly(*chosen.child, chosen.whole_mapping)
        return
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = write_study(folder, chosen.cases)
        arguments = ["--whole-mapping"] if chosen.whole_mapping else []
        quiet = [sys.executable, __file__, "--child", str(study), str(folder / "quiet"), *arguments]
        subprocess.run(quiet, check=True, stderr=subprocess.DEVNULL)
        expected = digest(folder / "quiet")
        killer = Killer(study, folder / "killed", chosen.whole_mapping, chosen.kills, chosen.seed)
        killer.work()
    report(chosen, killer, expected, time.perf_counter() - begun)


def report(chosen: argparse.Namespace, killer: Killer, expected: dict[str, str], seconds: float) -> None:
    """Write what was found."""
    different = sum(
        found.get(name) != value for found in killer.rounds for name, value in expected.items()
    ) + sum(len(set(found) - set(expected)) for found in killer.rounds)
    lost = sum(len(set(expected) - set(found)) for found in killer.rounds)
    kind = "whole mapping" if chosen.whole_mapping else "surface and thickness"
    arguments = f" --kills {chosen.kills} --cases {chosen.cases} --seed {chosen.seed}" + (
        " --whole-mapping" if chosen.whole_mapping else ""
    )
    rows = [f"| {name} | {count} |" for name, count in sorted(killer.killed.items())]
    text = f"""# A study that is killed at random

`python -m validation.trial_kills{arguments}` ({seconds / 60:.0f} min, {WORKERS} workers, {kind}).

{chosen.cases} cases a round, {len(killer.rounds)} rounds. SIGKILL at random moments,
{killer.killed.total()} times:

| what was killed | times |
|---|---|
{chr(10).join(rows)}

| what was found | |
|---|---|
| folders of results that were neither whole nor absent, looked for after every kill | {killer.torn} |
| files missing at the end of a round | {lost} |
| files of {len(expected) * len(killer.rounds)} whose SHA-256 is not that of a quiet run | {different} |
"""
    name = "trial_kills_mapping.md" if chosen.whole_mapping else "trial_kills.md"
    (REPORTS / name).write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
