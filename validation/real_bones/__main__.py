"""``python -m validation.real_bones``: an atlas against folders of real bones, and simulated people."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.anatomy import measure_anatomy
from CorticalBoneMappingLib.atlas.average import AverageFemur, load_atlas
from CorticalBoneMappingLib.core.progress import TerminalProgress
from CorticalBoneMappingLib.io.files import write_text

from .bones import read_bones
from .cuts import cut_short, cuts_text
from .dimensions import dimensions_of, table_of
from .maps import draw, source_map
from .measured import Measured, measure
from .page import page, picture_name
from .population import draw_histograms, population_page, simulate

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("CBM_TEST_DATA", ROOT.parent / "shared" / "data"))
FOLDERS = tuple(
    DATA / name for name in ("femur_surfaces", "femur_surfaces_mpl", "femur_surfaces_measuring_only")
)
DOCS = ROOT / "Docs" / "validation"


def main() -> None:
    """Measure, and write the pages."""
    parser = argparse.ArgumentParser(
        prog="python -m validation.real_bones",
        description="An average femur and its shape model against real bones. Sides come from a table "
        "sides.csv (columns file and side) in the folder, from the file names (_l, _right), or from the "
        "shape.",
    )
    parser.add_argument(
        "folders", nargs="*", type=Path, metavar="FOLDER", help="of surfaces; default: test data"
    )
    parser.add_argument("--atlas", type=Path, metavar="FOLDER", help="default: the shipped one")
    parser.add_argument(
        "--out", type=Path, default=DOCS / "real_bones.md", help="page; pictures go beside it"
    )
    parser.add_argument(
        "--simulated",
        type=int,
        nargs="?",
        const=200,
        metavar="N",
        help="measure N simulated people too (200), and write population.md beside the page",
    )
    parser.add_argument("--only-simulated", action="store_true", help="measure no bone against the atlas")
    chosen = parser.parse_args()
    folders = chosen.folders or [folder for folder in FOLDERS if folder.is_dir()]
    if not folders:
        parser.error(f"{DATA} has no real bones. Give a folder of surfaces.")
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    average = load_atlas(chosen.atlas)
    measured = _measured(folders, average, chosen.only_simulated)
    if not chosen.only_simulated:
        _write_bones(measured, average, chosen.out)
    if chosen.simulated or chosen.only_simulated:
        _write_population(chosen.simulated or 200, measured, chosen.out.with_name("population.md"))


def _measured(folders: list[Path], average: AverageFemur, only_dimensions: bool) -> list[Measured]:
    bones = [bone for folder in folders for bone in read_bones(folder, average)]
    measured, progress = [], TerminalProgress()
    for number, bone in enumerate(bones):
        if only_dimensions:
            measured.append(
                Measured(bone, dimensions=dimensions_of(measure_anatomy(bone.surface, bone.side)))
            )
        else:
            measured.append(measure(bone, average))
        progress.report((number + 1) / len(bones), f"Measured {bone.source}/{bone.name}")
    return measured


def _write_bones(measured: list[Measured], average: AverageFemur, out: Path) -> None:
    sources = list(dict.fromkeys(one.bone.source for one in measured))
    maps = []
    for source in [*sources, "all"] if len(sources) > 1 else sources:
        found = [one for one in measured if one.difference is not None and source in ("all", one.bone.source)]
        if found:
            differences, shapes = ([getattr(one, name) for one in found] for name in ("difference", "shape"))
            maps.append(source_map(source, differences, shapes, average))
    for one in maps:
        draw(one, average, out.with_name(f"{picture_name(out)}_{one.source}.png"))
    own = dimensions_of(measure_anatomy(average.surface, "right"))
    cuts = [cut for one in measured if one.points is not None for cut in cut_short(one, average)]
    write_text(out, page(measured, maps, average, own, picture_name(out)) + cuts_text(cuts))
    print(out)


def _write_population(people: int, measured: list[Measured], out: Path) -> None:
    table, failures = simulate(people, TerminalProgress())
    real = table_of([one.dimensions for one in measured if one.dimensions is not None])
    picture = out.with_suffix(".png")
    draw_histograms(table, real if len(real) else np.empty((0, 8)), picture)
    write_text(out, population_page(table, failures, real, picture.name))
    print(out)


if __name__ == "__main__":
    main()
