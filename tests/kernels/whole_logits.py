"""Double precision from the whole matrix of logits: what every form is compared with."""

from __future__ import annotations

from dataclasses import dataclass

import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
"""Where kernels run; in the interpreter where no GPU is."""


@dataclass
class Case:
    """Inputs of `lm_head_logprobs` with rows from flat to p_y = 1 - 1e-5."""

    hidden: torch.Tensor
    weight: torch.Tensor
    targets: torch.Tensor
    options: dict

    @property
    def bias(self) -> torch.Tensor | None:
        return self.options.get("bias")


def made(
    N: int, V: int, H: int = 72, *, dtype: torch.dtype = torch.float32, device: str = "cpu",
    seed: int = 0, peaky: bool = True, bias: bool = False, **options: float,
) -> Case:  # fmt: skip
    """Rows whose label has a log-probability between -30 and -1e-5.

    The label's logit is raised by a multiple of its own weight, so that every row is another kind.
    """
    rng = torch.Generator().manual_seed(seed)
    weight = torch.randn((V, H), generator=rng) / H**0.5
    hidden = torch.randn((N, H), generator=rng) * 3
    targets = torch.randint(V, (N,), generator=rng)
    if peaky:
        lift = torch.linspace(-8, 22, N) if N > 1 else torch.tensor([16.0])
        hidden += lift[:, None] * weight[targets] / weight[targets].square().sum(1, keepdim=True)
    extra: dict = dict(options)
    if bias:
        extra["bias"] = torch.randn(V, generator=rng).to(device, dtype)
    return Case(hidden.to(device, dtype), weight.to(device, dtype), targets.to(device), extra)


def truth(
    case: Case, grads: tuple[torch.Tensor | None, ...] = (None, None, None)
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """logp, entropy, lse; and gradients of hidden, weight, bias for given gradients of those."""
    x, w = (t.detach().double().requires_grad_() for t in (case.hidden, case.weight))
    leaves = [x, w]
    u = x @ w.t()
    if case.bias is not None:
        b = case.bias.detach().double().requires_grad_()
        leaves.append(b)
        u = u + b
    u = u * case.options.get("logit_scale", 1.0)
    cap = case.options.get("softcap")
    if cap:
        u = cap * torch.tanh(u / cap)
    z = u / case.options.get("temperature", 1.0)
    lse = torch.logsumexp(z, 1)
    logp = z.gather(1, case.targets[:, None]).squeeze(1) - lse
    entropy = lse - (torch.softmax(z, 1) * z).sum(1)
    outputs = [logp, entropy, lse]
    total = sum(
        ((g.double() * o).sum() for g, o in zip(grads, outputs, strict=True) if g is not None),
        torch.zeros(()).double(),
    )
    made = list(torch.autograd.grad(total, leaves)) if total.requires_grad else []
    return [o.detach() for o in outputs], made


def relative(a: torch.Tensor, b: torch.Tensor, dim: int | None = None) -> torch.Tensor:
    """Norm of a - b over norm of b, of all or by row."""
    a, b = a.double(), b.double()
    if dim is None:
        return (a - b).norm() / b.norm()
    return (a - b).norm(dim=dim) / b.norm(dim=dim).clamp(min=1e-300)
