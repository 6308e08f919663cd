"""What stands between hidden states and log-probabilities: weight, bias, scale, cap, temperature.

Shapes: N rows, H hidden, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Head:
    """A language model's head: z = cap(logit_scale * (x W^T + b)) / temperature.

    Attributes:
        weight_VH: (V, H), last dimension contiguous.
        bias_V: (V,) or `None`.
        logit_scale: Multiplies the logits first.
        softcap: cap(u) = softcap * tanh(u / softcap); 0 for none.
        temperature: Above 0.
    """

    weight_VH: torch.Tensor  # noqa: N815
    bias_V: torch.Tensor | None = None  # noqa: N815
    logit_scale: float = 1.0
    softcap: float = 0.0
    temperature: float = 1.0

    @property
    def size(self) -> int:
        """V."""
        return int(self.weight_VH.shape[0])

    @property
    def factor(self) -> float:
        """dz/du without the cap."""
        return self.logit_scale / self.temperature

    def transform(self, u: torch.Tensor) -> torch.Tensor:
        """Logits of the products `u` (fp32, changed in place)."""
        u.mul_(self.logit_scale)
        if self.softcap:
            u.div_(self.softcap).tanh_().mul_(self.softcap)
        return u.div_(self.temperature)

    def slope(self, z: torch.Tensor) -> torch.Tensor | None:
        """dz/du over `factor`: 1 - tanh^2; `None` where there is no cap."""
        if not self.softcap:
            return None
        return 1 - (z * (self.temperature / self.softcap)).square()


def check_head(hidden_NH: torch.Tensor, head: Head) -> None:
    """Refuses hidden states and heads that do not fit.

    Args:
        hidden_NH: (..., H).
        head: The head.

    Raises:
        ValueError: Names what was expected and what came.
        TypeError: Types that are not floating point, or differ.
    """
    weight_VH, bias_V = head.weight_VH, head.bias_V
    if weight_VH.ndim != 2 or hidden_NH.ndim < 1 or hidden_NH.shape[-1] != weight_VH.shape[1]:
        raise ValueError(
            f"expected hidden (..., H) and weight (V, H), got {tuple(hidden_NH.shape)} and "
            f"{tuple(weight_VH.shape)}; pass lm_head.weight as it is, not transposed"
        )
    if not hidden_NH.is_floating_point() or hidden_NH.dtype != weight_VH.dtype:
        raise TypeError(
            f"hidden and weight must have one floating dtype, got {hidden_NH.dtype} and "
            f"{weight_VH.dtype}; cast one of them (autocast does not reach in here)"
        )
    if hidden_NH.shape[-1] == 0:
        raise ValueError("hidden must have at least one dimension, got H = 0")
    if bias_V is not None and bias_V.shape != weight_VH.shape[:1]:
        raise ValueError(f"bias must have shape ({head.size},), got {tuple(bias_V.shape)}")
    for name, tensor in (("weight", weight_VH), ("bias", bias_V)):
        if tensor is not None and tensor.shape[-1] > 1 and tensor.stride(-1) != 1:
            raise ValueError(
                f"{name} must be contiguous in its last dimension, got strides "
                f"{tuple(tensor.stride())}; pass {name}.contiguous()"
            )
    if not head.temperature > 0:
        raise ValueError(f"temperature must be above 0, got {head.temperature}")
    if not head.softcap >= 0:
        raise ValueError(f"softcap must be above 0, or None for none, got {head.softcap}")


MOST_STRIDE = 2**24
"""Elements from row to row up to which a tile of 128 rows is within 32 bits."""


def columns_are_rows(tensor: torch.Tensor) -> torch.Tensor:
    """The rows with a contiguous last dimension; copies only what kernels cannot read in place.

    Args:
        tensor: (N, D), any strides.
    """
    near = tensor.stride(-1) == 1 and tensor.stride(0) < MOST_STRIDE
    return tensor if near else tensor.contiguous()
