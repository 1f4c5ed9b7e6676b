"""One hip from files to files: where the time goes, and the error against the truth.

Run by ``make bench``. Writes ``Docs/validation/end_to_end.md``. One core is used.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from CorticalBoneMappingLib.cli.common import number_text
from CorticalBoneMappingLib.io.files import write_text
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.pipeline.accuracy import accuracy_rows, thickness_errors

REPORT = Path(__file__).parents[1] / "Docs" / "validation" / "end_to_end.md"
METHODS = ("surface-map", "constant-density", "half-maximum")
SPACING_MM = 1.2  # gives about 22,000 points on this hip
_PROGRAM = [sys.executable, "-m", "CorticalBoneMappingLib.cli"]


def main() -> None:
    """Simulate, map by each method, and write the report."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulated = _run("simulate", "hip", "--out", folder / "hip", "--density-variation", 0)
        parts = [_HEAD, f"Simulating the hip took {simulated:.0f} s.\n"]
        for method in METHODS:
            parts.append(_section(folder, method))
    write_text(REPORT, "\n".join(parts))
    print(REPORT.read_text(encoding="utf-8"))


def _section(folder: Path, method: str) -> str:
    hip, out = folder / "hip", folder / method
    arguments = ["map", hip / "ct.nrrd", "--mask", hip / "labels.nrrd", "--label", "1", "--side", "right"]
    arguments += ["--out", out, "--method", method, "--calibration", f"rods:{hip / 'rods.csv'}"]
    arguments += ["--spacing", SPACING_MM]
    if method == "constant-density":
        record = json.loads((hip / "simulation.json").read_text(encoding="utf-8"))
        arguments += ["--cortical-density", record["true_cortical_density"]]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = _run(*arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak_gib = after.ru_maxrss / 2**20  # of all children so far
    record = json.loads((out / "provenance.json").read_text(encoding="utf-8"))
    stages = record["timings_s"]
    lines = [f"## {method}, {record['surface']['n_points']:,} points", "", "| stage | s |", "|---|---|"]
    lines += [f"| {stage} | {seconds:.1f} |" for stage, seconds in stages.items()]
    lines.append(f"| starting, reading and writing | {whole - sum(stages.values()):.1f} |")
    lines.append(f"| file to files | {whole:.1f} |")
    lines.append(f"| of that, work of the processor | {cpu:.1f} |")
    lines += ["", f"Peak memory, the simulation included: {peak_gib:.1f} GiB.", ""]
    true, error = thickness_errors(
        read_surface(out / "periosteal_surface.vtp"), read_surface(hip / "truth.vtp")
    )
    lines += ["| true thickness (mm) | points | measured | bias (mm) | SD (mm) | mean abs. error (mm) |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in accuracy_rows(true, error):
        values = " | ".join(number_text(row[name], 3) for name in ("bias", "sd", "mean_absolute"))
        lines.append(f"| {row['bin']} | {row['n_points']} | {row['n_measured']} | {values} |")
    return "\n".join([*lines, ""])


def _run(*arguments: object) -> float:
    begun = time.perf_counter()
    subprocess.run([*_PROGRAM, *map(str, arguments), "--quiet"], check=True)
    return time.perf_counter() - begun


_HEAD = """# One hip, end to end

Written by `make bench` (`validation/end_to_end.py`). A right hip is simulated at
0.6 × 0.6 × 1.0 mm with 14 HU noise, calibrated by the rods under it, and mapped on one core.
The cortex has one density, which `constant-density` is given and `surface-map` is not.
"""

if __name__ == "__main__":
    main()
