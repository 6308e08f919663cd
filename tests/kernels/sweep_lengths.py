"""Launches every kernel at 50 lengths without a GPU: each is compiled for one, and none is run.

A process of its own: here kernels are compiled, in the other tests they are interpreted. Prints how
often each was compiled, as JSON.
"""

from __future__ import annotations

import json
import sys

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.jit import JITFunction

TARGET = GPUTarget("cuda", 90, 32)


class Driver:
    """Answers what a launch asks before it compiles."""

    def get_current_target(self) -> GPUTarget:
        return TARGET

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


def main() -> None:
    from lmmixup_kernels import (  # noqa: F401
        advantage_kernel,
        components_kernel,
        exp_kernel,
        gradient_kernel,
        group_advantage,
        knn_bayes,
        launch,
        posterior_kernel,
        score_kernel,
        target_kernel,
        tiles,
        topk,
        topk_kernel,
    )
    from lmmixup_kernels.head import Head
    from lmmixup_kernels.statistics import RowGradient

    triton.runtime.driver.set_active(Driver())
    launched = JITFunction.run

    def compiled(self: JITFunction, *args: object, warmup: bool, **kwargs: object) -> object:
        return launched(self, *args, warmup=True, **kwargs)

    JITFunction.run = compiled
    tiles.target_of = lambda device: "sm_90"
    torch.cuda.get_device_capability = lambda device=None: (9, 0)
    weight, library = torch.zeros(4096, 64).bfloat16(), torch.zeros(40_000, 64).bfloat16()
    for n in [1, 2, 15, 16, 17, 64, 128, *range(129, 170), 1000, 2048]:
        head = Head(weight, temperature=0.5 + n / 100)
        x, y, row = torch.zeros(n, 64).bfloat16(), torch.zeros(n).long(), torch.zeros(n)
        out = torch.empty(n, 4096).bfloat16()
        launch.score(x, head, y, need_entropy=True)
        launch.target_logits(x, head, y)
        launch.exponentials(x, head, y, row, 0, out, need_entropy=True, total_2N=torch.zeros(2, n))
        launch.gradients(x, head, y, RowGradient(row, row, row, row, row), 0, out)
        launch.clear_rows(out, row > 0)
        topk._launch(x, library[: 20_000 + n], 16, None)
        rows = torch.zeros(600 + n, 64).half()
        sys.modules["lmmixup_kernels.components"]._launch(
            rows, torch.zeros(len(rows)), 0.9 + n / 1e5, torch.zeros(len(rows)).int()
        )
        table = torch.zeros(20_349, 6).double()
        index, labels = torch.zeros(n, 16).long(), torch.zeros(40_000).long()
        knn_bayes_module = sys.modules["lmmixup_kernels.knn_bayes"]
        knn_bayes_module._launch(
            index, labels, table, knn_bayes_module._before(16, 6, table.device)
        )
        sys.modules["lmmixup_kernels.group_advantage"]._launch(
            torch.zeros(4 * n, 3), torch.zeros(4 * n, 3), 4, 1e-4 * n, None, None, 0.8, 0.0
        )
    kernels = {
        name: kernel
        for module in (advantage_kernel, components_kernel, exp_kernel, gradient_kernel,
                       posterior_kernel, score_kernel, target_kernel, topk_kernel)
        for name, kernel in vars(module).items() if name.endswith("_kernel")
    }  # fmt: skip
    print(json.dumps({name: len(kernel.device_caches[0][0]) for name, kernel in kernels.items()}))


if __name__ == "__main__":
    main()
