"""`wow refine` with a judge that misbehaves: it ends well, in time, with the trace intact, and no word of the key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from wow import assembly
from wow.cli.main import main

PICTURE = str(Path(__file__).parents[2] / "docs/images/drawer.png")
KEY = "sk-very-secret-0123456789"
LOADED = cache(assembly.load)


@pytest.fixture(autouse=True)
def one_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The trained model, read once."""
    monkeypatch.setattr(assembly, "load", LOADED)
    yield


def refine(out: Path, url: str, kind: str, monkeypatch: pytest.MonkeyPatch, *words: str, seconds: str = "2") -> int:
    for name, value in (("", url), ("_MODEL", kind), ("_SECONDS", seconds), ("_PRICES", "10,10")):
        monkeypatch.setenv(f"WOW_ENDPOINT{name}", value)
    monkeypatch.setenv("WOW_API_KEY", KEY)
    fast = ["--num-frames", "9", "--num-inference-steps", "1", "--num-planning-steps", "2", "--corrections", "0"]
    judged = ["--critic", "vlm,checks", "--max-samples", "3", "--candidates", "2", "--confident", "2"]
    return main(["refine", PICTURE, "open the drawer", "--out", str(out), *fast, *judged, "--json", *words])


def rounds_of(out: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (out / "trace.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["start", "round", "round", "end"]
    return lines[1:-1]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("hang", "did not finish its answer in time"),
        ("prose", "did not answer in the agreed form"),
        ("always-429", "429"),
        ("status-401", "refused the key in WOW_API_KEY"),
    ],
)
def test_a_judge_that_fails_is_recorded_and_the_checks_decide(
    unruly: str,
    kind: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    assert refine(out, unruly, kind, monkeypatch) == 0
    shown = capsys.readouterr()
    for done in rounds_of(out):
        assert said in done["problems"]["vlm"] and "checks" not in done["problems"]
        assert all(set(attempt["verdicts"]) == {"checks"} for attempt in done["attempts"])
        # Two videos, but who hung once is not waited for twice.
        assert done["seconds"]["judge"] < 8.0
        assert (done["tokens"] > 0) == (done["cost"] > 0) == (kind == "prose"), "what was answered in vain costs too"
    assert said in (out / "report.html").read_text().replace("&#x27;", "'")
    assert_no_key(out, shown.out + shown.err)


def test_orders_in_an_answer_are_shown_and_not_followed(
    unruly: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert refine(out, unruly, "orders", monkeypatch) == 0
    shown = capsys.readouterr()
    summary = json.loads(shown.out.splitlines()[-1])
    assert not summary["completed"] and summary["cost"] > 0
    for done in rounds_of(out):
        assert done["problems"] == {}
        assert all("Ignore all rules" in attempt["verdicts"]["vlm"]["reason"] for attempt in done["attempts"])
    page = (out / "report.html").read_text()
    assert "Ignore all rules" in page and "<script" not in page
    assert not set("\x1b\u202e") & set(page + shown.out + shown.err)
    assert_no_key(out, shown.out + shown.err)


def test_a_budget_of_seconds_holds_from_the_first_round_on(
    unruly: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint may take a minute, the search half a second: it waits no longer than the search has left."""
    out = tmp_path / "out"
    assert refine(out, unruly, "hang", monkeypatch, "--max-seconds", "0.5", seconds="60") == 0
    lines = [json.loads(line) for line in (out / "trace.jsonl").read_text().splitlines()]
    (done,) = [line for line in lines if line["event"] == "round"]
    assert done["seconds"]["judge"] < 5.0 and "0.5 seconds" in lines[-1]["stopped"]
    assert "time" in done["problems"]["vlm"]


def assert_no_key(out: Path, shown: str) -> None:
    assert KEY not in shown
    holding = [path.name for path in out.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]
    assert not holding
