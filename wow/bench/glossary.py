"""What each metric is, in a sentence for somebody who has never met it."""

from __future__ import annotations

from collections.abc import Mapping

from wow.bench.dimensions.contract import Metric

ABOUT = (
    "[picture]: lengths in shares of the picture's width and height. [grey]: levels from 0 to 255. n: samples behind a "
    "number. Scale v2: which values become 0 and 100, the map between them with its parameter, and whose these anchors "
    "are."
)
_CONSISTENT = "whether it stays itself: the cosine of its features with those of the first frame and the frame before"
_ALEXNET = "The same with AlexNet's features, where DINO's weights are missing."
_PATH = "between the paths of its centre in the video and in the truth"
MEANINGS: Mapping[str, str] = {
    "fvd": "Fréchet video distance: between all imagined and all true videos, as two clouds of features of I3D.",
    "psnr": "Peak signal-to-noise ratio: how far pixels are off, on a logarithmic scale.",
    "ssim": "Structural similarity: whether the same structures are in the same places; 1 is identical.",
    "lpips": "Learned perceptual similarity: how different frames look to a network fitted to people's judgement.",
    "dino": "Whether each frame means the same as the true one: the cosine of features of DINOv2.",
    "alexnet_cosine": _ALEXNET,
    "caption_score": "A judge compares what the video shows with what was asked for, 1 to 5.",
    "sequence_match": "A judge says whether the steps come in the order that was asked for, 0 to 1.",
    "execution_quality": "A judge rates how well the robot does it, 1 to 5.",
    "physical_score": "A judge rates how far physics is obeyed, 1 to 5.",
    "robot_consistency": f"Of the robot {_CONSISTENT}. A video that stands still is perfect in this.",
    "object_consistency": f"Of the object {_CONSISTENT}.",
    "background_consistency": f"Of the background {_CONSISTENT}.",
    "alexnet_robot_consistency": _ALEXNET,
    "alexnet_object_consistency": _ALEXNET,
    "alexnet_background_consistency": _ALEXNET,
    "robot_path_l2": f"Of the robot, the mean distance {_PATH}, frame by frame.",
    "robot_path_dtw": f"Of the robot, dynamic time warping {_PATH}: their distance however fast each goes, summed up.",
    "robot_path_frechet": f"Of the robot, the Fréchet distance {_PATH}: the longest leash between two who walk them.",
    "object_path_l2": f"Of the object, the mean distance {_PATH}, frame by frame.",
    "object_path_dtw": f"Of the object, dynamic time warping {_PATH}.",
    "object_path_frechet": f"Of the object, the Fréchet distance {_PATH}.",
    "camera_ate": "Absolute trajectory error: how far the camera is from where it really was.",
    "camera_rpe": "Relative pose error: how far the camera's single steps are off.",
    "plan": "A judge names the steps that are shown; they are compared with the sample's graph of key steps, 0 to 100.",
    "long_horizon": "Of a task of several stages, how many steps are right and how much is completed, 0 to 100.",
    "executed_success": "The share of videos whose actions, read by inverse dynamics, do the task in the simulator.",
    "executed_truth": "The same of the true videos: the ceiling.",
    "executed_shuffled": "The same of the video's actions in a random order: the floor.",
    "action_sensitivity": "How far the video changes with another instruction; 0 for the same video twice, at most 1.",
    "action_sensitivity_dynamics": "The same with another sample's actions in place of its own.",
    "small_object_error": "Root mean square error of the pixels where a small object truly is.",
    "drift": "How much larger the error is in the last quarter of the video than in the first one.",
}


def direction(metric: Metric) -> str:
    """Which values are better."""
    return "higher" if metric.higher_is_better else "lower"
