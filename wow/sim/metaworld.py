"""Meta-World v3 as a Gymnasium environment: 50 tasks of a Sawyer arm, fast headless pictures, exact save and restore.

The simulator runs at 80 control steps per second. World frame: x to the robot's right, y away from it, z up [m].
Yu et al. 2019, "Meta-World"; simulator by Farama.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import gymnasium
import mujoco
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE
from numpy.typing import NDArray

from wow.sim.camera import SceneCamera, ViewPoint
from wow.sim.language import find_task
from wow.types import UInt8

# The experts ask for more than 1 and rely on the clipping; saying so at every step helps nobody.
warnings.filterwarnings("ignore", message=".*Constant")

CONTROL_RATE = 80.0
"""Control steps per second [Hz]: 5 physics steps of 2.5 ms each."""

METRES_PER_UNIT = 0.01
"""How far the arm's target moves in one control step at raw action 1 [m]."""

# Meta-World types this table by its abstract base class, which takes other arguments.
_ENVIRONMENTS: dict[str, Any] = dict(ALL_V3_ENVIRONMENTS_GOAL_OBSERVABLE)

Array = NDArray[np.float64]


VIEW_POINTS: dict[str, ViewPoint | str] = {
    "front": ViewPoint((0.0, 0.62, 0.12), 1.15, 145.0, -28.0),
    "side": ViewPoint((0.0, 0.62, 0.12), 1.15, 35.0, -28.0),
    "wrist": "gripperPOV",
}
"""The cameras by name: a free view point, or the name of a camera of the model."""

SEGMENTS = ("background", "arm", "gripper", "object", "fixture")
"""Meaning of the values in a segmentation picture. object: what can move; fixture: the task's immovable furniture."""

LINKS = ("right_l2", "right_l3", "right_l4", "right_l5", "right_l6")
"""Bodies of the arm between its shoulder and its hand. The hand's place leaves the elbow free."""

_MODEL_ARRAYS = ("body_pos", "body_quat", "site_pos", "geom_pos", "geom_quat", "geom_rgba", "site_rgba")


@dataclass(frozen=True)
class SceneState:
    """Everything needed to continue a scene bit for bit: physics, edited model arrays, the task's own variables."""

    physics: Array
    model: dict[str, NDArray[Any]]
    task: dict[str, Any]
    random_state: dict[str, Any]


@dataclass(frozen=True)
class SceneTruth:
    """What the simulator knows at this instant, in the world frame [m].

    gripper [3]: middle of the finger tips. hand [3]: the wrist body that actions move. opening: 0 closed, 1 open.
    objects [2, 7]: position and quaternion (w x y z) of the one or two objects, zeros where there is none.
    goal [3]. contact: both finger pads touch something that is not the robot.
    """

    gripper: Array
    hand: Array
    opening: float
    objects: Array
    goal: Array
    contact: bool


class MetaWorld(gymnasium.Env[dict[str, Any], NDArray[Any]]):
    """One Meta-World task. Observations: {"state": float64 [39], "<camera>": uint8 [H, W, 3] for each camera}.

    The action is the raw one: x y z of the hand's target in units of `METRES_PER_UNIT` and gripper effort
    (-1 opens, +1 closes), all in [-1, 1]. One environment per process: the renderer holds a GL context.

    Raises WowError for an unknown task (with the nearest names).
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": CONTROL_RATE}  # noqa: RUF012

    def __init__(self, task: str, cameras: tuple[str, ...] = ("front",), size: int = 128) -> None:
        self.task = find_task(task)
        self.cameras = cameras
        self.size = size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._env: Any = _ENVIRONMENTS[f"{self.task.name}-v3-goal-observable"](seed=0)
        self._env._freeze_rand_vec = False
        self._env.seeded_rand_vec = True
        self._env.max_path_length = 10_000_000
        self.render_mode = "rgb_array"
        self.action_space = self._env.action_space
        self.observation_space = gymnasium.spaces.Dict(
            {"state": self._env.observation_space}
            | {camera: gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8) for camera in cameras}
        )
        self.model: Any = self._env.model
        self.data: Any = self._env.data
        self._camera: SceneCamera | None = None
        self._state: Array = np.zeros(39)
        self._segment_of_geom = _segments(self.model)

    # ---- Gymnasium ----

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new scene drawn from `seed`: the same seed gives the same scene, whatever happened before."""
        super().reset(seed=seed)
        self._env.seed(int(self.np_random.integers(2**31)) if seed is None else seed)
        for name, value in self._initial_model().items():
            getattr(self.model, name)[...] = value
        self._state, _ = self._env.reset()
        # The stock reset moves joints and goals without updating what is derived from them; a picture would lie.
        mujoco.mj_forward(self.model, self.data)
        self._state[:18] = self._state[18:36] = self._env._get_curr_obs_combined_no_goal()
        self._env._prev_obs = self._state[:18].copy()
        return self.observe(), {"success": False}

    def step(self, action: NDArray[Any]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """One control step. terminated is True on success; nothing is rendered when no camera was asked for."""
        info = self.advance(action)
        return self.observe(), float(info["reward"]), bool(info["success"]), False, info

    def render(self) -> UInt8:
        """The first camera's picture, uint8 [H, W, 3]."""
        return self.picture(self.cameras[0] if self.cameras else "front")

    def close(self) -> None:
        """Frees the camera. The environment cannot be rendered afterwards."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    # ---- beyond Gymnasium ----

    @property
    def state(self) -> Array:
        """The simulator's observation [39]: hand, opening, objects, the same one step earlier, goal."""
        return self._state

    def advance(self, action: NDArray[Any]) -> dict[str, Any]:
        """One control step without pictures; the info has `success` (bool) and `reward` (float)."""
        raw = np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0)
        self._state, reward, _, _, info = self._env.step(raw)
        return {"success": bool(info["success"]), "reward": float(reward)}

    def observe(self) -> dict[str, Any]:
        """The current observation, with one picture per camera."""
        return {"state": self._state.copy()} | {camera: self.picture(camera) for camera in self.cameras}

    def picture(self, camera: str = "front") -> UInt8:
        """What `camera` sees, uint8 [H, W, 3]."""
        return self._scene_camera().picture(self.data, camera)

    def segmentation(self, camera: str = "front") -> UInt8:
        """What each pixel shows, uint8 [H, W] of indices into `SEGMENTS`."""
        return self._scene_camera().segmentation(self.data, camera, self._segment_of_geom)

    def pixels(self, points: Array, camera: str = "front") -> Array:
        """Where world points [N, 3] appear: float [N, 2] of (column, row) in pixels, possibly outside the picture."""
        return self._scene_camera().pixels(self.data, points, camera)

    def truth(self) -> SceneTruth:
        """What the simulator knows now."""
        objects = np.zeros((2, 7))
        objects[:, :3] = self._state[[[4, 5, 6], [11, 12, 13]]]
        objects[:, 3:] = self._state[[[7, 8, 9, 10], [14, 15, 16, 17]]]
        return SceneTruth(
            gripper=self._env.tcp_center.copy(),
            hand=self._state[:3].copy(),
            opening=float(self._state[3]),
            objects=objects,
            goal=np.array(self._env._target_pos, dtype=np.float64),
            contact=self._in_contact(),
        )

    @property
    def target(self) -> Array:
        """Where the controller is pulling the hand to [3, m]: the integral of all clipped actions so far."""
        return np.array(self.data.mocap_pos[0], dtype=np.float64)

    @property
    def links(self) -> Array:
        """Where the arm's links between shoulder and hand are [5, 3, m]; see `LINKS`."""
        return np.array([self.data.body(name).xpos for name in LINKS])

    @property
    def workspace(self) -> tuple[Array, Array]:
        """The lowest and the highest corner [3, m] that the target is kept within."""
        return self._env.mocap_low.astype(np.float64), self._env.mocap_high.astype(np.float64)

    def save(self) -> SceneState:
        """Everything needed to come back to this instant."""
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        physics = np.zeros(mujoco.mj_stateSize(self.model, kind))
        mujoco.mj_getState(self.model, self.data, physics, kind)
        variables = {name: _copied(value) for name, value in vars(self._env).items() if _is_plain(value)}
        return SceneState(
            physics=physics,
            model={name: getattr(self.model, name).copy() for name in _MODEL_ARRAYS},
            task=variables | {"_wow_state": self._state.copy()},
            random_state=dict(self._env.np_random.bit_generator.state),
        )

    def restore(self, state: SceneState) -> None:
        """Back to a saved instant; from here the same actions give the same bits."""
        for name, value in state.model.items():
            getattr(self.model, name)[...] = value
        for name, value in state.task.items():
            if name != "_wow_state":
                setattr(self._env, name, _copied(value))
        self._state = state.task["_wow_state"].copy()
        self._env.np_random.bit_generator.state = state.random_state
        mujoco.mj_setState(self.model, self.data, state.physics, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(self.model, self.data)
        # mj_forward refreshes what is derived, and with it the solver's warm start: put that back.
        mujoco.mj_setState(self.model, self.data, state.physics, mujoco.mjtState.mjSTATE_INTEGRATION)

    # ---- inside ----

    def _scene_camera(self) -> SceneCamera:
        if self._camera is None:
            self._camera = SceneCamera(self.model, self.size, VIEW_POINTS, visible=(0, 1, 2), markers=(0, 1, 2))
        return self._camera

    def _initial_model(self) -> dict[str, NDArray[Any]]:
        if not hasattr(self, "_fresh_model"):
            self._fresh_model = {name: getattr(self.model, name).copy() for name in _MODEL_ARRAYS}
        return self._fresh_model

    def _in_contact(self) -> bool:
        pads = {self.model.geom(name).id for name in ("leftpad_geom", "rightpad_geom")}
        touched: set[int] = set()
        for contact in self.data.contact:
            first, second = int(contact.geom1), int(contact.geom2)
            for pad, other in ((first, second), (second, first)):
                if pad in pads and self._segment_of_geom[other] in (3, 4):
                    touched.add(pad)
        return touched == pads


def _segments(model: Any) -> NDArray[np.int64]:
    """For each geom, its index into `SEGMENTS`."""
    names = [model.body(body).name for body in range(model.nbody)]
    labels = np.zeros(model.ngeom, dtype=np.int64)
    for geom in range(model.ngeom):
        chain = _body_chain(model, int(model.geom_bodyid[geom]))
        chain_names = {names[body] for body in chain}
        if "hand" in chain_names:
            labels[geom] = 2
        elif "base" in chain_names:
            labels[geom] = 1
        elif not chain or chain_names & {"tablelink", "RetainingWall", "mocap"}:
            labels[geom] = 0
        elif any(model.body_jntnum[body] > 0 for body in chain):
            labels[geom] = 3
        else:
            labels[geom] = 4
    return labels


def _body_chain(model: Any, body: int) -> list[int]:
    """The body and those it hangs on, without the world."""
    chain = []
    while body != 0:
        chain.append(body)
        body = int(model.body_parentid[body])
    return chain


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float | str | np.ndarray | np.generic)


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value
