"""One HTML file that shows a search: each round's film strips, scores, reasons, changes of the prompt, and costs.

The file needs nothing else: pictures are inside it, no script runs, and all text that came from elsewhere (the goal,
prompts, what critics said) is escaped.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from wow.refine.contract import Attempt, Round
from wow.refine.rules import attempts_of, best_of, is_corrected
from wow.refine.strips import film_strip, moving_picture
from wow.refine.untrusted import is_unseen
from wow.types import SCORES, Verdict

SHORT = dict(zip(SCORES, ("task", "action", "physics", "motion", "picture"), strict=True))
"""What a column of scores is called."""
NOTE = (
    "Success: the probability, from 0 to 1, that the goal is reached. Task (is it completed), action, physics, motion "
    "and picture: scores from 1 (worst) to 5 (best); – where a critic cannot judge it. Below a film strip are the "
    "numbers of its frames, red where a reason speaks of them. In a prompt, what is new is green, and what is gone is "
    "struck out."
)
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; --text: #1d2530; --back: #f4f5f7; --card: #fff; --line: #dfe3e8; --soft: #f1f3f5;
  --quiet: #5a6572; --best: #2e7d4f; --bar: #b9c3cf; --new: #d3f2dd; --gone: #fbdcdb; --mark: #d64541 }
@media (prefers-color-scheme: dark) { :root { --text: #e3e7ec; --back: #14181d; --card: #1d232a; --line: #353d47;
  --soft: #262d36; --quiet: #9aa5b1; --bar: #56616e; --new: #1d4a30; --gone: #5a2524; --mark: #f0716c } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); margin: 0 auto;
  padding: 24px; max-width: 1060px; overflow-wrap: anywhere }
h1 { font-size: 24px; margin: 0 0 4px } h2 { font-size: 17px; margin: 0 } h3 { font-size: 14px; margin: 16px 0 4px }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 16px 20px;
  margin: 16px 0 }
section.best { border: 2px solid var(--best) } p { margin: 6px 0 } .quiet { color: var(--quiet) }
.small { font-size: 13px }
.side { overflow-x: auto } .strip { min-width: 640px; margin: 4px 0 } .strip img { width: 100%; display: block;
  border-radius: 4px } .strip div { display: flex } .strip span { flex: 1; font-size: 11px; text-align: center;
  color: var(--quiet); border-top: 3px solid transparent } .strip span.seen { color: var(--mark); font-weight: 600;
  border-color: var(--mark) }
.film { display: block; max-width: 100%; width: 320px; border-radius: 4px; margin: 4px 0 }
summary { cursor: pointer }
.prompt { background: var(--soft); padding: 8px 12px; border-left: 3px solid var(--line) }
ins { background: var(--new); text-decoration: none } del { background: var(--gone) }
table { border-collapse: collapse; font-size: 13px; margin: 6px 0; width: 100% }
th { white-space: nowrap }
td, th { text-align: left; padding: 3px 12px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top }
td:last-child, th:last-child { width: 100% } .critics td { white-space: nowrap }
.critics td:last-child { white-space: normal; font-weight: 400 }
td.number, th.number { text-align: right }
tr.decision { font-weight: 600 }
.badge { border-radius: 10px; padding: 1px 9px; font-size: 12px; color: #fff; background: #66717f }
.badge.kept { background: var(--best) }
.bars { display: flex; align-items: flex-end; gap: 4px; height: 130px; margin: 8px 0; padding: 16px 0 20px 28px;
  position: relative; min-width: max-content }
.bars i { position: absolute; left: 0; right: 0; border-top: 1px dashed var(--line); font: 11px/1 system-ui;
  color: var(--quiet); padding-top: 2px }
.bars a { flex: 1; min-width: 32px; max-width: 48px; background: var(--bar); border-radius: 3px 3px 0 0;
  font-size: 11px; text-align: center; color: inherit; text-decoration: none; position: relative; display: block }
.bars a.kept { background: var(--best) } .bars b { position: absolute; left: 0; right: 0; top: -16px; font-weight: 400 }
.bars a.kept b { font-weight: 700 } .bars span { position: absolute; left: 0; right: 0; bottom: -18px;
  color: var(--quiet) }
@media (max-width: 700px) {
  body { padding: 12px } section { padding: 12px }
  .critics tr { display: grid; grid-template-columns: 4.5fr repeat(6, minmax(0, 4fr));
    border-bottom: 1px solid var(--line) }
  .critics td, .critics th { border: 0; padding: 3px 4px 3px 0; font-size: 11px }
  .critics td:last-child { grid-column: 1 / -1; width: auto; font-size: 13px } .critics th:last-child { display: none }
}
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
    title = plain(f"{goal} · refined")
    document = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>\n"
    )
    part = path.with_name(path.name + ".part")
    part.write_text(document, encoding="utf-8")
    part.replace(path)


def _head(goal: str, rounds: Sequence[Round], best: Attempt, stopped: str | None, facts: Mapping[str, object]) -> str:
    history = attempts_of(rounds)
    spent = {name: sum(done.seconds.get(name, 0.0) for done in rounds) for name in ("rewrite", "imagine", "judge")}
    lines = {
        "Result": f"{_said(best.verdict)}: round {best.round}, seed {best.seed}",
        "Stopped": stopped or "not yet",
        "Videos": f"{len(history)} in {len(rounds)} round{'s' * (len(rounds) > 1)}",
        "Time": ", ".join(f"{name} {value:.1f} s" for name, value in spent.items()),
        **_bill(sum(done.tokens for done in rounds), sum(done.cost for done in rounds)),
        **facts,
    }
    rows = "".join(f"<tr><th>{plain(str(key))}</th><td>{plain(str(value))}</td></tr>" for key, value in lines.items())
    return (
        f'<h1>{plain(goal)}</h1><p class="quiet small">{NOTE}</p><section class="best"><h2>Best video</h2>'
        f"{_strip(best)}<details><summary>Play it ({_pace(best)})</summary>{moving_picture(best.video, _name(best))}"
        f'</details><p class="prompt">{plain(best.prompt)}</p>'
        f"<table>{rows}</table><h3>Probability of success of every video, by round</h3>{_bars(history, best)}</section>"
    )


def _bill(tokens: int, cost: float) -> dict[str, str]:
    """What models behind endpoints took."""
    return {"Tokens": f"{tokens:,}", "Cost": f"{cost:.4g}" + (" (in the currency of the prices)" if cost else "")}


def _bars(history: Sequence[Attempt], best: Attempt) -> str:
    """A bar from 0 to 1 for every video, in order; each leads to its video."""
    lines = "".join(f'<i style="top:{16 + 94 * (1 - level):.0f}px">{level:g}</i>' for level in (0.0, 0.5, 1.0))
    bars = "".join(_bar(attempt, place, attempt is best) for place, attempt in enumerate(history))
    return f'<div class="side"><div class="bars">{lines}{bars}</div></div>'


def _bar(attempt: Attempt, place: int, is_best: bool) -> str:
    probability = attempt.verdict.success_probability
    title = f"round {attempt.round}, seed {attempt.seed}: {probability:.2f}"
    kind, height = "kept" if is_best else "", f"height:{100 * probability:.0f}%"
    return (
        f'<a href="#video-{place}" class="{kind}" style="{height}" title="{title}"><b>{probability:.2f}</b>'
        f"<span>{attempt.round}</span></a>"
    )


def _round(done: Round, goal: str, history: Sequence[Attempt], best: Attempt) -> str:
    earlier = [attempt for attempt in history if attempt.round < done.number]
    previous = best_of(earlier).prompt if earlier else goal
    costs = ", ".join(f"{name} {value:.1f} s" for name, value in done.seconds.items())
    costs += f" · {done.tokens:,} tokens" * bool(done.tokens) + f" · cost {done.cost:.4g}" * bool(done.cost)
    what = f"changed from the best prompt before it, of round {best_of(earlier).round}" if earlier else ""
    if is_corrected(done):
        previous, what = done.prompt, f"corrected from round {done.number - 1}"
    problems = "".join(
        f"<p><b>{plain(name)}</b> could not judge: {plain(why)}</p>" for name, why in done.problems.items()
    )
    attempts = "".join(_attempt(attempt, place, history, best) for place, attempt in enumerate(done.attempts))
    return (
        f'<section><h2>Round {done.number} <span class="quiet">· {costs}</span></h2>'
        f'<p class="prompt">{_difference(previous, done.prompt)}</p>{_quiet(what)}{_quiet(done.note)}{problems}'
        f"{attempts}</section>"
    )


def _attempt(attempt: Attempt, place: int, history: Sequence[Attempt], best: Attempt) -> str:
    number = next(number for number, past in enumerate(history) if past is attempt)
    before = list(history[:number])
    is_kept, why = _kept(attempt, before)
    badge = '<span class="badge kept">best of all</span>' if attempt is best else ""
    badge = badge or ('<span class="badge kept">kept</span>' if is_kept else '<span class="badge">dropped</span>')
    rows = "".join(_row(name, verdict) for name, verdict in attempt.verdicts.items())
    columns = "".join(
        f'<th class="number" title="{score.replace("_", " ")}, 1 to 5">{name}</th>' for score, name in SHORT.items()
    )
    return (
        f'<h3 id="video-{number}">Seed {attempt.seed} {badge} {plain(why)}</h3>{_strip(attempt)}'
        f'<table class="critics"><tr><th>critic</th><th class="number">success</th>{columns}<th>reason</th></tr>{rows}'
        f"{_row('decision', attempt.verdict, 'decision')}</table>"
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


def _row(name: str, verdict: Verdict, kind: str = "") -> str:
    scores = "".join(
        f'<td class="number">{verdict.scores[score]:.1f}</td>'
        if score in verdict.scores
        else '<td class="number">–</td>'
        for score in SCORES
    )
    span = f" (frames {verdict.span[0]} to {verdict.span[1]})" if verdict.span else ""
    return (
        f'<tr class="{kind}"><td>{plain(name)}</td><td class="number">{verdict.success_probability:.2f}</td>{scores}'
        f"<td>{plain(verdict.reason)}{span}</td></tr>"
    )


def _quiet(text: str) -> str:
    return f'<p class="quiet">{plain(text)}</p>' if text else ""


def _said(verdict: Verdict) -> str:
    return f"{'completed' if verdict.completed else 'failed'}, probability of success {verdict.success_probability:.2f}"


def _difference(old: str, new: str) -> str:
    """The new text with the words that came and went marked."""
    before, after = old.split(), new.split()
    pieces = []
    for kind, i, j, k, m in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        gone, come = plain(" ".join(before[i:j])), plain(" ".join(after[k:m]))
        if kind == "equal":
            pieces.append(come)
        else:
            pieces += [f"<del>{gone}</del>"] * bool(gone) + [f"<ins>{come}</ins>"] * bool(come)
    return " ".join(pieces)


def _strip(attempt: Attempt) -> str:
    return film_strip(attempt.video, attempt.verdict.span, _name(attempt))


def _name(attempt: Attempt) -> str:
    return f"seed {attempt.seed}, round {attempt.round}"


def _pace(attempt: Attempt) -> str:
    return f"{len(attempt.video.frames)} frames, {attempt.video.fps:.3g} per second"


def plain(text: str) -> str:
    """Text from elsewhere as HTML: markup is text, and signs that no one sees are shown by their numbers.

    Among these are those that turn the direction of writing, and halves of pairs, which no file can hold.
    """
    shown = (letter if letter in " \n\t" or not is_unseen(letter) else f"\\u{ord(letter):04x}" for letter in text)
    return escape("".join(shown))
