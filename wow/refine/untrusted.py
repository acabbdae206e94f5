"""Text that others wrote (a model, a server, a user) as data: made short and plain, parsed within limits, quoted."""

from __future__ import annotations

import json
import re
import unicodedata

DEEPEST = 16
"""How deep JSON that is read may be nested."""

_FENCE = re.compile(r"^\s*```(?:json)?\s*(.*?)\s*```\s*$", re.DOTALL)


def one_line(text: str, limit: int = 300) -> str:
    """The text on one line without control characters, invisible marks or the signs of markup, cut to `limit`.

    What is shown in a terminal, a log or a page then neither moves the cursor nor becomes a tag.
    """
    # Long text is cut before it is looked at: an answer may be megabytes of spaces.
    kept = "".join(" " if is_unseen(letter) else letter for letter in text[: 8 * limit])
    line = " ".join(kept.replace("<", "‹").replace(">", "›").split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def quoted(text: str, limit: int = 2000) -> str:
    """The text as a JSON string on one line: inside a prompt, nothing in it can end the quotation."""
    return json.dumps(one_line(text, limit), ensure_ascii=False)


def read_object(text: str, limit: int = 20_000) -> dict[str, object]:
    """The JSON object that a model's answer is, alone or in one fence. Raises ValueError saying why it is none."""
    if len(text) > limit:
        raise ValueError(f"it has {len(text)} characters, at most {limit} are read")
    fenced = _FENCE.match(text)
    body = (fenced.group(1) if fenced else text).strip()
    if not body.startswith("{"):
        raise ValueError(f"it is no JSON object but begins with {one_line(body, 40)!r}")
    if _depth(body) > DEEPEST:
        raise ValueError(f"its JSON is nested more than {DEEPEST} deep")
    try:
        found = json.loads(body, parse_constant=_no_constant)
    except ValueError as problem:
        raise ValueError(f"its JSON cannot be read ({one_line(str(problem), 80)})") from None
    assert isinstance(found, dict)  # it begins with a brace
    return found


def is_unseen(letter: str) -> bool:
    """Whether nobody sees this sign, though it may do something."""
    # Cc control, Cf invisible (among them those that turn the direction of writing), Cs and Co without a meaning.
    return unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def _depth(body: str) -> int:
    """An upper bound of how deep the brackets are nested; those inside strings count too."""
    deepest = level = 0
    for letter in body:
        if letter in "[{":
            level += 1
            deepest = max(deepest, level)
        elif letter in "]}":
            level -= 1
    return deepest


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")
