"""The parts of a run: each gives rows, one contender and case a row."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from clock import OutOfTimeError, milliseconds, side_by_side
from heads import contenders, ours, peaky
from verdict import judge

from lmmixup_kernels import components, knn_bayes, screen, screened_topk, streaming_topk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from clock import Deadline

MODELS = {"1.5B": (1536, 151_936), "7B": (3584, 152_064)}
"""Hidden size and vocabulary of Qwen2.5."""

TOKENS = {"8k": 8192, "32k": 32_768}


@dataclass(frozen=True)
class Part:
    """One part: its heading, the seconds it may take at most, and what gives its rows."""

    title: str
    seconds: float
    run: Callable[[str, Deadline], Iterator[dict[str, Any]]]


def check(device: str, deadline: Deadline) -> Iterator[dict[str, Any]]:
    """Errors in bf16 against double precision, and of dX and dW by those of one rounding."""
    from whole_logits import made, relative, truth

    backend = "triton" if device == "cuda" else "eager"
    for scheme in ("score", "frozen", "stored", "recompute"):
        deadline.check()
        case = made(257, 4099, 192, dtype=torch.bfloat16, device=device)
        expected, grads = truth(case, (torch.ones(257, device=device), None, None))
        x = case.hidden.requires_grad_(scheme != "score")
        w = case.weight.requires_grad_(scheme in ("stored", "recompute"))
        logp = ours(scheme, x, w, case.targets, backend=backend)
        row = {"name": f"ours {scheme}", "logp": (logp.detach() - expected[0]).abs().max().item()}
        passed = row["logp"] <= 2e-5
        if scheme != "score":
            logp.sum().backward()
            once = rounded_once(case)
            found = (("dX", x, 0), ("dW", w, 1)) if w.requires_grad else (("dX", x, 0),)
            for name, leaf, at in found:
                ratio = relative(leaf.grad, grads[at]) / relative(once[at], grads[at])
                row[f"{name}_by_one_rounding"] = ratio.item()
                passed &= ratio.item() <= 1.2
        yield {**row, "passed": passed}


def rounded_once(case: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients where that of the logits is rounded to bf16, and nothing else but the end is."""
    x, w = case.hidden.detach().double(), case.weight.detach().double()
    G = -torch.softmax(x @ w.t(), 1)
    G[torch.arange(len(G), device=G.device), case.targets] += 1
    G = G.bfloat16().double()
    return (G @ w).bfloat16(), (G.t() @ x).bfloat16()


def heads(model: str, tokens: str, device: str, deadline: Deadline) -> Iterator[dict[str, Any]]:
    """Time and memory of log-probs: forward, frozen head, full."""
    (H, V), N = MODELS[model], TOKENS[tokens]
    if device != "cuda":
        N, H, V = 64, 72, 1003
    hidden, weight, targets = peaky(N, H, V, device)

    def multiply() -> None:
        # cuBLAS at this shape: the product alone, a slice of columns at a time
        for part in weight.split(32_768):
            hidden @ part.t()

    product = milliseconds(multiply, device, rounds=5)
    for case, passes in (("forward", 1), ("frozen", 2), ("full", 3)):
        x = hidden.detach().requires_grad_(case != "forward")
        w = weight.detach().requires_grad_(case == "full")
        # compiling takes longer than all else: once is enough to see what it gives
        found, left_out = contenders(
            case, N * V, device, compiled=(model, tokens) == ("1.5B", "8k")
        )

        def step(run: Any, x: Any = x, w: Any = w) -> None:
            x.grad = w.grad = None
            logp = run(x, w, targets)
            if logp.requires_grad:
                logp.sum().backward()

        runs = {name: partial(step, run) for name, run in found.items()}
        for row in side_by_side(runs, device, rounds=5, deadline=deadline):
            if "ms" in row:
                row["cublas_share"] = passes * product / row["ms"]
            yield judge({**row, "case": case}, device)
        yield from ({"name": name, "case": case, "left_out": why} for name, why in left_out.items())
        x.grad = w.grad = None
    yield {"name": "product alone", "ms": product}


def neighbours(device: str, deadline: Deadline) -> Iterator[dict[str, Any]]:
    """Top-k and KNN-Bayes by 128 queries (a step of GRPO) and 4,096, of 1,024 dimensions."""
    sizes = ((30_000, 128), (30_000, 4096), (1_000_000, 128), (1_000_000, 4096), (10_000_000, 4096))
    D = 1024
    if device != "cuda":
        sizes, D = ((300, 20), (500, 9)), 16
    table = torch.rand((20_349, 6), dtype=torch.float64, device=device)
    for N, Q in sizes:
        for dtype in (torch.bfloat16, torch.float32):
            deadline.check()
            about = {"case": "topk", "N": N, "Q": Q, "dtype": str(dtype).removeprefix("torch.")}
            if N * D * dtype.itemsize > 45 << 30:
                yield {"name": "all", **about, "left_out": "does not fit"}
                continue
            library = torch.randn((N, D), device=device, dtype=dtype)
            library /= library.norm(dim=1, keepdim=True)
            labels = torch.randint(6, (N,), device=device)
            queries = library[:Q] + 0.03 * torch.randn((Q, D), device=device, dtype=dtype)
            runs, left_out = searches(queries, library, labels, table, device)
            for row in side_by_side(runs, device, rounds=5, deadline=deadline):
                yield judge({**row, **about}, device)
            yield from ({"name": name, **about, "left_out": why} for name, why in left_out.items())
            yield {
                "name": "ours, checked",
                **about,
                **same_as_double(queries[:64], library, device),
            }
            del library, queries, runs


def searches(
    queries: torch.Tensor, library: torch.Tensor, labels: torch.Tensor, table: torch.Tensor,
    device: str,
) -> tuple[dict[str, Callable[[], Any]], dict[str, str]]:  # fmt: skip
    """Contenders for the 16 nearest, ours first, and why others are not there."""
    backend = "triton" if device == "cuda" else "eager"

    def product_and_topk() -> Any:
        blocks = queries.split(512)
        return torch.cat([(block @ library.t()).topk(16).indices for block in blocks])

    runs: dict[str, Callable[[], Any]] = {
        "ours": lambda: streaming_topk(queries, library, 16, backend=backend),
        "ours knn_bayes": lambda: knn_bayes(queries, library, labels, table, backend=backend),
        "torch": product_and_topk,
    }
    if queries.dtype == torch.float32:
        prepared = screen(library)
        runs["ours, fp16 scan"] = lambda: screened_topk(queries, prepared, 16, backend=backend)
    try:
        import faiss
        import faiss.contrib.torch_utils

        resources = faiss.StandardGpuResources()
    except (ImportError, AttributeError) as error:
        return runs, {"faiss": f"no faiss with a GPU: {error}"}
    if queries.dtype != torch.float32:
        return runs, {"faiss": "takes no bf16"}
    runs["faiss"] = lambda: faiss.knn_gpu(
        resources, queries, library, 16, metric=faiss.METRIC_INNER_PRODUCT
    )
    return runs, {}


def same_as_double(queries: torch.Tensor, library: torch.Tensor, device: str) -> dict[str, Any]:
    """Share of our neighbours that double precision has too, where it sees a gap of 1e-5."""
    backend = "triton" if device == "cuda" else "eager"
    mine = streaming_topk(queries, library, 16, backend=backend).indices
    blocks = [queries.double() @ part.double().t() for part in library.split(500_000)]
    best = torch.cat(blocks, 1).topk(17)
    clear = best.values[:, 15] - best.values[:, 16] >= 1e-5
    same = (mine.sort(1).values == best.indices[:, :16].sort(1).values).all(1)
    return {"clear": int(clear.sum()), "passed": bool(same[clear].all())}


def graph(device: str, deadline: Deadline) -> Iterator[dict[str, Any]]:
    """Exact neighbours of a million vectors among themselves, K = 16, bf16."""
    import time

    N, D, step = (1_000_000, 1024, 32_768) if device == "cuda" else (400, 16, 128)
    pool = torch.randn((N, D), device=device, dtype=torch.bfloat16)
    pool /= pool.norm(dim=1, keepdim=True)
    backend = "triton" if device == "cuda" else "eager"
    start, done = time.perf_counter(), 0
    for row in range(0, N, step):
        if deadline.left() < 5:
            break
        found = streaming_topk(pool[row : row + step], pool, 16, itself_from=row, backend=backend)
        done += len(found.indices)
        if device == "cuda":
            torch.cuda.synchronize()
    yield {"name": "ours", "N": N, "queries": done, "seconds": time.perf_counter() - start}
    if done < N:
        raise OutOfTimeError


def duplicates(device: str, deadline: Deadline) -> Iterator[dict[str, Any]]:
    """Components at a cosine of 0.95 among a million vectors, fp16: ours, and blocks of torch."""
    sizes, D = ((50_000, 300_000, 1_000_000), 1024) if device == "cuda" else ((300, 700), 16)
    backend = "triton" if device == "cuda" else "eager"
    for N in sizes:
        deadline.check()
        pool = torch.randn((N, D), device=device, dtype=torch.float16)
        pool[N // 2 :] = pool[: N - N // 2] + 0.2 * pool[N // 2 :]  # half have a near one
        pool /= pool.norm(dim=1, keepdim=True)
        runs: dict[str, Callable[[], Any]] = {
            "ours": partial(components, pool, 0.95, backend=backend),
            "ours, plain torch": partial(components, pool, 0.95, backend="eager"),
            "product alone": partial(multiply_with_itself, pool),
        }
        about = {"case": "components", "N": N, "dtype": "float16"}
        for row in side_by_side(runs, device, rounds=3, deadline=deadline):
            yield {**row, **about}
        same = torch.equal(runs["ours"](), runs["ours, plain torch"]())
        yield {"name": "ours, checked", **about, "passed": same}
        del pool, runs


def multiply_with_itself(pool: torch.Tensor) -> None:
    """Half of all products by cuBLAS, which nothing looks at."""
    for start in range(0, len(pool), 8192):
        for column in range(start, len(pool), 65_536):
            pool[start : start + 8192] @ pool[column : column + 65_536].t()


PARTS = {
    "check": Part("errors against double precision", 90, check),
    "heads-1.5B-8k": Part(
        "log-probs, Qwen2.5-1.5B, 8,192 tokens", 150, partial(heads, "1.5B", "8k")
    ),
    "neighbours": Part("top-k and KNN-Bayes, 1,024 dimensions, k = 16", 120, neighbours),
    "heads-7B-8k": Part("log-probs, Qwen2.5-7B, 8,192 tokens", 90, partial(heads, "7B", "8k")),
    "heads-1.5B-32k": Part(
        "log-probs, Qwen2.5-1.5B, 32,768 tokens", 90, partial(heads, "1.5B", "32k")
    ),
    "heads-7B-32k": Part("log-probs, Qwen2.5-7B, 32,768 tokens", 120, partial(heads, "7B", "32k")),
    "duplicates": Part("components of 1,000,000 vectors at a cosine of 0.95", 120, duplicates),
    "graph": Part("neighbours of 1,000,000 vectors among themselves, k = 16", 120, graph),
}
"""In the order in which they matter."""
