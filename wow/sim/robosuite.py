"""robosuite as a Gymnasium environment: five arms whose hands turn as well as move, fast headless pictures.

The stock OSC_POSE controller at 20 control steps a second, with deltas in the world frame; robosuite's own observations
are switched off, which makes a control step twice as fast. Zhu et al. 2020, "robosuite".
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import gymnasium
import mujoco
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from wow.sim.camera import SceneCamera, Stick, ViewPoint
from wow.sim.robosuite_tasks import ARMS, TABLE_HEIGHT, TASKS
from wow.types import UInt8

# At import it warns of parts that these arms do not need, later it names every file that it reads.
logging.getLogger("robosuite_logs").addFilter(lambda record: record.levelno >= logging.ERROR)

import robosuite  # noqa: E402
import robosuite.macros  # noqa: E402

# Compiling takes seconds in every process and makes a step no faster.
robosuite.macros.ENABLE_NUMBA = False

CONTROL_RATE = 20.0
"""Control steps per second [Hz]: 25 physics steps of 2 ms each."""

HOLD = 10
"""Control steps that a success has to last, so that a cube in mid-fall is none."""

METRES_PER_UNIT = 0.05
RADIANS_PER_UNIT = 0.5
"""How far ahead of the tool the controller's goal is set at raw action 1, along [m] and about [rad] each axis."""

VIEW_POINTS: dict[str, ViewPoint | str] = {
    "front": ViewPoint((-0.1, 0.0, 1.0), 0.95, 140.0, -28.0),
    "side": ViewPoint((-0.1, 0.0, 1.0), 0.95, 220.0, -28.0),
    "wrist": "robot0_eye_in_hand",
}
"""The cameras by name: a free view point, or the name of a camera of the model."""

DOOR_VIEW_POINTS = VIEW_POINTS | {
    "front": ViewPoint((-0.2, -0.2, 1.08), 1.1, 230.0, -22.0),
    "side": ViewPoint((-0.2, -0.2, 1.08), 1.1, 300.0, -22.0),
}
"""The door stands to the arm's right and would hide it from the front."""

SEGMENTS = ("background", "arm", "gripper", "object", "fixture")
"""Meaning of the values in a segmentation picture. object: what can move; fixture: the door's frame."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Pose:
    """Where a tool is: position [3, m] of the point between the finger tips, and rotation [3, 3] tool to world.

    The tool's axes are the same for every arm: x from finger to finger, z out of the hand, where it reaches.
    """

    position: Array
    rotation: Array

    def vector(self) -> Array:
        """[7]: position, then quaternion w x y z with its largest number positive."""
        x, y, z, w = Rotation.from_matrix(self.rotation).as_quat()
        quaternion = np.array([w, x, y, z])
        return np.append(self.position, quaternion * np.sign(quaternion[np.abs(quaternion).argmax()]))

    def change_to(self, later: Pose) -> Array:
        """[6]: the motion from here to there in the world frame, position [m] and rotation vector [rad].

        The rotation vector r turns this rotation R into the later one: exp(r) R. Its size is at most pi.
        """
        turn = Rotation.from_matrix(later.rotation @ self.rotation.T).as_rotvec()
        return np.append(later.position - self.position, turn)

    def raised(self, height: float) -> Pose:
        """The same pose, higher [m]."""
        return Pose(self.position + np.array([0.0, 0.0, height]), self.rotation)

    def moved(self, change: Array) -> Pose:
        """The pose after a motion as `change_to` gives it."""
        turn = Rotation.from_rotvec(change[3:6]).as_matrix()
        return Pose(self.position + change[:3], turn @ self.rotation)


@dataclass(frozen=True)
class SceneTruth:
    """What the simulator knows at this instant, in the world frame.

    tool, with its velocity [6, m/s and rad/s]. opening: 0 closed, 1 open. objects [2, 7]: position [m] and quaternion
    (w x y z) of the one or two objects, zeros where there is none. goal: the pose asked for in reach-pose. contact:
    both finger pads touch something that is not the robot.
    """

    tool: Pose
    velocity: Array
    opening: float
    objects: Array
    goal: Pose | None
    contact: bool


class Robosuite(gymnasium.Env[dict[str, Any], NDArray[Any]]):
    """One arm in one task's scene. Observations: {"tool": float64 [7], "<camera>": uint8 [H, W, 3] for each camera}.

    The action is the stock raw one in [-1, 1]: where the controller's goal lies from the tool, x y z in units of
    `METRES_PER_UNIT` and a rotation vector in units of `RADIANS_PER_UNIT`, both in the world frame; then the gripper
    (-1 opens, +1 closes). One environment per process: the camera holds a GL context.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": CONTROL_RATE}  # noqa: RUF012

    def __init__(self, robot: str, task: str, cameras: tuple[str, ...] = ("front",), size: int = 128) -> None:
        self.arm = ARMS[robot]
        self.task = TASKS[task]
        self.cameras = cameras
        self.size = size
        self._env: Any = robosuite.make(
            self.task.scene,
            robots=self.arm.model,
            controller_configs=_controller(self.arm.model),
            control_freq=CONTROL_RATE,
            has_renderer=False,
            has_offscreen_renderer=False,
            use_camera_obs=False,
            use_object_obs=False,
            ignore_done=True,
            hard_reset=False,
            renderer="mujoco",
            seed=0,
        )
        # Every observation would be computed at every physics step.
        self._env._observables = {}
        self.model: Any = self._env.sim.model._model
        self.data: Any = self._env.sim.data._data
        self.tool_site = int(self._env.robots[0].eef_site_id["right"])
        self.arm_joints = self._joints("robot0_")
        self.finger_joints = self._joints("gripper0_")
        self._pads = _pads(self._env, self.model)
        self._objects = [self.model.body(name).id for name in self.task.objects]
        self._segment_of_geom = _segments(self.model)
        _free_the_shoulder(self.model)
        self._camera: SceneCamera | None = None
        self._goal: Pose | None = None
        self.render_mode = "rgb_array"
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (7,), np.float64)
        self.observation_space = gymnasium.spaces.Dict(
            {"tool": gymnasium.spaces.Box(-np.inf, np.inf, (7,), np.float64)}
            | {camera: gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8) for camera in cameras}
        )

    # ---- Gymnasium ----

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """A new scene drawn from `seed`: the same seed gives the same scene, whatever happened before."""
        super().reset(seed=seed)
        drawn = int(self.np_random.integers(2**31)) if seed is None else seed
        generator = np.random.default_rng([drawn, len(self.task.name)])
        self._env.rng.bit_generator.state = np.random.default_rng(generator.integers(2**31)).bit_generator.state
        self._env.reset()
        if self.task.scene != "Door":
            self._scatter(generator)
        self._goal = _random_goal(generator) if self.task.name == "reach-pose" else None
        mujoco.mj_forward(self.model, self.data)
        return self.observe(), {"success": False}

    def step(self, action: NDArray[Any]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """One control step. terminated is True on success; nothing is rendered when no camera was asked for."""
        info = self.advance(action)
        return self.observe(), float(info["success"]), bool(info["success"]), False, info

    def render(self) -> UInt8:
        """The first camera's picture, uint8 [H, W, 3]."""
        return self.picture(self.cameras[0] if self.cameras else "front")

    def close(self) -> None:
        """Frees the camera. The environment cannot be rendered afterwards."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None

    # ---- beyond Gymnasium ----

    def advance(self, action: NDArray[Any]) -> dict[str, Any]:
        """One control step without pictures; the info has `success` (bool)."""
        self._env.step(np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0))
        return {"success": self.succeeded()}

    def succeeded(self) -> bool:
        """Whether the task is done now; in reach-pose: within 2 cm and 0.15 rad of the goal."""
        if self._goal is None:
            return bool(self._env._check_success())
        left = self.tool().change_to(self._goal)
        return float(np.linalg.norm(left[:3])) < 0.02 and float(np.linalg.norm(left[3:])) < 0.15

    def observe(self) -> dict[str, Any]:
        """The current observation, with one picture per camera."""
        return {"tool": self.tool().vector()} | {camera: self.picture(camera) for camera in self.cameras}

    def picture(self, camera: str = "front") -> UInt8:
        """What `camera` sees, uint8 [H, W, 3]. The goal of reach-pose is drawn as coloured axes."""
        return self._ready().picture(self.data, camera, [] if self._goal is None else _axes(self._goal))

    def segmentation(self, camera: str = "front") -> UInt8:
        """What each pixel shows, uint8 [H, W] of indices into `SEGMENTS`."""
        return self._ready().segmentation(self.data, camera, self._segment_of_geom)

    def pixels(self, points: Array, camera: str = "front") -> Array:
        """Where world points [N, 3] appear: float [N, 2] of (column, row) in pixels, possibly outside the picture."""
        return self._ready().pixels(self.data, points, camera)

    def tool(self) -> Pose:
        """Where the tool is."""
        return Pose(
            self.data.site_xpos[self.tool_site].copy(), self.data.site_xmat[self.tool_site].reshape(3, 3).copy()
        )

    def truth(self) -> SceneTruth:
        """What the simulator knows now."""
        first, second = (self.data.geom_xpos[pad] for pad in self._pads)
        width = float(np.linalg.norm(first - second))
        objects = np.zeros((2, 7))
        for row, body in zip(objects, self._objects, strict=False):
            row[:3], row[3:] = self.data.xpos[body], self.data.xquat[body]
        velocity = np.zeros(6)
        mujoco.mj_objectVelocity(self.model, self.data, mujoco.mjtObj.mjOBJ_SITE, self.tool_site, velocity, 0)
        return SceneTruth(
            tool=self.tool(),
            velocity=np.concatenate([velocity[3:], velocity[:3]]),
            opening=float(np.clip((width - self.arm.closed) / (self.arm.open - self.arm.closed), 0.0, 1.0)),
            objects=objects,
            goal=self._goal,
            contact=self._in_contact(),
        )

    # ---- inside ----

    def _joints(self, prefix: str) -> NDArray[np.int64]:
        """The joints of what is called so."""
        return np.array([joint for joint in range(self.model.njnt) if self.model.joint(joint).name.startswith(prefix)])

    def _ready(self) -> SceneCamera:
        if self._camera is None:
            # robosuite puts what is only there to collide into group 0.
            views = DOOR_VIEW_POINTS if self.task.scene == "Door" else VIEW_POINTS
            self._camera = SceneCamera(self.model, self.size, views, visible=(1,))
        return self._camera

    def _scatter(self, generator: np.random.Generator) -> None:
        """The cubes lie anywhere that every arm reaches, turned anyhow, with room for a wide gripper between them."""
        while True:
            places = generator.uniform([-0.2, -0.22], [0.03, 0.22], (len(self._objects), 2))
            if len(places) < 2 or np.linalg.norm(places[0] - places[1]) > 0.13:
                break
        for body, place in zip(self._objects, places, strict=True):
            joint = int(self.model.body_jntadr[body])
            start = int(self.model.jnt_qposadr[joint])
            half = generator.uniform(-np.pi, np.pi) / 2
            height = TABLE_HEIGHT + float(self.model.geom_size[self.model.body_geomadr[body], 2])
            self.data.qpos[start : start + 7] = [*place, height, np.cos(half), 0.0, 0.0, np.sin(half)]

    def _in_contact(self) -> bool:
        touched: set[int] = set()
        for contact in self.data.contact:
            first, second = int(contact.geom1), int(contact.geom2)
            for pad, other in ((first, second), (second, first)):
                if pad in self._pads and self._segment_of_geom[other] in (3, 4):
                    touched.add(pad)
        return len(touched) == 2


def _controller(model: str) -> dict[str, Any]:
    """robosuite's own configuration of the arm, its deltas in the world frame."""
    config: dict[str, Any] = robosuite.load_composite_controller_config(robot=model)
    config["body_parts"]["right"]["input_ref_frame"] = "world"
    return config


def _random_goal(generator: np.random.Generator) -> Pose:
    """A pose above the table: the hand tilted by up to 0.8 rad from straight down, turned by up to 1.2 rad."""
    position = generator.uniform([-0.2, -0.22, 0.92], [0.03, 0.22, 1.12])
    return Pose(position, tilted(generator.uniform(-1.2, 1.2), generator.uniform(0, 0.8), generator.uniform(0, 6.28)))


def tilted(turn: float, tilt: float, towards: float) -> Array:
    """A rotation [3, 3] of the tool: straight down, turned about the vertical, its back tilted towards a side [rad]."""
    # Straight down, the arms of robosuite hold their fingers one left and one right of the middle, along y.
    down = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    axis = np.array([-np.sin(towards), np.cos(towards), 0.0])
    turned: Array = (
        Rotation.from_rotvec(tilt * axis).as_matrix() @ Rotation.from_rotvec([0, 0, turn]).as_matrix() @ down
    )
    return turned


def _axes(pose: Pose) -> list[Stick]:
    """The tool's three axes as red, green and blue sticks of 8 cm."""
    start = (float(pose.position[0]), float(pose.position[1]), float(pose.position[2]))
    sticks = []
    for axis, colour in zip(pose.rotation.T, np.eye(3), strict=True):
        x, y, z = (pose.position + 0.08 * axis).tolist()
        red, green, blue = colour.tolist()
        sticks.append(Stick(start, (x, y, z), 0.008, (red, green, blue)))
    return sticks


def _pads(env: Any, model: Any) -> tuple[int, int]:
    geoms = env.robots[0].gripper["right"].important_geoms
    left, right = (model.geom(geoms[side][0]).id for side in ("left_fingerpad", "right_fingerpad"))
    return int(left), int(right)


def _free_the_shoulder(model: Any) -> None:
    """The arm's base, welded to the world, touches nothing.

    MuJoCo lets a link pass through the one that it turns in, but not where that one is welded to the world: Sawyer's
    first joint is then held fast by the friction between the two.
    """
    for geom in range(model.ngeom):
        body = int(model.geom_bodyid[geom])
        if model.body_weldid[body] == 0 and model.body(body).name.startswith("robot0_"):
            model.geom_contype[geom] = model.geom_conaffinity[geom] = 0


def _segments(model: Any) -> NDArray[np.int64]:
    """For each geom, its index into `SEGMENTS`."""
    labels = np.zeros(model.ngeom, dtype=np.int64)
    for geom in range(model.ngeom):
        body = int(model.geom_bodyid[geom])
        name = model.body(body).name
        if name.startswith("gripper0_"):
            labels[geom] = 2
        elif name.startswith("robot0_"):
            labels[geom] = 1
        elif name.startswith("Door_"):
            labels[geom] = 3 if model.body(body).jntnum[0] or "latch" in name else 4
        elif model.body_jntnum[body] > 0:
            labels[geom] = 3
    return labels
