"""Where other people's code for a metric is installed, ours says the same."""

from __future__ import annotations

import numpy as np
import pytest

from tests.bench.references import COMPARISONS, Comparison, gap
from wow.types import WowError


@pytest.mark.parametrize("one", COMPARISONS, ids=lambda one: f"{one.metric} by {one.reference}")
def test_the_same_comes_out_of_other_peoples_code(one: Comparison) -> None:
    if one.missing:
        pytest.skip(f"{one.missing} is not installed")
    try:
        ours, theirs = one.both()
    except WowError as problem:
        pytest.skip(str(problem))
    assert len(ours) == len(theirs) and np.ptp(np.concatenate([ours, theirs])) > 0
    assert gap(ours, theirs) < one.largest
