"""Pictures that are drawn in a process of their own.

Where no screen and no graphics library is at hand, VTK does not fail: it ends the process that draws. So what
draws is a child, which is given what it shall draw in a file and leaves what became of it in another. Several
ways to draw without a screen are tried; if none works, the caller is given a sentence and lives on.
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...core.errors import CorticalBoneMappingError, DrawingError
from .canvas import NO_SCREEN_WINDOWS, WINDOW_VARIABLE

_LIBRARY_FOLDER = Path(__file__).parents[3]
_TIMEOUT_S = 300.0  # a page of 2400 pixels takes 3 s on one core without graphics hardware
_LONGEST_REASON = 160
_INSTALL = "On Linux without a screen they need libegl1 and libgl1, else xvfb."


@dataclass(frozen=True)
class DrawingMethod:
    """One way to draw.

    Attributes
    ----------
    name : str
        For the message.
    before : tuple of str
        Command that starts the child.
    variables : dict of str to str
        Of the environment.
    has_screen : bool
        Whether the child may know of the screen.
    """

    name: str
    before: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)
    has_screen: bool = True


def draw_in_process(drawings: Sequence[Callable[[], Any]], timeout_s: float = _TIMEOUT_S) -> list[Any]:
    """Call functions in a child process.

    Parameters
    ----------
    drawings : sequence of callable
        `functools.partial` of functions at the top of a module, so that they can be pickled.
    timeout_s : float
        Longest time to wait for the child.

    Returns
    -------
    list
        What each of them returned.

    Raises
    ------
    DrawingError
        If no way to draw works on this machine.
    CorticalBoneMappingError
        If a function raised it: what it was given is wrong, and no other way would change that.
    """
    if not drawings:
        return []
    failures = []
    with tempfile.TemporaryDirectory(prefix="cbm-drawing-") as folder:
        work = Path(folder) / "drawings"
        work.write_bytes(pickle.dumps(list(drawings), protocol=pickle.HIGHEST_PROTOCOL))
        for way in drawing_methods():
            answer = Path(folder) / "answer"
            why = _run_child(way, work, answer, timeout_s)
            if answer.is_file():
                return _taken(pickle.loads(answer.read_bytes()))
            failures.append(f"{way.name}: {why}")
    raise DrawingError(f"The pictures could not be drawn ({'; '.join(failures)}). {_INSTALL}")


def drawing_methods() -> list[DrawingMethod]:
    """List the ways to draw on this machine, the best first."""
    if not sys.platform.startswith("linux"):
        return [DrawingMethod("this machine's graphics")]
    has_screen = bool(os.environ.get("DISPLAY"))
    found = [DrawingMethod("the screen")] if has_screen else []
    found += [
        DrawingMethod(name, variables={WINDOW_VARIABLE: window}, has_screen=False)
        for name, window in NO_SCREEN_WINDOWS.items()
    ]
    if starter := shutil.which("xvfb-run"):
        found.append(DrawingMethod("xvfb", before=(starter, "-a"), has_screen=False))
    return found


def _run_child(way: DrawingMethod, work: Path, answer: Path, timeout_s: float) -> str:
    """Start the child and wait; give why it left no answer."""
    environment = {key: value for key, value in os.environ.items() if way.has_screen or key != "DISPLAY"}
    paths = [str(_LIBRARY_FOLDER), environment.get("PYTHONPATH", "")]
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "PYTHONUTF8": "1"} | way.variables
    command = [*way.before, _python(), "-m", __name__, str(work), str(answer)]
    # A group of its own, so that the end of a child ends a screen that was started for it.
    group: dict[str, Any] = {"start_new_session": True}
    if os.name == "nt":
        group = {"creationflags": subprocess.CREATE_NO_WINDOW}
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            env=environment,
            **group,
        )
    except OSError as error:
        return str(error.strerror)
    with child:
        try:
            _, output = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return f"not done after {timeout_s:g} s"
        finally:  # Ctrl-C comes this way as well
            if child.poll() is None:
                _end(child)
    return _failure_reason(child.returncode, output)


def _end(child: subprocess.Popen) -> None:
    if os.name == "nt":
        child.kill()
    else:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _failure_reason(code: int, output: str) -> str:
    """Say why a child left no answer: the signal that ended it, or the last line that it wrote."""
    number = -code if code < 0 else code - 128  # a shell adds 128 to the number of a signal
    if number in set(signal.Signals):
        return f"ended by {signal.Signals(number).name}"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:_LONGEST_REASON] if lines else f"exit code {code}"


def _taken(answers: list[Any] | CorticalBoneMappingError) -> list[Any]:
    if isinstance(answers, CorticalBoneMappingError):
        raise answers
    return answers


def _python() -> str:
    """Give the Python to draw with; within Slicer `sys.executable` may be Slicer itself."""
    is_python = "python" in Path(sys.executable).stem.lower()
    return sys.executable if is_python else shutil.which("PythonSlicer") or sys.executable


def _draw(work: Path, answer: Path) -> None:
    """Do the work in the child; an error that is not a sentence for the user ends it without an answer."""
    answers: list[Any] | CorticalBoneMappingError
    try:
        answers = [drawing() for drawing in pickle.loads(work.read_bytes())]
    except DrawingError:
        raise  # another way may work
    except CorticalBoneMappingError as error:
        answers = error
    written = answer.with_suffix(".writing")
    written.write_bytes(pickle.dumps(answers, protocol=pickle.HIGHEST_PROTOCOL))
    os.replace(written, answer)


if __name__ == "__main__":
    _draw(*map(Path, sys.argv[1:]))
