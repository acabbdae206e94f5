"""The pages of the benchmark: what others wrote is text, what is shown can be played, and every word is explained."""

from __future__ import annotations

import io
import unicodedata
from base64 import b64decode

import av
import numpy as np
import pytest
from PIL import Image

from tests.page_tags import PageTags
from wow.bench.charts import COLOURS, bars, ladder, legend, radar, scatter, whiskers
from wow.bench.dimensions.registry import METRICS
from wow.bench.glossary import MEANINGS
from wow.bench.sheet import definitions, document, plain, said
from wow.bench.showcase import alone_url, beside, poster_url
from wow.bench.study_page import study_page

HOSTILE = "a </style></title><script>alert(1)</script> \"'&amp; \x1b[2J \x00 \u202e \udcff <img src=x onerror=y>"
SHOWN = "\\u001b[2J \\u0000 \\u202e \\udcff"


def pieces(word: str) -> str:
    """A page of everything that others' words get into."""
    axes = [word, "b", "c"]
    body = [
        said(f"{word} `{word}`"),
        legend([word]),
        radar(axes, {word: dict.fromkeys(axes, 50.0)}, word),
        bars({word: [(word, 12.0), ("b", None)]}, word),
        whiskers([(word, 0.5, 0.1, 0.9)], word),
        scatter([(word, 50.0, 0.5)], word, word),
        ladder([word], {word: {}}, word),
        definitions(word, {word: word}),
        f"<p>{plain(word)}</p>",
    ]
    return document(word, body)


def test_whatever_others_wrote_is_text_and_nothing_unseen_is_in_the_page() -> None:
    harmless, hostile = pieces("x" * 20 + " y"), pieces(HOSTILE)
    assert {tag for tag, _ in PageTags(hostile).tags} == {tag for tag, _ in PageTags(harmless).tags}
    assert not any(name.startswith("on") for _, names in PageTags(hostile).tags for name in names)
    hostile.encode("utf-8")
    assert not {sign for sign in hostile if unicodedata.category(sign) in ("Cc", "Cf", "Cs")} - {"\n"}
    assert SHOWN in PageTags(hostile).text and "<script>alert(1)</script>" in PageTags(hostile).text


def test_a_prompt_in_a_study_is_text() -> None:
    item = {"id": "1", "task": "rating", "prompt": HOSTILE, "film": "data:"}
    found = study_page("name", [item], {"visual": ("Visual", "hint")})
    assert [tag for tag, _ in PageTags(found).tags].count("script") == 2 and "<img" not in found
    assert not {sign for sign in found if unicodedata.category(sign) in ("Cc", "Cf", "Cs")} - {"\n"}


def test_every_chart_says_what_it_shows() -> None:
    charts = [attributes for tag, attributes in PageTags(pieces("word")).tags if tag == "svg"]
    assert len(charts) == 5 and all(chart["aria-label"] and chart["role"] == "img" for chart in charts)


@pytest.mark.parametrize("runs", [1, 12])
def test_bars_and_their_labels_fit_a_phone(runs: int) -> None:
    longest = max((metric.title for metric in METRICS.values()), key=len)
    drawn = PageTags(bars({f"run {n}": [(longest, 100.0)] for n in range(runs)}, "t"))
    (chart,) = [attributes for tag, attributes in drawn.tags if tag == "svg"]
    width = float(chart["width"] or 0)
    assert width <= 390 - 32 and 7.5 * len(longest) <= width
    for tag, attributes in drawn.tags:
        if tag == "rect":
            assert float(attributes["x"] or 0) + float(attributes["width"] or 0) <= width - 40, "room for the number"


def test_a_dozen_runs_have_a_dozen_colours() -> None:
    assert len(set(COLOURS)) == len(COLOURS) >= 12


def test_every_metric_is_explained_and_abbreviations_are_spelt_out() -> None:
    assert set(MEANINGS) == set(METRICS)
    for name, words in {"fvd": "video distance", "robot_path_dtw": "time warping", "camera_rpe": "pose error"}.items():
        assert words in MEANINGS[name]


@pytest.mark.parametrize("sizes", [((9, 32, 48), (17, 32, 48)), ((1, 30, 31), (4, 30, 40))])
def test_videos_are_of_a_kind_that_every_browser_plays(sizes: tuple[tuple[int, ...], ...]) -> None:
    """H.264 in 4:2:0, an even size, the picture before it plays alike its first one."""
    left, right = (np.random.default_rng(n).integers(0, 255, (*size, 3), np.uint8) for n, size in enumerate(sizes))
    joined = beside(left, right)
    assert len(joined) == max(len(left), len(right)) and joined.shape[2] % 2 == 0
    assert Image.open(io.BytesIO(b64decode(poster_url(joined[0]).partition(",")[2]))).size == joined.shape[2:0:-1]
    with av.open(io.BytesIO(b64decode(alone_url(joined).partition(",")[2])), "r") as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert file.duration is not None and file.duration / av.time_base == pytest.approx(4.0, abs=0.6)
