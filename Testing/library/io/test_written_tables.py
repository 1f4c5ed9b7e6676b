"""Tables as spreadsheets save them: read letter by letter, or refused with file, row and reason."""

import numpy as np
import pytest

from CorticalBoneMappingLib.atlas.cohort import read_cohort
from CorticalBoneMappingLib.core.errors import StatisticsError, TableError
from CorticalBoneMappingLib.io.numbers import number_of, read_columns
from CorticalBoneMappingLib.io.tables import read_written_table
from CorticalBoneMappingLib.statistics.table import Table, read_table, sorted_levels


def write(tmp_path, content, name="table.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


TEXT = "participant,visit,side,path,arm,age\nMüller-1,012,left,001,Verum,61.5\n1_12,12.0,right,1E5,1,70\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_encodings_line_ends_and_separators_give_the_same_table(tmp_path, encoding, end, separator):
    text = TEXT.replace(",", separator).replace("\n", end)
    table = read_table(write(tmp_path, text, encoding=encoding))
    assert list(table.labels("participant")) == ["Müller-1", "1_12"]
    assert list(table.labels("visit")) == ["012", "12.0"]
    assert list(table.labels("path")) == ["001", "1E5"]
    assert list(table.labels("arm")) == ["Verum", "1"]
    assert list(table.column("age")) == [61.5, 70.0]
    assert table.describe(1) == "row 3 (participant 1_12, visit 12.0, side right)"


def test_what_excel_adds_is_not_part_of_the_table(tmp_path):
    text = '\ufeffsep=;\r\n"id";age;;\r\n="001";61,5;;\r\n;;;\r\n 002 ;"70,25";;\r\n\r\n'
    read = read_written_table(write(tmp_path, text))
    assert read.columns == {"id": ["001", "002"], "age": ["61,5", "70,25"]}
    assert read.rows == (2, 4)
    assert list(Table.of(read.columns, ["id"], read.rows, read.separator).column("age")) == [61.5, 70.25]


def test_an_encoding_that_had_to_be_assumed_is_warned_of(tmp_path):
    (warning,) = read_written_table(write(tmp_path, TEXT, encoding="cp1252")).warnings
    assert "Windows-1252, such as 'Müller-1'" in warning
    assert read_written_table(write(tmp_path, TEXT)).warnings == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,x\nRenée,1\nMüller,2\n".encode("mac-roman"), "save it as 'CSV UTF-8'"),
        ("id,x\nИванов,1\n".encode("cp1251"), "save it as 'CSV UTF-8'"),
        ("id,x\n山田太郎,1\n".encode("shift-jis"), "save it as 'CSV UTF-8'"),
        (b"id,x\n\x00\x00\x81,1\n", "save it as 'CSV UTF-8'"),
        (b"PK\x03\x04 and so on", "a workbook of a spreadsheet"),
        ("", "the table is empty"),
        ("a,b\n1,2\n3\n", "row 3 has 1 cell, the header has 2"),
        ("a,b\n61,5,2\n", "row 2 has 3 cells, the header has 2"),
        ("a,b,\n1,2,\n3,4,5\n", "column 3 has no name, but a value in row 3"),
        ('a,b\n1,"2\n3,4\n', "a quotation mark in row 2 is not closed"),
        ("a;b,c\n1;2,3\n", "may be separated by ',' or by ';'"),
        ("a,a\n1,2\n", "'a' appears twice"),
    ],
)
def test_what_is_ambiguous_is_refused_with_the_reason(tmp_path, content, message):
    with pytest.raises(TableError, match=message) as refused:
        read_written_table(write(tmp_path, content))
    assert "table.csv" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1", 1.0), ("-0.5", -0.5), ("+61,5", 61.5), (".5", 0.5), (",5", 0.5), ("1e5", 1e5), ("1,5E-2", 0.015)],
)
def test_the_rule_of_numbers(text, number):
    assert number_of(text) == number


@pytest.mark.parametrize(
    "text",
    [
        "1_2",
        "inf",
        "nan",
        "1,234.5",
        "1 234",
        "1'234",
        "0x10",
        "1e999",
        "٣",
        "1.2.3",
        "",
        "5 kg",
        "−5",
        "1-2",
    ],
)
def test_what_is_not_a_number_by_the_rule(text):
    assert number_of(text) is None


@pytest.mark.parametrize(
    ("cells", "separator", "question"),
    [
        (["61.5", "70", "61,5 kg"], ",", "'61,5 kg' is not a number, as other cells"),
        (["61.5", "70,2", "71.0"], ";", "'70,2' is written with another decimal sign"),
        (["1,234", "2,345"], ",", "'1,234' may be 1.234 or 1234"),
        (["1.234", "2.345"], ";", "'1.234' may be 1.234 or 1234"),
        (["1.234,5", "2.345,0"], ";", "'1.234,5' is not a number, as tables are read"),
        (["1_000", "2_000"], ",", "'1_000' is not a number"),
        (["1", "inf", "2"], ",", "'inf' is not a number"),
        (["1", "#N/A", "2"], ",", "'#N/A' is an error of a spreadsheet"),
        (["a", "#WERT!", "b"], ",", "'#WERT!' is an error of a spreadsheet"),
        (["12.05.2026", "13.05.2026"], ";", "'12.05.2026' is not a number"),
    ],
)
def test_a_column_that_is_nearly_numeric_is_a_question_and_not_a_factor(cells, separator, question):
    table = Table.of({"participant": list("abc")[: len(cells)], "x": cells}, separator=separator)
    with pytest.raises(StatisticsError, match=r"column 'x', row \d") as refused:
        table.column("x")
    assert question in str(refused.value)
    declared = Table.of({"x": cells}, ["x"], separator=separator)
    assert list(declared.column("x")) == cells


def test_the_decimal_sign_of_other_cells_decides_what_a_single_group_of_three_digits_means():
    found = read_columns({"bmd": ["1,012", "1,105"], "age": ["61,5", "70"]}, ";")
    assert list(found["bmd"].numbers) == [1.012, 1.105]
    found = read_columns({"bmd": ["1.012", "1.105"]}, ",")
    assert list(found["bmd"].numbers) == [1.012, 1.105]
    found = read_columns({"steps": ["1,012", "1,105"], "age": ["61.5", "70"]}, ",")
    assert found["steps"].numbers is None
    assert read_columns({"height": ["1,012", "0,987"]}, ";")["height"].numbers[1] == 0.987


def test_text_stays_text_and_missing_cells_are_missing():
    table = Table.of({"sex": ["f", "NA", "m"], "age": ["70", ".", "n/a"], "nothing": ["", "NA", "."]})
    assert list(table.labels("sex")) == ["f", "", "m"]
    np.testing.assert_array_equal(table.column("age"), [70.0, np.nan, np.nan])
    assert list(table.missing("nothing")) == [True] * 3


def test_different_numbers_have_different_labels_and_come_back_as_they_were():
    values = [1001.001, 1001.002, 36.0, 1e17, 0.1 + 0.2, 1e-7]
    labels = Table.of({"centre": values}).labels("centre")
    assert list(labels[:4]) == ["1001.001", "1001.002", "36", "1e+17"]
    assert [float(label) for label in labels] == values


def test_visits_are_text_and_can_be_taken_as_numbers():
    table = Table.of({"visit": ["12", "012", "12.5"]})
    assert list(table.labels("visit")) == ["12", "012", "12.5"]
    assert list(table.numbers("visit")) == [12.0, 12.0, 12.5]
    assert sorted_levels(["36", "12.0", "0", "V10", "1_2"]) == ("0", "12.0", "36", "1_2", "V10")
    with pytest.raises(StatisticsError, match=r"'1_2' in row 2 \(visit 1_2\)"):
        Table.of({"visit": ["1_2", "3"]}).numbers("visit")


def test_an_identity_that_is_an_error_of_a_spreadsheet_is_refused(tmp_path):
    path = write(tmp_path, "participant,visit,side,path\nA,0,left,x\n#REF!,0,left,y\n")
    with pytest.raises(StatisticsError, match=r"'#REF!' in column 'participant' .* row 3"):
        read_table(path)


def test_a_cohort_is_read_with_the_same_reader(tmp_path):
    path = write(tmp_path, "surface;side\r\nä.vtp;right\r\n;left\r\n", encoding="utf-16")
    with pytest.raises(Exception, match="row 3: the surface is empty"):
        read_cohort([path])
