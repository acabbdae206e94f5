"""Our metrics beside other people's code for them. Run as a script it prints the largest differences as a table.

    pip install --no-deps lpips torchvision torchmetrics lightning-utilities cd-fvd similaritymeasures evo
    python -m tests.bench.references

None of these is needed by anything else: a comparison whose reference is not installed is left out.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data as photographs

from wow.bench import i3d, lpips, metrics, paths
from wow.bench.dimensions import fvd
from wow.bench.pickled_arrays import read_pickled_arrays
from wow.bench.text import grid
from wow.types import UInt8

Array = NDArray[np.float64]
SIDES = (64, 100, 128)
LEVELS = (2.0, 10.0, 40.0)


@dataclass(frozen=True)
class Comparison:
    """The same cases by our code and by another's. needs: the modules of the reference. largest: the difference that
    rounding explains, in shares of the larger of 1 and the value. both: numbers to compare."""

    metric: str
    reference: str
    needs: tuple[str, ...]
    largest: float
    both: Callable[[], tuple[Array, Array]]

    @property
    def missing(self) -> str:
        """The first module that is not installed, "" where all are."""
        return next((name for name in self.needs if importlib.util.find_spec(name) is None), "")


def gap(ours: Array, theirs: Array) -> float:
    """The largest difference, in shares of the larger of 1 and the value."""
    return float((np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1.0)).max())


# ---- pictures ----


def pictures() -> Iterator[tuple[UInt8, UInt8]]:
    """Pieces of three photographs, as they are and spoilt by noise: uint8 [4, H, W, 3] twice."""
    random = np.random.default_rng(0)
    for name, side, level in product(("astronaut", "coffee", "chelsea"), SIDES, LEVELS):
        photograph = getattr(photographs, name)()
        corners = random.integers(0, min(photograph.shape[:2]) - side, (4, 2))
        truth = np.stack([photograph[y : y + side, x : x + side] for y, x in corners])
        yield np.clip(truth + random.normal(0, level, truth.shape), 0, 255).astype(np.uint8), truth


def both_psnr() -> tuple[Array, Array]:
    from skimage.metrics import peak_signal_noise_ratio

    ours = [metrics.psnr(*pair) for pair in pictures()]
    theirs = [peak_signal_noise_ratio(a, b, data_range=255) for v, t in pictures() for b, a in zip(v, t, strict=True)]
    return np.concatenate(ours).astype(float), np.array(theirs)


def both_ssim() -> tuple[Array, Array]:
    """scikit-image does the work of ours: the reference is written with convolutions. Its map has the border, where the
    window sticks out of the picture, and is averaged without it, as in Wang et al. 2004."""
    from torchmetrics.functional.image import structural_similarity_index_measure as reference

    def tensor(frames: UInt8) -> torch.Tensor:
        return torch.from_numpy(frames.copy()).permute(0, 3, 1, 2).double()

    ours = [metrics.ssim(*pair) for pair in pictures()]
    pairs = [(tensor(video), tensor(truth)) for video, truth in pictures()]
    options: Any = {"sigma": 1.5, "data_range": 255.0, "return_full_image": True}
    maps = [reference(video, truth, **options)[1] for video, truth in pairs]
    theirs = [one[..., 5:-5, 5:-5].mean(dim=(1, 2, 3)).numpy() for one in maps]
    return np.concatenate(ours).astype(float), np.concatenate(theirs)


def both_lpips() -> tuple[Array, Array]:
    """Heads and network are the reference's; the backbone's weights, which it would download, are put into it."""
    from lpips import LPIPS

    ours = lpips.load_lpips()
    theirs: Any = LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    convolutions = [module for module in theirs.net.modules() if isinstance(module, torch.nn.Conv2d)]
    arrays: Any = read_pickled_arrays(lpips.find_weights())["AlexNet_0"]
    with torch.no_grad():
        for index, convolution in enumerate(convolutions):
            stored = arrays[f"Conv_{index}"]
            convolution.weight.copy_(torch.from_numpy(stored["kernel"].transpose(3, 2, 0, 1).copy()))
            convolution.bias.copy_(torch.from_numpy(stored["bias"].copy()))

        def distance(video: UInt8, truth: UInt8) -> Array:
            one, other = (torch.from_numpy(x.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1 for x in (video, truth))
            return np.asarray(theirs(one, other).ravel().numpy(), float)

        pairs = list(pictures())
        return (
            np.concatenate([ours(*pair) for pair in pairs]).astype(float),
            np.concatenate([distance(*pair) for pair in pairs]),
        )


# ---- clouds of videos ----


def clips(level: float, count: int = 3) -> UInt8:
    """A window that glides over a photograph, uint8 [count, 16, 96, 96, 3], with noise of some level."""
    random = np.random.default_rng(1)
    found = []
    for number in range(count):
        photograph = (photographs.astronaut(), photographs.coffee(), photographs.chelsea())[number % 3]
        x, y = random.integers(0, 60, 2)
        found.append([photograph[y + 3 * t : y + 3 * t + 96, x + 5 * t : x + 5 * t + 96] for t in range(16)])
    clean = np.array(found)
    return np.clip(clean + random.normal(0, level, clean.shape), 0, 255).astype(np.uint8)


def reference_i3d(path: Path) -> None:
    """Writes the weights that our I3D reads under the names of the reference, its normalisation not folded in."""
    branches = {"0/Conv3d_0a_1x1": "b0", "1/Conv3d_0a_1x1": "b1a", "1/Conv3d_0b_3x3": "b1b", "2/Conv3d_0a_1x1": "b2a",
                "2/Conv3d_0b_3x3": "b2b", "3/Conv3d_0b_1x1": "b3b"}  # fmt: skip
    state = {}
    for key, stored in i3d._flattened(read_pickled_arrays(i3d.find_weights())):
        kind, *names, layer, leaf = key.split("/")
        name = "/".join(names).replace("Logits/Conv3d_0c_1x1", "logits")
        for theirs, short in branches.items():
            name = name.replace(f"/Branch_{theirs}", f".{short}")
        if layer == "Conv_0":
            is_kernel = leaf == "kernel"
            array = stored.transpose(4, 3, 0, 1, 2) if is_kernel else stored
            state[f"{name}.conv3d.{'weight' if is_kernel else 'bias'}"] = torch.from_numpy(array.copy())
        else:
            called = {"mean": "running_mean", "var": "running_var", "bias": "bias"}[leaf]
            state[f"{name}.bn.{called}"] = torch.from_numpy(stored.reshape(-1).copy())
            if kind == "params":
                state[f"{name}.bn.weight"] = torch.ones(stored.size)
                state[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    torch.save(state, path)


@cache
def both_logits_and_fvd(epsilon: float) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """The logits of all clips, and the distance of the clean ones from those with noise.

    epsilon: of the reference's normalisation, which has 1e-5, where the weights were trained with 1e-3 (as in Sonnet).
    """
    from cdfvd.third_party.i3d.utils import frechet_distance, load_i3d_model, preprocess_i3d

    with tempfile.TemporaryDirectory() as folder:
        reference_i3d(Path(folder) / "i3d.pt")
        theirs = load_i3d_model(torch.device("cpu"), str(Path(folder) / "i3d.pt"))
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.eps = epsilon
    ours = i3d.load_i3d()
    sets = [clips(level) for level in (0.0, 25.0)]
    with torch.no_grad():
        expected = [torch.cat([theirs(preprocess_i3d(clip[None])) for clip in clouds]) for clouds in sets]
    found = [np.stack([ours(clip) for clip in clouds]) for clouds in sets]
    distance = frechet_distance(expected[0].double(), expected[1].double()).item()
    logits = np.concatenate(found).astype(float), torch.cat(expected).reshape(-1, i3d.NUM_CLASSES).numpy().astype(float)
    return logits, (np.array([fvd.frechet_distance(*(one.astype(float) for one in found))]), np.array([distance]))


# ---- paths ----


def walks(count: int = 20, length: int = 17) -> list[tuple[Array, Array]]:
    """Pairs of random walks [T, 2] of the size of a picture."""
    random = np.random.default_rng(2)
    return [tuple(random.normal(0, 0.05, (2, length, 2)).cumsum(axis=1)) for _ in range(count)]  # type: ignore[misc]


def both_paths(ours: Callable[[Array, Array], float], reference: str) -> tuple[Array, Array]:
    """Dynamic time warping or Frechet's distance."""
    import similaritymeasures

    theirs = getattr(similaritymeasures, reference)
    found = [theirs(*pair) for pair in walks()]
    expected = [float(one[0] if isinstance(one, tuple) else one) for one in found]
    return np.array([ours(*pair) for pair in walks()]), np.array(expected)


def both_trajectories(ours: Callable[[Array, Array], float], is_absolute: bool) -> tuple[Array, Array]:
    """ATE with the trajectories begun at the same place, or RPE from one frame to the next."""
    from evo.core import metrics as evo
    from evo.core.trajectory import PosePath3D

    def poses(path: Array) -> Any:
        places = np.concatenate([path, np.zeros((len(path), 1))], axis=1)
        return PosePath3D(places, np.repeat([[1.0, 0.0, 0.0, 0.0]], len(path), axis=0))

    expected = []
    for one, other in walks():
        pair = (poses(other), poses(one))
        if is_absolute:
            pair[1].align_origin(pair[0])
        relation = evo.PoseRelation.translation_part
        metric = evo.APE(relation) if is_absolute else evo.RPE(relation, 1, evo.Unit.frames, all_pairs=True)
        metric.process_data(pair)
        expected.append(metric.get_statistic(evo.StatisticsType.rmse))
    return np.array([ours(*pair) for pair in walks()]), np.array(expected)


_PATHS = "similaritymeasures"
_FVD = ("cdfvd", "requests", "tqdm")
COMPARISONS = (
    Comparison("PSNR", "scikit-image", ("skimage",), 1e-6, both_psnr),
    Comparison("SSIM", "torchmetrics", ("torchmetrics",), 1e-6, both_ssim),
    Comparison("LPIPS (AlexNet)", "lpips", ("lpips", "torchvision"), 1e-6, both_lpips),
    Comparison("I3D logits", "cd-fvd, epsilon 1e-3", _FVD, 1e-4, lambda: both_logits_and_fvd(1e-3)[0]),
    Comparison("FVD", "cd-fvd, epsilon 1e-3", _FVD, 1e-4, lambda: both_logits_and_fvd(1e-3)[1]),
    Comparison("FVD", "cd-fvd as it comes, epsilon 1e-5", _FVD, 1e-2, lambda: both_logits_and_fvd(1e-5)[1]),
    Comparison("DTW", _PATHS, (_PATHS,), 1e-12, lambda: both_paths(paths.dtw, "dtw")),
    Comparison("Frechet", _PATHS, (_PATHS,), 1e-12, lambda: both_paths(paths.frechet, "frechet_dist")),
    Comparison("ATE", "evo", ("evo",), 1e-12, lambda: both_trajectories(paths.absolute_error, True)),
    Comparison("RPE", "evo", ("evo",), 1e-12, lambda: both_trajectories(paths.relative_error, False)),
)


def main() -> None:
    """Prints the table."""
    rows = [["metric", "reference", "largest difference", "values", "cases"]]
    for one in COMPARISONS:
        if one.missing:
            rows.append([one.metric, one.reference, f"N/A: {one.missing} is not installed", "", "0"])
            continue
        ours, theirs = one.both()
        values = f"{theirs.min():.4g} to {theirs.max():.4g}"
        rows.append([one.metric, one.reference, f"{np.abs(ours - theirs).max():.1e}", values, str(theirs.size)])
    print(grid(rows))


if __name__ == "__main__":
    main()
