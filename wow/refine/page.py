"""One HTML file that shows a search: each round's film strips, scores, reasons, changes of the prompt, and costs.

The file needs nothing else: pictures are inside it, no script runs, and all text that came from elsewhere (the goal,
prompts, what critics said) is escaped.
"""

from __future__ import annotations

import base64
import difflib
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from wow.refine.contract import Attempt, Round
from wow.refine.rules import attempts_of, best_of
from wow.types import SCORES, UInt8, Verdict

STRIP_FRAMES = 9
STRIP_HEIGHT = 96
MARK = (214, 69, 65)
SHORT = dict(zip(SCORES, ("task", "action", "physics", "motion", "picture"), strict=True))
"""What a column of scores is called."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2530; background: #f4f5f7; margin: 0 auto; padding: 24px;
  max-width: 1060px }
h1 { font-size: 24px; margin: 0 0 4px } h2 { font-size: 17px; margin: 0 } h3 { font-size: 14px; margin: 14px 0 4px }
section { background: white; border: 1px solid #dfe3e8; border-radius: 8px; padding: 16px 20px; margin: 16px 0 }
section.best { border: 2px solid #2e7d4f } p { margin: 6px 0 } .quiet { color: #66717f }
.strip { width: 100%; border-radius: 4px; display: block; margin: 4px 0 }
.prompt { background: #f7f8fa; padding: 8px 12px; border-left: 3px solid #c6ccd4; overflow-wrap: anywhere }
ins { background: #d3f2dd; text-decoration: none }
del { background: #fbdcdb } table { border-collapse: collapse; font-size: 13px; margin: 6px 0; width: 100% }
td, th { text-align: left; padding: 3px 12px 3px 0; border-bottom: 1px solid #edeff2; vertical-align: top;
  white-space: nowrap } td:last-child, th:last-child { width: 100%; white-space: normal; overflow-wrap: anywhere }
td.number, th.number { text-align: right }
.badge { border-radius: 10px; padding: 1px 9px; font-size: 12px; color: white; background: #66717f }
.badge.kept { background: #2e7d4f }
.bars { display: flex; align-items: flex-end; gap: 4px; height: 90px; margin: 8px 0 }
.bars div { flex: 1; max-width: 48px; background: #b9c3cf; border-radius: 3px 3px 0 0; min-height: 18px;
  font-size: 11px; text-align: center } .bars div.kept { background: #2e7d4f; color: white }
"""


def write_page(
    path: Path, goal: str, rounds: Sequence[Round], stopped: str | None, facts: Mapping[str, object] | None = None
) -> None:
    """Writes the page of at least one round, whole or not at all. stopped: None while it still goes on. facts: further
    lines for its head, e.g. the model's name."""
    history = attempts_of(rounds)
    best = best_of(history)
    parts = [_head(goal, rounds, best, stopped, facts or {})]
    for done in rounds:
        parts.append(_round(done, goal, history, best))
    title = escape(f"{goal} · refined")
    document = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>\n"
    )
    part = path.with_name(path.name + ".part")
    part.write_text(document, encoding="utf-8")
    part.replace(path)


def _head(goal: str, rounds: Sequence[Round], best: Attempt, stopped: str | None, facts: Mapping[str, object]) -> str:
    history = attempts_of(rounds)
    spent = {name: sum(done.seconds.get(name, 0.0) for done in rounds) for name in ("rewrite", "imagine", "judge")}
    lines = {
        "Result": f"{_said(best.verdict)}; round {best.round}, seed {best.seed}",
        "Stopped": stopped or "not yet",
        "Videos": f"{len(history)} in {len(rounds)} rounds",
        "Seconds": ", ".join(f"{name} {value:.1f}" for name, value in spent.items()),
        "Tokens": f"{sum(done.tokens for done in rounds):,}",
        "Cost": f"{sum(done.cost for done in rounds):.4g}",
        **facts,
    }
    rows = "".join(f"<tr><th>{escape(str(key))}</th><td>{escape(str(value))}</td></tr>" for key, value in lines.items())
    bars = "".join(_bar(attempt, attempt is best) for attempt in history)
    return (
        f'<h1>{escape(goal)}</h1><section class="best"><table>{rows}</table>{_strip(best)}'
        f'<p class="prompt">{escape(best.prompt)}</p><h3>Probability of success of every video, in order</h3>'
        f'<div class="bars">{bars}</div></section>'
    )


def _bar(attempt: Attempt, is_best: bool) -> str:
    probability = attempt.verdict.success_probability
    kind, title = "kept" if is_best else "", f"round {attempt.round}, seed {attempt.seed}"
    return f'<div class="{kind}" style="height:{100 * probability:.0f}%" title="{title}">{probability:.2f}</div>'


def _round(done: Round, goal: str, history: Sequence[Attempt], best: Attempt) -> str:
    earlier = [attempt for attempt in history if attempt.round < done.number]
    previous = best_of(earlier).prompt if earlier else goal
    costs = ", ".join(f"{name} {value:.1f} s" for name, value in done.seconds.items())
    spent = f"{done.tokens:,} tokens" + (f", cost {done.cost:.4g}" if done.cost else "")
    what = f"changed from the best prompt before it, of round {best_of(earlier).round}" if earlier else ""
    problems = "".join(
        f"<p><b>{escape(name)}</b> could not judge: {escape(why)}</p>" for name, why in done.problems.items()
    )
    attempts = "".join(_attempt(attempt, place, history, best) for place, attempt in enumerate(done.attempts))
    return (
        f'<section><h2>Round {done.number} <span class="quiet">· {costs} · {spent}</span></h2>'
        f'<p class="prompt">{_difference(previous, done.prompt)}</p>{_quiet(what)}{_quiet(done.note)}{problems}'
        f"{attempts}</section>"
    )


def _attempt(attempt: Attempt, place: int, history: Sequence[Attempt], best: Attempt) -> str:
    before = list(history[: next(number for number, past in enumerate(history) if past is attempt)])
    is_kept, why = _kept(attempt, before)
    badge = '<span class="badge kept">best of all</span>' if attempt is best else ""
    badge = badge or ('<span class="badge kept">kept</span>' if is_kept else '<span class="badge">dropped</span>')
    rows = "".join(_row(name, verdict) for name, verdict in attempt.verdicts.items())
    columns = "".join(f'<th class="number">{name}</th>' for name in SHORT.values())
    return (
        f"<h3>Seed {attempt.seed} {badge} {escape(why)}</h3>{_strip(attempt)}"
        f'<table><tr><th>critic</th><th class="number">success</th>{columns}<th>reason</th></tr>{rows}'
        f"{_row('decision', attempt.verdict)}</table>"
    )


def _kept(attempt: Attempt, before: Sequence[Attempt]) -> tuple[bool, str]:
    """Whether it took the place of the best so far, and why."""
    probability = attempt.verdict.success_probability
    if not before:
        return True, f"the first, {probability:.2f}"
    rival = best_of(before)
    sides = f"{probability:.2f} against {rival.verdict.success_probability:.2f} of seed {rival.seed}"
    judges, others = len(attempt.verdicts), len(rival.verdicts)
    if judges != others:
        sides += f", judged by {judges} against {others} critics"
    elif probability == rival.verdict.success_probability:
        sides += ", by mean score"
    return attempt.worth > rival.worth, sides


def _row(name: str, verdict: Verdict) -> str:
    scores = "".join(
        f'<td class="number">{verdict.scores[score]:.1f}</td>' if score in verdict.scores else "<td></td>"
        for score in SCORES
    )
    span = f" (frames {verdict.span[0]} to {verdict.span[1]})" if verdict.span else ""
    return (
        f'<tr><td>{escape(name)}</td><td class="number">{verdict.success_probability:.2f}</td>{scores}'
        f"<td>{escape(verdict.reason)}{span}</td></tr>"
    )


def _quiet(text: str) -> str:
    return f'<p class="quiet">{escape(text)}</p>' if text else ""


def _said(verdict: Verdict) -> str:
    return f"{'completed' if verdict.completed else 'failed'}, confidence {verdict.confidence:.2f}"


def _difference(old: str, new: str) -> str:
    """The new text with the words that came and went marked."""
    before, after = old.split(), new.split()
    pieces = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        gone, come = escape(" ".join(before[i:j])), escape(" ".join(after[k:m]))
        if kind == "equal":
            pieces.append(come)
        else:
            pieces += [f"<del>{gone}</del>"] * bool(gone) + [f"<ins>{come}</ins>"] * bool(come)
    return " ".join(pieces)


def _strip(attempt: Attempt) -> str:
    """The film strip of a video; below the frames that the verdict speaks of runs a red line."""
    picture = io.BytesIO()
    Image.fromarray(strip(attempt.video.frames, attempt.verdict.span)).save(picture, format="jpeg", quality=88)
    coded = base64.b64encode(picture.getvalue()).decode()
    return f'<img class="strip" alt="film strip, seed {attempt.seed}" src="data:image/jpeg;base64,{coded}">'


def strip(frames: UInt8, span: tuple[int, int] | None) -> UInt8:
    """Some frames of [T, H, W, 3] side by side, the first and the last among them."""
    chosen = np.unique(np.linspace(0, len(frames) - 1, STRIP_FRAMES).round().astype(int))
    width = max(round(frames.shape[2] * STRIP_HEIGHT / frames.shape[1]), 1)
    cells = []
    for index in chosen:
        cell = np.full((STRIP_HEIGHT + 6, width + 3, 3), 255, np.uint8)
        cell[:STRIP_HEIGHT, :width] = np.asarray(Image.fromarray(frames[index]).resize((width, STRIP_HEIGHT)))
        if span is not None and span[0] <= index <= span[1]:
            cell[STRIP_HEIGHT + 2 :, :] = MARK
        cells.append(cell)
    return np.concatenate(cells, axis=1)
