"""The wheel and the source distribution hold what they should and install where no Rust is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    for command in (["build", "--release"], ["sdist"]):
        maturin = [sys.executable, "-m", "maturin", *command, "--out", str(out)]
        subprocess.run(maturin, cwd=ROOT, check=True, capture_output=True)
    return out


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_wheel_holds_the_package_and_nothing_else(dist: Path) -> None:
    wheel = only(dist, "*.whl")
    assert "-cp311-abi3-" in wheel.name
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    version = wheel.name.split("-")[1]
    assert tops == {"lmmixup", f"lmmixup-{version}.dist-info"}
    for name in ("py.typed", "_rust.pyi", "_rust.abi3.so", "ops/__init__.py", "cli/__init__.py",
                 "rate/rubrics/qa.md", "train/presets/smoke.yaml",
                 "train/zero/zero3.json"):  # fmt: skip
        assert f"lmmixup/{name}" in names
    sources = {
        f"lmmixup/{path.relative_to(ROOT / 'python' / 'lmmixup')}"
        for path in (ROOT / "python" / "lmmixup").rglob("*.py")
    }
    assert sources <= set(names)


def test_sdist_holds_what_a_build_needs(dist: Path) -> None:
    with tarfile.open(only(dist, "*.tar.gz")) as archive:
        names = archive.getnames()
    inside = {name.split("/", 1)[1] for name in names if "/" in name}
    needed = {"Cargo.lock", "Cargo.toml", "pyproject.toml", "LICENSE", "README.md"}
    assert needed <= inside
    assert "rust/lmmixup-core/src/lib.rs" in inside
    assert not [name for name in inside if name.startswith(("tests/", "out/"))]


def test_wheel_installs_and_works_without_rust(dist: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "env")], check=True)
    bin_folder = tmp_path / "env" / "bin"
    wheel = str(only(dist, "*.whl"))
    subprocess.run([str(bin_folder / "pip"), "install", "--quiet", wheel], check=True)
    command = [str(bin_folder / "lmmixup"), "cluster", str(ROOT / "examples" / "pool.jsonl")]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "clusters"), "--json"],
        env={"PATH": str(bin_folder), "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["counts"]["kept"] > 400
