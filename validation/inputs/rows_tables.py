"""Tables and study files as people write and save them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from CorticalBoneMappingLib.calibration.rods import read_rods
from CorticalBoneMappingLib.core.surface import Surface
from CorticalBoneMappingLib.io.surface_files import write_surface
from CorticalBoneMappingLib.pipeline.result import AVERAGE_FILE
from CorticalBoneMappingLib.statistics.table import read_table
from CorticalBoneMappingLib.study.analysis.collect import collect_maps, read_study_table
from CorticalBoneMappingLib.study.mapping.review import read_reviews
from CorticalBoneMappingLib.study.study_file.case_names import case_folder
from CorticalBoneMappingLib.study.study_file.study_toml import read_study_file

from .judged import REFUSED, Answer, Input

HEADER = ["participant", "visit", "side", "path", "arm", "age"]
_PLAIN = [["Müller-1", "012", "left", "001", "active", "61.5"], ["1_12", "0", "right", "1E5", "1", "70"]]
STUDY = '[study]\nname = "Trial"\ntable = "participants.csv"\nresults = "results"\n'
_MEASURE = "cortical_thickness"


def write(folder: Path, text: str, encoding: str = "utf-8", name: str = "participants.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def text_of(rows: Sequence[Sequence[str]], separator: str = ",", end: str = "\n") -> str:
    return "".join(separator.join(cells) + end for cells in rows)


def _as_plain(path: Path) -> Answer:
    """Hold a table against the plain one, ids letter by letter."""
    table = read_table(path)
    found = [
        [*(str(table.labels(name)[row]) for name in HEADER[:5]), table.column("age")[row]] for row in (0, 1)
    ]
    true = [[*cells[:5], float(cells[5])] for cells in _PLAIN]
    return Answer("; ".join(" ".join(map(str, cells)) for cells in found), found == true)


def _saved(folder: Path, encoding: str = "utf-8", separator: str = ",", end: str = "\n") -> Answer:
    return _as_plain(write(folder, text_of([HEADER, *_PLAIN], separator, end), encoding))


def _from_excel(folder: Path) -> Answer:
    rows = [[*cells[:5], cells[5].replace(".", ","), "", ""] for cells in [HEADER, *_PLAIN]]
    rows.insert(1, [""] * 8)
    return _as_plain(write(folder, "sep=;\r\n" + text_of(rows, ";", "\r\n"), "utf-8-sig"))


def _read(text: str, encoding: str, folder: Path) -> Answer:
    table = read_table(write(folder, text, encoding))
    return Answer(", ".join(table.labels("participant")), False)


def _used(cells: Sequence[str], separator: str, folder: Path) -> Answer:
    """Use a column in a model."""
    text = text_of([["participant", "x"], *([f"P{n}", cell] for n, cell in enumerate(cells))], separator)
    values = read_table(write(folder, text)).column("x")
    kind = "numbers" if values.dtype.kind == "f" else "levels"
    return Answer(f"{kind}: {', '.join(map(str, values))}", False)


def _decimal_comma(folder: Path) -> Answer:
    values = read_table(write(folder, "participant;age\nA;61,5\nB;70\n")).column("age")
    return Answer(f"{values.tolist()}", values.tolist() == [61.5, 70.0])


def _map_of(folder: Path, path: str, value: float) -> None:
    points = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    triangles = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    arrays = {_MEASURE: np.full(4, value, np.float32), "region": np.ones(4, np.int32)}
    (folder / path).mkdir(parents=True)
    write_surface(folder / path / AVERAGE_FILE, Surface(points, triangles, arrays, {_MEASURE: "mm"}))


def _maps_read(folder: Path, text: str, paths: Sequence[str]) -> list[float]:
    for value, path in enumerate(paths, start=1):
        _map_of(folder / "results", path, value)
    write(folder, text)
    plan = read_study_file(write(folder, STUDY, name="study.toml"), needs_analysis=False)
    maps = collect_maps(read_study_table(plan), plan.results, (_MEASURE,))[_MEASURE]
    return maps.values[:, 0].tolist()


def _path_001(folder: Path) -> Answer:
    found = _maps_read(
        folder, "participant,visit,side,path\nA,0,left,001\nB,0,left,002\n", ["001", "002", "1", "2"]
    )
    return Answer(f"the maps of folders {found}", found == [1.0, 2.0])


def _people(one: str, other: str, folder: Path) -> Answer:
    """Two ids: two people to the statistics, to the folders of results, to quality control."""
    table = read_table(write(folder, f"participant,visit,side,path\n{one},0,left,a\n{other},0,left,b\n"))
    table.refuse_duplicates()
    folders = {case_folder(person, "0", "left") for person in (one, other)}
    write(folder, f"participant,visit,side,verdict,note,suggestion\n{one},0,left,reject,,\n", name="qc.csv")
    rejected = [name for name, _, _ in read_reviews(folder, [(one, "0", "left"), (other, "0", "left")])]
    found = [*table.labels("participant")]
    return Answer(
        f"{', '.join(found)}; {len(folders)} folders; rejected: {', '.join(rejected)}",
        found == [one, other] and len(folders) == 2 and rejected == [one],
    )


def _qc_after_excel(folder: Path) -> Answer:
    text = "participant;visit;side;verdict;note;suggestion\r\n1;0;left;reject;;\r\n"
    write(folder, text, "cp1252", "qc.csv")
    found = list(read_reviews(folder, [("001", "0", "left"), ("011", "0", "left")]))
    return Answer(f"rejected: {found[0][0]}", found == [("001", "0", "left")])


def _qc_of_two(folder: Path) -> Answer:
    write(folder, "participant,visit,side,verdict,note,suggestion\n1,0,left,reject,,\n", name="qc.csv")
    found = list(read_reviews(folder, [("001", "0", "left"), ("01", "0", "left")]))
    return Answer(f"rejected: {found[0][0]}", False)


def _rods(text: str, encoding: str, folder: Path) -> Answer:
    rods = read_rods(write(folder, text, encoding, "rods.csv"))
    found = list(zip(rods.density, rods.hu))
    return Answer(f"{found}", found == [(0.0, 1.5), (100.25, 150.0)])


def row_of(item: str, what: str, truth: str, ask: partial, expected: str | None = None, *says: str) -> Input:
    return (
        Input(item, what, truth, ask, says=says)
        if expected is None
        else Input(item, what, truth, ask, expected, says)
    )


_SAME = "the plain table: ids letter by letter, age 61.5 and 70"
_QUESTION = "not clear whether these are numbers"

INPUTS = [
    row_of("kept", "a table in UTF-8 with commas", _SAME, partial(_saved)),
    row_of(
        "kept",
        "a table in UTF-8 with a byte order mark, semicolons, CRLF",
        _SAME,
        partial(_saved, encoding="utf-8-sig", separator=";", end="\r\n"),
    ),
    row_of("kept", "qc.csv after Excel wrote 001 as 1", "001 is rejected", partial(_qc_after_excel)),
    row_of("C1", "a table in Windows-1252", _SAME, partial(_saved, encoding="cp1252", separator=";")),
    row_of(
        "C1",
        "a table in UTF-16 with tabs (Excel's Unicode text)",
        _SAME,
        partial(_saved, encoding="utf-16", separator="\t", end="\r\n"),
    ),
    row_of(
        "C1",
        "a table in the encoding of Mac OS",
        "Renée",
        partial(_read, "participant,x\nRenée,1\n", "mac-roman"),
        REFUSED,
        "participants.csv",
        "save it as",
        "UTF-8",
    ),
    row_of(
        "C1",
        "a workbook (.xlsx) named .csv",
        "no text",
        partial(_read, "PK\x03\x04", "ascii"),
        REFUSED,
        "workbook",
        "UTF-8",
    ),
    row_of(
        "C1",
        "a row with one cell more (61,5 between commas)",
        "61.5",
        partial(_read, "participant,age\nA,61,5\n", "utf-8"),
        REFUSED,
        "row 2 has 3 cells",
    ),
    row_of("C1", "a table in UTF-16 without a byte order mark", _SAME, partial(_saved, encoding="utf-16-le")),
    row_of("C1", "a table with line ends of the old Mac", _SAME, partial(_saved, end="\r")),
    row_of("C1", "sep=;, decimal commas, an empty row and two empty columns", _SAME, partial(_from_excel)),
    row_of(
        "A6",
        "qc.csv after Excel wrote 001 as 1, beside 01",
        "001 or 01",
        partial(_qc_of_two),
        REFUSED,
        "qc.csv",
        "row 2",
        "001",
        "01",
    ),
    row_of("A6", "ages 61,5 and 70 with semicolons", "61.5 and 70", partial(_decimal_comma)),
    row_of(
        "A6",
        "nineteen weights and '61,5 kg'",
        _QUESTION,
        partial(_used, [*(f"{60 + n}" for n in range(19)), "61,5 kg"], ";"),
        REFUSED,
        "row 21",
        "'61,5 kg'",
        "categorical",
    ),
    row_of(
        "A6",
        "decimal points and commas in one column",
        _QUESTION,
        partial(_used, ["61.5", "70.1", "66,2"], ";"),
        REFUSED,
        "row 4",
        "66,2",
        "decimal sign",
    ),
    row_of(
        "A6",
        "1.234 and 2.345 with semicolons",
        "thousands or decimals",
        partial(_used, ["1.234", "2.345"], ";"),
        REFUSED,
        "1.234 or 1234",
    ),
    row_of(
        "A6",
        "1_000 and 2_000 in a column",
        _QUESTION,
        partial(_used, ["1_000", "2_000"], ","),
        REFUSED,
        "1_000",
        "not a number",
    ),
    row_of(
        "A6", "inf among numbers", _QUESTION, partial(_used, ["1", "inf", "2"], ","), REFUSED, "row 3", "inf"
    ),
    row_of(
        "A6",
        "#N/A among numbers",
        "an error of Excel",
        partial(_used, ["1", "#N/A", "2"], ","),
        REFUSED,
        "row 3",
        "#N/A",
    ),
    row_of("A6", "path 001 beside folder 1", "the map of folder 001", partial(_path_001)),
    row_of("A6", "participants 1_12 and 11_2", "two people", partial(_people, "1_12", "11_2")),
    row_of(
        "A6", "participants 1001.001 and 1001.002", "two people", partial(_people, "1001.001", "1001.002")
    ),
    row_of("A6", "participants 001 and 1", "two people", partial(_people, "001", "1")),
    row_of("A6", "participants 1E5 and 100000", "two people", partial(_people, "1E5", "100000")),
    row_of(
        "C15",
        "rods.csv with semicolons and decimal commas",
        "0, 1.5; 100.25, 150",
        partial(_rods, "density;hu\n0;1,5\n100,25;150\n", "utf-8"),
    ),
    row_of(
        "C15",
        "rods.csv in UTF-16 with sep=;",
        "0, 1.5; 100.25, 150",
        partial(_rods, "sep=;\ndensity;hu\n0;1,5\n100,25;150\n", "utf-16"),
    ),
]
