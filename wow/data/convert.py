"""Any dataset that can be read becomes a LeRobot v3 dataset."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from wow.data.dataset import Dataset, Problem, bad_episode, without_file
from wow.data.formats import open_dataset
from wow.data.lerobot_write import DatasetWriter
from wow.types import Embodiment, Episode, Video, WowError

OnEpisode = Callable[[int, int], None]
ORIGIN = "imported_from"


@dataclass(frozen=True)
class ImportReport:
    """What an import did. added: episodes of this run; already: those of an earlier one, left as they are."""

    added: int
    already: int
    total: int
    problems: tuple[Problem, ...]


def import_dataset(
    source: Path,
    destination: Path,
    *,
    format: str | None = None,
    skip_bad: bool = False,
    swap_red_and_blue: bool = False,
    episodes: Collection[int] | None = None,
    card: Embodiment | None = None,
    on_episode: OnEpisode = lambda done, total: None,
) -> ImportReport:
    """Convert `source` to a LeRobot v3 dataset at `destination`; continues one that was interrupted.

    skip_bad: leave out damaged episodes and report them; otherwise the first one is a WowError, and what was converted
    before it stays. swap_red_and_blue: the source stores BGR. episodes: the numbers of those to convert, counted from
    0 with the damaged ones; all by default. card: what the numbers mean, where somebody knows it better than the
    source; its cameras and rate stay the source's. on_episode: told how many are done, of how many.
    """
    if source.resolve() == destination.resolve():
        raise WowError(f"{destination}: is the source itself; name a new folder")
    dataset = open_dataset(source, format=format, skip_bad=True)
    wanted, problems = _wanted(dataset, episodes, skip_bad)
    card = None if card is None else _described(dataset.embodiment, card)
    with DatasetWriter(destination, card or _card(dataset.embodiment), fps=dataset.fps) as writer:
        done = {_origin(facts) for facts in writer.episode_facts}
        already = writer.num_episodes
        for count, index in enumerate(wanted, start=1):
            if (source.name, dataset.names[index]) not in done:
                problem = _import_one(dataset, index, writer, card, swap_red_and_blue)
                if problem and not skip_bad:
                    raise bad_episode(problem)
                problems += [problem] if problem else []
            on_episode(count, len(wanted))
        return ImportReport(writer.num_episodes - already, already, writer.num_episodes, tuple(problems))


def _wanted(dataset: Dataset, episodes: Collection[int] | None, skip_bad: bool) -> tuple[list[int], list[Problem]]:
    """The indices of the episodes with these numbers (of all, if None), and what is wrong with them or the whole.

    Raises WowError for a number that there is not, for a damaged one unless it may be skipped, and where none is left.
    """
    left_out = dataset.left_out
    numbers = sorted({*dataset.numbers, *left_out} if episodes is None else set(episodes))
    damaged = [number for number in numbers if number in left_out]
    if damaged and not skip_bad:
        raise bad_episode(left_out[damaged[0]])
    wanted = [dataset.index_of(number) for number in numbers if number not in left_out]
    problems = [problem for problem in dataset.problems if problem.number is None or problem.number in numbers]
    if not wanted:
        asked = "" if episodes is None else " among those asked for"
        reason = left_out[damaged[0]] if damaged else problems[0] if problems else "it is empty"
        raise WowError(f"{dataset.path}: has no usable episode{asked} ({reason})")
    return wanted, problems


def _described(own: Embodiment, card: Embodiment) -> Embodiment:
    """The given card with the source's rate and cameras. Raises WowError where it describes other numbers."""
    for what, ours, given in (("actions", own.action, card.action), ("states", own.state, card.state)):
        if len(ours) != len(given):
            names = ", ".join(dimension.name for dimension in ours)
            raise WowError(f"the card of {card.robot} has {len(given)} {what}, the data {len(ours)}: {names}")
    return replace(card, rate=own.rate, cameras=own.cameras, statistics={})


def _import_one(
    dataset: Dataset, index: int, writer: DatasetWriter, card: Embodiment | None, swap: bool
) -> Problem | None:
    """Add one episode. Returns what is wrong with it if it cannot be."""
    found = dataset.check(index)
    if found:
        return found[0]
    name = dataset.names[index]
    try:
        episode = dataset.episode(index)
        episode = _swapped(episode) if swap else episode
        origin = {"dataset": dataset.path.name, "episode": name}
        facts = {**episode.facts, ORIGIN: origin}
        writer.add(replace(episode, facts=facts, embodiment=card or _card(episode.embodiment)))
    except WowError as problem:
        file = dataset.files(index)[0]
        return Problem(file, name, without_file(problem, file), left_out=True)
    return None


def _origin(facts: Mapping[str, object]) -> tuple[object, object]:
    origin = facts.get(ORIGIN)
    return (origin.get("dataset"), origin.get("episode")) if isinstance(origin, dict) else (None, None)


def _card(card: Embodiment) -> Embodiment:
    """The card without what importing makes untrue: the statistics are computed anew."""
    return replace(card, statistics={}, unknown=tuple(text for text in card.unknown if "full statistics" not in text))


def _swapped(episode: Episode) -> Episode:
    videos = {name: Video(video.frames[..., ::-1], video.fps) for name, video in episode.videos.items()}
    return replace(episode, videos=videos)
