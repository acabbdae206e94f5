"""Muon (Jordan et al. 2024), torch's own, but with all matrices of a shape made orthogonal at once.

torch's computes one matrix after the other, in bfloat16. A processor that cannot multiply bfloat16 then spends twice
as long on the optimiser as on the network; here it is float32 where that is faster, and a batch per shape everywhere.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from wow.models.precision import has_fast_half


class Muon(torch.optim.Muon):
    """`torch.optim.Muon` with its state and checkpoints; the update differs by rounding alone."""

    def __init__(self, matrices: list[Tensor], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(matrices, lr=lr, weight_decay=weight_decay, momentum=momentum)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step of all matrices that have a gradient. closure: not accepted, as a loss is computed once."""
        if closure is not None:
            raise ValueError("a step takes no closure: compute the loss and its gradients first")
        for group in self.param_groups:
            by_shape: dict[tuple[torch.Size, torch.device], list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    by_shape[matrix.shape, matrix.device].append(matrix)
            for (shape, _), matrices in by_shape.items():
                self._step_alike(group, matrices, group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5)

    def _step_alike(self, group: dict[str, Any], matrices: list[Tensor], rate: float) -> None:
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        for matrix in matrices:
            if "momentum_buffer" not in self.state[matrix]:
                self.state[matrix]["momentum_buffer"] = torch.zeros_like(matrix)
        momenta = [self.state[matrix]["momentum_buffer"] for matrix in matrices]
        torch._foreach_lerp_(momenta, gradients, 1.0 - group["momentum"])
        wanted = torch._foreach_lerp(gradients, momenta, group["momentum"]) if group["nesterov"] else momenta
        found = orthogonal(torch.stack(list(wanted)), group["ns_coefficients"], group["ns_steps"], group["eps"])
        torch._foreach_mul_(matrices, 1.0 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(matrices, list(found.to(matrices[0].dtype).unbind()), alpha=-rate)


def orthogonal(matrices: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """Near each of the matrices [n, a, b] one whose singular values are about one, by Newton and Schulz's iteration.

    The quintic of Jordan et al. does not converge: singular values of 0.5 to 1.5 come out, which serve as well.
    """
    first, second, third = coefficients
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x.to(torch.bfloat16 if has_fast_half(x.device) else torch.float32)
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(eps)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=second, alpha=third), x, beta=first)
    return x.mT if tall else x
