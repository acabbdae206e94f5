"""A checkpoint folder becomes a world model that imagines; small random weights, all of the real path."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from wow import assembly, weights
from wow.assembly import MiniWorldModel, Request, SamplingOptions
from wow.data.embodiment import embodiment_to_json
from wow.models.codec import Codec, CodecConfig
from wow.models.dit import DiT, DiTConfig
from wow.models.policy import Policy, PolicyConfig
from wow.train.export import export
from wow.types import Actions, Dimension, Embodiment, Episode, Video, WowError

CARD = Embodiment(
    robot="test",
    rate=20.0,
    action=tuple(Dimension(f"delta_{axis}", "m", "world") for axis in "xyz")
    + tuple(Dimension(f"delta_{axis}", "rad", "world") for axis in ("roll", "pitch", "yaw"))
    + (Dimension("gripper", "1"),),
    action_kind="delta",
)
FAST = SamplingOptions(num_inference_steps=2)


def save_tiny_checkpoint(folder: Path) -> None:
    """64 px, 5 frames, a few thousand random weights beside the real text encoder."""
    torch.manual_seed(0)
    shutil.copytree(weights.shipped("wow-mini"), folder)
    codec = Codec(CodecConfig(latent_channels=4, channels=(8, 8, 8)))
    tensors = {name: value for name, value in codec.state_dict().items() if value.is_floating_point()}
    weights.save_part(folder, "codec", tensors, {"model": asdict(codec.config), "size": 64})
    dit = DiT(DiTConfig(latent_channels=4, grid=4, num_frames=5, width=16, depth=1, num_heads=2))
    for parameter in dit.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    about = {
        "model": asdict(dit.config),
        "action_scale": {
            "centre": [0.0] * 6 + [0.5],
            "spread": [0.1] * 6 + [0.5],
            "summed": [True] * 6 + [False],
        },
        "embodiment": embodiment_to_json(CARD),
        "typical_seconds": 0.05,
        "size": 64,
    }
    weights.save_part(folder, "dit", dict(dit.state_dict()), about)
    parts = {name: part for name, part in weights.read_manifest(folder).parts.items() if name != "policy"}
    weights.write_manifest(folder, weights.Manifest(folder.name, parts))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "tiny"
    save_tiny_checkpoint(path)
    return path


@pytest.fixture(scope="module")
def model(folder: Path) -> MiniWorldModel:
    return assembly.load(folder, device="cpu")


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)


def test_a_picture_and_words_become_a_video_that_begins_with_the_picture(
    model: MiniWorldModel, picture: np.ndarray
) -> None:
    video = model.imagine(picture, "open the drawer", num_frames=5, options=FAST)
    assert isinstance(video, Video) and video.frames.shape == (5, 64, 64, 3) and video.fps == pytest.approx(20.0)
    assert np.array_equal(video.frames[0], picture)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(model: MiniWorldModel, picture: np.ndarray) -> None:
    first, again, other = (
        model.imagine(picture, "open the drawer", num_frames=5, seed=seed, options=FAST).frames for seed in (3, 3, 4)
    )
    assert first.tobytes() == again.tobytes() != other.tobytes()


def test_a_batch_imagines_what_each_request_would_alone(model: MiniWorldModel, picture: np.ndarray) -> None:
    requests = [Request(picture[None], "open the drawer", seed=1), Request(picture[None], "push", seed=2)]
    together = model.imagine_all(requests, num_frames=5, options=FAST)
    alone = [model.imagine_all([request], num_frames=5, options=FAST)[0] for request in requests]
    for one, other in zip(together, alone, strict=True):
        assert np.abs(one.frames.astype(int) - other.frames).max() <= 2


def test_actions_steer_the_video(model: MiniWorldModel, picture: np.ndarray) -> None:
    still = np.zeros((4, 7), dtype=np.float32)
    moving = still + np.float32(0.05)
    videos = [model.imagine(picture, actions=a, num_frames=5, options=FAST).frames for a in (still, moving)]
    assert not np.array_equal(*videos)


def test_three_context_frames_are_kept(model: MiniWorldModel) -> None:
    frames = np.random.default_rng(1).integers(0, 255, (3, 64, 64, 3), dtype=np.uint8)
    video = model.imagine(Video(frames, 20.0), "open the drawer", num_frames=5, options=FAST)
    assert np.array_equal(video.frames[:3], frames)


def test_a_picture_of_another_size_is_fitted_and_it_is_said(model: MiniWorldModel) -> None:
    with pytest.warns(UserWarning, match="cut to 64x64 at left and right"):
        video = model.imagine(Image.new("RGB", (200, 100), "red"), "push", num_frames=5, options=FAST)
    assert video.frames.shape[1:3] == (64, 64)


@pytest.mark.parametrize("num_frames", [0, 1, 4, 7])
def test_an_unsupported_number_of_frames_is_refused(
    model: MiniWorldModel, picture: np.ndarray, num_frames: int
) -> None:
    with pytest.raises(WowError, match="3, 5 frames"):
        model.imagine(picture, "push", num_frames=num_frames)


def test_an_empty_instruction_is_refused(model: MiniWorldModel, picture: np.ndarray) -> None:
    with pytest.raises(WowError, match="empty"):
        model.imagine(picture, "  ", num_frames=5)


def test_an_instruction_whose_end_would_not_be_read_is_refused(model: MiniWorldModel, picture: np.ndarray) -> None:
    told = "carefully " * 70 + "open the drawer"
    said = r"has 73 words \(73 tokens\), and tiny reads 62 tokens: say it shorter"
    with pytest.raises(WowError, match=said):
        model.imagine(picture, told, num_frames=5, options=FAST)
    with pytest.raises(WowError, match=said):
        model.policy(picture, told, num_frames=5, options=FAST)
    with pytest.raises(WowError, match=said):
        model.imagine(picture, told, actions=np.zeros((4, 7), np.float32), num_frames=5, options=FAST)
    with pytest.raises(WowError, match=said):
        replace(model, guesser=Policy(PolicyConfig())).imitate(picture, told)
    whole = model.readable(told)
    assert len(whole.split()) == 62 and model.readable("open the drawer") == "open the drawer"
    assert len(model.imagine(picture, whole, num_frames=5, options=FAST)) == 5


def test_a_mode_that_the_model_lacks_names_those_it_has(model: MiniWorldModel, picture: np.ndarray) -> None:
    with pytest.raises(WowError, match="forward_dynamics, image2video"):
        model.imagine(picture, num_frames=5)


def test_actions_of_the_wrong_width_length_or_unit_are_refused(model: MiniWorldModel, picture: np.ndarray) -> None:
    for shape in ((4, 6), (5, 7)):
        with pytest.raises(WowError, match=r"delta_x \[m\]"):
            model.imagine(picture, actions=np.zeros(shape, dtype=np.float32), num_frames=5)
    millimetres = replace(CARD, action=(Dimension("delta_x", "mm"), *CARD.action[1:]))
    with pytest.raises(WowError, match="delta_x in m"):
        model.imagine(picture, actions=Actions(np.zeros((4, 7), np.float32), millimetres), num_frames=5)
    broken = np.zeros((4, 7), dtype=np.float32)
    broken[2, 6] = np.nan
    with pytest.raises(WowError, match="gripper"):
        model.imagine(picture, actions=broken, num_frames=5)


def test_corrupted_weights_are_noticed(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    shard = next(copy.glob("dit-*.safetensors"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(bytes(content))
    with pytest.raises(WowError, match="corrupted"):
        assembly.load(copy)


def test_an_unknown_model_names_those_there_are() -> None:
    with pytest.raises(WowError, match="wow-mini"):
        assembly.load("wow-maxi")


def test_a_checkpoint_with_inverse_dynamics_acts_on_videos(
    folder: Path, tmp_path: Path, toy_run: Path, toy_episode: Callable[..., Episode]
) -> None:
    copy = tmp_path / "agent"
    shutil.copytree(folder, copy)
    export(toy_run, copy)
    agent = assembly.load(copy, device="cpu")
    assert isinstance(agent, MiniWorldModel) and "inverse_dynamics" in agent.capabilities
    actions = agent.act(toy_episode(7).videos["front"])
    assert isinstance(actions, Actions) and actions.values.shape == (23, 7) and actions.deviations is not None


def test_a_checkpoint_without_inverse_dynamics_says_so(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "dreamer"
    shutil.copytree(folder, copy)
    parts = weights.read_manifest(copy).parts
    weights.write_manifest(copy, weights.Manifest("dreamer", {n: part for n, part in parts.items() if n != "idm"}))
    model = assembly.load(copy, device="cpu")
    with pytest.raises(WowError, match="cannot do inverse_dynamics"):
        model.act(Video(np.zeros((3, 64, 64, 3), np.uint8), 20.0))


def test_planning_begins_with_what_the_policy_of_a_checkpoint_would_do(
    folder: Path, tmp_path: Path, model: MiniWorldModel, picture: np.ndarray
) -> None:
    with pytest.raises(WowError, match="wow train policy"):
        model.imitate(picture, "push the puck")
    copy = tmp_path / "guided"
    shutil.copytree(folder, copy)
    torch.manual_seed(0)
    policy = Policy(
        PolicyConfig(channels=(8, 8, 8), points=(2, 2, 2), glance=2, width=16, hidden=16, num_transitions=4)
    )
    torch.nn.init.normal_(policy.motion.weight)
    own = {"centre": [0.0] * 6 + [0.3], "spread": [0.4] * 6 + [0.2], "summed": [True] * 6 + [False]}
    about = {"model": asdict(policy.config), "action_scale": own}
    weights.save_part(copy, "policy", dict(policy.state_dict()), about)
    guided = assembly.load(copy, device="cpu")
    alone, world, both = (
        guided.imitate(picture, "push the puck").values,
        model.policy(picture, "push the puck", num_frames=5).values,
        guided.policy(picture, "push the puck", num_frames=5).values,
    )
    assert np.abs(alone - world).max() > 0.01
    assert np.allclose(both, alone, atol=1e-4)
    assert not np.array_equal(guided.imitate(picture, "open the drawer").values, alone)
    # What a policy says is the same distance, whatever the world model's motions are normalised by.
    tensors, _ = weights.load_part(copy, "dit")
    other = {**own, "centre": [0.0] * 6 + [0.9], "spread": [0.7] * 7}
    model_of = weights.load_part(copy, "dit")[1]
    weights.save_part(copy, "dit", tensors, {**model_of, "action_scale": other})
    again = assembly.load(copy, device="cpu").imitate(picture, "push the puck").values
    assert np.allclose(again, alone, atol=1e-4)
