"""Questions to a judge: their words are files, their answers are JSON of a stated schema."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wow.bench.dimensions.contract import Rubric
from wow.types import WowError

FOLDER = Path(__file__).parent / "rubrics"


def load_text(name: str) -> str:
    """The words of a rubric."""
    return (FOLDER / f"{name}.md").read_text().strip()


def load_rubric(name: str, fields: Sequence[str], low: float, high: float) -> Rubric:
    """The rubric of that name, whose answer is a number from low to high for each field."""
    number = {"type": "number", "minimum": low, "maximum": high}
    schema = {
        "type": "object",
        "properties": {**dict.fromkeys(fields, number), "reason": {"type": "string"}},
        "required": list(fields),
    }
    return Rubric(name, load_text(name), schema)


def read_ratings(answer: object, fields: Sequence[str], low: float, high: float) -> list[float]:
    """The rating of each field. Raises WowError where the answer has another form: it is no rating then."""
    if not isinstance(answer, dict):
        raise WowError("the judge's answer is no JSON object")
    found: list[float] = []
    for field in fields:
        value = answer.get(field)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise WowError(f"the judge's {field} is {value!r}, not a number from {low:g} to {high:g}")
        found.append(float(value))
    return found
