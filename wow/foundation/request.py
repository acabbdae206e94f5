"""What can be known to be wrong before minutes of loading are spent."""

from __future__ import annotations

from wow.foundation.card import Card
from wow.foundation.cards import CARDS
from wow.types import WowError


def check(card: Card, context: tuple[int, ...], prompt: str | None, has_actions: bool, num_frames: int | None) -> None:
    """Raises WowError for a clip that the model cannot make. context: [K, H, W, 3], the shape of what was seen."""
    if has_actions:
        raise WowError(
            f"{card.name} follows words, not actions: leave the actions out, or use a model with forward_dynamics, "
            "such as wow-mini"
        )
    check_frames(card, num_frames)
    check_prompt(card, prompt)
    seen = context[0]
    if seen == 1:
        return
    if "video2video" not in card.modes:
        others = ", ".join(name for name, other in CARDS.items() if "video2video" in other.modes)
        raise WowError(
            f"{card.name} begins with one picture, not {seen} frames: give it the first or the last alone, or take a "
            f"model with video2video, such as wow-mini, {others}"
        )
    most = 5 if card.frames.step == 4 else 9
    if seen != most:
        raise WowError(f"{card.name} begins with 1 or {most} frames, not {seen}: cut what it is given")
    if num_frames is not None and num_frames <= seen:
        raise WowError(f"{seen} of {num_frames} frames are given, so there is nothing to imagine: ask for more frames")


def check_frames(card: Card, num_frames: int | None) -> None:
    """Raises WowError for a length that the model's VAE cannot hold, naming the nearest that it can."""
    frames = card.frames
    if num_frames is None or (num_frames > 1 and frames.allows(num_frames)):
        return
    rule = f"{frames.step}k+1 frames" if frames.step > 1 else "clips"
    near = max(frames.nearest(num_frames), frames.step + 1)
    raise WowError(
        f"{card.name} makes {rule} of at most {frames.most}, not {num_frames}: "
        f"try --num-frames {near} (it was trained for {frames.default})"
    )


def check_prompt(card: Card, prompt: str | None) -> None:
    """Raises WowError for words that are missing, empty or more than the text encoder reads."""
    if card.num_words == 0:
        return
    if prompt is None or not prompt.strip():
        raise WowError("the instruction is empty: say what the robot should do, e.g. 'open the drawer'")
    words = len(prompt.split())
    if words > card.num_words:
        raise WowError(
            f"the instruction has {words} words, and {card.name} reads about {card.num_words * 3 // 4} of them "
            f"({card.num_words} tokens): say it shorter"
        )


def can_read(card: Card, prompt: str) -> bool:
    """Whether a prompt has words, and not too many."""
    try:
        check_prompt(card, prompt)
    except WowError:
        return False
    return True
