"""Suites: the published layout as it is, ours, and what is made of datasets and folders of videos."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.bench.suites import FRAMES, SIDE, crossing, make_suite, write_film
from wow.bench.abilities import LEAVES, leaf_of
from wow.bench.cases import load_case
from wow.bench.dimensions.contract import MASKS
from wow.bench.suite import Meta, open_suite
from wow.bench.suite_import import ImportOptions, import_suite
from wow.types import WowError


def published(folder: Path) -> Path:
    """Two cases as in the published dataset; the second has its video under its own name."""
    for number, (group, video) in enumerate((("perception/attribute/color", "video"), ("long_horizon", "case_1"))):
        case = folder / "benchmark_samples" / group / f"case_{number}"
        case.mkdir(parents=True)
        frames, _ = crossing(number)
        Image.fromarray(frames[0]).save(case / "init_frame.jpg")
        (case / "prompt.txt").write_text(f"do {number}\n")
        write_film(case / f"{video}.mp4", frames)
    lines = [
        {"index": 0, "image": "x/case_0/init_frame.jpg", "generated_description": "at length", "original_lang": "do 0"},
        {"index": "case_1", "image": "", "generated_description": "also at length"},
    ]
    text = "\n".join([*map(json.dumps, lines), "{broken"])
    (folder / "generated_descriptions.jsonl").write_text(text)
    return folder


def test_the_published_layout_is_read_as_it_is(tmp_path: Path) -> None:
    suite = open_suite(published(tmp_path / "wow"))
    first, second = suite.samples
    assert [first.key, second.key] == [
        "benchmark_samples/long_horizon/case_1",
        "benchmark_samples/perception/attribute/color/case_0",
    ]
    assert (first.prompt, first.dense, first.meta.ability) == ("do 1", "also at length", "planning")
    assert (second.dense, second.meta.sub_task, second.meta.ability) == ("at length", "attribute-color", "perception")
    assert first.truth is not None and first.truth.name == "case_1.mp4"
    assert not suite.problems


def test_there_are_twenty_leaves_and_their_names_mean_themselves() -> None:
    assert len(LEAVES) == 20
    wrong = [leaf for leaf in LEAVES if leaf_of(f"prediction/{leaf}") != leaf]
    assert not wrong


def test_equal_suites_have_equal_hashes_wherever_they_lie(tmp_path: Path) -> None:
    one = open_suite(make_suite(tmp_path / "one"))
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert open_suite(tmp_path / "two").digest == one.digest
    (tmp_path / "two" / "a" / "1" / "prompt.txt").write_text("something else")
    changed = open_suite(tmp_path / "two")
    assert changed.digest != one.digest
    assert ["changed since it was made" in str(problem) for problem in changed.problems] == [True]
    assert len(changed.samples) == 3, "a changed suite is still scored"


def test_broken_samples_are_named_and_the_others_stay(tmp_path: Path) -> None:
    folder = make_suite(tmp_path, count=4)
    (folder / "a" / "0" / "prompt.txt").write_text("  ")
    (folder / "a" / "1" / "init_frame.png").unlink()
    (folder / "a" / "2" / "meta.json").write_text("{")
    suite = open_suite(folder)
    assert [sample.key for sample in suite.samples] == ["a/3"]
    words = ("no prompt", "no first frame", "not JSON")
    told = {problem.key: problem.what for problem in suite.problems if problem.key}
    assert all(word in told[f"a/{number}"] for number, word in enumerate(words))


def test_a_folder_without_samples_is_no_suite(tmp_path: Path) -> None:
    with pytest.raises(WowError, match="holds no sample"):
        open_suite(tmp_path)
    with pytest.raises(WowError, match="there is no suite"):
        open_suite(tmp_path / "nowhere")


def test_a_folder_of_videos_becomes_a_suite_and_an_interrupted_import_goes_on(tmp_path: Path) -> None:
    films = tmp_path / "films"
    for number in range(3):
        write_film(films / f"push_it-{number}.mp4", crossing(number)[0])
    (films / "push_it-1.txt").write_text("push the square\nPush the bright square slowly to the right.\n")
    (films / "broken.mp4").write_bytes(b"no video")
    first = import_suite(films, tmp_path / "suite", ImportOptions(sub_task="spatial", difficulty="easy"))
    assert (first.added, len(first.problems)) == (3, 1)
    suite = open_suite(tmp_path / "suite")
    prompts = {sample.key: sample.prompt for sample in suite.samples}
    assert prompts == {"push_it-0": "push it 0", "push_it-1": "push the square", "push_it-2": "push it 2"}
    assert suite.samples[1].dense == "Push the bright square slowly to the right."
    assert suite.samples[0].meta.sub_task == "spatial"
    shutil.rmtree(tmp_path / "suite" / "push_it-2")
    again = import_suite(films, tmp_path / "suite", ImportOptions(sub_task="spatial", difficulty="easy"))
    assert (again.added, again.already) == (1, 2)
    assert again.digest == first.digest == suite.digest


def test_samples_are_called_by_the_numbers_of_their_episodes(tmp_path: Path) -> None:
    """Also where one is damaged: nothing else is imported under its number."""
    films = tmp_path / "films"
    for number in range(3):
        write_film(films / f"{number}.mp4", crossing(number)[0])
    (films / "1.mp4").write_bytes(b"no video")
    lines = [json.dumps({"video_path": f"{number}.mp4", "dense_lang": f"push {number}"}) for number in range(3)]
    (films / "list.jsonl").write_text("\n".join(lines))
    found = import_suite(films, tmp_path / "suite", ImportOptions())
    assert (found.added, len(found.problems)) == (2, 1)
    samples = {sample.key: sample for sample in open_suite(tmp_path / "suite").samples}
    assert {key: sample.prompt for key, sample in samples.items()} == {
        "episode_000000": "push 0", "episode_000002": "push 2",
    }  # fmt: skip
    assert samples["episode_000002"].meta.source.startswith("films, episode 2")


def test_a_truth_can_be_thinned_and_begins_with_the_first_frame(tmp_path: Path) -> None:
    frames, _ = crossing(0)
    write_film(tmp_path / "films" / "one.mp4", frames)
    import_suite(tmp_path / "films", tmp_path / "suite", ImportOptions(num_frames=4))
    sample = open_suite(tmp_path / "suite").samples[0]
    assert sample.truth is not None
    case = load_case(sample, sample.truth).case
    assert case.truth is not None and case.truth.shape == (4, SIDE, SIDE, 3)
    assert np.abs(case.truth[-1].astype(int) - frames[-1]).mean() < 8


def test_masks_and_key_points_say_where_things_are(tmp_path: Path) -> None:
    folder = make_suite(tmp_path, count=1) / "a" / "0"
    sample = open_suite(tmp_path).samples[0]
    assert sample.truth is not None
    case = load_case(sample, sample.truth).case
    assert case.exact is not None and case.exact.shape == (FRAMES, SIDE, SIDE)
    assert case.regions is not None and np.array_equal(case.regions == 2, crossing(0)[1][0] == 2)
    (folder / "masks.npz").unlink()
    (folder / "keypoints.json").write_text(json.dumps({"object": [[4, 12], [9, 12], [9, 17], [4, 17]]}))
    drawn = load_case(open_suite(tmp_path).samples[0], sample.truth).case.regions
    assert drawn is not None and (drawn == 2)[12:18, 4:10].all() and (drawn == 2).sum() < 120


@pytest.mark.parametrize("content", ["text", {"masks": np.zeros((1, 4, 4), np.float32)}, {"other": np.zeros(3)}])
def test_masks_that_are_none_are_a_sentence(tmp_path: Path, content: object) -> None:
    path = make_suite(tmp_path, count=1) / "a" / "0" / "masks.npz"
    if isinstance(content, dict):
        np.savez(path, **content)
    else:
        path.write_text(str(content))
    sample = open_suite(tmp_path).samples[0]
    assert sample.truth is not None
    case = load_case(sample, sample.truth).case
    assert case.regions is None and case.exact is None and case.truth is not None
    assert [need for need, why in case.broken.items() if "masks" in why and "\n" not in why] == [MASKS]


@pytest.mark.parametrize("told", ["{broken", "[1]", '{"plan": "reach"}', '{"plan": 5}', '{"facts": [1]}'])
def test_what_is_broken_in_one_sample_leaves_out_that_one(tmp_path: Path, told: str) -> None:
    suite = make_suite(tmp_path, count=2)
    (suite / "a" / "0" / "meta.json").write_text(told)
    opened = open_suite(suite)
    assert [sample.key for sample in opened.samples] == ["a/1"]
    problem = next(problem for problem in opened.problems if problem.left_out)
    assert problem.key == "a/0" and "meta.json" in problem.what and "\n" not in problem.what
    (suite / "suite.json").write_text(told if told.startswith("{b") else "[]")
    with pytest.raises(WowError, match=r"suite\.json.*make the suite again"):
        open_suite(suite)


def test_dense_prompts_find_their_sample_though_cases_of_two_classes_are_called_the_same(tmp_path: Path) -> None:
    make_suite(tmp_path, count=3)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    pictures = {"x/a/0": "of a", "x/b/0": "of b", "x/a/1": "only one", "elsewhere/2": "first", "nowhere/2": "second"}
    lines = [json.dumps({"image": f"{at}/init.png", "generated_description": text}) for at, text in pictures.items()]
    (tmp_path / "generated_descriptions.jsonl").write_text("\n".join(["{broken", "[1]", *lines]))
    (tmp_path / "b" / "2" / "dense_prompt.txt").write_text("its own")
    found = {sample.key: sample.dense for sample in open_suite(tmp_path).samples}
    assert found == {"a/0": "of a", "b/0": "of b", "a/1": "only one", "b/1": None, "a/2": None, "b/2": "its own"}


def test_what_a_sample_does_not_say_is_unknown() -> None:
    assert (Meta().ability, Meta().difficulty, Meta().plan) == ("unknown", "unknown", ())
