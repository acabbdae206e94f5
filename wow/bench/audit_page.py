"""The audit, and what agrees with executed success, as pages: charts that are text, nothing to load."""

from __future__ import annotations

from collections.abc import Mapping

from wow.bench.audit import KEY, Audit, Sight
from wow.bench.charts import FOOLED, GREY, PARTLY, SEEN, Rungs, ladder, scatter, whiskers
from wow.bench.dimensions.registry import METRICS
from wow.bench.glossary import MEANINGS
from wow.bench.ladder import CLAIMS, FAULTS
from wow.bench.sheet import definitions, document, plain, said, table
from wow.bench.validity import OVERALL, Validity, left_out, ordered, shown, title_of

_COLOURS = {"monotone": SEEN, "sees": PARTLY, "-": GREY, "fooled": FOOLED}


def audit_page(found: Audit, about: str) -> str:
    """The page of an audit. about: how it came about, as text."""
    claims = found.claims()
    broken = [f"{METRICS[metric].title} on {fault}" for metric, fault, holds in claims if not holds]
    held = f"Of {len(claims)} claims {len(claims) - len(broken)} hold. Broken: {'; '.join(broken) or 'none'}."
    strengths = ", ".join(f"{strength:g}" for strength in found.strengths)
    body = [
        said(about),
        "<h2>Which metric sees which fault</h2>",
        _legend(),
        f'<div class="wide">{ladder_chart(found)}</div>',
        f'<p class="small">{plain(KEY)} Bars: how much worse than the truth at strength {strengths}, in shares of the '
        "metric's largest over all faults; framed: it ought to be seen.</p>",
        f"<p>{plain(held)}</p>",
        *_unmeasured(found),
        definitions("What the faults are", {name: str(FAULTS[name].__doc__).strip() for name in _faults(found)}),
        definitions("What the metrics are", {METRICS[name].title: MEANINGS[name] for name in _by_metric(found)}),
        *validity_parts(found.validity),
    ]
    return document("The metric audit", body)


def validity_page(found: Validity, about: str) -> str:
    """The page of correlations over runs."""
    return document("Agreement with executed success", [said(about), *validity_parts(found)])


def ladder_chart(found: Audit) -> str:
    """Bars for every metric and fault."""
    rows: dict[str, dict[str, Rungs]] = {}
    largest = {name: max(abs(w) for one in sights for w in one.worse) for name, sights in _by_metric(found).items()}
    for sight in found.sights:
        title, scale = METRICS[sight.metric].title, largest[sight.metric] or 1.0
        rows.setdefault(title, {})[sight.fault] = Rungs(
            worse=[worse / scale for worse in sight.worse],
            colour=_COLOURS[sight.word],
            claimed=sight.metric in CLAIMS[sight.fault],
            told=f"{title}, {sight.fault}: {sight.word}; worse by {', '.join(f'{w:.3g}' for w in sight.worse)}",
        )
    return ladder(_faults(found), rows, "how much worse each metric finds each fault than the truth, weakest first")


def _faults(found: Audit) -> list[str]:
    return list(dict.fromkeys(sight.fault for sight in found.sights))


def _unmeasured(found: Audit) -> list[str]:
    """Which metrics the chart lacks; nothing where it has all."""
    missing = [metric.title for name, metric in METRICS.items() if name not in _by_metric(found)]
    return [f'<p class="small">Not measured for any fault: {plain("; ".join(missing))}.</p>'] if missing else []


def validity_parts(found: Validity) -> list[str]:
    """What agrees with executed success: a chart, tables, and what did not count."""
    title = f"<h2>Agreement with executed success over {len(found.executed)} runs</h2>"
    if not found.correlations:
        return [title, "<p>N/A: fewer than three runs were executed, or all with the same success.</p>"]
    pairs = ordered(found)
    drawn = [(title_of(name), one.pearson.value, one.pearson.low, one.pearson.high) for name, one in pairs]
    correlated = whiskers(drawn, "Pearson correlation with executed success")
    overall = [name for name in OVERALL if name in found.columns]
    dots = [scatter(_points(found, name), name, "executed success") for name in overall]
    rows = [[plain(title_of(name)), plain(shown(one.pearson)), plain(shown(one.spearman))] for name, one in pairs]
    runs = [
        [plain(label), f"{value:.2f}", *(f"{found.columns[name][place]:.1f}" for name in overall)]
        for place, (label, value) in sorted(enumerate(found.executed.items()), key=lambda one: -one[1][1])
    ]
    note = "Each number is turned so that more is better. Lines: 95 % bootstrap intervals, drawn over runs."
    return [
        title,
        f'<div class="charts"><div><h3>Pearson</h3><div class="wide">{correlated}</div></div>',
        f"<div>{''.join(dots)}</div></div>",
        f'<p class="small">{plain(note)} {plain(left_out(found))}</p>',
        table(["metric", "Pearson", "Spearman (rank)"], rows),
        "<h3>Runs</h3>",
        table(["run", "executed success", *overall], runs),
    ]


def _points(found: Validity, name: str) -> list[tuple[str, float, float]]:
    return [
        (label, found.columns[name][place], success) for place, (label, success) in enumerate(found.executed.items())
    ]


def _by_metric(found: Audit) -> Mapping[str, list[Sight]]:
    by_metric: dict[str, list[Sight]] = {}
    for sight in found.sights:
        by_metric.setdefault(sight.metric, []).append(sight)
    return by_metric


def _legend() -> str:
    said = {
        "monotone": "monotone: worse with every rung",
        "sees": "sees it at full strength",
        "-": "not seen",
        "fooled": "fooled: rated better than the truth",
    }
    marks = [f'<span class="key"><i style="background:{_COLOURS[w]}"></i>{text}</span>' for w, text in said.items()]
    return f'<p class="legend">{"".join(marks)}</p>'
