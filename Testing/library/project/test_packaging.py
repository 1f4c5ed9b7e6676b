"""What ships: Slicer installs the files that CMake lists, and no other."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULES = [folder for folder in sorted(ROOT.glob("CorticalBone*")) if (folder / "CMakeLists.txt").is_file()]


@pytest.mark.parametrize("module", MODULES, ids=lambda folder: folder.name)
def test_every_script_in_the_tree_is_listed_and_every_listed_one_exists(module):
    in_tree = {path.relative_to(module).as_posix() for path in module.rglob("*.py")}
    assert _listed(module, "MODULE_PYTHON_SCRIPTS") == in_tree


@pytest.mark.parametrize("module", MODULES, ids=lambda folder: folder.name)
def test_every_resource_in_the_tree_is_listed_and_every_listed_one_exists(module):
    folders = [module / "Resources", *module.glob("*Lib/**/data")]
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    in_tree = {path.relative_to(module).as_posix() for path in files}
    assert _listed(module, "MODULE_PYTHON_RESOURCES") == in_tree


def test_every_module_folder_is_part_of_the_extension():
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert set(re.findall(r"add_subdirectory\((\w+)\)", text)) == {folder.name for folder in MODULES}


def test_the_catalogue_entry_is_named_like_the_project_and_agrees_with_it():
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    project = re.search(r"project\((\w+)\)", text)[1]
    entry = json.loads((ROOT / "Resources" / f"{project}.json").read_text(encoding="utf-8"))
    said = dict(re.findall(r'^set\(EXTENSION_(\w+) "([^"]*)"\)$', text, flags=re.MULTILINE))
    assert entry["category"] == said["CATEGORY"]
    assert entry["scm_url"] == said["HOMEPAGE"] + ".git"
    for key in ("ICONURL", "SCREENSHOTURLS"):  # the addresses point to files of this repository
        for address in said[key].split():
            file = ROOT / address.partition(f"/{entry['scm_revision']}/")[2]
            assert file.is_file()
            assert file.read_bytes()[:4] == b"\x89PNG"


def _listed(module: Path, variable: str) -> set[str]:
    text = (module / "CMakeLists.txt").read_text(encoding="utf-8")
    name = re.search(r"set\(MODULE_NAME (\w+)\)", text)[1]
    files = re.search(rf"set\({variable}\s([^)]*)\)", text)[1].replace("${MODULE_NAME}", name).split()
    assert len(files) == len(set(files))
    return set(files)
