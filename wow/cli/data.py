"""`wow data import`, `info`, `show` and `bench-loader`: what is done with datasets on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from wow.cli.options import Command, MakesFolder, Seeded, Summary, numbers
from wow.cli.progress import Progress
from wow.types import WowError

SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Import(Command):
    """Convert a dataset of any known format to LeRobot v3. The same command again continues an interrupted import."""

    source: tyro.conf.Positional[Path]
    """Dataset to read: LeRobot v2.0, v2.1 or v3.0, annotation JSON with videos, jsonl of clips, N.mp4 + N.txt, HDF5."""
    destination: tyro.conf.Positional[Path | None] = None
    """Folder to write; --out says the same."""
    out: Path | None = None
    """Folder to write; created, and refused when it holds something that is not an earlier import."""
    format: str | None = None
    """Name of the source's format, where it is not found out: lerobot, annotation, jsonl, mp4-txt or hdf5."""
    skip_bad: bool = False
    """Leave out damaged episodes and report them, instead of stopping at the first."""
    bgr: bool = False
    """The source's pictures are BGR: exchange red and blue."""
    episodes: str = "all"
    """Which ones, counted from 0: "all", or numbers and ranges with commas: 0-9,12.
    Damaged ones count too."""
    card: Path | None = None
    """JSON file that says what the numbers of actions and states mean, where the source does not: names, units, frame,
    limits, gripper sign."""

    def run(self) -> Summary:
        from wow.data.convert import import_dataset
        from wow.data.embodiment import read_embodiment

        if (self.destination is None) == (self.out is None):
            raise WowError("say once where to write: wow data import SOURCE DESTINATION")
        target = self.out if self.destination is None else self.destination
        assert target is not None
        with Progress("import", total=None, unit="episodes") as progress:

            def on_episode(done: int, total: int) -> None:
                progress.total = total
                progress.update(done)

            try:
                report = import_dataset(
                    self.source,
                    target,
                    format=self.format,
                    skip_bad=self.skip_bad,
                    swap_red_and_blue=self.bgr,
                    episodes=None if self.episodes.strip() == "all" else numbers(self.episodes),
                    card=None if self.card is None else read_embodiment(self.card),
                    on_episode=on_episode,
                )
            except KeyboardInterrupt:
                raise KeyboardInterrupt(f"what was finished is in {target}; the same command continues") from None
        return {
            "out": target,
            "episodes": report.total,
            "imported_now": report.added,
            "problems": [str(problem) for problem in report.problems],
        }

    def describe(self, summary: Mapping[str, object]) -> str:
        head = f"{summary['out']}: {summary['episodes']} episodes ({summary['imported_now']} imported now)"
        return "\n".join([head, *_listed("problem", summary["problems"], limit=1000)])


@dataclass(frozen=True, kw_only=True)
class Info(Command):
    """Show the tasks, cameras, rates, lengths and action statistics of a dataset, and what is wrong with it."""

    directory: tyro.conf.Positional[Path]
    """The dataset's folder, or the file of a format that is one file."""
    format: str | None = None
    """Name of its format, where it is not found out."""
    decode: bool = False
    """Also decode every frame: finds damage inside videos, and takes long."""

    def run(self) -> Summary:
        from wow.data.formats import open_dataset
        from wow.data.inspect import describe

        dataset = open_dataset(self.directory, format=self.format, skip_bad=True)
        with Progress("check", total=len(dataset), unit="episodes") as progress:
            found = describe(dataset, decode=self.decode, on_episode=lambda done, total: progress.update(done))
        summary = asdict(found)
        summary["problems"] = [str(problem) for problem in found.problems]
        return summary

    def describe(self, summary: Mapping[str, object]) -> str:
        return "\n".join(_info_lines(summary))


@dataclass(frozen=True, kw_only=True)
class Show(MakesFolder):
    """Draw one episode: a film strip of its cameras and its actions over time."""

    directory: tyro.conf.Positional[Path]
    """The dataset's folder, or the file of a format that is one file."""
    episode: int = 0
    """Which episode, counted from 0; damaged ones count too."""
    format: str | None = None
    """Name of its format, where it is not found out."""

    def run(self) -> Summary:
        from wow.data.draw import save_action_plot, save_film_strip
        from wow.data.formats import open_dataset

        dataset = open_dataset(self.directory, format=self.format, skip_bad=True)
        episode = dataset.episode(dataset.index_of(self.episode))
        summary: Summary = {"task": episode.task, "frames": len(episode), "source": episode.source}
        if episode.videos:
            summary["film_strip"] = self.out / "strip.png"
            save_film_strip(self.out / "strip.png", episode)
        if episode.embodiment.action:
            summary["action_plot"] = self.out / "actions.png"
            save_action_plot(self.out / "actions.png", episode)
        return summary


@dataclass(frozen=True, kw_only=True)
class BenchLoader(Seeded):
    """Measure how many random training windows per second a dataset yields, beside decoding as LeRobot does."""

    directory: tyro.conf.Positional[Path]
    """The dataset's folder."""
    num_frames: int = 17
    """Frames in a window."""
    stride: int = 1
    """Recorded frames from one frame of a window to the next."""
    batch_size: int = 8
    """Windows in a batch."""
    workers: int = 0
    """Decoding threads of our loader; 0 decodes in the main thread."""
    seconds: float = 10.0
    """How long to measure each way."""

    def run(self) -> Summary:
        from wow.data.formats import open_dataset
        from wow.data.loader_speed import measure
        from wow.data.windows import WindowLoader

        dataset = open_dataset(self.directory)
        with WindowLoader(
            dataset, self.num_frames, self.batch_size, self.seed, stride=self.stride, workers=self.workers
        ) as loader:
            speeds = measure(dataset, loader, self.seconds)
        return {name: asdict(speed) for name, speed in speeds.items()} | {
            "episodes": len(dataset),
            "cameras": [f"{camera.name} {camera.width}x{camera.height}" for camera in dataset.embodiment.cameras],
        }


def _info_lines(summary: Mapping[str, object]) -> list[str]:
    cameras = [f"{c['name']} {c['width']}x{c['height']}" for c in _rows(summary["cameras"])]
    low, median, high = _numbers(summary["lengths"])
    lines = [
        f"{summary['path']}: {summary['format']}, robot {summary['robot']}",
        f"{summary['episodes']} episodes, {summary['frames']} frames at {summary['fps']:g} Hz; "
        f"{low:g} to {high:g} frames each, median {median:g}",
        f"cameras   {', '.join(cameras) or 'none'}",
        f"sources   {_counted(summary['sources'])}",
        f"outcomes  {_counted(summary['outcomes'])}",
        f"tasks     {len(_mapping(summary['tasks']))}",
    ]
    lines += _listed("", [f"{count:>6} {task[:100]}" for task, count in _mapping(summary["tasks"]).items()])
    lines += _action_lines(summary)
    lines += _listed("not known", summary["unknown"])
    lines += _listed("suspicion", summary["suspicions"])
    return lines + (_listed("problem", summary["problems"], limit=100) or ["no problems found"])


def _action_lines(summary: Mapping[str, object]) -> list[str]:
    dimensions = _rows(summary["action"])
    statistics = summary["statistics"]
    if not dimensions or not isinstance(statistics, Mapping):
        return ["action    none"]
    columns = ("mean", "std", "min", "q01", "q99", "max")
    lines = [f"{'action':<22}{'unit':<9}" + "".join(f"{name:>10}" for name in columns)]
    for number, dimension in enumerate(dimensions[: 2 * SHOWN]):
        values = "".join(f"{statistics[name][number]:>10.4g}" for name in columns)
        lines.append(f"{str(dimension['name'])[:21]:<22}{str(dimension['unit'])[:8]:<9}{values}")
    further = len(dimensions) - 2 * SHOWN
    return lines + ([f"… and {further} more; --json has them all"] if further > 0 else [])


def _listed(label: str, texts: object, limit: int = SHOWN) -> list[str]:
    assert isinstance(texts, list | tuple)
    lines = [f"{label}: {text}" if label else f"  {text}" for text in texts[:limit]]
    return lines + ([f"  … and {len(texts) - limit} more; --json has them all"] if len(texts) > limit else [])


def _counted(counts: object) -> str:
    return ", ".join(f"{count} {name}" for name, count in _mapping(counts).items()) or "none"


def _mapping(value: object) -> Mapping[str, int]:
    assert isinstance(value, Mapping)
    return value


def _rows(value: object) -> list[Mapping[str, object]]:
    assert isinstance(value, list | tuple)
    return list(value)


def _numbers(value: object) -> list[float]:
    assert isinstance(value, list | tuple)
    return [float(number) for number in value]
