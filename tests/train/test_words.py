"""A policy learns other wordings without looking: what it does under its instructions stays as it was."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.train.test_policy import STEPS, objective_of, reaching
from wow.cli.main import main
from wow.models.dit import Conditions
from wow.models.policy import Policy
from wow.train.policy import PolicyObjective
from wow.train.recipes import POLICY_RECIPES
from wow.train.store import Clips
from wow.train.words import WordsObjective
from wow.types import WowError

CAPTION = "the picture shows a red square and a green square on a grey table, and the arm goes to the {} one of them"
SAID = {
    "red": ("go to the red square", "visit the crimson box", "touch what looks like a tomato"),
    "green": ("go to the green square", "travel to the lime tile", "point at the thing in the colour of grass"),
}


def spoken() -> Clips:
    """Episodes with two further wordings of each instruction, and a caption."""
    clips = reaching(8)
    colours = ["red" if "red" in texts[0] else "green" for texts in clips.texts]
    return replace(clips, texts=tuple((*SAID[colour], CAPTION.format(colour)) for colour in colours))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> PolicyObjective:
    smoke = POLICY_RECIPES["smoke"]()
    run = replace(smoke, model=replace(smoke.model, num_transitions=STEPS), words_alone=True)
    return objective_of(run, spoken(), tmp_path_factory.mktemp("texts"))


def sought(policy: Policy, start: PolicyObjective, *texts: str) -> torch.Tensor:
    tokens, mask = start.told.texts.gather(texts)
    count = len(texts)
    none, never = torch.zeros(count), torch.zeros(count, dtype=torch.bool)
    said = Conditions(tokens, mask, ~never, torch.zeros(count, STEPS, 3), none, none, never)
    with torch.no_grad():
        return policy.seek(said)


def learned(start: PolicyObjective) -> tuple[Policy, Policy]:
    """The policy before and after."""
    before = copy.deepcopy(start.network)
    objective = WordsObjective(start)
    # Training in several processes waits for a gradient of every weight that wants one.
    learning = {name: weight for name, weight in objective.network.named_parameters() if weight.requires_grad}
    assert {name.split(".")[0] for name in learning} == {"sought"}
    optimizer = torch.optim.Adam(learning.values(), lr=3e-3)
    for step in range(300):
        loss, numbers = objective.loss(objective.network, objective.batch(16, torch.Generator().manual_seed(step)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.2 * numbers["unchanged"]
    after = Policy(start.run.model)
    after.load_state_dict(objective.network.state_dict())
    assert isinstance(before, Policy)
    assert objective.preview(objective.network).shape == (8, 8, 3)
    assert (objective.preview(objective.network)[..., 0].diagonal() == 255).all()
    return before, after


def test_other_wordings_come_to_mean_the_instruction_and_nothing_else_changes(start: PolicyObjective) -> None:
    before, after = learned(start)
    for own, other in (SAID["red"], SAID["green"]), (SAID["green"], SAID["red"]):
        mine, theirs = (sought(before, start, texts[0]) for texts in (own, other))
        apart = (mine - theirs).norm()
        assert (sought(after, start, *own) - mine).norm(dim=1).max() < 0.35 * apart
        assert (sought(before, start, *own[1:]) - mine).norm(dim=1).min() > 0.5 * apart
        caption = next(texts[-1] for texts in start.clips.texts if texts[0] == own[0])
        assert (sought(after, start, caption) - sought(before, start, caption)).norm() < 0.35 * apart
    weights = after.state_dict()
    changed = {name.split(".")[0] for name, was in before.state_dict().items() if not torch.equal(was, weights[name])}
    assert changed == {"sought"}


def test_words_are_lost_but_never_all_of_them(start: PolicyObjective) -> None:
    deaf = WordsObjective(PolicyObjective(replace(start.run, lost_words=1.0), start.clips, start.told))
    batch = deaf.batch(64, torch.Generator().manual_seed(0))
    assert batch.heard.text_mask.any(dim=1).all()
    some = WordsObjective(PolicyObjective(replace(start.run, lost_words=0.5), start.clips, start.told))
    batch = some.batch(64, torch.Generator().manual_seed(0))
    assert batch.heard.text_mask.sum() < 0.7 * (batch.heard.text.abs().sum(dim=-1) > 0).sum()
    assert torch.equal(batch.meant.text_mask, batch.meant.text.abs().sum(dim=-1) > 0)


def test_without_other_wordings_there_is_nothing_to_learn(tmp_path: Path) -> None:
    run = POLICY_RECIPES["smoke"]()
    run = replace(run, model=replace(run.model, num_transitions=STEPS))
    with pytest.raises(WowError, match="no second wording"):
        WordsObjective(objective_of(run, reaching(4), tmp_path))


def test_the_command_wants_a_policy_to_begin_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", "policy", "--recipe", "words", "--data", str(tmp_path), "--out", str(tmp_path / "run")]
    assert main(words) != 0
    assert "--from MODEL" in capsys.readouterr().err and not (tmp_path / "run").exists()
