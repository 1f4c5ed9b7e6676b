"""What ships: Slicer installs the files that CMake lists, and no other."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from CorticalBoneMappingLib import __version__

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


def test_the_version_is_written_in_the_library_and_every_other_file_agrees_with_it():
    project = tomllib.loads(_text("pyproject.toml"))
    assert "version" not in project["project"]
    source = project["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    assert source == "CorticalBoneMappingLib.__version__"
    assert _lines("CITATION.cff", r"version: (.*)") == [__version__]
    assert _lines("CHANGELOG.md", r"## ([\w.]+).*")[0] == __version__


def test_the_contributors_are_named_alike_in_the_catalogue_the_modules_the_package_and_the_citation():
    (contributors,) = _lines("CMakeLists.txt", r'set\(EXTENSION_CONTRIBUTORS "(.*)"\)')
    assert re.fullmatch(r"[^()]+ \(\w+\)", contributors)  # name (organisation), as the catalogue wants it
    for module in MODULES:
        file = f"{module.name}/{module.name}.py"
        assert _lines(file, r" +self\.parent\.contributors = (.*)") == [f'["{contributors}"]']
    assert _lines("CITATION.cff", r"  - name: (.*)") == [contributors]
    assert tomllib.loads(_text("pyproject.toml"))["project"]["authors"] == [{"name": contributors}]


def test_the_catalogue_names_the_patents_that_the_readme_names():
    (description,) = _lines("CMakeLists.txt", r'set\(EXTENSION_DESCRIPTION "(.*)"\)')
    section = _text("README.md").partition("## Patents\n")[2].partition("\n## ")[0]
    number = r"\b[A-Z]{2} \d{7,} [A-Z]\d\b"
    assert re.findall(number, description) == re.findall(number, section) != []


def _text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _lines(name: str, pattern: str) -> list[str]:
    """Give what a pattern of a whole line captures in a file."""
    return re.findall(rf"^{pattern}$", _text(name), flags=re.MULTILINE)


def _listed(module: Path, variable: str) -> set[str]:
    text = (module / "CMakeLists.txt").read_text(encoding="utf-8")
    name = re.search(r"set\(MODULE_NAME (\w+)\)", text)[1]
    files = re.search(rf"set\({variable}\s([^)]*)\)", text)[1].replace("${MODULE_NAME}", name).split()
    assert len(files) == len(set(files))
    return set(files)
