"""An input, the answer of the program, and how it is judged."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from CorticalBoneMappingLib.core.errors import CorticalBoneMappingError

CORRECT, REFUSED, WARNED = "correct", "refused with a message", "warned"
SILENT, TRACEBACK, UNCLEAR = "wrong in silence", "traceback", "refused without the reason"
GOOD = (CORRECT, REFUSED, WARNED)


@dataclass(frozen=True)
class Answer:
    """What the program answered.

    Attributes
    ----------
    text : str
        The answer, in a few words.
    is_right : bool
        Whether it is what is true.
    warnings : sequence of str
        What the program said beside it.
    """

    text: str
    is_right: bool
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class Input:
    """One thing that a person may hand in.

    Attributes
    ----------
    item : str
        Number in the list of faults that it represents (``A1``), or ``kept`` for what was right before.
    what : str
        What is handed in.
    truth : str
        What is true of it.
    ask : callable
        Is given an empty folder; makes the input there, hands it to the program, and gives the answer. What
        the program refuses, it raises.
    expected : str
        One of `GOOD`.
    says : tuple of str
        Words that the refusal or the warning has to hold, so that it is about this and nothing else.
    is_long : bool
        Whether it takes more than two seconds: left out of the short form.
    """

    item: str
    what: str
    truth: str
    ask: Callable[[Path], Answer]
    expected: str = CORRECT
    says: tuple[str, ...] = ()
    is_long: bool = False


@dataclass(frozen=True)
class Judged:
    """An input with its answer and how that is judged."""

    given: Input
    judgement: str
    answer: str
    trace: str = field(default="", repr=False)

    @property
    def is_as_expected(self) -> bool:
        """Whether the answer is the kind that this input asks for."""
        return self.judgement == self.given.expected


def judge(given: Input) -> Judged:
    """Ask a question in a folder of its own, and judge the answer."""
    with tempfile.TemporaryDirectory(prefix="cbm-input-") as name:
        folder = Path(name)
        try:
            answer = given.ask(folder)
        except CorticalBoneMappingError as error:
            text = _without(str(error), folder)
            return Judged(given, REFUSED if _holds(text, given.says) else UNCLEAR, text)
        except Exception as error:  # any fault of the program is a finding
            return Judged(given, TRACEBACK, f"{type(error).__name__}: {error}", traceback.format_exc())
        warnings = [_without(text, folder) for text in answer.warnings]
        about = [text for text in warnings if given.says and _holds(text, given.says)]
        text = "; ".join([_without(answer.text, folder), *about])
        if about and given.expected == WARNED:
            return Judged(given, WARNED, text)
        return Judged(given, CORRECT if answer.is_right else SILENT, text)


def _holds(text: str, words: Sequence[str]) -> bool:
    return all(word.lower() in text.lower() for word in words)


def _without(text: str, folder: Path) -> str:
    """Take the temporary folder's name out of a text."""
    return text.replace(f"{folder}/", "").replace(str(folder), "the folder")
