"""What people hand in is answered rightly, refused with the reason, or warned of (the short form)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3]))

from validation.inputs.__main__ import every_input
from validation.inputs.judged import CORRECT, GOOD, SILENT, Answer, Input, judge

EVERY = every_input()


@pytest.mark.parametrize(
    "given", [pytest.param(row, id=f"{row.item}: {row.what}") for row in EVERY if not row.is_long]
)
def test_an_input_is_answered_as_it_should_be(given):
    judged = judge(given)
    assert judged.is_as_expected, f"{judged.judgement}: {judged.answer}\n{judged.trace}"


def test_every_input_expects_a_good_answer_and_names_itself_once():
    assert all(row.expected in GOOD for row in EVERY)
    assert all(row.says for row in EVERY if row.expected != CORRECT)
    names = [(row.item, row.what) for row in EVERY]
    assert len(set(names)) == len(names)


def test_a_wrong_answer_without_a_word_is_judged_so():
    assert (
        judge(Input("", "", "", lambda _folder: Answer("2", False, ["of something else"]))).judgement
        == SILENT
    )
