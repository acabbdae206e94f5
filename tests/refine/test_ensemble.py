"""One decision from several critics: who does not know changes nothing, and weights are learned from what happened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wow.refine.ensemble import Ensemble, calibrated, log_odds
from wow.refine.weighing import ensemble_of, store
from wow.types import Verdict, WowError


def verdict(probability: float, reason: str = "", **scores: float) -> Verdict:
    return Verdict(scores, probability > 0.5, max(probability, 1 - probability), reason, (2, 5), 0.5, 10)


TWO = {"a": verdict(0.9), "c": verdict(0.5)}


@pytest.mark.parametrize("probability", [0.02, 0.3, 0.5, 0.9])
def test_who_does_not_know_changes_nothing(probability: float) -> None:
    said = {"sure": verdict(probability), "unsure": verdict(0.5)}
    assert Ensemble()(said).success_probability == pytest.approx(probability)


def test_opposites_cancel_out_and_weights_break_the_tie() -> None:
    said = {"yes": verdict(0.9, "it is in"), "no": verdict(0.1, "it vanished")}
    assert Ensemble()(said).success_probability == pytest.approx(0.5)
    decision = Ensemble({"yes": 1.0, "no": 2.0})(said)
    assert not decision.completed and decision.confidence == pytest.approx(0.9)
    assert decision.reason == "no: it vanished" and decision.span == (2, 5), "the reason is that of who decided"
    assert Ensemble({"yes": 2.0, "no": 1.0})(said).reason == "yes: it is in"
    assert (decision.tokens, decision.seconds) == (20, 1.0)


def test_scores_are_weighted_means_over_those_who_gave_them() -> None:
    said = {"a": verdict(0.6, visual_quality=5.0, task_completion=2.0), "b": verdict(0.6, visual_quality=2.0)}
    assert Ensemble({"a": 1.0, "b": 2.0})(said).scores == {"task_completion": 2.0, "visual_quality": 3.0}


def test_who_could_not_judge_counts_as_one_who_does_not_know() -> None:
    ensemble = Ensemble({"a": 1.5, "b": 1.0}, bias=-0.2)
    unsure = ensemble({"a": verdict(0.8), "b": verdict(0.5)})
    assert ensemble({"a": verdict(0.8)}).success_probability == pytest.approx(unsure.success_probability)
    assert ensemble({}).success_probability == 0.5 and not ensemble({}).completed


def test_weights_that_are_stored_are_used_for_those_very_critics(tmp_path: Path) -> None:
    file = tmp_path / "weights.json"
    store(file, Ensemble({"b": 2.0, "a": 0.5}, -1.0), videos=40)
    store(file, Ensemble({"a": 3.0}, 0.25), videos=7)
    assert ensemble_of(["a", "b"], file) == Ensemble({"a": 0.5, "b": 2.0}, -1.0) == ensemble_of(["b", "a"], file)
    assert ensemble_of(["a"], file) == Ensemble({"a": 3.0}, 0.25), "a further entry leaves the others alone"
    assert (
        ensemble_of(["a", "c"], file)
        == Ensemble({"a": 1.0, "c": 1.0})
        == ensemble_of(["a", "c"], tmp_path / "none.json")
    )
    assert ensemble_of(["a", "c"])(TWO).success_probability == pytest.approx(0.9), "and by default nobody is halved"


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"a": {"weights": {"a": -1}, "bias": 0}}', '{"a": {"weights": {"a": NaN}}}']
)
def test_weights_that_cannot_be_read_are_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "weights.json"
    file.write_text(text)
    with pytest.raises(WowError, match="cannot be read"):
        ensemble_of(["a"], file)


def test_nobody_is_infinitely_sure() -> None:
    said = {"a": verdict(1.0), "b": verdict(0.0), "c": verdict(0.2)}
    assert Ensemble()(said).success_probability == pytest.approx(0.2)


def test_calibration_finds_how_much_each_is_to_be_believed() -> None:
    """One critic whose log-odds are half of the truth, one that guesses, one that says the opposite."""
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 2, 4000)
    happened = rng.random(4000) < 1 / (1 + np.exp(-(2 * odds - 1)))
    sigmoid = lambda values: 1 / (1 + np.exp(-values))  # noqa: E731
    rows = zip(sigmoid(odds), sigmoid(rng.normal(0, 2, 4000)), sigmoid(-odds + rng.normal(0, 1, 4000)), strict=True)
    said = [dict(zip(("shy", "guesser", "liar"), row, strict=True)) for row in rows]
    found = calibrated(said, happened.tolist(), ["shy", "guesser", "liar"])
    assert found.weights["shy"] == pytest.approx(2.0, abs=0.2) and found.bias == pytest.approx(-1.0, abs=0.2)
    assert found.weights["guesser"] == pytest.approx(0.0, abs=0.1) and found.weights["liar"] == 0.0
    predicted = [found({name: verdict(value) for name, value in row.items()}).success_probability for row in said]
    for low in (0.0, 0.25, 0.5, 0.75):
        inside = [done for value, done in zip(predicted, happened, strict=True) if low <= value < low + 0.25]
        assert low - 0.03 <= np.mean(inside) <= low + 0.28, "of what is given 60 %, about 60 % happen"


def test_log_odds_are_bounded() -> None:
    assert log_odds(0.5) == 0 and log_odds(1.0) == -log_odds(0.0) < 7
