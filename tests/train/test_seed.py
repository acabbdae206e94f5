"""A fresh run is the same run when its seed is: the same initial weights, the same first loss."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from wow.cli.main import main
from wow.cli.verbs import VERBS
from wow.models.codec import Codec
from wow.models.dit import DiT
from wow.models.idm import InverseDynamicsModel
from wow.models.policy import Policy
from wow.train.loop import TrainConfig, fresh
from wow.train.recipes import CODEC_RECIPES, IDM_RECIPES, POLICY_RECIPES, WORLD_RECIPES

NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "codec": lambda: Codec(CODEC_RECIPES["smoke"]().model),
    "world": lambda: DiT(WORLD_RECIPES["smoke"]().model),
    "policy": lambda: Policy(POLICY_RECIPES["smoke"]().model),
    "idm": lambda: InverseDynamicsModel(IDM_RECIPES["smoke"]().model),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_initial_weights_are_those_of_the_seed_whatever_was_drawn_before(name: str) -> None:
    first, again, other = (fresh(NETWORKS[name], replace(TrainConfig(), seed=seed)).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert any(not torch.equal(value, other[key]) for key, value in first.items())


def test_building_a_network_leaves_other_randomness_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fresh(NETWORKS["policy"], TrainConfig())
    assert torch.equal(torch.rand(3), expected)


def test_the_same_seed_has_the_same_first_loss_and_another_one_another(toy_data: Path, tmp_path: Path) -> None:
    def first_loss(out: str, *words: str) -> float:
        command = ["train", "codec", "--data", str(toy_data), "--recipe", "smoke", "--config.train.steps", "1"]
        assert main([*command, "--config.train.log-every", "1", "--out", str(tmp_path / out), *words]) == 0
        return float(json.loads((tmp_path / out / "log.jsonl").read_text().splitlines()[0])["loss"])

    losses = {name: first_loss(name, "--seed", seed) for name, seed in (("a", "3"), ("b", "3"), ("c", "4"))}
    assert losses["a"] == losses["b"] != losses["c"]


@pytest.mark.parametrize("verb", ["train codec", "train idm", "train policy", "train outcome", "train faults"])
def test_a_seed_is_that_of_the_configuration(verb: str) -> None:
    command = VERBS[verb]().parse(["--data", "somewhere", "--out", "else", "--recipe", "smoke", "--seed", "9"], verb)
    assert command.config.train.seed == 9  # type: ignore[attr-defined]
