"""Install each distribution in an empty environment outside the checkout and use it there.

    python Testing/setup/installed.py DIST

DIST holds the wheel and the source distribution of this checkout. What is checked: each brings every file of
the library and no other; every module loads with the declared dependencies alone; a small scan is simulated
and mapped; the source distribution has what its README links to.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "CorticalBoneMapping" / "CorticalBoneMappingLib"
# Run by the environment's Python: prints the library's folder, then each module that fails and what it lacks.
LOAD_EVERYTHING = """
import importlib, pkgutil, CorticalBoneMappingLib as library
print(library.__path__[0])
for module in pkgutil.walk_packages(library.__path__, library.__name__ + ".", onerror=lambda name: None):
    if not module.name.endswith("__main__"):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            print(module.name, error.name)
"""
FROM_SLICER = {"slicer", "qt", "ctk", "mrml"}  # only there, and only the rooms for Slicer may ask for them
SCAN = "simulate hip --out scan --seed 3 --side right --voxel 1 --slice 3 --quiet"
MAP = "map scan/ct.nrrd --mask scan/labels.nrrd --label 1 --side right --spacing 4 --out result --quiet"


def main() -> None:
    """Check every distribution of a folder; the first fault ends the program with a sentence."""
    found = sorted(Path(sys.argv[1]).resolve().glob("cortical_bone_mapping-*"))
    if [path.suffix for path in found] != [".whl", ".gz"]:
        sys.exit(f"{sys.argv[1]}: a wheel and a source distribution were expected, not {len(found)} files.")
    check_links(found[1])
    for path in found:
        with tempfile.TemporaryDirectory(prefix="cbm-installed-") as folder:
            check_installed(path, Path(folder))
        print(f"{path.name}: installs in an empty environment and works there.")


def check_links(path: Path) -> None:
    """Check that what the README links to is in the source distribution, and its licence and changes."""
    with tarfile.open(path) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    linked = {link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", readme) if "://" not in link}
    if missing := sorted((linked | {"LICENSE", "CHANGELOG.md", "Makefile"}) - inside - {""}):
        sys.exit(f"{path.name}: {', '.join(missing)} is missing; add it to MANIFEST.in.")


def check_installed(path: Path, folder: Path) -> None:
    """Install a distribution and use it."""
    venv.create(folder / "venv", with_pip=True)
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python, cbm = str(scripts / "python"), str(scripts / "cbm")
    run(folder, python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(path))
    run(folder, python, "-m", "pip", "check")

    home, *failed = run(folder, python, "-c", LOAD_EVERYTHING).splitlines()
    if failed := [line for line in failed if line.split()[1].partition(".")[0] not in FROM_SLICER]:
        sys.exit(f"{path.name}: modules that need more than the declared dependencies: {'; '.join(failed)}.")
    installed, own = files_of(Path(home)), files_of(LIBRARY)
    if different := sorted(name for name in installed | own if installed.get(name) != own.get(name)):
        sys.exit(f"{path.name}: not the files of this checkout: {', '.join(different)}.")

    version = re.search(r'^__version__ = "(.*)"$', own["__init__.py"].decode(), flags=re.MULTILINE)[1]
    if (said := run(folder, cbm, "--version").strip()) != f"cbm {version}":
        sys.exit(f"{path.name}: cbm --version gives '{said}', not 'cbm {version}'.")
    run(folder, cbm, "render", "--help")
    run(folder, cbm, *SCAN.split())
    run(folder, cbm, *MAP.split())
    if not (folder / "result" / "average_femur.vtp").is_file():
        sys.exit(f"{path.name}: the map was not carried to the average femur.")


def files_of(library: Path) -> dict[str, bytes]:
    """Give the content of every file of the library by its name in it."""
    files = (path for path in library.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(library).as_posix(): path.read_bytes() for path in files}


def run(folder: Path, *command: str) -> str:
    """Run a command as a user would, without this checkout in reach, and give what it prints."""
    without = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {key: value for key, value in os.environ.items() if key not in without}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment | {"PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
