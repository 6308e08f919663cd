"""Compiles every kernel and tile for four kinds of GPU, without one.

`python -m lmmixup_kernels.aot` prints registers, spills, shared memory and tensor-core
instructions, and fails on spills, on
shared memory out of bounds and where a product does not use tensor cores.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TARGETS = {
    "sm_80": ("cuda", 80, 32, 166_912),
    "sm_90": ("cuda", 90, 32, 232_448),
    "sm_100": ("cuda", 100, 32, 232_448),
    "gfx942": ("hip", "gfx942", 64, 65_536),
}
"""Triton's target, and bytes of shared memory that a program may have."""

TENSOR_CORES = {"sm_80": "mma.sync", "sm_90": "wgmma", "sm_100": "tcgen05", "gfx942": "v_mfma"}

TYPES = {"bf16": "*bf16", "fp16": "*fp16"}


@dataclass(frozen=True)
class Compiled:
    """One kernel, compiled."""

    target: str
    kernel: str
    dtype: str
    tile: str
    registers: int
    spills: int
    shared: int
    tensor_cores: int
    faults: tuple[str, ...]


def compile_all(targets: list[str] | None = None) -> Iterator[Compiled]:
    """Compiles what is shipped.

    Args:
        targets: Names of `TARGETS`; all by default.

    Yields:
        One entry a kernel, type and target.
    """
    for target in targets or TARGETS:
        for dtype in TYPES:
            for name in ("score", "exponentials", "gradients", "topk"):
                yield compile_one(target, name, dtype)


def compile_one(target: str, name: str, dtype: str) -> Compiled:
    """Compiles one kernel with its tile and looks at what came of it."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from lmmixup_kernels.tiles import LOW

    kind, arch, warp, bound = TARGETS[target]
    tile = LOW[name][target]
    kernel, signature, constants = _source(name, TYPES[dtype])
    constants |= {"R": tile.rows, "C": tile.columns, "D": tile.depth}
    fixed = {key: value for key, value in constants.items() if key in kernel.arg_names}
    types = {arg: signature.get(arg, "constexpr") for arg in kernel.arg_names}
    # sizes of a model are multiples of 16; N is whatever it is
    whole = {
        (at,): [["tt.divisibility", 16]]
        for at, arg in enumerate(kernel.arg_names)
        if types[arg].startswith("*") or arg in ("V", "H", "stride_x", "stride_w", "stride_out")
    }
    source = ASTSource(kernel, types, fixed, whole)  # type: ignore[arg-type]
    options = {"num_warps": tile.num_warps, "num_stages": tile.num_stages, "enable_fp_fusion": True}
    made = triton.compile(source, target=GPUTarget(kind, arch, warp), options=options)
    registers, spills, text = _amd(made) if kind == "hip" else _nvidia(made, int(target[3:]))
    cores = len(re.findall(re.escape(TENSOR_CORES[target]), text))
    faults = []
    if spills:
        faults.append(f"{spills} spills")
    if made.metadata.shared > bound:
        faults.append(f"{made.metadata.shared} bytes of shared memory, above {bound}")
    if not cores:
        faults.append(f"no {TENSOR_CORES[target]}")
    shape = f"{tile.rows}x{tile.columns}x{tile.depth} w{tile.num_warps} s{tile.num_stages}"
    return Compiled(
        target, name, dtype, shape, registers, spills, made.metadata.shared, cores, tuple(faults)
    )


def _source(name: str, dtype: str) -> tuple[Any, dict[str, str], dict[str, Any]]:
    """Kernel, types of its arguments, and constants, as `launch` gives them."""
    flags = {"HAS_BIAS": False, "HAS_CAP": False, "EVEN_H": True, "FULL": False, "ENTROPY": True}
    out = {"*bf16": "*bf16", "*fp16": "*fp32"}[dtype]
    shared = {
        "x_ptr": dtype, "w_ptr": dtype, "target_ptr": "*i64", "N": "i32", "H": "i32", "V": "i32",
        "start": "i32", "stop": "i32", "stride_x": "i64", "stride_w": "i64", "stride_out": "i64",
        "logit_scale": "fp32", "softcap": "fp32", "inverse_t": "fp32", "part_ptr": "*fp32",
    }  # fmt: skip
    if name == "score":
        from lmmixup_kernels.score_kernel import score_kernel
        from lmmixup_kernels.statistics import SCORE_SPAN

        more = {"ONLY": False, "SPAN": SCORE_SPAN,
                "b_ptr": None, "only_ptr": None}  # fmt: skip
        return score_kernel, shared, flags | more
    if name == "exponentials":
        from lmmixup_kernels.exp_kernel import exp_kernel

        return exp_kernel, shared | {"centre_ptr": "*fp32", "out_ptr": out}, flags | {
            "b_ptr": None}  # fmt: skip
    if name == "gradients":
        from lmmixup_kernels.gradient_kernel import gradient_kernel

        rows = ("lse_ptr", "weight_ptr", "at_target_ptr", "of_entropy_ptr", "entropy_ptr")
        types = shared | dict.fromkeys(rows, "*fp32") | {"out_ptr": out}
        return gradient_kernel, types, flags | {"b_ptr": None}
    from lmmixup_kernels.topk_kernel import topk_kernel

    types = {"query_ptr": dtype, "row_ptr": dtype, "key_ptr": "*i64", "Q": "i32", "N": "i32",
             "H": "i32", "span": "i32", "stride_q": "i64", "stride_x": "i64",
             "own": "i64"}  # fmt: skip
    return topk_kernel, types, {"K": 16, "EVEN_H": True, "FULL": False, "ITSELF": False}


def _nvidia(made: Any, arch: int) -> tuple[int, int, str]:
    """Registers, spilled bytes and the code, by assembling the PTX once more."""
    from triton.backends.nvidia.compiler import get_ptxas, sm_arch_from_capability

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(made.asm["ptx"])
        command = [get_ptxas(arch).path, "-v", f"--gpu-name={sm_arch_from_capability(arch)}",
                   str(source), "-o", str(Path(folder) / "kernel.cubin")]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    said = done.stderr + done.stdout
    registers = max(int(n) for n in re.findall(r"Used (\d+) registers", said))
    spills = sum(int(n) for n in re.findall(r"(\d+) bytes spill (?:stores|loads)", said))
    return registers, spills, made.asm["ptx"]


def _amd(made: Any) -> tuple[int, int, str]:
    """Registers, spilled registers and the code, from the assembly's own metadata."""
    text = made.asm["amdgcn"]

    def said(name: str) -> int:
        return sum(int(n) for n in re.findall(rf"\.{name}:\s+(\d+)", text))

    # scalar registers spill into lanes of vector registers, not into memory
    return said("vgpr_count"), said("vgpr_spill_count"), text


def main() -> int:
    """Prints the table, or JSON lines with `--json`; 1 if anything is at fault."""
    as_json = "--json" in sys.argv[1:]
    names = [name for name in sys.argv[1:] if not name.startswith("--")]
    row = "{:7} {:13} {:5} {:20} {:>9} {:>7} {:>8} {:>6}  {}"
    if not as_json:
        names_of = "target kernel type tile registers spills shared cores faults"
        print(row.format(*names_of.split()))  # noqa: T201
    at_fault = False
    for made in compile_all(names or None):
        at_fault |= bool(made.faults)
        values = asdict(made)
        faults = "; ".join(made.faults) or "-"
        line = json.dumps(values) if as_json else row.format(*list(values.values())[:-1], faults)
        print(line, flush=True)  # noqa: T201
    return int(at_fault)


if __name__ == "__main__":
    sys.exit(main())
