"""``python -m validation.segmentation.worker CT FOLDER``: find the femurs of one CT.

In a process of its own, so that time and memory are those of the task, and a crash is one row of a table.
"""

from __future__ import annotations

import resource
import sys
import time
import traceback
from pathlib import Path

from CorticalBoneMappingLib.core.errors import CorticalBoneMappingError
from CorticalBoneMappingLib.io.files import write_json
from CorticalBoneMappingLib.io.surface_files import write_surface
from CorticalBoneMappingLib.io.volume_files import read_volume, write_volume
from CorticalBoneMappingLib.pipeline.find.find_femur import find_femurs


def main() -> None:
    """Find, and write what was found and what it cost."""
    ct, folder = map(Path, sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    record = {"refusal": None, "crash": None, "found": []}
    wall, cpu = time.perf_counter(), time.process_time()
    femurs = []
    try:
        femurs = find_femurs(read_volume(ct))
    except CorticalBoneMappingError as error:
        record["refusal"] = str(error).replace(str(ct), "CT")
    except Exception as error:  # a fault of the program, which the table has to show
        traceback.print_exc()
        record["crash"] = f"{type(error).__name__}: {error}"
    record["wall_s"], record["cpu_s"] = time.perf_counter() - wall, time.process_time() - cpu
    record["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    for number, femur in enumerate(femurs):
        record["found"].append({"side": femur.side, "verdict": femur.verdict, "reasons": list(femur.reasons)})
        if femur.surface is not None:
            write_surface(folder / f"{number}.vtp", femur.surface)
            write_volume(folder / f"{number}.nrrd", femur.labelmap)
    write_json(folder / "outcome.json", record)


if __name__ == "__main__":
    main()
