"""The page of a search: what was said is text, what moves can be played, and every bar leads to its video."""

from __future__ import annotations

import base64
import io
import re
import unicodedata
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from tests.page_tags import PageTags
from wow.refine.contract import Attempt, Round
from wow.refine.page import write_page
from wow.types import Verdict, Video

HOSTILE = "open </style><script>alert(1)</script> \"'&amp; \x1b[2J \x00 \u202e drawer \udcff <img src=x onerror=y>"


def rounds_of(count: int, words: str, span: tuple[int, int] | None = None, frames: int = 17) -> list[Round]:
    found = []
    for number in range(count):
        video = Video(np.random.default_rng(number).integers(0, 255, (frames, 12, 16, 3), np.uint8), 15.5)
        verdict = Verdict({"task_completion": 3.0}, number == 1, 0.6 + number / 100, f"reason {words}", span)
        attempt = Attempt(number, f"prompt {number} {words}", number, video, verdict, {f"critic {words}": verdict})
        problems, seconds = {f"mute {words}": f"why {words}"}, {"rewrite": 0.1, "imagine": 2.0, "judge": 1.0}
        found.append(Round(number, attempt.prompt, (attempt,), f"note {words}", problems, seconds))
    return found


def page_of(path: Path, rounds: list[Round], goal: str = "open the drawer") -> str:
    write_page(path / "page.html", goal, rounds, f"stopped {goal}", {f"fact {goal}": goal})
    return (path / "page.html").read_text(encoding="utf-8")


def test_whatever_was_said_is_text_and_nothing_unseen_is_in_the_file(tmp_path: Path) -> None:
    harmless, page = page_of(tmp_path, rounds_of(3, "x"), "open"), page_of(tmp_path, rounds_of(3, HOSTILE), HOSTILE)
    structure = [(tag, sorted(attributes)) for tag, attributes in PageTags(page).tags if tag not in ("ins", "del")]
    assert structure == [
        (tag, sorted(attributes)) for tag, attributes in PageTags(harmless).tags if tag not in ("ins", "del")
    ]
    assert not {sign for sign in page if unicodedata.category(sign) in ("Cc", "Cf", "Cs")} - {"\n"}
    said = PageTags(page).text
    for words in ("goal", "reason", "critic", "mute", "why", "note", "fact"):
        start = "" if words == "goal" else f"{words} "
        assert (
            f"{start}open </style><script>alert(1)</script> \"'&amp; \\u001b[2J \\u0000 \\u202e drawer \\udcff" in said
        )


def test_pictures_say_what_they_are_and_bars_lead_to_their_videos(tmp_path: Path) -> None:
    page = PageTags(page_of(tmp_path, rounds_of(5, "x")))
    assert len(page.attributes("img", "alt")) == 7 and all(page.attributes("img", "alt"))
    places = [f"#{place}" for place in page.attributes("h3", "id") if place]
    assert page.attributes("a", "href") == places and len(set(places)) == 5


@pytest.mark.parametrize("span", [None, (11, 13), (0, 16)])
def test_the_numbers_of_frames_are_marked_where_the_reason_speaks_of_them(
    tmp_path: Path, span: tuple[int, int] | None
) -> None:
    page = page_of(tmp_path, rounds_of(1, "x", span))
    seen = {int(number) for number in re.findall(r'<span class="seen">(\d+)</span>', page)}
    numbers = {int(number) for number in re.findall(r'<span class="(?:seen)?">(\d+)</span>', page)}
    assert numbers == {0, 2, 4, 6, 8, 10, 12, 14, 16}
    assert seen == ({number for number in numbers if span[0] <= number <= span[1]} if span else set())


@pytest.mark.parametrize("frames", [1, 5, 97])
def test_the_best_video_is_played_in_its_own_time(tmp_path: Path, frames: int) -> None:
    rounds = rounds_of(1, "x", frames=frames)
    (coded,) = re.findall(r'src="data:image/webp;base64,([^"]+)"', page_of(tmp_path, rounds))
    film = ImageSequence.Iterator(Image.open(io.BytesIO(base64.b64decode(coded))))
    pauses = [frame.info["duration"] for frame in film if frames > 1 and (frame.load() or True)]
    assert len(pauses) == (min(frames, 48) if frames > 1 else 0)
    assert sum(pauses) == pytest.approx(1000 * frames / 15.5 if frames > 1 else 0, rel=0.02)


def test_scores_that_are_missing_are_said_to_be(tmp_path: Path) -> None:
    """So that an empty cell cannot be taken for a fault of the page; and what numbers mean stands above them."""
    page = unescape(page_of(tmp_path, rounds_of(1, "x")))
    assert page.count('<td class="number">–</td>') == 8 and "<td></td>" not in page
    assert "from 1 (worst) to 5 (best)" in page and "probability, from 0 to 1" in page
