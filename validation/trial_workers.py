"""One worker and two, of this machine and of a Dask cluster: the same bytes, and how much sooner.

``python -m validation.trial_workers [STUDY] [--cases 12]``, on a machine that does nothing else, maps
the first cases of a study (study.toml; without, of a small simulated trial) four times with the command that
people use, and writes ``Docs/validation/trial_workers.md``. Times are those of the whole command, from its
start to its end; scheduler and workers of the cluster are there before.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from distributed import Client

from .trial_kills import digest

REPORT = Path(__file__).parents[1] / "Docs" / "validation" / "trial_workers.md"


def main() -> None:
    """Run four times, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path, nargs="?")
    parser.add_argument("--cases", type=int, default=12)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = smaller_study(chosen.study or simulated(folder / "trial"), folder, chosen.cases)
        seconds, digests = {}, {}
        for dask, workers in ((False, 1), (False, 2), (True, 1), (True, 2)):
            kind = f"{workers} worker{'s' * (workers > 1)}{' of Dask' * dask}"
            with cluster(folder, workers) if dask else nullcontext() as scheduler:
                options = ["--dask", str(scheduler)] if dask else ["--workers", str(workers)]
                seconds[kind] = run(study, folder / kind, options)
            digests[kind] = digest(folder / kind)
            print(f"{kind}: {seconds[kind]:.1f} s, {len(digests[kind])} files", flush=True)
    REPORT.write_text(page(chosen.cases, seconds, digests), encoding="utf-8")


def simulated(folder: Path) -> Path:
    """Simulate a trial of sixteen scans."""
    plan = ["--people", "4", "--months", "0", "36", "--spacing", "2", "--workers", "2"]
    _cbm("simulate", "trial", "--out", str(folder), *plan)
    return folder / "study.toml"


def smaller_study(study: Path, folder: Path, cases: int) -> Path:
    """Write the study with its first rows only, beside the scans that there are."""
    text = study.read_text(encoding="utf-8").replace("[scans]", f'[scans]\nfolder = "{study.parent}"')
    with (study.parent / "participants.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[: cases + 1]
    with (folder / "participants.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return folder / "study.toml"


def run(study: Path, results: Path, options: list[str]) -> float:
    """Seconds of `cbm study run`."""
    begun = time.perf_counter()
    _cbm("study", "run", str(study), "--out", str(results), *options)
    return time.perf_counter() - begun


def _cbm(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "CorticalBoneMappingLib.cli", *words], check=True)


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[Path]:
    """A scheduler and workers of one thread; gives the scheduler's file."""
    file = folder / "scheduler.json"
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    programs = [
        ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *common],
        ["distributed.cli.dask_worker", "--nworkers", str(workers), "--nthreads", "1", *common],
    ]
    started = []
    try:
        for program in programs:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            started.append(subprocess.Popen([sys.executable, "-m", *program], cwd=folder, **quiet))
            while not file.exists():
                time.sleep(0.1)
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
        yield file
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()
        file.unlink(missing_ok=True)


def page(cases: int, seconds: dict[str, float], digests: dict[str, dict[str, str]]) -> str:
    """The page as text."""
    first = next(iter(digests.values()))
    rows = []
    for kind, time_s in seconds.items():
        alone = seconds["1 worker" + " of Dask" * ("Dask" in kind)]
        same = sum(digests[kind].get(name) == value for name, value in first.items())
        others = len(set(digests[kind]) - set(first))
        rows.append(
            f"| {kind} | {time_s:.1f} s | {alone / time_s:.2f} | {same} of {len(first)}, {others} others |"
        )
    return f"""# Workers

`python -m validation.trial_workers --cases {cases}`, 2 cores: {cases} scans of
0.7 × 0.7 × 1.5 mm, from CT to map, 2 mm between points. One thread a worker; with one worker
{next(iter(seconds.values())) / cases:.1f} s a femur.

| | time of the command | times as fast as one of its kind | files with the bytes of one worker |
|---|---|---|---|
{chr(10).join(rows)}
"""


if __name__ == "__main__":
    main()
