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

CASES: dict[str, dict[str, int]] = {
    "plain": {},
    "all": {"HAS_BIAS": True, "HAS_CAP": True, "EVEN_H": False, "ITSELF": True},
    "bare": {"ENTROPY": False},
    "only": {"ONLY": True},
    "32": {"K": 32, "ITSELF": True},
    "64": {"K": 64, "ITSELF": True},
    "128": {"K": 128, "ITSELF": True},
}
"""What a kernel is asked beside the plain: everything, no entropy, some of the rows, more
neighbours."""

KERNELS: dict[str, dict[str, tuple[str, ...]]] = {
    "score": {"bf16": ("plain", "all", "bare", "only"), "fp16": ("plain",), "fp32": ("plain",)},
    "exponentials": {"bf16": ("plain", "all", "bare"), "fp16": ("plain",), "fp32": ("plain",)},
    "gradients": {"bf16": ("plain", "all", "bare"), "fp16": ("plain",), "fp32": ("plain",)},
    "components": {"bf16": ("plain", "all"), "fp16": ("plain", "all"), "fp32": ("plain",)},
    "topk": {"bf16": ("plain", "all", "32"), "fp16": ("plain",), "fp32": ("plain", "32")},
    "topk_wide": {"bf16": ("64", "128"), "fp32": ("64", "128")},
}
"""The cases of each kernel and type."""

NOT_SHIPPED = {("gfx942", "128")}
"""A GPU of AMD has too few registers for 128 neighbours."""


@dataclass(frozen=True)
class Compiled:
    """One kernel, compiled."""

    target: str
    kernel: str
    dtype: str
    case: str
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
        One entry a kernel, type, case and target.
    """
    for target in targets or TARGETS:
        for name, types in KERNELS.items():
            for dtype, cases in types.items():
                for case in cases:
                    if (target, case) not in NOT_SHIPPED:
                        yield compile_one(target, name, dtype, case)


def compile_one(target: str, name: str, dtype: str, case: str) -> Compiled:
    """Compiles one kernel with its tile and looks at what came of it."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from lmmixup_kernels.tiles import FULL, LOW

    kind, arch, warp, bound = TARGETS[target]
    tile = FULL[name] if dtype == "fp32" else LOW[name][target]
    kernel, signature, constants = _source(name, f"*{dtype}", CASES[case])
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
    if not cores and dtype != "fp32":
        faults.append(f"no {TENSOR_CORES[target]}")
    shape = f"{tile.rows}x{tile.columns}x{tile.depth} w{tile.num_warps} s{tile.num_stages}"
    return Compiled(
        target,
        name,
        dtype,
        case,
        shape,
        registers,
        spills,
        made.metadata.shared,
        cores,
        tuple(faults),
    )


def _source(
    name: str, dtype: str, case: dict[str, int]
) -> tuple[Any, dict[str, str], dict[str, Any]]:
    """Kernel, types of its arguments, and constants, as `launch` gives them."""
    from lmmixup_kernels.components_kernel import components_kernel
    from lmmixup_kernels.exp_kernel import exp_kernel
    from lmmixup_kernels.gradient_kernel import gradient_kernel
    from lmmixup_kernels.score_kernel import score_kernel
    from lmmixup_kernels.statistics import SCORE_SPAN
    from lmmixup_kernels.topk_kernel import topk_kernel

    kernel = {"score": score_kernel, "exponentials": exp_kernel, "gradients": gradient_kernel,
              "components": components_kernel, "topk": topk_kernel,
              "topk_wide": topk_kernel}[name]  # fmt: skip
    flags: dict[str, Any] = {
        "HAS_BIAS": False, "HAS_CAP": False, "EVEN_H": True, "ENTROPY": True, "ONLY": False,
        "ITSELF": False, "FULL": dtype == "*fp32", "SPAN": SCORE_SPAN, "K": 16, **case,
    }  # fmt: skip
    absent = {"b_ptr": "HAS_BIAS", "only_ptr": "ONLY", "of_entropy_ptr": "ENTROPY"}
    types = {"target_ptr": "*i64", "key_ptr": "*i64", "only_ptr": "*i1", "own": "i64"}
    types |= dict.fromkeys(("x_ptr", "w_ptr", "b_ptr", "query_ptr", "row_ptr"), dtype)
    types["out_ptr"] = "*bf16" if dtype == "*bf16" else "*fp32"
    types |= dict.fromkeys(
        ("Q", "N", "H", "V", "start", "stop", "span", "first", "num_blocks"), "i32"
    )
    types |= dict.fromkeys(("stride_x", "stride_w", "stride_out", "stride_q"), "i64")
    types |= dict.fromkeys(("logit_scale", "softcap", "inverse_t", "threshold"), "fp32")
    types |= {"slack_ptr": "*fp32", "parent_ptr": "*i32"}
    rows = ("centre", "lse", "weight", "at_target", "of_entropy", "entropy", "part")
    types |= {f"{row}_ptr": "*fp32" for row in rows}
    for pointer, flag in absent.items():
        if not flags[flag]:
            flags[pointer] = None
            del types[pointer]
    return kernel, types, flags


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
    row = "{:7} {:13} {:5} {:6} {:20} {:>9} {:>7} {:>8} {:>6}  {}"
    if not as_json:
        names_of = "target kernel type case tile registers spills shared cores faults"
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
