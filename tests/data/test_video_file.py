"""An mp4 gives back each frame by its exact index, whatever order they are asked in and stored in."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from wow.data.video_file import VideoFile, probe_video, read_video, write_video
from wow.types import UInt8, Video, WowError


def counting_frames(count: int, height: int = 32, width: int = 32) -> UInt8:
    """Frame i is grey of brightness 8 i, so that a decoded frame tells its own index."""
    return np.broadcast_to(
        (np.arange(count, dtype=np.uint8) * 8)[:, None, None, None], (count, height, width, 3)
    ).copy()


def indices_in(frames: UInt8) -> list[int]:
    return [round(float(frame.mean()) / 8) for frame in frames]


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (128, 128)])
def test_a_video_survives_writing_with_its_size_and_rate(tmp_path: Path, size: tuple[int, int]) -> None:
    y, x = np.mgrid[: size[0], : size[1]]
    picture = np.stack([y * 255 // size[0], x * 255 // size[1], (x + y) % 64 + 90], -1).astype(np.uint8)
    frames = np.stack([np.roll(picture, 2 * t, 1) for t in range(11)])
    write_video(tmp_path / "a.mp4", Video(frames, 12.5))
    back = read_video(tmp_path / "a.mp4")
    assert back.frames.shape == frames.shape and back.fps == 12.5
    error = np.mean((back.frames.astype(float) - frames) ** 2)
    assert 10 * np.log10(255**2 / error) > 32


def test_the_same_frames_give_the_same_file_whatever_lay_in_memory_before(tmp_path: Path) -> None:
    y, x = np.mgrid[:32, :32]
    shades = np.sin(x / 5.0) * np.cos(y / 7.0) * 90 + 120
    frames = np.repeat(np.stack([np.roll(shades, t, 1) for t in range(19)]).astype(np.uint8)[..., None], 3, -1)
    random = np.random.default_rng(0)
    litter: list[UInt8] = []
    files = set()
    for _ in range(60):
        litter.append(np.empty(random.integers(1, 200_000), np.uint8))
        litter[:] = [litter[i] for i in random.permutation(len(litter))[:20]]
        write_video(tmp_path / "a.mp4", Video(frames, 10))
        read_video(tmp_path / "a.mp4")
        files.add((tmp_path / "a.mp4").read_bytes())
    assert len(files) == 1


@pytest.mark.parametrize("asked", [[0], [29], [5, 5, 4], list(range(30)), [28, 3, 17, 3, 9, 10, 11], [7, 8, 24]])
def test_frames_come_by_index_in_the_order_asked(tmp_path: Path, asked: list[int]) -> None:
    write_video(tmp_path / "a.mp4", Video(counting_frames(30), 10))
    with VideoFile(tmp_path / "a.mp4") as video:
        assert len(video) == 30
        assert indices_in(video.frames(asked)) == asked
        assert indices_in(video.frames(asked[::-1])) == asked[::-1]


def write_with_b_frames(path: Path, count: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(10))
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        stream.options = {"bf": "3", "g": "12", "b-adapt": "0", "crf": "5"}
        for frame in counting_frames(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def test_frames_stored_out_of_order_come_by_index_too(tmp_path: Path) -> None:
    write_with_b_frames(tmp_path / "b.mp4", 30)
    with VideoFile(tmp_path / "b.mp4") as video:
        assert len(video) == 30
        for index in np.random.default_rng(0).permutation(30).tolist():
            assert indices_in(video.frames([index])) == [index]


def test_frame_times_lie_on_the_grid_that_lerobot_expects(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", Video(counting_frames(20), 15))
    with av.open(str(tmp_path / "a.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert np.allclose(times, np.arange(20) / 15, atol=1e-4)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.9])
def test_a_cut_off_file_is_named_in_one_line(tmp_path: Path, share: float) -> None:
    write_video(tmp_path / "a.mp4", Video(counting_frames(20), 10))
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(WowError, match=r"cut\.mp4") as problem:
        probe_video(tmp_path / "cut.mp4")
    assert "\n" not in str(problem.value)


def test_a_file_with_its_index_in_front_and_its_end_missing_is_found_without_decoding(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(10))
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.options = {"bf": "0", "crf": "10"}
        for noise in np.random.default_rng(0).integers(0, 255, (20, 64, 64, 3)).astype(np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode(None))
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(WowError, match=r"cut off after \d+ of 20 frames"):
        probe_video(tmp_path / "cut.mp4")


def test_frames_beyond_the_end_are_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", Video(counting_frames(5), 10))
    with VideoFile(tmp_path / "a.mp4") as video, pytest.raises(WowError, match="frames 0 to 4"):
        video.frames([5])
