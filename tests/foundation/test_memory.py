"""The plan before loading: predictions that grow with what is asked, agree with what was published, and fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wow.foundation.cards import CARDS
from wow.foundation.memory import (
    GB,
    TILES,
    Job,
    Machine,
    Setting,
    activations,
    cost,
    decoding,
    job_of,
    tokens,
    weights,
)
from wow.foundation.plan import Unsuited, Wish, candidates, choose, enough, fits, settings
from wow.types import WowError

H100 = Machine("NVIDIA H100 80GB HBM3", 80 * GB, 512 * GB, 989e12)
SMALL = Machine("a small GPU", 24 * GB, 64 * GB, 165e12)
CPU = Machine("2 CPU cores", 0.0, 32 * GB, 120e9)
WAN_14B, WAN_1B, COSMOS_2B = (CARDS[name] for name in ("wow-1-wan-14b-2m", "wow-1-wan-1.3b-2m", "cosmos-predict2-2b"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("wow-1-dit-2b-600k", 84_480), ("wow-1-dit-7b-600k", 46_080), ("wow-1-wan-14b-2m", 32_760)],
)
def test_tokens_are_those_that_were_published(name: str, expected: int) -> None:
    assert tokens(CARDS[name], job_of(CARDS[name])) == expected


def test_41_frames_of_wan_are_17160_tokens() -> None:
    assert tokens(WAN_14B, job_of(WAN_14B, 41)) == 17_160


def test_the_widened_1_3b_weighs_what_its_file_weighs() -> None:
    assert weights(WAN_1B, "transformer", Setting("float32")) == pytest.approx(5.7 * GB, rel=0.02)
    assert weights(WAN_1B, "transformer", Setting("bfloat16")) == pytest.approx(2.8 * GB, rel=0.02)


def test_a_larger_transformer_adds_its_weights_alone() -> None:
    """NVIDIA states 32.5 GB for Cosmos-Predict2-2B and 56.4 GB for the 14B, everything else being equal."""
    part = COSMOS_2B.transformer
    large = replace(COSMOS_2B, parts=(replace(part, parameters=part.parameters + 12_000_000_000), *COSMOS_2B.parts[1:]))
    job = job_of(COSMOS_2B)
    needed = [cost(card, job, Setting(), H100).gpu for card in (COSMOS_2B, large)]
    assert needed[1] - needed[0] == pytest.approx((56.4 - 32.5) * GB, rel=0.05)
    assert needed[0] < 32.5 * GB, "the stated number has a guardrail and all of the text encoder in it"


def test_a_step_of_wan_14b_takes_what_was_measured_on_an_h100() -> None:
    needed = cost(WAN_14B, job_of(WAN_14B), Setting(), H100)
    assert needed.seconds_per_step == pytest.approx(9.77, rel=0.1)


def test_cosmos_predict2_on_an_h200_is_predicted_within_a_factor_of_two() -> None:
    """Stated: 50.2 s for the 2B at 480p and 16 frames a second."""
    h200 = replace(H100, name="NVIDIA H200", vram=141 * GB)
    job = replace(job_of(COSMOS_2B), height=480, width=832)
    needed = cost(COSMOS_2B, job, Setting(), h200)
    assert 25 < needed.seconds_per_step * job.num_inference_steps < 100.4


@pytest.mark.parametrize("name", CARDS)
def test_more_frames_pixels_or_steps_never_cost_less(name: str) -> None:
    card = CARDS[name]
    job = job_of(card)
    for setting in candidates(SMALL, ("int8",)):
        base = cost(card, job, setting, SMALL)
        for more in (
            replace(job, num_frames=job.num_frames * 2 - 1),
            replace(job, height=job.height * 2),
            replace(job, num_inference_steps=job.num_inference_steps + 1),
        ):
            needed = cost(card, more, setting, SMALL)
            assert needed.gpu >= base.gpu and needed.ram >= base.ram and needed.seconds > base.seconds


@pytest.mark.parametrize("name", CARDS)
def test_every_level_of_offloading_needs_less_of_the_gpu(name: str) -> None:
    card = CARDS[name]
    job = job_of(card)
    none, model, blocks = (cost(card, job, Setting(offload=level), H100).gpu for level in ("none", "model", "blocks"))
    assert none >= model >= blocks
    tiled, whole = decoding(card, job, Setting(tiling=True)), decoding(card, job, Setting())
    assert tiled < whole if card.family in TILES else tiled == whole
    assert activations(card, job, Setting("float32")) == 2 * activations(card, job, Setting())


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("vram", [12, 16, 24, 48, 80, 141])
def test_what_is_chosen_fits_and_a_larger_gpu_is_never_slower(name: str, vram: int) -> None:
    card = CARDS[name]
    try:
        plan = choose(card, job_of(card), replace(SMALL, vram=vram * GB))
    except WowError as error:
        assert "needs at least" in str(error) and str(error).count("\n") == 0
        return
    assert fits(plan.cost, plan.machine)
    larger = choose(card, job_of(card), replace(SMALL, vram=2 * vram * GB))
    assert larger.cost.seconds <= plan.cost.seconds * 1.05


def test_after_running_out_of_memory_the_plan_needs_less_each_time() -> None:
    plan = choose(WAN_14B, job_of(WAN_14B), H100)
    needs = [plan.cost.gpu]
    while (lower := plan.after_running_out()) is not None:
        plan = lower
        needs.append(plan.cost.gpu)
        assert fits(plan.cost, plan.machine)
    assert len(needs) >= 3 and needs[-1] < needs[0] / 2


def test_a_14b_on_16_gb_without_offloading_is_refused_with_the_remedy() -> None:
    with pytest.raises(WowError, match=r"leave --offload none away") as refusal:
        choose(WAN_14B, job_of(WAN_14B), replace(SMALL, vram=16 * GB), Wish(offload="none"))
    assert "16 GB on the GPU" in str(refusal.value)
    assert choose(WAN_14B, job_of(WAN_14B), replace(SMALL, vram=16 * GB)).setting.offload == "blocks"


def test_without_a_gpu_hours_of_waiting_are_refused_unless_asked_for() -> None:
    with pytest.raises(WowError, match="no NVIDIA GPU here"):
        choose(WAN_1B, job_of(WAN_1B), CPU)
    assert choose(WAN_1B, job_of(WAN_1B), CPU, Wish(device="cpu")).device == "cpu"
    quick = Job(64, 64, 5, 2)
    assert choose(WAN_1B, quick, CPU).device == "cpu"


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize("machine", [CPU, replace(SMALL, vram=4 * GB, ram=8 * GB)], ids=["no GPU", "a tiny one"])
def test_a_machine_that_is_said_to_be_enough_is_enough_and_hardly_more(name: str, machine: Machine) -> None:
    card, job = CARDS[name], job_of(CARDS[name])
    larger = enough(card, job, machine)
    assert larger is not None and larger.vram >= machine.vram and larger.ram >= machine.ram
    assert fits(choose(card, job, larger).cost, larger)
    with pytest.raises(Unsuited):
        choose(card, job, replace(larger, vram=larger.vram / 2, ram=machine.ram))


def test_who_is_refused_hears_what_is_lacking_and_what_to_type_for_a_machine_that_is_enough() -> None:
    with pytest.raises(Unsuited) as refusal:
        choose(WAN_14B, job_of(WAN_14B, 41), replace(CPU, ram=25 * GB))
    said = str(refusal.value)
    assert "there is no NVIDIA GPU here" in said and "25 GB" in said and "\n" not in said
    assert "(wow plan-memory wow-1-wan-14b-2m --num-frames 41 --vram 16 --ram 48 plans" in said
    with pytest.raises(Unsuited, match=r"--offload none --vram 48 --ram 64 plans"):
        choose(WAN_14B, job_of(WAN_14B), replace(SMALL, vram=16 * GB), Wish(offload="none"))
    with pytest.raises(Unsuited, match=r"--device cpu --ram 48 plans") as refusal:
        choose(WAN_14B, job_of(WAN_14B), replace(CPU, ram=25 * GB), Wish(device="cpu"))
    assert "NVIDIA" not in str(refusal.value), "who asks for the CPU knows"


def test_quantising_is_taken_only_where_nothing_exact_fits() -> None:
    roomy = choose(WAN_14B, job_of(WAN_14B), SMALL, quantisers=("int8", "fp8"))
    assert roomy.setting.quantisation == "none"
    cramped = replace(SMALL, vram=30 * GB, ram=30 * GB)
    assert choose(WAN_14B, job_of(WAN_14B), cramped, quantisers=("int8",)).setting.quantisation == "int8"
    with pytest.raises(WowError, match="torchao"):
        choose(WAN_14B, job_of(WAN_14B), SMALL, Wish(quantisation="int8"))


def test_the_plan_is_one_line_that_says_what_it_takes() -> None:
    said = str(choose(WAN_14B, job_of(WAN_14B), SMALL))
    assert "\n" not in said and "GB on the GPU" in said and "one block" in said and "81 frames" in said


@pytest.mark.parametrize("name", ["cosmos-predict1-7b", "svd-xt"])
def test_nothing_is_promised_of_tiles_where_the_vae_has_none(name: str) -> None:
    card = CARDS[name]
    for machine in (H100, SMALL, CPU):
        assert settings(card, machine) and not any(setting.tiling for setting in settings(card, machine))
    with pytest.raises(WowError, match="whole frames alone: leave --tiling away"):
        choose(card, job_of(card), H100, Wish(tiling=True))
