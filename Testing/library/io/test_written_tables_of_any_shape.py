"""A hundred tables of random shape: each cell is read as it is written, or the table is refused."""

import csv
import io
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("hypothesis")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from CorticalBoneMappingLib.core.errors import CorticalBoneMappingError
from CorticalBoneMappingLib.statistics.table import TEXT_COLUMNS, read_table
from CorticalBoneMappingLib.study.study_file.case_names import case_folder, case_of

# What ids look like: zeros in front, dots, underscores, exponents, dates, spaces, signs, letters of Europe.
IDS = st.one_of(
    st.from_regex(r"0{0,3}[1-9][0-9]{0,3}", fullmatch=True),
    st.from_regex(r"[0-9]{1,4}[._-][0-9]{1,3}0?", fullmatch=True),
    st.from_regex(r"[0-9]{1,2}E[0-9]{1,2}", fullmatch=True),
    st.from_regex(r"[0-3][0-9]\.[01][0-9]\.20[0-9]{2}", fullmatch=True),
    st.from_regex(r"[A-Za-zÄÖÜäöüéñß]{1,6}[ _/#-]?[0-9]{1,3}", fullmatch=True),
    st.sampled_from(
        ["inf", "1_000", "1e5", "+5", "-0", "true", "None", "O'Neill", 'say "a"', "a,b;c", "=1+1", "½"]
    ),
)
NUMBERS = st.one_of(
    st.integers(-10_000, 10_000).map(str),
    st.decimals(-1000, 1000, places=1, allow_nan=False).map(str),
    st.decimals(-10, 10, places=4, allow_nan=False).map(str),
    st.sampled_from(["1.5e3", "2E-4", "+0.25", ".5"]),
)


MISSING = ["", "NA", "n/a"]


@st.composite
def tables(draw):
    """Cells by column, and the way that they are saved."""
    rows = draw(st.integers(1, 6))
    ids = {name: draw(st.lists(IDS, min_size=rows, max_size=rows)) for name in TEXT_COLUMNS}
    missing = st.sampled_from(MISSING)
    numbers = {
        f"number {place}": draw(
            st.lists(st.one_of(NUMBERS, NUMBERS, NUMBERS, missing), min_size=rows, max_size=rows)
        )
        for place in range(draw(st.integers(0, 2)))
    }
    comma = draw(st.booleans())
    return (
        ids,
        numbers,
        {
            "encoding": draw(
                st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
            ),
            "separator": draw(st.sampled_from([",", ";", "\t"])),
            "comma": comma,
            "end": draw(st.sampled_from(["\n", "\r\n", "\r"])),
            "quoting": draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
            "stated": draw(st.booleans()),
            "empty_columns": draw(st.integers(0, 2)),
            "empty_rows": draw(st.lists(st.integers(0, rows), max_size=2)),
            "space": draw(st.sampled_from(["", " "])),
        },
    )


def saved(columns, way):
    """Write cells as a spreadsheet would; give the bytes, and the number of each row."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=way["separator"], quoting=way["quoting"], lineterminator=way["end"])
    writer.writerow([*columns, *[""] * way["empty_columns"]])
    numbers, number = [], 1
    for row, cells in enumerate(zip(*columns.values())):
        for _ in range(way["empty_rows"].count(row)):
            writer.writerow([""] * (len(columns) + way["empty_columns"]))
            number += 1
        number += 1
        numbers.append(number)
        writer.writerow([*(f"{cell}{way['space']}" for cell in cells), *[""] * way["empty_columns"]])
    stated = f"sep={way['separator']}{way['end']}" if way["stated"] else ""
    return (stated + text.getvalue()).encode(way["encoding"]), tuple(numbers)


def test_every_cell_is_read_as_it_is_written_or_the_table_is_refused():
    read, refused = [], []

    @settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    @given(tables())
    def every_table(drawn):
        ids, numbers, way = drawn
        written = {
            name: [cell.replace(".", ",") if way["comma"] and not cell.isalpha() else cell for cell in cells]
            for name, cells in numbers.items()
        }
        data, rows = saved(ids | written, way)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.csv"
            path.write_bytes(data)
            try:
                table = read_table(path)
            except CorticalBoneMappingError as error:
                refused.append(str(error))
                return
        read.append(data)
        check_cells(table, ids, numbers, rows)

    every_table()
    assert len(read) + len(refused) >= 100
    assert all("table.csv" in sentence for sentence in refused)
    assert len(read) > 0.9 * (len(read) + len(refused)), refused


def check_cells(table, ids, numbers, rows):
    """Compare a table with what was written; a column of numbers may be a question."""
    for name, cells in ids.items():
        assert list(table.labels(name)) == cells
        assert list(table.column(name)) == cells
    assert table.rows == rows
    for name, cells in numbers.items():
        if name in table.unclear:
            assert re.search(r"may be .* or |another decimal sign", table.unclear[name]), table.unclear[name]
        elif any(cell not in MISSING for cell in cells):
            truth = [np.nan if cell in MISSING else float(cell) for cell in cells]
            np.testing.assert_array_equal(table.column(name), truth)


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(st.one_of(IDS, st.text(min_size=1, max_size=12)), min_size=2, max_size=6, unique=True))
def test_different_people_have_different_folders_and_are_read_back(people):
    people = [person for person in people if person.isprintable()]
    folders = {case_folder(person, "0", "left").as_posix() for person in people}
    assert len(folders) == len(people)
    for person in people:
        assert case_of(case_folder(person, "1-2", "left").name) == (person, "1-2", "left")
