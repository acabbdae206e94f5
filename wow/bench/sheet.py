"""What every page of the benchmark is made of: one file that opens anywhere, loads nothing and runs no script."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from html import escape

from wow.bench.intervals import Estimate

_STYLE = """
:root { color-scheme: light dark; --line: #8883; --soft: #8881; --muted: #5f6773; }
@media (prefers-color-scheme: dark) { :root { --muted: #a3abb8; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem;
overflow-wrap: break-word; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
p.how, .small { color: var(--muted); font-size: .88rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; background: var(--soft); } td.number { white-space: nowrap; }
.wide td:first-child, .wide th:first-child { position: sticky; left: 0; background: Canvas; }
.wide th:first-child { background: linear-gradient(var(--soft), var(--soft)), Canvas; }
td.number i { color: var(--muted); font-style: normal; font-size: .8rem; display: block; }
svg { max-width: 100%; height: auto; } .wide svg { max-width: none; }
svg text { font-size: 12px; fill: currentColor; } .charts { display: flex; flex-wrap: wrap; gap: 1.5rem; }
.charts > div { min-width: 0; max-width: 100%; }
.legend { display: flex; flex-wrap: wrap; gap: 1rem; } .key i { display: inline-block; width: .8em; height: .8em;
border-radius: 2px; margin-right: .4em; } .films { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; width: 330px; max-width: 100%; } .films video { width: 100%; border-radius: 4px; background: #000; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; } summary { cursor: pointer; font-weight: 600; }
dl { font-size: .88rem; } dt { font-weight: 600; } dd { margin: 0 0 .4rem 1rem; }
code { font-size: .85rem; overflow-wrap: anywhere; }
"""


PHONES = '<meta name="viewport" content="width=device-width, initial-scale=1">'


def document(title: str, body: Sequence[str]) -> str:
    """The page as text: its title, and below it pieces of HTML."""
    head = f'<meta charset="utf-8">{PHONES}<title>{plain(title)}</title>'
    policy = "default-src 'none'; style-src 'unsafe-inline'; media-src data:; img-src data:"
    guard = f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    page_head = f"<head>{head}{guard}<style>{_STYLE}</style></head>"
    inside = "\n".join([f"<h1>{plain(title)}</h1>", *body])
    return f'<!doctype html>\n<html lang="en">{page_head}<body>\n{inside}\n</body></html>\n'


def said(text: str) -> str:
    """A paragraph in small letters of what was written as Markdown: between backticks is code."""
    parts = [f"<code>{plain(one)}</code>" if place % 2 else plain(one) for place, one in enumerate(text.split("`"))]
    return f'<p class="how">{"".join(parts)}</p>'


def number(found: Estimate | None, digits: int) -> str:
    """A cell: the value, and its interval below it."""
    if found is None:
        return "N/A"
    decimals = digits if abs(found.value) < 1000 else 0
    value = f"{found.value:.{decimals}f}"
    if found.low is None or found.high is None:
        return value
    return f"{value} <i>{found.low:.{decimals}f} to {found.high:.{decimals}f}</i>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already."""
    top = "".join(f"<th>{cell}</th>" for cell in head)
    lines = ["".join(f'<td class="number">{c}</td>' if "<i>" in c else f"<td>{c}</td>" for c in row) for row in rows]
    inside = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{inside}</tbody></table></div>'


def definitions(title: str, told: Mapping[str, str]) -> str:
    """What words mean, folded away below a title."""
    inside = "".join(f"<dt>{plain(word)}</dt><dd>{plain(meaning)}</dd>" for word, meaning in told.items())
    return f"<details><summary>{plain(title)}</summary><dl>{inside}</dl></details>"


def plain(text: str) -> str:
    """Text from elsewhere as HTML: markup in it is text, and so are signs that nobody sees."""
    return escape(visible(text))


def visible(text: str) -> str:
    """The text, its signs that nobody sees shown by their numbers.

    They are those that control, that turn the direction of writing, and halves of pairs, which no file can hold.
    """
    return "".join(
        f"\\u{ord(one):04x}" if unicodedata.category(one) in _UNSEEN and one not in "\n\t" else one for one in text
    )


_UNSEEN = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
