"""How good a plan is, against a directed acyclic graph of key steps (arXiv 2509.22642 and 2601.04137)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from wow.types import WowError


@dataclass(frozen=True)
class Node:
    """One key step: what is done, to what, and how."""

    skill: str
    object: str = ""
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlanGraph:
    """Key steps and which must come before which. Raises WowError where that is impossible to follow."""

    nodes: tuple[Node, ...]
    edges: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if any(not 0 <= end < len(self.nodes) for edge in self.edges for end in edge):
            raise WowError(f"the plan has steps 0 to {len(self.nodes) - 1}, and an edge names another one")
        if any(node in above for node, above in enumerate(self.ancestors())):
            raise WowError("the plan's steps wait for each other in a circle: give edges that can be followed")

    def ancestors(self) -> list[set[int]]:
        """For each step, all that must be done before it."""
        above: list[set[int]] = [set() for _ in self.nodes]
        for _ in self.nodes:
            for first, then in self.edges:
                above[then] |= {first} | above[first]
        return above


@dataclass(frozen=True)
class PlanScore:
    """recall: the share of key steps that were done. order: the longest run of them in a right order, as a share of
    the key steps. precision: the share of what was done that is a key step. Each from 0 to 1."""

    recall: float
    order: float
    precision: float

    @property
    def plan(self) -> float:
        """S_plan = (0.5 recall + 0.5 order) precision, times 100."""
        return 100.0 * (0.5 * self.recall + 0.5 * self.order) * self.precision


def score_plan(graph: PlanGraph, done: Sequence[Node]) -> PlanScore:
    """How well steps that were done, in their order, follow the graph. Every key step is matched once at most.

    A run is a stretch of consecutive matched steps in which none comes before one that it has to wait for. The papers
    leave the word open; steps in between that match nothing cost precision, not order.
    """
    if not graph.nodes:
        raise WowError("a plan without key steps cannot be followed: give the sample a plan")
    matched = matches(graph, done)
    above = graph.ancestors()
    longest = 0
    for start in range(len(matched)):
        run: list[int] = []
        for node in matched[start:]:
            if any(node in above[earlier] for earlier in run):
                break
            run.append(node)
        longest = max(longest, len(run))
    count = len(graph.nodes)
    return PlanScore(len(matched) / count, longest / count, len(matched) / len(done) if done else 0.0)


def node_correctness(graph: PlanGraph, done: Sequence[Node]) -> float:
    """The share of the graph's nodes that were done, 0 to 1 (WoW-World-Eval)."""
    return len(matches(graph, done)) / len(graph.nodes)


def long_horizon(correctness: float, completion: float) -> float:
    """50 (node correctness + task completion), both from 0 to 1: 0 to 100 (WoW-World-Eval)."""
    return 50.0 * (correctness + completion)


def matches(graph: PlanGraph, done: Iterable[Node]) -> list[int]:
    """The key step that each step done is, in the order done; those that are none or repeat one are left out."""
    free = list(range(len(graph.nodes)))
    found: list[int] = []
    for step in done:
        hit = next((node for node in free if same(graph.nodes[node], step)), None)
        if hit is not None:
            free.remove(hit)
            found.append(hit)
    return found


def same(one: Node, other: Node) -> bool:
    """Whether two steps are one: skill, object and arguments are equal but for case, spaces and articles."""
    return _plain(one) == _plain(other)


def chain(steps: Sequence[Node]) -> PlanGraph:
    """The plan in which every step needs the one before it."""
    return PlanGraph(tuple(steps), tuple((index - 1, index) for index in range(1, len(steps))))


def _plain(node: Node) -> tuple[str, ...]:
    return tuple(" ".join(w for w in text.lower().replace("_", " ").split() if w not in ("the", "a", "an"))
                 for text in (node.skill, node.object, *sorted(node.arguments)))  # fmt: skip
