"""What each of two gloo processes runs; started by `test_ranks.py`.

`vocab` compares a vocabulary cut in unequal parts, one of them empty, with the whole; `zero3` a
head that DeepSpeed has partitioned with a plain one.
"""

from __future__ import annotations

import json
import os
import sys

import pytest
import torch
import torch.distributed as dist
from whole_logits import made, relative, truth

from lmmixup_kernels import lm_head_logprobs, vocab_parallel_logprobs


def vocab(rank: int) -> None:
    for cut in (1003, 400, 0):
        for form in ({}, {"bias": True, "softcap": 20.0, "temperature": 0.7}):
            case = made(37, 1003, **form)
            options = dict(case.options)
            bias = options.pop("bias", None)
            part = slice(0, cut) if rank == 0 else slice(cut, 1003)
            rng = torch.Generator().manual_seed(5)
            grads = tuple(torch.randn(37, generator=rng) for _ in range(3))
            expected, whole = truth(case, grads)
            x = case.hidden.clone().requires_grad_()
            w = case.weight[part].clone().requires_grad_()
            b = None if bias is None else bias[part].clone().requires_grad_()
            out = vocab_parallel_logprobs(
                x, w, case.targets, bias=b, need_entropy=True, backend="eager", **options
            )
            for a, e in zip(out[:3], expected, strict=True):
                assert (a.double() - e).abs().max() < 1e-4
            sum((g * o).sum() for g, o in zip(grads, out[:3], strict=True)).backward()
            assert relative(x.grad, whole[0], 1).max() < 1e-4
            if part.stop > part.start:
                assert relative(w.grad, whole[1][part]) < 1e-4
                assert b is None or relative(b.grad, whole[2][part]) < 1e-4
            assert w.grad.shape == w.shape
    with pytest.raises(ValueError, match=r"targets must be in 0\.\.1002"):
        vocab_parallel_logprobs(x, w.detach(), case.targets + 1003, backend="eager")


class Model(torch.nn.Module):
    """A body and a head whose log-probs are taken inside forward."""

    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(1003, 32)
        self.body = torch.nn.Linear(32, 32)
        self.head = torch.nn.Linear(32, 1003, bias=not tied)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, ids: torch.Tensor, scheme: str) -> torch.Tensor:
        hidden = torch.tanh(self.body(self.embedding(ids[:, :-1])))
        out = lm_head_logprobs(
            hidden, self.head.weight, ids[:, 1:], bias=self.head.bias, backend="eager",
            scheme=scheme,
        )  # fmt: skip
        return -out.logp.mean()


def zero3(rank: int) -> None:
    import deepspeed

    for tied in (False, True):
        for scheme in ("stored", "recompute"):
            torch.manual_seed(0)
            plain = Model(tied)
            torch.manual_seed(0)
            config = {
                "train_micro_batch_size_per_gpu": 1,
                "optimizer": {"type": "SGD", "params": {"lr": 0.5}},
                "zero_optimization": {"stage": 3, "stage3_param_persistence_threshold": 0},
                "zero_allow_untested_optimizer": True,
                "gradient_clipping": 0.0,
            }
            engine, *_ = deepspeed.initialize(model=Model(tied), config=config)
            assert engine.module.head.weight.numel() == 0
            optimizer = torch.optim.SGD(plain.parameters(), lr=0.5)
            ids = torch.randint(1003, (2, 2, 12), generator=torch.Generator().manual_seed(1))
            for _ in range(3):
                loss = engine(ids[rank], scheme)
                engine.backward(loss)
                engine.step()
                both = (plain(ids[0], scheme) + plain(ids[1], scheme)) / 2
                optimizer.zero_grad()
                both.backward()
                optimizer.step()
                mean = loss.detach().clone()
                dist.all_reduce(mean)
                assert abs(mean / 2 - both.detach()) < 1e-5, (scheme, tied, mean / 2, both)
            with deepspeed.zero.GatheredParameters([engine.module.head.weight]):
                assert relative(engine.module.head.weight, plain.head.weight) < 1e-5


def trainer(kind: str, folder: str) -> None:
    """TRL's trainer, or ours, under ZeRO-3; rank 0 prints its log."""
    from pathlib import Path

    import trl
    from test_trainer import train

    from lmmixup_kernels.trl import GRPOTrainer

    zero = {"stage": 3, "stage3_param_persistence_threshold": 0}
    config = {"zero_optimization": zero, "train_micro_batch_size_per_gpu": "auto",
              "gradient_accumulation_steps": "auto", "gradient_clipping": "auto"}  # fmt: skip
    which = GRPOTrainer if kind == "ours" else trl.GRPOTrainer
    log = train(Path(folder) / os.environ["RANK"], which, deepspeed=config, loss_type="grpo")
    if os.environ["RANK"] == "0":
        # Not among the output, where lines of two processes can meet.
        (Path(folder) / "log.json").write_text(json.dumps(log))
    print("equal")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "trainer":
        trainer(*sys.argv[2:])
        sys.exit()
    dist.init_process_group("gloo")
    {"vocab": vocab, "zero3": zero3}[sys.argv[1]](dist.get_rank())
    dist.barrier()
    dist.destroy_process_group()
    print("equal")
