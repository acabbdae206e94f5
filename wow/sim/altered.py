"""A Meta-World scene that is different from the stock one, and in which several tasks may follow one another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Before mujoco is imported: this chooses the renderer.
from wow.sim.camera import SceneCamera, ViewPoint  # isort: skip
import mujoco

from wow.sim.changes import COLOURS, SceneCard, Thing
from wow.sim.metaworld import SEGMENTS, VIEW_POINTS, MetaWorld
from wow.types import WowError

Array = NDArray[np.float64]

_KINDS = {
    "cube": mujoco.mjtGeom.mjGEOM_BOX,
    "screen": mujoco.mjtGeom.mjGEOM_BOX,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "ball": mujoco.mjtGeom.mjGEOM_SPHERE,
}
_PLAIN = (mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER)
_THICK, _DENSITY, _PREFIX, _TABLE = 0.006, 800.0, "thing", "other_table"
_PATTERNS = {"checker": mujoco.mjtBuiltin.mjBUILTIN_CHECKER, "stripes": mujoco.mjtBuiltin.mjBUILTIN_GRADIENT}
_TABLE_COLOURS = {"white": (0.85, 0.85, 0.85), "green": (0.25, 0.45, 0.3), "blue": (0.2, 0.3, 0.55)}


class AlteredScene(MetaWorld):
    """The scene of a card. It succeeds when all its tasks have been done, one after the other.

    `stage` says which of them is due. Reset it with the card's seed. Raises WowError for tasks that have no scene in
    common, and for a shape or size of an object that has its own.
    """

    def __init__(self, card: SceneCard, cameras: tuple[str, ...] = (), size: int = 128) -> None:
        super().__init__(card.tasks[0], cameras, size)
        self.card = card
        self.stage = 0
        self._first: Any = self._env
        self._others: list[Any] = []
        self._own: list[tuple[Any, Any]] = []
        if card.tasks[1:]:
            built = [MetaWorld(task, cameras=()) for task in card.tasks[1:]]
            if any(one._env.fullpath != self._env.fullpath for one in built):
                raise WowError(f"{', '.join(card.tasks)} are about different things: they cannot follow each other")
            self._others = [one._env for one in built]
            self._own = [(env.model, env.data) for env in self._others]
        self._compile()

    @property
    def stage_task(self) -> str:
        """The task that is due."""
        return self.card.tasks[self.stage]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The scene as it begins; drawn from the card's seed unless another is given."""
        self.stage, self._env = 0, self._first
        return super().reset(seed=self.card.seed if seed is None else seed, options=options)

    def advance(self, action: NDArray[Any]) -> dict[str, Any]:
        """One control step; `success` once the last of the tasks is done."""
        told = super().advance(action)
        if told["success"] and self.stage < len(self._others):
            self._next_task()
            told["success"] = False
        return told

    # ---- inside ----

    def _compile(self) -> None:
        """Puts the things into the model and dresses it; everything of the task finds its place where it was."""
        changes = self.card.changes
        spec = mujoco.MjSpec.from_file(self._env.fullpath)
        for number, thing in enumerate(changes.things):
            _add(spec, f"{_PREFIX}{number}", thing)
        if changes.table in _PATTERNS:
            _add_pattern(spec, _PATTERNS[changes.table])
        self.model = self._env.model = spec.compile()
        self.data = self._env.data = mujoco.MjData(self.model)
        self._env.reset_mocap_welds()
        mujoco.mj_forward(self.model, self.data)
        self._env.init_qpos, self._env.init_qvel = self.data.qpos.copy(), self.data.qvel.copy()
        stock = self._segment_of_geom
        self._segment_of_geom = np.zeros(self.model.ngeom, np.int64)
        self._segment_of_geom[: len(stock)] = stock
        for number, thing in enumerate(changes.things):
            label = "object" if thing.counts else "fixture"
            self._segment_of_geom[self.model.geom(f"{_PREFIX}{number}").id] = SEGMENTS.index(label)
        self._dress(len(stock))

    def _dress(self, num_stock: int) -> None:
        changes, model = self.card.changes, self.model
        objects = [geom for geom in range(num_stock) if self._segment_of_geom[geom] == SEGMENTS.index("object")]
        shown = [geom for geom in objects if model.geom_group[geom] <= 2]
        if changes.colour is not None:
            model.geom_matid[shown] = -1
            model.geom_rgba[shown] = (*COLOURS[changes.colour], 1.0)
        if changes.shape is not None or changes.scale != 1.0:
            self._reshape(objects)
        head = model.vis.headlight
        for light in (head.diffuse, head.ambient, model.light_diffuse):
            light[...] = np.clip(light * changes.light * np.array(changes.tint), 0.0, 1.0)
        if changes.table != "wood":
            table = [g for g in range(num_stock) if model.geom_matid[g] == model.mat("table_wood").id]
            patterned = changes.table in _PATTERNS
            model.geom_matid[table] = model.mat(_TABLE).id if patterned else -1
            if not patterned:
                model.geom_rgba[table] = (*_TABLE_COLOURS[changes.table], 1.0)

    def _reshape(self, objects: list[int]) -> None:
        changes, model = self.card.changes, self.model
        if len(objects) != 1 or model.geom_type[objects[0]] not in _PLAIN:
            raise WowError(f"the object of {self.task.name} has a shape of its own: choose another task or no shape")
        geom = objects[0]
        half = float(model.geom_size[geom, 0]) * changes.scale
        if changes.shape is not None:
            model.geom_type[geom] = _KINDS[changes.shape]
        model.geom_size[geom] = (half, half, half if model.geom_type[geom] == _KINDS["cube"] else 0.0)
        if model.geom_type[geom] == _KINDS["cylinder"]:
            model.geom_size[geom, 1] = half
        model.geom_rbound[geom] = half * 3**0.5

    def _next_task(self) -> None:
        """From here on the next task is asked for, in the scene as it stands."""
        before = self._env
        following = self._others[self.stage]
        drawn = self._first._last_rand_vec
        if self.card.tasks[self.stage + 1] == "coffee-button" and len(drawn) == 6:
            # The machine stands behind the mug's place below it.
            mug = drawn[3:] if self.card.tasks[0] == "coffee-push" else drawn[:3]
            drawn = mug + np.array([0.0, 0.22, 0.0])
        following._freeze_rand_vec, following._last_rand_vec = True, drawn.copy()
        following.max_path_length = before.max_path_length
        # It sets up its own variables in its own copy of the scene, and is then handed this one.
        following.model, following.data = self._own[self.stage]
        following.reset()
        following.model, following.data = self.model, self.data
        following.curr_path_length = 0
        self.stage += 1
        self._env = following
        following._prev_obs = following._get_curr_obs_combined_no_goal()
        self._state = np.asarray(following._get_obs(), np.float64)

    def _scene_camera(self) -> SceneCamera:
        if self._camera is None:
            front, changes = VIEW_POINTS["front"], self.card.changes
            assert isinstance(front, ViewPoint)
            moved = replace(
                front,
                azimuth=front.azimuth + changes.azimuth,
                elevation=front.elevation + changes.elevation,
                distance=front.distance + changes.distance,
            )
            views = {**VIEW_POINTS, "front": moved}
            self._camera = SceneCamera(self.model, self.size, views, visible=(0, 1, 2), markers=(0, 1, 2))
        return self._camera


def _add(spec: Any, name: str, thing: Thing) -> None:
    """A body with one geom that is seen and touched. Its mass is said: the stock models take none from what is seen."""
    half = thing.half
    size = {
        "cube": (half,) * 3,
        "cylinder": (half, half, 0.0),
        "ball": (half, 0.0, 0.0),
        "screen": (half, _THICK, half),
    }
    angle = np.radians(thing.turned) / 2
    body = spec.worldbody.add_body(name=name, pos=thing.at, quat=(np.cos(angle), 0.0, 0.0, np.sin(angle)))
    if thing.free:
        mass = _DENSITY * (2 * half) ** 3 * 0.8
        body.explicitinertial = True
        body.mass, body.inertia, body.ipos = mass, (mass * half**2 * 0.5,) * 3, (0.0, 0.0, 0.0)
        body.add_freejoint()
    body.add_geom(
        name=name,
        type=_KINDS[thing.shape],
        size=size[thing.shape],
        rgba=(*COLOURS[thing.colour], 1.0),
        group=1,
        contype=1,
        conaffinity=1,
        condim=4,
        friction=(1.0, 0.1, 0.002),
    )


def _add_pattern(spec: Any, builtin: Any) -> None:
    """A table with a pattern that no stock scene has."""
    spec.add_texture(
        name=_TABLE,
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=builtin,
        rgb1=(0.75, 0.72, 0.65),
        rgb2=(0.3, 0.35, 0.45),
        width=256,
        height=256,
    )
    material = spec.add_material(name=_TABLE, texrepeat=(4.0, 4.0))
    textures = list(material.textures)
    textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = _TABLE
    material.textures = textures
