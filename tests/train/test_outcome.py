"""What the outcome network learns from, and that it learns: a hand that is to get to where the policy would."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from wow import assembly, weights
from wow.cli.main import main
from wow.data import DatasetWriter
from wow.data.tries import NEVER, Tries, write_tries
from wow.train.checkpoint import load_average
from wow.train.outcome import OutcomeObjective, logits_of, prepare_outcome
from wow.train.outcome_calibrate import calibrate_outcome, within
from wow.train.outcome_data import UNKNOWN, Goals, cut_short, open_attempted, other_words
from wow.train.recipes import OUTCOME_RECIPES
from wow.types import Episode, Video, WowError

GOALS = Goals({"drawer-open": ("drawer-close",), "drawer-close": ("drawer-open",)}, {"drawer-open": (), "reach": ()})
TEXTS = {"drawer-open": "open the drawer", "drawer-close": "close the drawer"}
SUMMED = np.array([True, False])


def scene(number: int) -> Tries:
    """Two plans: what the policy would do succeeds, the same much farther to one side does not."""
    agent = assembly.load("wow-mini")
    random = np.random.default_rng(number)
    task = ("drawer-open", "drawer-close")[number % 2]
    picture = random.integers(0, 256, (128, 128, 3), np.uint8)
    practised = agent.imitate(picture, TEXTS[task]).values
    astray = practised + np.array([0.05, 0, 0, 0, 0, 0, 0], np.float32)
    step = np.array([9, NEVER], np.int64)
    return Tries(task, number, TEXTS[task], picture, np.stack([practised, astray]), step, ("mean", "mean misread"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tries") / "data"
    folder.mkdir()
    card = assembly.load("wow-mini").embodiment
    for number in range(12):
        write_tries(folder, scene(number), card)
    return folder


@pytest.fixture(scope="module")
def objective(data: Path) -> OutcomeObjective:
    policy, scale, size = assembly.practised_policy(weights.shipped())
    run = OUTCOME_RECIPES["smoke"]()
    return prepare_outcome(run, [data], [], GOALS, policy, assembly.load_text(), scale, size)[0]


def test_every_plan_is_judged_in_its_own_scene(objective: OutcomeObjective) -> None:
    plans = objective.plans
    assert plans.motion.shape == (24, 16, 7) and plans.success.tolist() == [True, False] * 12
    assert plans.step.tolist() == [9, NEVER] * 12 and plans.scene.tolist() == [i // 2 for i in range(24)]
    gaps = np.abs(plans.motion - plans.practised[plans.context]).max(axis=(1, 2))
    assert gaps[::2].max() < 1e-3 < 0.1 < gaps[1::2].min()


def test_what_a_success_undoes_is_not_reached_by_it_and_of_failures_nobody_knows(objective: OutcomeObjective) -> None:
    others = other_words(objective.plans, GOALS)
    for plan, contexts in enumerate(others):
        own = objective.plans.tasks[int(objective.plans.scene[plan])]
        wanted = [GOALS.rivals[own][0]] if objective.plans.success[plan] else []
        assert [objective.plans.tasks[int(context)] for context in contexts] == wanted


def test_held_out_scenes_are_never_drawn(objective: OutcomeObjective) -> None:
    learned, kept = ({int(objective.plans.scene[p]) for p in rows} for rows in (objective.learned, objective.kept))
    assert learned and kept and not learned & kept and not any(objective.run.holds_out(one) for one in learned)


def test_the_same_generator_gives_the_same_batch(objective: OutcomeObjective) -> None:
    one, other = (objective.batch(8, torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(torch.equal(value, getattr(other, name)) for name, value in vars(one).items())


def test_a_motion_that_is_cut_short_stands_still_or_takes_its_time() -> None:
    motion = np.stack([np.arange(1.0, 9.0), np.full(8, 0.5)], axis=-1).astype(np.float32)
    stopped, slow = (cut_short(motion, 4, SUMMED, stretched) for stretched in (False, True))
    assert stopped[:, 0].tolist() == [1, 2, 3, 4, 4, 4, 4, 4] and (stopped[:, 1] == 0.5).all()
    assert slow[:, 0].tolist() == [0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4] and (slow[:, 1] == 0.5).all()


def test_a_beginning_counts_only_where_it_is_known_what_it_would_have_done(objective: OutcomeObjective) -> None:
    run = replace(objective.run, cut=1.0, wrong=0.0, noise=0.0)
    learner = OutcomeObjective(run, objective.plans, GOALS, objective.network._policy[0])  # type: ignore[index, union-attr]
    random = np.random.default_rng(0)
    seen = set()
    for _ in range(300):
        _, motion, success = learner._draw(0, random)
        stops = int((np.abs(np.diff(motion[:, 0])) > 1e-7).sum()) + 1
        if np.array_equal(motion[-1], motion[-2]):  # it stands still at the end
            seen.add(success)
            assert success == float(stops > 9) and not 8 <= stops <= 9
    assert seen == {0.0, 1.0}
    assert {learner._draw(1, random)[2] for _ in range(50)} == {0.0}, "no beginning of a failure succeeds"


def test_it_learns_to_tell_success_from_failure_and_says_how_well(objective: OutcomeObjective) -> None:
    torch.manual_seed(0)
    policy = objective.network._policy[0]  # type: ignore[index, union-attr]
    learner = OutcomeObjective(replace(objective.run, cut=0.0), objective.plans, GOALS, policy)
    optimizer = torch.optim.AdamW(learner.network.parameters(), lr=5e-3)
    for step in range(120):
        loss, _ = learner.loss(learner.network, learner.batch(16, torch.Generator().manual_seed(step)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    chance, worth = calibrate_outcome(learner.network, learner)
    assert worth["auroc"] > 0.9 and worth["scene_auroc"] > 0.9 and worth["plans"] == len(learner.kept)
    said = chance(logits_of(learner.network, learner.plans, learner.kept))
    assert said[learner.plans.success[learner.kept]].min() > 0.5


def test_within_a_group_only_its_own_pairs_count() -> None:
    scores, truths = np.array([0.9, 0.8, 0.2, 0.1]), np.array([True, False, False, True])
    assert within(scores, truths, np.array([0, 0, 1, 1])) == 0.5
    assert within(scores, truths, np.array([0, 1, 0, 1])) == 0.5
    assert within(scores, truths, np.zeros(4, int)) == 0.5 and np.isnan(within(scores, truths, np.arange(4)))


def test_plans_of_recorded_episodes_know_when_they_succeeded(tmp_path: Path) -> None:
    """Their actions in as many transitions as the policy's, from their first picture on; the last row leads nowhere."""
    card, (_, scale, _) = assembly.load("wow-mini").embodiment, assembly.practised_policy(weights.shipped())
    actions = np.zeros((33, 7), np.float32)
    actions[:, 0] = 0.01
    with DatasetWriter(tmp_path / "data", card, fps=20.0) as writer:
        for facts, success in (({"success_step": 63, "control_steps": 128}, True), ({}, True), ({}, False), ({}, None)):
            frames = np.zeros((33, 128, 128, 3), np.uint8)
            known = {"task_name": "drawer-open", **facts}
            video = {card.cameras[0].name: Video(frames, 20.0)}
            writer.add(Episode(video, actions, card, "open the drawer", success=success, facts=known))
    found = open_attempted([tmp_path / "data"], scale, 16)
    assert [int(one.step[0]) for one in found] == [7, UNKNOWN, NEVER]
    path = scale.actions(found[0].motions[0])[:, 0].cumsum()
    assert path.tolist() == pytest.approx([0.02 * step for step in range(1, 17)], abs=1e-5)


def test_from_the_command_to_a_verdict(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trains, goes on where it was, exports, and the exported critic judges; another policy beside it is noticed."""
    run, folder = tmp_path / "run", tmp_path / "model"
    words = ["train", "outcome", "--recipe", "smoke", "--data", str(data), "--out", str(run), "--json"]
    assert main([*words, "--config.train.steps", "3", "--max-minutes", "0"]) == 0
    stopped = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert stopped["step"] == 1 and not stopped["finished"]
    assert main([*words, "--config.train.steps", "3"]) == 0
    finished = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert finished["finished"] and "auroc" in finished
    assert main(["train", "export", "--from", "wow-mini", "--outcome", str(run), "--out", str(folder)]) == 0
    tensors, config = weights.load_part(folder, "outcome")
    assert set(config["calibration"]) == {"slope", "offset"} and config["held_out"]
    assert sum(tensor.numel() for tensor in tensors.values()) < 20_000, "the policy is not copied"
    assert load_average(run).keys() == tensors.keys()
    agent = assembly.load(folder)
    video = Video(np.repeat(scene(0).picture[None], 17, axis=0), 5.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        verdict = assembly.CRITICS["learned"](agent)(video, "open the drawer")
    assert 0.0 <= verdict.success_probability <= 1.0 and "open the drawer" in verdict.reason
    judged = assembly.load_outcome(folder)(scene(0).picture, "open the drawer", agent.act(video, paced=False))
    assert (
        judged[-1] == pytest.approx(verdict.success_probability, abs=1e-6)
        or "faults" in weights.read_manifest(folder).parts
    )
    weights.save_part(folder, "outcome", tensors, {**config, "policy": "another"})
    with pytest.warns(UserWarning, match="another policy"):
        assembly.load_outcome(folder)


def test_what_cannot_be_learned_from_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (folder, said) in enumerate(((tmp_path / "nothing", "nothing"), (data / "none", "none"))):
        words = ["train", "outcome", "--recipe", "smoke", "--data", str(folder), "--out", str(tmp_path / str(number))]
        assert main(words) == 2
        error = capsys.readouterr().err.strip()
        assert said in error and "Traceback" not in error and len(error.splitlines()) == 1
    with pytest.raises(WowError, match="too few scenes"):
        policy, scale, size = assembly.practised_policy(weights.shipped())
        alone = tmp_path / "alone"
        alone.mkdir()
        write_tries(alone, scene(0), assembly.load("wow-mini").embodiment)
        run = OUTCOME_RECIPES["smoke"]()
        prepare_outcome(run, [alone], [], GOALS, policy, assembly.load_text(), scale, size)
