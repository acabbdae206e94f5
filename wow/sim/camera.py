"""Pictures of a MuJoCo scene without a screen: colour, what each pixel shows, and where a point of the world appears.

Shadows, reflections, multisampling and collision geometry are off: with a software renderer they double the time of a
picture and tell nothing more about the motion.
"""

from __future__ import annotations

import atexit
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from wow.types import UInt8

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ViewPoint:
    """A free camera. lookat [m], distance [m], azimuth and elevation [degrees]."""

    lookat: tuple[float, float, float]
    distance: float
    azimuth: float
    elevation: float


@dataclass(frozen=True)
class Stick:
    """A coloured stick that is drawn in the scene and touches nothing. start, end, radius [m], colour in [0, 1]."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radius: float
    colour: tuple[float, float, float]


class SceneCamera:
    """Square pictures of one model, `size` pixels wide. It holds a GL context: one per process.

    views: by name, a free view point or the name of a camera of the model. visible, markers: the groups of geoms and of
    sites to draw.
    """

    def __init__(
        self,
        model: Any,
        size: int,
        views: Mapping[str, ViewPoint | str],
        visible: Sequence[int],
        markers: Sequence[int] = (),
    ) -> None:
        self.size = size
        self._views = views
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = 0
        self._option.geomgroup[list(visible)] = 1
        self._option.sitegroup[:] = 0
        self._option.sitegroup[list(markers)] = 1
        model.vis.quality.offsamples = 0
        self._renderer: Any = mujoco.Renderer(model, size, size)
        # Freed at interpreter exit, the GL context would complain on stderr.
        atexit.register(self.close)

    def close(self) -> None:
        """Frees the GL context; no picture can be taken afterwards."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
            atexit.unregister(self.close)

    def picture(self, data: Any, camera: str, sticks: Sequence[Stick] = ()) -> UInt8:
        """What `camera` sees, uint8 [H, W, 3]."""
        self._look(data, camera)
        for stick in sticks:
            self._draw(stick)
        return np.array(self._renderer.render(), dtype=np.uint8)

    def segmentation(self, data: Any, camera: str, label_of_geom: NDArray[np.int64]) -> UInt8:
        """The label of what each pixel shows, uint8 [H, W]; 0 where there is no geom."""
        self._look(data, camera)
        self._renderer.enable_segmentation_rendering()
        identity = np.array(self._renderer.render())
        self._renderer.disable_segmentation_rendering()
        is_geom = identity[..., 1] == mujoco.mjtObj.mjOBJ_GEOM
        return np.where(is_geom, label_of_geom[np.where(is_geom, identity[..., 0], 0)], 0).astype(np.uint8)

    def pixels(self, data: Any, points: Array, camera: str) -> Array:
        """Where world points [N, 3] appear: [N, 2] of (column, row) in pixels, possibly outside the picture."""
        self._look(data, camera)
        # MuJoCo keeps a stereo pair; the picture is taken from the point between the two eyes.
        eye, other = self._renderer.scene.camera
        centre = (np.array(eye.pos) + np.array(other.pos)) / 2.0
        forward, up = np.array(eye.forward), np.array(eye.up)
        offset = np.asarray(points, dtype=np.float64) - centre
        depth = offset @ forward
        scale = self.size / (eye.frustum_top - eye.frustum_bottom) * eye.frustum_near
        right = offset @ np.cross(forward, up)
        return np.stack([self.size / 2 + scale * right / depth, self.size / 2 - scale * (offset @ up) / depth], axis=-1)

    def _look(self, data: Any, camera: str) -> None:
        view = self._views[camera]
        if isinstance(view, ViewPoint):
            free = mujoco.MjvCamera()
            free.type = mujoco.mjtCamera.mjCAMERA_FREE
            free.lookat[:] = view.lookat
            free.distance, free.azimuth, free.elevation = view.distance, view.azimuth, view.elevation
            self._renderer.update_scene(data, free, self._option)
        else:
            self._renderer.update_scene(data, view, self._option)
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = 0
        self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0

    def _draw(self, stick: Stick) -> None:
        scene = self._renderer.scene
        geom = scene.geoms[scene.ngeom]
        kind = mujoco.mjtGeom.mjGEOM_CAPSULE
        colour = np.array([*stick.colour, 1.0], dtype=np.float32)
        mujoco.mjv_initGeom(geom, kind, np.zeros(3), np.zeros(3), np.zeros(9), colour)
        mujoco.mjv_connector(geom, kind, stick.radius, np.array(stick.start), np.array(stick.end))
        scene.ngeom += 1
