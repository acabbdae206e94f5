"""WoW: an embodied world model. From one picture and an instruction to a robot video:

    import wow

    video = wow.load("wow-mini").imagine(image, "open the drawer", seed=0)

`video` is a `wow.types.Video`: uint8 frames [T, H, W, 3] and their rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wow.assembly import open_model as load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> object:
    # `load` is fetched when first used, so that `import wow` loads no torch.
    if name == "load":
        from wow.assembly import open_model

        return open_model
    raise AttributeError(f"module 'wow' has no attribute '{name}'")
