"""Find the words that this project does not write, in everything that a person reads.

    python Testing/setup/words.py            every place as file:line, exit code 1 if there is one
    python Testing/setup/words.py --count    the number of places in each file

A word is found in prose and as a part of a name, in snake_case and CamelCase, also where a phrase goes over
the end of a line, the sign of a comment or two strings that follow each other.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What is not written, as a regular expression of whole words, and what is written in its place.
WORDS = {
    r"told|tells?|telling": "reported, given, known, estimated, passed",
    r"laid|lays": "registered to, placed, drawn",
    r"bending": "deformation",
    r"bumps?": "local basis, displacement",
    r"looseness": "hyperparameter, prior width",
    r"(un)?sound(s|ness)?": "valid, invalid",
    r"mend(s|ed|ing)?": "fix, repair",
    r"sightings?": "detection, candidate",
    r"first sight": "profile features",
    r"beliefs?|believed?|believes": "edge confidence, weight",
    r"doubts?": "warning",
    r"remarks?": "warning, note",
    r"stands": "is, exists, lies",
    r"is no": "is not, has no",
    r"cannot be": "failed because …, is not, must not",
    r"let go": "release",
    r"workshop": "temporary folder",
    r"said of": "of, in the message",
    r"tie verdicts": "match verdicts with results",
}

# Where such a word is right, and why; a regular expression of the text around it.
EXCEPTIONS = {
    r"is no longer": "plain English for what was and is not any more",
    r"\.tell\(\)": "a method of Python's files",
    r"\bbending_misfit_mm\b": "stored in provenance.json",
    r"""(?<=["'`])remarks(?=["'`])""": "stored in provenance.json and atlas.json",
    r"""(?<=["'`])bending(?=["'`])""": "an array of registered_average.vtp",
    r"\bedge_belief\b": "an array of the surfaces of cbm segment",
    r"\bbelieved_share\b": "stored in the record of cbm segment",
    r"""(?<=["'`])laid(?=["'`])""": "the role of a node in saved scenes of Slicer",
}

READ = {".py", ".md", ".ui", ".js", ".css", ".sh", ".toml", ".yml", ".cff", ".cmake"}
NAMED = {"Makefile", "CMakeLists.txt", "run"}
LEFT_OUT = {"build", "dist", "demo"}  # folders that this project makes
OWN = {"CHANGELOG.md": "\n## 0.1.0"}  # the text from here on was written before the list

_GAP = r"""(?:[\s#]|["']\s*\n\s*f?["'])+"""  # between the words of a phrase
_PATTERNS = {
    re.compile(rf"\b(?:{words.replace(' ', _GAP)})\b", re.IGNORECASE): plain for words, plain in WORDS.items()
}
_ALLOWED = re.compile("|".join(EXCEPTIONS).replace(" ", _GAP), re.IGNORECASE)


def main() -> int:
    """Print what was found; give the exit code."""
    found = Counter()
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        for line, word, plain in words_in(path.read_text(encoding="utf-8").partition(OWN.get(name, "\0"))[0]):
            found[name] += 1
            if "--count" not in sys.argv:
                print(f"{name}:{line}: '{word}'; write: {plain}")
    if "--count" in sys.argv:
        print(*(f"{count:5d} {name}" for name, count in found.most_common()), sep="\n")
    print(f"{found.total()} words to replace in {len(found)} files; the list is in Testing/setup/words.py.")
    return int(bool(found))


def files() -> Iterator[Path]:
    """Give the files that a person reads."""
    for path in sorted(ROOT.rglob("*")):
        folders = path.relative_to(ROOT).parts[:-1]
        hidden = any(name.startswith(".") and name not in (".ci", ".github") for name in folders)
        if hidden or LEFT_OUT & {*folders[:1]} or not path.is_file() or path == Path(__file__).resolve():
            continue
        if path.suffix in READ or path.name in NAMED:
            yield path


def words_in(text: str) -> Iterator[tuple[int, str, str]]:
    """Give line, word and what to write of every word of the list that is not an exception."""
    text = _ALLOWED.sub(lambda match: re.sub(r"\S", "·", match[0]), text)
    # Parts of a name are words: a_b_c, OneTwo.
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text.replace("_", " "))
    for pattern, plain in _PATTERNS.items():
        for match in pattern.finditer(text):
            yield text.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), plain


if __name__ == "__main__":
    sys.exit(main())
