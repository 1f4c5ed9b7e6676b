"""How the answers were made, for whoever wants to make them again."""

from __future__ import annotations

import json
from collections.abc import Sequence

from .answers import Answer
from .markup import Html, element, join
from .wording import number


def provenance_section(answers: Sequence[Answer]) -> Html:
    """Give program, versions, inputs by their hashes, and the whole record of every answer."""
    program = answers[0].record["program"]
    versions = ", ".join(f"{name} {version}" for name, version in program["libraries"].items())
    facts = [("Program", f"{program['name']} {program['version']}"), ("With", versions)]
    inputs = {
        (what, entry["name"], entry["sha256"])
        for answer in answers
        for what, entry in answer.record["inputs"].items()
    }
    facts += [(f"Input: {what}", f"{name}, SHA-256 {digest}") for what, name, digest in sorted(inputs)]
    for answer in answers:
        seconds = sum(answer.record.get("timings_s", {}).values())
        facts.append((f"Time of {answer.name}", f"{number(seconds, 1)} s"))
    terms = [part for name, value in facts for part in (element("dt", name), element("dd", value))]
    records = [
        element(
            "details",
            element("summary", f"Record of {answer.name}"),
            element("pre", json.dumps(answer.record, indent=2, ensure_ascii=False)),
        )
        for answer in answers
    ]
    return join([element("dl", *terms, class_="facts"), *records], "\n")
