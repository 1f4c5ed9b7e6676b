"""Progress as a log shows it, and as a terminal does."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest

from CorticalBoneMappingLib.core.progress import TerminalProgress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def log_of(reports):
    stream = io.StringIO()
    progress = TerminalProgress(stream)
    for fraction, text in reports:
        progress.report(fraction, text)
    return stream.getvalue().splitlines()


def test_a_long_step_is_a_line_every_five_percent_in_a_log():
    reports = [(n / 2000, "Blurring the slices") for n in range(2001)]
    assert log_of(reports) == [f"{5 * step:3d}% Blurring the slices" for step in range(21)]


def test_what_is_done_next_is_reported_at_once_and_steps_that_take_turns_once_each():
    reports = [(0.78, "Blurring"), (0.78, "Fitting"), *[(0.781, "Blurring"), (0.782, "Fitting")] * 50]
    assert log_of([*reports, (1.0, "Done")]) == [" 78% Blurring", " 78% Fitting", "100% Done"]


@pytest.mark.parametrize("seed", range(20))
def test_no_log_is_longer_than_its_texts_and_its_twentieths(seed):
    random = np.random.default_rng(seed)
    texts = ["Reading", "Fitting", "Writing"][: random.integers(1, 4)]
    reports = [(random.random(), str(random.choice(texts))) for _ in range(300)]
    lines = log_of(reports)
    texts = {text for _, text in reports}
    assert {line[5:] for line in lines} == texts
    assert max(Counter(line[5:] for line in lines).values(), default=0) <= 21
    assert lines[0].endswith(reports[0][1])


def test_a_terminal_has_a_bar_that_moves_at_every_report():
    stream = Terminal()
    progress = TerminalProgress(stream)
    for n in range(101):
        progress.report(n / 100, "Fitting")
    assert stream.getvalue().count("\r") == 101
    assert stream.getvalue().endswith("100% Fitting\n")
