"""The source that maps follow from, as a hash."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from CorticalBoneMappingLib.pipeline import provenance as source
from CorticalBoneMappingLib.pipeline.provenance import modules_of_maps, source_hash

OWN = Path(source.__file__).parents[1]


@pytest.fixture
def library(tmp_path):
    """The library's own folder, copied."""
    return shutil.copytree(OWN, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("__pycache__"))


def change(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


def test_the_source_is_the_same_elsewhere_with_other_line_ends_and_beside_byte_code(library):
    before = source_hash(library)
    assert before == source_hash(OWN)
    for file in library.rglob("*.py"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    (library / "cortex" / "__pycache__").mkdir()
    (library / "cortex" / "__pycache__" / "scan.cpython-311.pyc").write_bytes(b"x")
    assert source_hash(library) == before


def test_comments_docstrings_and_line_breaks_change_nothing(library):
    before = source_hash(library)
    for name in ("cortex/scan/scan.py", "pipeline/map_femur.py", "core/surface.py"):
        file = library / name
        text = file.read_text(encoding="utf-8")
        first = text.index('"""')
        text = text[: first + 3] + "Another first line. " + text[first + 3 :]
        text = text.replace("\ndef ", "\n# A comment.\ndef ").replace("    Raises\n", "    What it raises\n")
        file.write_text(text + "\n# The end.\n", encoding="utf-8")
    assert source_hash(library) == before


def test_the_source_changes_with_what_maps_follow_from_and_with_nothing_else(library):
    before = source_hash(library)
    for name in (
        "report/pages/markup.py",
        "cli/femur/map.py",
        "statistics/maps.py",
        "study/analysis/analyse_maps.py",
        "study/patient.py",
    ):
        (library / name).write_bytes((library / name).read_bytes() + b"\nchanged = 1\n")
    assert source_hash(library) == before
    seen = {before}
    for name in ("cortex/scan/scan.py", "pipeline/map_femur.py", "atlas/__init__.py"):
        (library / name).write_bytes((library / name).read_bytes() + b"\nchanged = 1\n")
        seen.add(source_hash(library))
    data = library / "atlas" / "data" / "average_femur.vtp"
    data.write_bytes(data.read_bytes() + b"\n")
    seen.add(source_hash(library))
    change(library / "pipeline" / "map_femur.py", "_MARGIN_MM = 25.0", "_MARGIN_MM = 25.5")
    seen.add(source_hash(library))
    (library / "cortex" / "scan" / "scan.py").rename(library / "cortex" / "scan" / "scan2.py")
    assert len(seen | {source_hash(library)}) == 7


def test_a_module_that_is_newly_imported_counts(library):
    (library / "report" / "new.py").write_text("value = 1\n", encoding="utf-8")
    change(
        library / "cortex" / "scan" / "scan.py",
        "import numpy as np\n",
        "import numpy as np\nfrom ...report import new\n",
    )
    before = source_hash(library)
    (library / "report" / "new.py").write_text("value = 2\n", encoding="utf-8")
    assert source_hash(library) != before


def test_without_source_the_hash_is_empty(library):
    for file in library.rglob("*.py"):
        file.rename(file.with_suffix(".pyc"))
    assert source_hash(library) == ""
    assert source_hash(library / "archive.zip" / "CorticalBoneMappingLib") == ""


def test_everything_that_measuring_loads_is_walked():
    code = "import sys, CorticalBoneMappingLib.study.mapping.measuring; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {
        name.partition("Lib.")[2].replace(".", "/") for name in done.stdout.split() if "MappingLib." in name
    }
    walked = {name.removesuffix(".py").removesuffix("/__init__") for name in modules_of_maps(OWN)}
    assert "cortex/methods/surface_map" in loaded
    assert loaded <= walked
    left_out = ("cli", "report", "simulation", "slicer", "statistics", "study/analysis")
    assert not [name for name in walked if name.startswith(left_out)]


@pytest.mark.parametrize("environment", ["newest", "slicer-5.10"])
def test_another_version_of_python_gives_the_same_hash(environment):
    python = Path(__file__).parents[3] / ".environments" / environment / "bin" / "python"
    if not python.exists():
        pytest.skip(f"the environment {environment} is not made here")
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from CorticalBoneMappingLib.pipeline.provenance import source_hash\n"
        "print(source_hash(Path(sys.argv[2])))"
    )
    command = [str(python), "-c", code, str(OWN.parent), str(OWN)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == source_hash(OWN)
