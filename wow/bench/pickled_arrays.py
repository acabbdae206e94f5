"""Read nested dicts of numpy arrays out of a pickle file without running it.

A pickle is a program for a stack machine that can call anything. This is another machine: it knows the few
instructions that a dict of arrays needs and three names, of which it calls none, and builds the arrays itself from
their bytes.
Whatever else the file asks for is refused.
"""

from __future__ import annotations

import pickletools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from wow.types import WowError

Arrays: TypeAlias = "dict[str, NDArray[np.generic] | Arrays]"

_ARRAY, _NEW_ARRAY, _DTYPE = "ndarray", "_reconstruct", "dtype"
_NAMES = {
    "numpy.core.multiarray _reconstruct": _NEW_ARRAY,
    "numpy._core.multiarray _reconstruct": _NEW_ARRAY,
    "numpy ndarray": _ARRAY,
    "numpy dtype": _DTYPE,
}
_PUSHED = frozenset({"BININT", "BININT1", "BININT2", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"})
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class _Name:
    word: str


@dataclass
class _PlannedType:
    code: str
    order: str = "|"


@dataclass
class _PlannedArray:
    array: NDArray[np.generic] | None = None


class _Mark:
    pass


def read_pickled_arrays(path: Path) -> Arrays:
    """The dict of arrays in a pickle file. Raises WowError where the file is broken or holds anything else."""
    machine = _Machine()
    try:
        for instruction, argument, _ in pickletools.genops(path.read_bytes()):
            machine.step(instruction.name, argument)
        return _finished(machine.result())
    except (ValueError, TypeError, IndexError, KeyError, AttributeError, OverflowError, RecursionError) as problem:
        raise WowError(f"{path} is not a plain dict of numpy arrays ({problem}); it was not run") from None


class _Machine:
    """The stack, the memo and the handful of instructions."""

    def __init__(self) -> None:
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}
        self.stopped = False

    def step(self, instruction: str, argument: object) -> None:
        """One instruction. Raises ValueError for one that a dict of arrays does not need."""
        if instruction in _PUSHED:
            self.stack.append(argument)
        elif instruction in _CONSTANTS:
            self.stack.append(_CONSTANTS[instruction])
        elif instruction in _TUPLES:
            size = _TUPLES[instruction]
            self.stack.append(tuple(self._popped(size)))
        elif instruction == "GLOBAL":
            self.stack.append(_Name(_known_name(argument)))
        elif instruction == "STACK_GLOBAL":
            module, name = self._popped(2)
            self.stack.append(_Name(_known_name(f"{module} {name}")))
        elif instruction == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif instruction in ("BINPUT", "LONG_BINPUT"):
            self.memo[cast(int, argument)] = self.stack[-1]
        elif instruction in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[cast(int, argument)])
        elif instruction == "EMPTY_DICT":
            self.stack.append({})
        elif instruction == "MARK":
            self.stack.append(_Mark())
        elif instruction == "TUPLE":
            self.stack.append(tuple(self._since_mark()))
        elif instruction in ("SETITEM", "SETITEMS"):
            self._set_items(self._popped(2) if instruction == "SETITEM" else self._since_mark())
        elif instruction == "REDUCE":
            name, arguments = self._popped(2)
            self.stack.append(_planned(name, arguments))
        elif instruction == "BUILD":
            (state,) = self._popped(1)
            _fill(self.stack[-1], state)
        elif instruction == "STOP":
            self.stopped = True
        elif instruction not in ("PROTO", "FRAME"):
            raise ValueError(f"instruction {instruction} is refused")

    def result(self) -> object:
        if not self.stopped or len(self.stack) != 1:
            raise ValueError("it ends too early")
        return self.stack[0]

    def _popped(self, count: int) -> list[object]:
        if len(self.stack) < count:
            raise ValueError("it takes from an empty stack")
        taken = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return taken

    def _since_mark(self) -> list[object]:
        start = max(index for index, item in enumerate(self.stack) if isinstance(item, _Mark))
        taken = self.stack[start + 1 :]
        del self.stack[start:]
        return taken

    def _set_items(self, items: list[object]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or not all(isinstance(key, str) for key in items[::2]):
            raise ValueError("only dicts with names as keys are accepted")
        target.update(zip(items[::2], items[1::2], strict=True))


def _known_name(argument: object) -> str:
    name = str(argument)
    if name not in _NAMES:
        raise ValueError(f"the name {name.replace(' ', '.')} is refused")
    return _NAMES[name]


def _planned(name: object, arguments: object) -> object:
    """What numpy's two constructors would begin; nothing is called."""
    if name == _Name(_NEW_ARRAY) and arguments == (_Name(_ARRAY), (0,), b"b"):
        return _PlannedArray()
    if name == _Name(_DTYPE) and isinstance(arguments, tuple) and len(arguments) == 3:
        code = arguments[0]
        if isinstance(code, str) and re.fullmatch(r"[fiu][1248]", code):
            return _PlannedType(code)
    raise ValueError(f"the call of {name} with {str(arguments)[:60]} is refused")


def _fill(target: object, state: object) -> None:
    if isinstance(target, _PlannedType) and isinstance(state, tuple) and state[1] in ("<", ">", "|"):
        target.order = state[1]
    elif isinstance(target, _PlannedArray) and isinstance(state, tuple) and len(state) == 5:
        _, shape, kind, is_column_major, content = state
        if not isinstance(kind, _PlannedType) or is_column_major or not isinstance(content, bytes):
            raise ValueError("an array in a form that is not read here")
        target.array = np.frombuffer(content, dtype=np.dtype(kind.order + kind.code)).reshape(shape)
    else:
        raise ValueError("a state for something that has none")


def _finished(value: object) -> Arrays:
    if not isinstance(value, dict):
        raise ValueError("it holds no dict")
    return {key: _array(item) if isinstance(item, _PlannedArray) else _finished(item) for key, item in value.items()}


def _array(planned: _PlannedArray) -> NDArray[np.generic]:
    if planned.array is None:
        raise ValueError("an array without content")
    return planned.array
