"""What is written comes back, and is laid out as LeRobot's own reader expects it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest

from wow.data import DatasetWriter, open_dataset, stage_episode
from wow.types import Embodiment, Episode, Video, WowError

Make = Callable[..., Episode]


def test_an_episode_comes_back_as_it_was(make_dataset: Callable[..., Path], make_episode: Make) -> None:
    dataset = open_dataset(make_dataset(3))
    assert len(dataset) == 3 and dataset.fps == 10
    for index, back in enumerate(dataset):
        meant = make_episode(index, len(back))
        assert np.array_equal(back.actions, meant.actions)
        assert back.states is not None and meant.states is not None and np.array_equal(back.states, meant.states)
        assert back.signals.keys() == meant.signals.keys()
        for key, values in meant.signals.items():
            assert np.array_equal(back.signals[key], values) and back.signals[key].dtype == values.dtype
        for field in ("task", "captions", "source", "success", "facts"):
            assert getattr(back, field) == getattr(meant, field)
        difference = back.videos["front"].frames.astype(float) - meant.videos["front"].frames
        assert np.mean(difference**2) < 40


def test_the_card_travels_with_exact_statistics(make_dataset: Callable[..., Path], card: Embodiment) -> None:
    dataset = open_dataset(make_dataset(3))
    assert replace(dataset.embodiment, statistics={}) == card
    actions = np.concatenate([episode.actions for episode in dataset])
    statistics = dataset.embodiment.statistics["action"]
    assert statistics.count == len(actions)
    assert np.allclose(statistics.mean, actions.mean(0), atol=1e-6)
    assert np.allclose(statistics.std, actions.std(0), atol=1e-6)
    assert np.allclose([statistics.q01, statistics.q99], np.quantile(actions, [0.01, 0.99], axis=0), atol=1e-6)


def test_the_layout_is_what_lerobot_reads(make_dataset: Callable[..., Path]) -> None:
    """The checks that LeRobot's own loading amounts to, written down anew from its source (0.4 to 0.6)."""
    root = make_dataset(4)
    info = json.loads((root / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0" and info["fps"] == 10 and isinstance(info["fps"], int)
    episodes = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert info["total_episodes"] == len(episodes) == 4
    assert info["splits"] == {"train": "0:4"}
    # It loads all parquets in the order of their names, casts them to `features`, and takes row n for frame n.
    parquets = sorted((root / "data").glob("*/*.parquet"))
    stored = {key: feature for key, feature in info["features"].items() if feature["dtype"] != "video"}
    rows = []
    for parquet in parquets:
        table = pq.read_table(parquet)
        assert set(table.column_names) == set(stored)
        for key, feature in stored.items():
            assert "/" not in key
            kind = table.schema.field(key).type
            depth = 0
            while hasattr(kind, "value_type"):
                kind, depth = kind.value_type, depth + 1
            assert str(kind) == {"float32": "float", "float64": "double"}.get(feature["dtype"], feature["dtype"])
            assert depth == (0 if feature["shape"] == [1] else len(feature["shape"]))
        rows += table.to_pylist()
    assert [row["index"] for row in rows] == list(range(info["total_frames"]))
    # Tasks: a pandas table whose index is the text, whose n-th row is task n.
    tasks = pq.read_table(root / "meta/tasks.parquet")
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]
    assert tasks.column("task_index").to_pylist() == list(range(info["total_tasks"]))
    names = tasks.column("task").to_pylist()
    for episode in episodes:
        start, end = episode["dataset_from_index"], episode["dataset_to_index"]
        assert end - start == episode["length"]
        for row in rows[start:end]:
            assert row["episode_index"] == episode["episode_index"]
            assert names[row["task_index"]] == episode["tasks"][0]
            assert abs(row["timestamp"] - row["frame_index"] / 10) < 1e-4
        key = "observation.images.front"
        place = {"chunk_index": episode[f"videos/{key}/chunk_index"], "file_index": episode[f"videos/{key}/file_index"]}
        film = root / info["video_path"].format(video_key=key, **place)
        with av.open(str(film)) as container:
            times = [float(frame.time or 0) for frame in container.decode(video=0)]
        wanted = [episode[f"videos/{key}/from_timestamp"] + row["timestamp"] for row in rows[start:end]]
        assert np.allclose(times, wanted, atol=1e-4)
        data = {"chunk_index": episode["data/chunk_index"], "file_index": episode["data/file_index"]}
        assert (root / info["data_path"].format(**data)).is_file()
    stats = json.loads((root / "meta/stats.json").read_text())
    for name in ("min", "max", "mean", "std", "count", "q01", "q99"):
        assert np.shape(stats["action"][name]) == ((1,) if name == "count" else (3,))
        assert np.shape(stats[key][name]) == ((1,) if name == "count" else (3, 1, 1))


def test_staging_and_committing_apart_is_the_same_as_adding(tmp_path: Path, make_episode: Make) -> None:
    episode = make_episode(5)
    staged = stage_episode(episode, tmp_path / "elsewhere" / "5")
    assert len(pickle.dumps(staged)) < 20_000
    for name in ("added", "committed"):
        with DatasetWriter(tmp_path / name, episode.embodiment, fps=10) as writer:
            assert writer.commit(staged) == 0 if name == "committed" else writer.add(episode) == 0
    assert not (tmp_path / "elsewhere" / "5").exists()
    for file in ("data/chunk-000/file-000.parquet", "videos/observation.images.front/chunk-000/file-000.mp4"):
        assert (tmp_path / "added" / file).read_bytes() == (tmp_path / "committed" / file).read_bytes()


def test_a_later_writer_continues_and_knows_what_is_done(make_dataset: Callable[..., Path], make_episode: Make) -> None:
    root = make_dataset(2)
    with DatasetWriter(root, make_episode().embodiment, fps=10) as writer:
        assert writer.num_episodes == 2
        assert [facts["seed"] for facts in writer.episode_facts] == [0, 1]
        assert writer.episode_facts[1]["task"] == "push block 1" and writer.episode_facts[1]["success"] is False
        assert writer.add(make_episode(7)) == 2
    dataset = open_dataset(root)
    assert [record.facts["seed"] for record in dataset.records] == [0, 1, 7]
    assert np.array_equal(dataset.episode(2).actions, make_episode(7).actions)


def test_a_dataset_at_work_can_be_read_up_to_its_last_commit(tmp_path: Path, make_episode: Make) -> None:
    with DatasetWriter(tmp_path / "d", make_episode().embodiment, fps=10) as writer:
        for seed in range(4):
            writer.add(make_episode(seed))
            assert len(open_dataset(tmp_path / "d")) == seed + 1


def test_only_one_process_writes_a_dataset(tmp_path: Path, make_episode: Make) -> None:
    import subprocess
    import sys

    with DatasetWriter(tmp_path / "d", make_episode().embodiment, fps=10) as writer:
        writer.add(make_episode())
        program = (
            "import sys; from pathlib import Path; from wow.data import DatasetWriter\n"
            "from wow.data.embodiment import read_embodiment\n"
            "root = Path(sys.argv[1]); DatasetWriter(root, read_embodiment(root / 'meta/embodiment.json'), fps=10)"
        )
        other = subprocess.run([sys.executable, "-c", program, str(writer.root)], capture_output=True, text=True)
    assert "another process is writing" in other.stderr


def broken_episodes(make: Make) -> dict[str, tuple[Episode, str]]:
    good = make()
    with_nan = good.actions.copy()
    with_nan[4, 1] = np.nan
    short = Video(good.videos["front"].frames[:-1], 10)
    assert good.states is not None
    return {
        "nan": (replace(good, actions=with_nan), "action is not a finite number at frame 4, dimension 1"),
        "video": (replace(good, videos={"front": short}), "camera front has 8 frames, the actions 9 rows"),
        "states": (replace(good, states=good.states[:-2]), "observation.state has 7 rows, the actions 9"),
        "task": (replace(good, task=" "), "no task"),
        "facts": (replace(good, facts={"x": object()}), "facts cannot be written as JSON"),
        "name": (replace(good, signals={"a/b": np.zeros(9)}), "cannot be called 'a/b'"),
        "text": (replace(good, signals={"a": np.array(["x"] * 9)}), "signal 'a' is <U1"),
    }


@pytest.mark.parametrize("kind", ["nan", "video", "states", "task", "facts", "name", "text"])
def test_a_broken_episode_is_refused_and_harms_nothing(tmp_path: Path, make_episode: Make, kind: str) -> None:
    episode, message = broken_episodes(make_episode)[kind]
    with DatasetWriter(tmp_path / "d", episode.embodiment, fps=10) as writer:
        writer.add(make_episode(0))
        with pytest.raises(WowError, match=message):
            writer.add(episode)
        writer.add(make_episode(1))
    assert [record.facts["seed"] for record in open_dataset(tmp_path / "d").records] == [0, 1]


def test_episodes_of_one_dataset_are_alike(tmp_path: Path, make_episode: Make) -> None:
    with DatasetWriter(tmp_path / "d", make_episode().embodiment, fps=10) as writer:
        writer.add(make_episode(0))
        with pytest.raises(WowError, match=r"differs from those before it in observation\.images\.side"):
            writer.add(make_episode(1, cameras=("front", "side")))
        with pytest.raises(WowError, match="embodiment card differs"):
            writer.add(make_episode(1, embodiment=replace(make_episode().embodiment, robot="other")))
    with pytest.raises(WowError, match="10 frames per second, not 5"):
        DatasetWriter(tmp_path / "d", make_episode().embodiment, fps=5)


def test_folders_of_others_are_left_alone(tmp_path: Path, card: Embodiment) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(WowError, match=r"other files \(thesis\.tex\)"):
        DatasetWriter(tmp_path, card, fps=10)
