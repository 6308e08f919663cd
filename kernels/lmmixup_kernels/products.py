"""Matrix products that are summed in fp32, whatever the inputs."""

from __future__ import annotations

import torch

LOW = (torch.bfloat16, torch.float16)


def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """`a @ b` in fp32, without rounding it to the inputs' type first.

    Args:
        a: (M, K).
        b: (K, N).

    Returns:
        (M, N) float32.

    Notes:
        2 M K N FLOPs. On a GPU bf16 and fp16 inputs of one type go to the tensor cores as they
        are; elsewhere they are cast to fp32, in which their products are exact. Autocast does not
        reach in here; whether fp32 products may use tf32 is torch's own setting.
    """
    if a.is_cuda and a.dtype == b.dtype and a.dtype in LOW:
        return torch.mm(a, b, out_dtype=torch.float32)
    with torch.autocast(a.device.type, enabled=False):
        return torch.mm(a.float(), b.float())


def add_product(sum_MN: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> None:
    """`sum += a @ b` for a float32 `sum`; see `product`."""
    if a.is_cuda and a.dtype == b.dtype and a.dtype in LOW:
        torch.addmm(sum_MN, a, b, out_dtype=torch.float32, out=sum_MN)
    else:
        sum_MN.addmm_(a.float(), b.float())
