"""The source that maps follow from, as a hash."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from CorticalBoneMappingLib.study import provenance
from CorticalBoneMappingLib.study.provenance import source_hash


@pytest.fixture
def library(tmp_path):
    """The library's own folder, copied."""
    own = Path(provenance.__file__).parents[1]
    return shutil.copytree(own, tmp_path / "elsewhere", ignore=shutil.ignore_patterns("__pycache__"))


def test_the_source_is_the_same_elsewhere_with_other_line_ends_and_beside_byte_code(library):
    before = source_hash(library)
    assert before == source_hash(Path(provenance.__file__).parents[1])
    for file in library.rglob("*.py"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    (library / "cortex" / "__pycache__").mkdir()
    (library / "cortex" / "__pycache__" / "scan.cpython-311.pyc").write_bytes(b"x")
    assert source_hash(library) == before


def test_the_source_changes_with_what_maps_follow_from_and_with_nothing_else(library):
    before = source_hash(library)
    for name in ("report/page.py", "cli/map.py", "statistics/maps.py", "study/group/run.py"):
        (library / name).write_bytes((library / name).read_bytes() + b"\n")
    assert source_hash(library) == before
    seen = {before}
    for name in ("cortex/scan.py", "study/femur.py", "atlas/data/average_femur.vtp"):
        (library / name).write_bytes((library / name).read_bytes() + b"\n")
        seen.add(source_hash(library))
    (library / "cortex" / "scan.py").rename(library / "cortex" / "scan2.py")
    assert len(seen | {source_hash(library)}) == 5


def test_without_source_the_version_alone_tells(library):
    for file in library.rglob("*.py"):
        file.rename(file.with_suffix(".pyc"))
    assert source_hash(library) == ""
    assert source_hash(library / "archive.zip" / "CorticalBoneMappingLib") == ""


def test_no_map_follows_from_what_the_source_leaves_out():
    code = "import sys, CorticalBoneMappingLib.study.trial.case; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded = [name.partition("Lib.")[2].replace(".", "/") for name in told.split() if "MappingLib." in name]
    left_out = {name for name in loaded if name.startswith(provenance._NO_MAP_FOLLOWS)}
    assert "cortex/surface_map" in loaded
    assert left_out == {"statistics", "statistics/table"}  # the reader of tables; their cells are in the key
