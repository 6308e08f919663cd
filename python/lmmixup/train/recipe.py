"""Recipes: presets, YAML files and `--set`, joined into one config."""

from __future__ import annotations

import difflib
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lmmixup.errors import ArgumentError, FileError
from lmmixup.train.config import CONFIGS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lmmixup.train.config import TrainConfig

PRESETS = ("paper-1.5b", "paper-7b", "cpu-135m", "smoke")
"""Recipes that come with the package."""


def resolve(
    kind: str,
    *,
    preset: str | None = None,
    recipe: Path | None = None,
    assignments: Iterable[str] = (),
    given: Mapping[str, Any] | None = None,
) -> TrainConfig:
    """The config of a training; what is named later here wins.

    Args:
        kind: `sft` or `grpo`.
        preset: One of `PRESETS`.
        recipe: YAML file with sections `sft` and `grpo`.
        assignments: `key=value` each, value in YAML; `trl.key=value` for arguments of TRL.
        given: Values by field name; `None` means not given.

    Returns:
        The validated config.

    Raises:
        FileError: The recipe cannot be read.
        ArgumentError: An unknown key, with its nearest neighbour; a value out of range.

    Example:
        >>> resolve("sft", preset="smoke", assignments=["seed=3"]).seed
        3
    """
    values: dict[str, Any] = {}
    if preset is not None:
        values = _merge(values, _preset(preset, kind))
    if recipe is not None:
        values = _merge(values, _section(_read(recipe), kind, str(recipe)))
    for assignment in assignments:
        values = _merge(values, _assignment(assignment, kind))
    values |= {key: value for key, value in (given or {}).items() if value is not None}
    try:
        return CONFIGS[kind](**values)
    except ValidationError as error:
        raise ArgumentError("; ".join(_sentence(problem) for problem in error.errors())) from None


def schema() -> dict[str, Any]:
    """JSON Schema of a recipe file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Recipe of lmmixup train",
        "type": "object",
        "additionalProperties": False,
        "properties": {kind: config.model_json_schema() for kind, config in CONFIGS.items()},
    }


def nearest(key: str, known: Iterable[str]) -> str:
    """A hint that names the key that was probably meant; empty where there is none."""
    found = difflib.get_close_matches(key, list(known), n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""


def _preset(name: str, kind: str) -> dict[str, Any]:
    if name not in PRESETS:
        known = ", ".join(PRESETS)
        raise ArgumentError(f"unknown preset {name!r}{nearest(name, PRESETS)}; there are {known}")
    text = files("lmmixup.train").joinpath("presets", f"{name}.yaml").read_text()
    return _section(_parse(text, name), kind, name)


def _read(path: Path) -> Any:
    try:
        return _parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}; expected a recipe in YAML") from None
    except UnicodeDecodeError:
        raise ArgumentError(f"{path}: expected a recipe in YAML, got bytes that are no text") from (
            None
        )


def _parse(text: str, name: str) -> Any:
    try:
        import yaml  # noqa: PLC0415
    except ImportError:
        raise ArgumentError(
            "recipes and presets need PyYAML; hint: pip install 'lmmixup[train]'"
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ArgumentError(f"{name}:{line}: expected YAML, {error.problem}") from None


def _section(recipe: Any, kind: str, name: str) -> dict[str, Any]:
    if not isinstance(recipe, dict) or not all(key in CONFIGS for key in recipe):
        odd = [key for key in recipe if key not in CONFIGS] if isinstance(recipe, dict) else []
        got = f"the key {odd[0]!r}{nearest(str(odd[0]), CONFIGS)}" if odd else repr(recipe)[:60]
        raise ArgumentError(f"{name}: expected sections {' and '.join(CONFIGS)}, got {got}")
    section = recipe.get(kind) or {}
    if not isinstance(section, dict):
        raise ArgumentError(f"{name}: expected keys under {kind}, got {section!r}")
    for key in section:
        _check_key(str(key), kind, f"{name}: {kind}")
    return section


def _assignment(text: str, kind: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ArgumentError(f"--set: expected KEY=VALUE, got {text!r}")
    parsed = _parse(value, f"--set {key}")
    first, _, rest = key.strip().partition(".")
    _check_key(first, kind, "--set")
    if not rest:
        return {first: parsed}
    if first != "trl":
        raise ArgumentError(f"--set: {first!r} has no parts, got {key!r}; hint: {first}={value}")
    return {"trl": {rest: parsed}}


def _check_key(key: str, kind: str, where: str) -> None:
    known = CONFIGS[kind].model_fields
    if key not in known:
        raise ArgumentError(
            f"{where}: unknown key {key!r}{nearest(key, known)}; other arguments of TRL are "
            f"trl.{key}"
        )


def _merge(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = old | dict(new)
    if old.get("trl") and new.get("trl"):
        merged["trl"] = old["trl"] | new["trl"]
    return merged


def _sentence(problem: Any) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return message
    return f"{problem['loc'][0]}: {message[:1].lower()}{message[1:]}, got {problem['input']!r}"
