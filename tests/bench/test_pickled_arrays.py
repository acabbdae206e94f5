"""A pickle is read, never run: arrays come out bit for bit, and everything else is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from wow.bench.pickled_arrays import read_pickled_arrays
from wow.types import WowError


class Burglar:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, (f"open({str(self.trace)!r}, 'w').write('I was here')",))


def written(folder: Path, content: object, protocol: int = 3) -> Path:
    path = folder / "weights.ckpt"
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_come_out_bit_for_bit(tmp_path: Path, protocol: int) -> None:
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(3, 3, 2, 5)).astype(np.float32)
    content = {"layer": {"kernel": kernel, "bias": kernel[0, 0, 0]}, "counts": np.arange(300, dtype=">i2")}
    found = read_pickled_arrays(written(tmp_path, content, protocol))
    layer, counts = found["layer"], found["counts"]
    assert isinstance(layer, dict) and isinstance(counts, np.ndarray)
    assert counts.dtype == ">i2" and counts.tolist() == list(range(300))
    for name, stored in (("kernel", kernel), ("bias", kernel[0, 0, 0])):
        array = layer[name]
        assert isinstance(array, np.ndarray)
        assert array.dtype == np.float32 and np.array_equal(array, stored)


def test_a_dict_inside_itself_is_refused(tmp_path: Path) -> None:
    circle: dict[str, object] = {}
    circle["me"] = circle
    with pytest.raises(WowError):
        read_pickled_arrays(written(tmp_path, circle))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_program_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "trace"
    path = written(tmp_path, {"weights": Burglar(trace)}, protocol)
    with pytest.raises(WowError, match="not run"):
        read_pickled_arrays(path)
    assert not trace.exists()
    pickle.loads(path.read_bytes())  # noqa: S301 - our own file, to see that it bites
    assert trace.exists(), "the burglar is real: Python's own reader lets it in"


@pytest.mark.parametrize("content", [[1, 2], {"a": 1.5}, {"a": [1]}, {1: {}}, {"a": np.array(["text"])}, {"a": {1, 2}}])
def test_what_is_no_dict_of_arrays_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(WowError):
        read_pickled_arrays(written(tmp_path, content))


def test_a_file_cut_off_anywhere_is_one_sentence(tmp_path: Path) -> None:
    path = written(tmp_path, {"a": np.arange(6.0).reshape(2, 3)})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(WowError):
            read_pickled_arrays(path)


def test_bytes_flipped_at_random_never_do_worse(tmp_path: Path) -> None:
    """Whatever a damaged file holds: arrays of plain numbers come out, or one sentence."""
    path = written(tmp_path, {"a": np.arange(6.0), "b": {"c": np.arange(4, dtype=np.uint8)}})
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    refused = 0
    for _ in range(200):
        broken = bytearray(whole)
        broken[generator.integers(len(whole))] = generator.integers(256)
        path.write_bytes(broken)
        try:
            found = read_pickled_arrays(path)
        except WowError as problem:
            refused += "\n" not in str(problem)
        else:
            assert all(isinstance(name, str) for name in found) and only_numbers(found)
    # The rest hit numbers, or said the same in other words.
    assert 100 < refused < 200


def only_numbers(found: object) -> bool:
    if isinstance(found, dict):
        return all(only_numbers(value) for value in found.values())
    return isinstance(found, np.ndarray) and found.dtype.kind in "fiub"
