"""Progress on stderr: a bar with the time left on a terminal, a line every few seconds anywhere else."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self, TextIO

SECONDS_BETWEEN_FRAMES = 0.1
SECONDS_BETWEEN_LINES = 15.0
BAR_WIDTH = 24


class Progress:
    """How far a long command is. `with Progress("collect", total=50, unit="episodes") as progress: progress.advance()`.

    total: how many steps there are, None where nobody knows. start: steps already done by an earlier run; they count
    as done and not towards the speed. Nothing is drawn before the first `advance` or `update`.
    """

    def __init__(
        self, label: str, *, total: int | None, unit: str = "", start: int = 0, stream: TextIO | None = None
    ) -> None:
        self.label = label
        self.total = total
        self.unit = unit
        self.start = start
        self.done = start
        self.note = ""
        self._stream = sys.stderr if stream is None else stream
        self._on_terminal = self._stream.isatty()
        self._began = self._drawn = time.monotonic()
        self._is_line_open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._on_terminal and self.done > self.start:
            self._draw()
        if self._is_line_open:
            self._stream.write("\n")
            self._stream.flush()

    def advance(self, steps: int = 1, note: str = "") -> None:
        """`steps` more are done. note: a few words at the end of the line, e.g. "loss 0.31"."""
        self.update(self.done + steps, note)

    def stage(self, unit: str, done: int, total: int) -> None:
        """`done` of `total` in all of what is being counted. Another unit begins a count with a speed of its own."""
        if unit != self.unit:
            self.unit, self.start, self._began = unit, done, time.monotonic()
        self.total = total
        self.update(done)

    def update(self, done: int, note: str = "") -> None:
        """`done` steps are done in all."""
        self.done = done
        self.note = note or self.note
        pause = SECONDS_BETWEEN_FRAMES if self._on_terminal else SECONDS_BETWEEN_LINES
        now = time.monotonic()
        if now - self._drawn >= pause:
            self._drawn = now
            self._draw()

    def line(self) -> str:
        """The state in one line: label, share, count, speed, time left, note."""
        elapsed = max(time.monotonic() - self._began, 1e-9)
        rate = (self.done - self.start) / elapsed
        parts = [self.label]
        if self.total:
            share = min(self.done / self.total, 1.0)
            if self._on_terminal:
                filled = round(share * BAR_WIDTH)
                parts.append("█" * filled + "░" * (BAR_WIDTH - filled))
            parts.append(f"{share:4.0%}")
        parts.append(f"{self.done}{f'/{self.total}' if self.total else ''}{f' {self.unit}' if self.unit else ''}")
        parts.append(f"{rate:.3g}/s")
        if self.total and rate > 0:
            parts.append(f"{duration((self.total - self.done) / rate)} left")
        return "  ".join([*parts, self.note] if self.note else parts)

    def _draw(self) -> None:
        if self._on_terminal:
            self._stream.write(f"\r{self.line()}\x1b[K")
            self._is_line_open = True
        else:
            self._stream.write(f"{self.line()}\n")
        self._stream.flush()


def duration(seconds: float) -> str:
    """A length of time for people: "42s", "3m 05s", "2h 10m"."""
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
