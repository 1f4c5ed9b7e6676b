"""What the library finds in a CT, in a process of its own, or as it is in the cache."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path

from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.core.volume import Volume
from CorticalBoneMappingLib.io.surface_files import read_surface
from CorticalBoneMappingLib.io.volume_files import read_labelmap

from ..measurement.cache import code, digest
from .scans import CACHE

_THREADS = 1
_ROOT = Path(__file__).parents[2]
_LONGEST_S = 900
_ENTRY = "CorticalBoneMappingLib.pipeline.find.find_femur"
_LIST_MODULES = (
    f"import sys, {_ENTRY}; print('\\n'.join(m.__file__ for n, m in sorted(sys.modules.items()) "
    "if n.startswith('CorticalBoneMappingLib') and m.__file__))"
)


@dataclass(frozen=True)
class Found:
    """One femur as the library found it.

    Attributes
    ----------
    side : str
        ``"left"`` or ``"right"``.
    surface : Surface or None
        Periosteal, RAS mm, with the arrays ``confidence`` and ``expected_error``; None where there is none.
    labelmap_file : Path
        Of the label map that is not 0 in the femur; only where there is a surface.
    verdict : str
        As the library says it.
    reasons : tuple of str
        For the verdict.
    """

    side: str
    surface: Surface | None
    labelmap_file: Path
    verdict: str
    reasons: tuple[str, ...]

    def labelmap(self) -> Volume:
        """Read the label map; it is large, so nobody keeps it."""
        return read_labelmap(self.labelmap_file)


@dataclass(frozen=True)
class Outcome:
    """What came of one CT.

    Attributes
    ----------
    refusal : str or None
        The sentence by which it was refused.
    crash : str or None
        What the program stumbled over, which no user should see.
    found : tuple of Found
        The femurs.
    wall_s, cpu_s : float
        Time from reading the file to the end; of the clock, with one thread, and of the processors.
    peak_mib : float
        Most memory of the process.
    """

    refusal: str | None
    crash: str | None
    found: tuple[Found, ...]
    wall_s: float
    cpu_s: float
    peak_mib: float


def outcome_of(ct: Path) -> Outcome:
    """Find the femurs of a CT.

    Parameters
    ----------
    ct : Path
        The file.

    Returns
    -------
    Outcome
    """
    folder = CACHE / "found" / digest(ct.read_bytes(), _method())
    if not (folder / "outcome.json").is_file():
        _run(ct, folder)
    record = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
    found = tuple(_read(folder, number, one) for number, one in enumerate(record.pop("found")))
    return Outcome(found=found, **record)


def _read(folder: Path, number: int, record: dict) -> Found:
    file = folder / f"{number}.vtp"
    surface = read_surface(file) if file.is_file() else None
    return Found(
        record["side"], surface, file.with_suffix(".nrrd"), record["verdict"], tuple(record["reasons"])
    )


def _run(ct: Path, folder: Path) -> None:
    command = [sys.executable, "-m", f"{__package__}.worker", str(ct), str(folder)]
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"OMP_NUM_THREADS": str(_THREADS), "PYTHONPATH": path}
    subprocess.run(command, env=environment, cwd=_ROOT, timeout=_LONGEST_S, check=True)


@once
def _method() -> bytes:
    """Text of all modules that the search imports, and the data of the average femur."""
    listed = subprocess.run([sys.executable, "-c", _LIST_MODULES], capture_output=True, text=True, check=True)
    files = [Path(line) for line in listed.stdout.split()]
    text = b"".join(code(ast.parse(file.read_bytes())) for file in files)
    data = sorted((next(file for file in files if file.parent.name == "atlas").parent / "data").rglob("*"))
    return text + digest(*(file.read_bytes() for file in data if file.is_file())).encode()
