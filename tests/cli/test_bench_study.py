"""The human study: a page that gives nothing away, answers that are checked, numbers that follow from them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.bench.suites import make_suite, scored_runs
from wow.bench.study import CHOICE, RATING, SCALES, Study, read_study
from wow.bench.study_score import DECEIVED, SUM, markdown, read_answers, score_study
from wow.cli.main import main
from wow.types import WowError

EVIL = "</script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a slow, a slower and a still world, on four samples; one prompt is hostile."""
    folder = tmp_path_factory.mktemp("study")
    suite = make_suite(folder / "suite", count=4)
    (suite / "a" / "1" / "prompt.txt").write_text(EVIL)
    speeds = {"still": 0.0, "slower": 0.5, "slow": 1.5}
    runs = [str(run) for run in scored_runs(folder, suite, speeds, ["psnr", "drift"]).values()]
    assert main(["bench", "study", *runs, "--samples", "4", "--out", str(folder / "out")]) == 0
    return folder / "out"


def given(study: Study, rater: str, taste: dict[str, int], fooled_by: tuple[str, ...] = ()) -> dict[str, Any]:
    """Answers of somebody who rates runs by taste and takes some of them, and all that is real, for real."""
    items: dict[str, Any] = {}
    for item in study.items:
        if item.task == RATING:
            items[item.identity] = dict.fromkeys(SCALES, taste[item.run])
        else:
            items[item.identity] = {"choice": "real" if item.is_real or item.run in fooled_by else "generated"}
    return {"format": 1, "study": study.name, "rater": rater, "items": items}


def test_the_page_says_nothing_of_whose_a_video_is_and_loads_nothing(study: Path) -> None:
    page = (study / "study.html").read_text()
    key = read_study(study)
    outside = re.sub(r"data:video/mp4;base64,[A-Za-z0-9+/=]+", "", page)
    assert not any(word in outside for word in ("slower", "a/1", "http://", "https://", "psnr"))
    assert EVIL not in page and page.count("<script") == 2
    told = json.loads(re.findall(r'<script type="application/json" id="study">(.*?)</script>', page)[0])
    assert {one["id"] for one in told["items"]} == {item.identity for item in key.items}
    assert EVIL in {one["prompt"] for one in told["items"]}
    choices = [item for item in key.items if item.task == CHOICE]
    assert sum(item.is_real for item in choices) * 2 == len(choices) == 2 * 4 * 3


def test_the_same_seed_writes_the_same_study(study: Path, tmp_path: Path) -> None:
    runs = [str(study.parent / f"{name}-run") for name in ("still", "slower", "slow")]
    assert main(["bench", "study", *runs, "--samples", "4", "--out", str(tmp_path / "again")]) == 0
    for name in ("study.html", "key.json"):
        assert (tmp_path / "again" / name).read_bytes() == (study / name).read_bytes()


def test_answers_become_numbers(study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = read_study(study)
    taste = {"still": 1, "slower": 3, "slow": 5}
    people = [given(key, "ann", taste, ("slow",)), given(key, "bob", {**taste, "still": 2})]
    files = []
    for number, answers in enumerate(people):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(answers))
    scores = score_study(key, [read_answers(file, key) for file in files])
    assert {run: found.value for run, found in scores.deceived.items()} == {"still": 0.0, "slower": 0.0, "slow": 0.5}
    assert scores.deceived["slow"].n == 8 and scores.caught is not None and scores.caught.value == 0.0
    assert scores.means["slow"]["sum"].value == 20 and scores.means["still"]["visual"].value == 1.5
    assert scores.runs["sum"]["psnr"].spearman.value == pytest.approx(1.0)
    assert scores.videos["sum"]["psnr"].spearman.value > 0.8
    agreed = scores.agreements["visual"]
    assert agreed is not None and agreed.samples == 12 and agreed.difference == pytest.approx(1 / 3)
    words = ["bench", "study-score", *map(str, files), "--key", str(study), "--out", str(tmp_path / "scored"), "--json"]
    capsys.readouterr()
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["deceive_ratio"]["slow"] == 0.5 and told["raters"] == 2
    assert "| slow | 0.50" in (tmp_path / "scored" / "study.md").read_text()


def test_what_only_a_whole_run_has_is_correlated_too_and_with_the_deceive_ratio(study: Path, tmp_path: Path) -> None:
    key = read_study(study)
    assert key.suite.keys() == {"still", "slower", "slow"}
    order = [key.suite[run]["overall v2"] for run in ("still", "slower", "slow")]
    assert order == sorted(order) and all("overall v1" in told for told in key.suite.values())
    fvd = {"still": 900.0, "slower": 500.0, "slow": 100.0}
    told = json.loads((study / "key.json").read_text())
    told["suite"] = {run: {**one, "fvd": fvd[run]} for run, one in told["suite"].items()}
    (tmp_path / "key.json").write_text(json.dumps(told))
    key = read_study(tmp_path)
    answers = []
    for rater, fooled in (("ann", ("slow", "slower")), ("bob", ("slow",))):
        file = tmp_path / f"{rater}.json"
        file.write_text(json.dumps(given(key, rater, {"still": 1, "slower": 3, "slow": 5}, fooled)))
        answers.append(read_answers(file, key))
    scores = score_study(key, answers)
    assert [scores.deceived[run].value for run in ("still", "slower", "slow")] == [0.0, 0.5, 1.0]
    for scale in (SUM, DECEIVED):
        for name in ("fvd", "overall v1", "overall v2", "psnr"):
            assert scores.runs[scale][name].spearman.value == pytest.approx(1.0), (scale, name)
    text = markdown(scores)
    assert "| overall v2 |" in text and "| FVD |" in text and "Deceive ratio: Spearman" in text
    del told["suite"]
    (tmp_path / "key.json").write_text(json.dumps(told))
    assert "overall v2" not in score_study(read_study(tmp_path), answers).runs[SUM], "a key of before has none"


def test_answers_that_are_none_are_one_line(study: Path, tmp_path: Path) -> None:
    key = read_study(study)
    good = given(key, "ann", {"still": 1, "slower": 3, "slow": 5})
    rating = next(item.identity for item in key.items if item.task == RATING)
    choice = next(item.identity for item in key.items if item.task == CHOICE)
    wrong = {
        "another study": {**good, "study": "0"},
        "not asked": {**good, "items": {"nobody": {"choice": "real"}}},
        "not 1 to 5": {**good, "items": {rating: dict.fromkeys(SCALES, 9)}},
        "not real or generated": {**good, "items": {choice: {"choice": "maybe"}}},
        "holds no answers": {**good, "items": {rating: {"visual": 3}}},
    }
    file = tmp_path / "answers.json"
    for said, answers in wrong.items():
        file.write_text(json.dumps(answers))
        with pytest.raises(WowError, match=said):
            read_answers(file, key)
    file.write_text("[1, 2]")
    with pytest.raises(WowError, match="no JSON object"):
        read_answers(file, key)
    file.write_text("{")
    with pytest.raises(WowError, match="holds no answers"):
        read_answers(file, key)
    file.write_text(json.dumps(good))
    with pytest.raises(WowError, match="answered twice"):
        score_study(key, [read_answers(file, key)] * 2)
    with pytest.raises(WowError, match="no answers"):
        score_study(key, [])
    with pytest.raises(WowError, match="no key"):
        read_study(tmp_path)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node to read the script")
def test_the_script_of_the_page_can_be_read(study: Path, tmp_path: Path) -> None:
    script = (study / "study.html").read_text().rpartition("<script>")[2].partition("</script>")[0]
    (tmp_path / "page.js").write_text(script)
    subprocess.run(["node", "--check", str(tmp_path / "page.js")], check=True)
