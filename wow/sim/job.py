"""What a collection asks of any simulator: which episode, and recorded how."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RecordingOptions:
    """How an episode is recorded.

    size: picture height and width [pixels]. stride: control steps between stored frames. max_steps: control steps
    after which an unsuccessful episode ends. segmentation: also store `sim.segmentation` of the first camera.
    control_rate: control steps per second of the simulator [Hz].
    """

    cameras: tuple[str, ...] = ("front",)
    size: int = 128
    stride: int = 4
    max_steps: int = 240
    segmentation: bool = False
    control_rate: float = 80.0

    def __post_init__(self) -> None:
        if self.stride < 1 or self.size < 16 or self.max_steps < self.stride or not self.cameras:
            raise ValueError(f"impossible recording options {self}")

    @property
    def fps(self) -> float:
        """Stored frames per second of robot time."""
        return self.control_rate / self.stride


@dataclass(frozen=True)
class Job:
    """One episode to record. `scene` is the task whose scene is reset; `task` is what is asked and attempted in it."""

    scene: str
    task: str
    source: str
    seed: int
    robot: str = "sawyer"

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What tells this episode from all others of its robot."""
        return (self.scene, self.task, self.source, self.seed)
