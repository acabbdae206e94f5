"""Which goals a video surely does not reach: another's in the same scene, or one about other things."""

from __future__ import annotations

from wow.sim.tasks import TASKS

OPPOSITES = (
    ("faucet-open", "faucet-close"),
    ("handle-press", "handle-pull"),
    ("handle-press-side", "handle-pull-side"),
    ("door-lock", "door-unlock"),
    ("stick-push", "stick-pull"),
    ("coffee-push", "coffee-pull"),
    ("door-open", "door-close"),
    ("drawer-open", "drawer-close"),
    ("window-open", "window-close"),
    ("assembly", "disassemble"),
    ("peg-insert-side", "peg-unplug-side"),
    ("plate-slide", "plate-slide-back"),
    ("plate-slide-side", "plate-slide-back-side"),
)
"""Tasks that undo each other: where one is done, the other is not."""

LEFT_UNDONE = {
    "reach": ("push", "pick-place"),
    "reach-wall": ("push-wall", "pick-place-wall"),
    "coffee-button": ("coffee-push", "coffee-pull"),
    "coffee-push": ("coffee-button",),
    "coffee-pull": ("coffee-button",),
}
"""Further tasks of the same scene that are surely not done where a task is; not the other way round."""

FAMILIES = (
    ("reach", "reach-wall", "push", "push-wall", "push-back", "pick-place", "pick-place-wall", "hand-insert",
     "shelf-place", "sweep", "sweep-into", "pick-out-of-hole", "bin-picking", "soccer", "basketball"),
    ("button-press", "button-press-topdown", "button-press-topdown-wall", "button-press-wall", "coffee-button",
     "coffee-pull", "coffee-push"),
    ("door-open", "door-close", "door-lock", "door-unlock"),
    ("drawer-open", "drawer-close"),
    ("faucet-open", "faucet-close", "dial-turn"),
    ("handle-press", "handle-pull", "handle-press-side", "handle-pull-side", "lever-pull"),
    ("plate-slide", "plate-slide-back", "plate-slide-side", "plate-slide-back-side"),
    ("stick-push", "stick-pull"),
    ("assembly", "disassemble", "peg-insert-side", "peg-unplug-side"),
    ("window-open", "window-close"),
)  # fmt: skip
"""Tasks that are about the same kind of thing: doing one may look like doing another."""


def rivals(task: str) -> tuple[str, ...]:
    """The tasks that could be meant in this task's scene, or undo it, and are surely not done where it is."""
    opposite = [other for pair in OPPOSITES if task in pair for other in pair if other != task]
    return (*opposite, *LEFT_UNDONE.get(task, ()))


def strangers(task: str) -> tuple[str, ...]:
    """The tasks about other things, which nothing that happens in this task's scene can do."""
    family = next((family for family in FAMILIES if task in family), (task,))
    return tuple(name for name in TASKS if name not in family)
