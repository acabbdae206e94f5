"""From the answers of a human study to numbers: who is taken for real, and which metric agrees with people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wow.bench.agreement import Agreement, agreement
from wow.bench.correlation import Correlation, correlate
from wow.bench.dimensions.registry import METRICS
from wow.bench.intervals import Estimate, mean, share
from wow.bench.study import CHOICE, FORMAT, RATING, SCALES, Item, Study
from wow.bench.text import grid
from wow.bench.validity import OVERALL, title_of
from wow.types import WowError

SUM = "sum"
"""The four scales added up, 4 to 20."""
DECEIVED = "deceived"
"""The share of a run's videos that were taken for real: what runs are correlated with beside the scales."""


@dataclass(frozen=True)
class Answers:
    """One person's: for each item either the four ratings, or whether it was taken for real."""

    rater: str
    ratings: Mapping[str, Mapping[str, int]]
    taken_for_real: Mapping[str, bool]


@dataclass(frozen=True)
class StudyScores:
    """deceived: by run, the share of its videos that were taken for real; caught: of real ones. means: by run and
    scale. videos: correlations over single videos, by scale and metric; runs: the same over runs, of FVD and both
    overall scores too, and with the deceive ratio. agreements: between people, by scale; None where no video was rated
    twice."""

    raters: int
    deceived: Mapping[str, Estimate]
    caught: Estimate | None
    means: Mapping[str, Mapping[str, Estimate]]
    videos: Mapping[str, Mapping[str, Correlation]]
    runs: Mapping[str, Mapping[str, Correlation]]
    agreements: Mapping[str, Agreement | None]


def read_answers(path: Path, study: Study) -> Answers:
    """The answers in a file. Raises WowError, in one line, for anything that is none to this study."""
    items = {item.identity: item for item in study.items}
    ratings: dict[str, Mapping[str, int]] = {}
    choices: dict[str, bool] = {}
    try:
        told = json.loads(path.read_text())
        if not isinstance(told, dict):
            raise ValueError("it is no JSON object, as the page's download is")
        if told["format"] != FORMAT or told["study"] != study.name:
            raise WowError(f"{path} answers another study ({told['study']}, not {study.name})")
        for identity, given in dict(told["items"]).items():
            if identity not in items:
                raise WowError(f"{path} answers a question that was not asked ({identity})")
            if items[identity].task == RATING:
                ratings[identity] = {name: _points(path, given, name) for name in SCALES}
            elif given["choice"] in ("real", "generated"):
                choices[identity] = given["choice"] == "real"
            else:
                raise WowError(f"{path} chooses {str(given['choice'])[:40]!r}, not real or generated")
        return Answers(str(told["rater"]), ratings, choices)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise WowError(f"{path} holds no answers of a study ({problem})") from None


def score_study(study: Study, answers: Sequence[Answers]) -> StudyScores:
    """Raises WowError where nobody answered, or somebody twice."""
    raters = [one.rater for one in answers]
    if not raters:
        raise WowError("there are no answers: name the files that the page gave")
    if twice := [rater for rater in raters if raters.count(rater) > 1]:
        raise WowError(f"{twice[0]!r} answered twice: keep one of the files")
    names = list(dict.fromkeys(item.run for item in study.items if not item.is_real))
    choices = [(item, one.taken_for_real[item.identity]) for one in answers for item in study.items
               if item.task == CHOICE and item.identity in one.taken_for_real]  # fmt: skip
    deceived = {
        name: share(sum(taken), len(taken))
        for name in names
        if (taken := [taken for item, taken in choices if item.run == name])
    }
    real = [taken for item, taken in choices if item.is_real]
    rated = [(item, _ratings(item, answers)) for item in study.items if item.task == RATING]
    kept = [(item, found) for item, found in rated if found]
    means = {
        name: {scale: _mean([f for item, f in kept if item.run == name], scale) for scale in (*SCALES, SUM)}
        for name in names
        if any(item.run == name for item, _ in kept)
    }
    return StudyScores(
        raters=len(raters),
        deceived=deceived,
        caught=share(len(real) - sum(real), len(real)) if real else None,
        means=means,
        videos={scale: _over_videos(kept, scale) for scale in (*SCALES, SUM)},
        runs=_over_runs(study, kept, means, deceived),
        agreements={scale: agreement([[one[scale] for one in found] for _, found in kept]) for scale in (*SCALES, SUM)},
    )


def _points(path: Path, given: Mapping[str, object], name: str) -> int:
    value = given[name]
    if type(value) is not int or not 1 <= value <= 5:
        raise WowError(f"{path} rates {name} with {str(value)[:40]!r}, not 1 to 5")
    return value


def _ratings(item: Item, answers: Sequence[Answers]) -> list[dict[str, float]]:
    """What everybody who rated it says, with the sum."""
    found = [one.ratings[item.identity] for one in answers if item.identity in one.ratings]
    return [{**{name: float(points) for name, points in one.items()}, SUM: float(sum(one.values()))} for one in found]


def _mean(found: Sequence[Sequence[Mapping[str, float]]], scale: str) -> Estimate:
    """Over all ratings, with an interval over whole videos."""
    pairs = [(str(place), one[scale]) for place, ratings in enumerate(found) for one in ratings]
    return mean([value for _, value in pairs], [place for place, _ in pairs])


def _over_videos(kept: Sequence[tuple[Item, list[dict[str, float]]]], scale: str) -> dict[str, Correlation]:
    """With each metric, over single videos: its mean rating against its value, on which more means better."""
    found: dict[str, Correlation] = {}
    for name, metric in METRICS.items():
        sign = 1.0 if metric.higher_is_better else -1.0
        pairs = [(sign * i.values[name], _average(ratings, scale)) for i, ratings in kept if name in i.values]
        if pairs and (one := correlate([a for a, _ in pairs], [b for _, b in pairs])) is not None:
            found[name] = one
    return found


def _over_runs(
    study: Study,
    kept: Sequence[tuple[Item, list[dict[str, float]]]],
    means: Mapping[str, Mapping[str, Estimate]],
    deceived: Mapping[str, Estimate],
) -> dict[str, dict[str, Correlation]]:
    """By scale, and for the deceive ratio, the correlation of runs with each metric.

    A metric counts with its mean over the videos that were shown; what single videos do not have, over the suite.
    """
    rated = _values(study, [item for item, _ in kept])
    guessed = _values(study, [item for item in study.items if item.task == CHOICE and not item.is_real])
    found = {
        scale: _correlated(rated, {run: told[scale].value for run, told in means.items()}) for scale in (*SCALES, SUM)
    }
    return {**found, DECEIVED: _correlated(guessed, {run: one.value for run, one in deceived.items()})}


def _values(study: Study, shown: Sequence[Item]) -> dict[str, dict[str, float]]:
    """By run and metric, turned so that more is better."""
    found: dict[str, dict[str, float]] = {}
    for run in dict.fromkeys(item.run for item in shown):
        items = [item.values for item in shown if item.run == run]
        columns = {name: [values[name] for values in items if name in values] for name in METRICS}
        means = {name: float(np.mean(column)) for name, column in columns.items() if column}
        told = {**means, **study.suite.get(run, {})}
        found[run] = {name: _sign(name) * value for name, value in told.items()}
    return found


def _correlated(values: Mapping[str, Mapping[str, float]], people: Mapping[str, float]) -> dict[str, Correlation]:
    found: dict[str, Correlation] = {}
    for name in dict.fromkeys(name for told in values.values() for name in told):
        known = [run for run in people if name in values.get(run, {})]
        one = correlate([values[run][name] for run in known], [people[run] for run in known])
        if one is not None:
            found[name] = one
    return found


def _sign(name: str) -> float:
    """-1 where less is better; of an overall score more is."""
    return -1.0 if name in METRICS and not METRICS[name].higher_is_better else 1.0


def _average(ratings: Sequence[Mapping[str, float]], scale: str) -> float:
    return float(np.mean([one[scale] for one in ratings]))


def study_json(scores: StudyScores) -> dict[str, Any]:
    """For machines."""
    return asdict(scores)


def markdown(scores: StudyScores) -> str:
    """For people."""
    titles = {**{name: title for name, (title, _) in SCALES.items()}, SUM: "Sum"}
    caught = "nobody was shown a real one" if scores.caught is None else _shown(scores.caught)
    lines = [f"# Human study: {scores.raters} raters", "Intervals are 95 %: Wilson's for shares, else bootstraps."]
    rows = [["run", "deceive ratio", *titles.values()]]
    for run in dict.fromkeys([*scores.means, *scores.deceived]):
        told = scores.means.get(run, {})
        rows.append([run, _shown(scores.deceived.get(run)), *(_shown(told.get(scale)) for scale in titles)])
    lines += [grid(rows), f"Real videos taken for generated ones: {caught}."]
    agreed = [["scale", "mean difference of two raters", "ICC(1, 1)", "videos rated twice"]]
    for scale, found in scores.agreements.items():
        if found is not None:
            icc = "N/A" if found.icc is None else f"{found.icc:.2f}"
            agreed.append([titles[scale], f"{found.difference:.2f}", icc, str(found.samples)])
    lines += ["## Do people agree?", grid(agreed) if len(agreed) > 1 else "No video was rated by two people."]
    with_ratio = {**titles, DECEIVED: "Deceive ratio"}
    for over, table, columns in (("single videos", scores.videos, titles), ("runs", scores.runs, with_ratio)):
        lines += [f"## Correlation of metrics with people, over {over} (more is better)", _table(table, columns)]
    return "\n\n".join(lines) + "\n"


def _table(table: Mapping[str, Mapping[str, Correlation]], titles: Mapping[str, str]) -> str:
    names = [name for name in (*OVERALL, *METRICS) if any(name in found for found in table.values())]
    if not names:
        return "N/A: fewer than three cases, or nothing varies."
    rows = [["metric", *(f"{title}: {kind}" for title in titles.values() for kind in ("Pearson", "Spearman"))]]
    for name in names:
        found = [table.get(scale, {}).get(name) for scale in titles]
        cells = [_shown(part) for one in found for part in ((one.pearson, one.spearman) if one else (None, None))]
        rows.append([title_of(name), *cells])
    return grid(rows)


def _shown(found: Estimate | None) -> str:
    if found is None:
        return "N/A"
    if found.low is None or found.high is None:
        return f"{found.value:.2f}"
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
