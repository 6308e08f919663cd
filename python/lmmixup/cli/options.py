"""Command-line options made from a config model, so that each default is written once."""

from __future__ import annotations

import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin

import click
from pydantic import BaseModel, ValidationError

from lmmixup.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pydantic.fields import FieldInfo

Model = TypeVar("Model", bound=BaseModel)

OWN = "Options"
"""Section of the help that comes first: what only this command has."""
RUN = "Run options"
"""Section of what every command has; it comes last."""
_SECTIONS = {
    "CallConfig": "Server options",
    "LLMConfig": "Server options",
    "LaunchConfig": "Launch options",
    "PoolOptions": "Pool options",
    "NeighboursConfig": "Vector options",
    "RewardConfig": "Reward options",
    "ServerConfig": "Server options",
    "VectorsConfig": "Vector options",
}
"""Sections of fields that several commands have, by the class that declares them."""


class Option(click.Option):
    """An option that knows under which heading the help shows it.

    Args:
        names: As of `click.Option`.
        section: The heading.
        attributes: As of `click.Option`.
    """

    def __init__(self, names: Sequence[str], *, section: str = OWN, **attributes: Any) -> None:
        super().__init__(names, **attributes)
        self.section = section


class Command(click.Command):
    """A command whose help groups its options, its own ones first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the options, a heading above each group."""
        sections: dict[str, list[tuple[str, str]]] = {OWN: []}
        for param in self.get_params(ctx):
            is_help = not set(param.opts).isdisjoint(ctx.help_option_names)
            name = RUN if is_help else getattr(param, "section", OWN)
            row = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if row is not None:
                sections.setdefault(name, []).append(row)
        last = sections.pop(RUN, [])
        for heading, rows in [*sections.items(), (RUN, last)]:
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


def options_of(model: type[BaseModel]) -> list[click.Option]:
    """One option for each field of a config model.

    Names turn `_` into `-`, docstrings become help, defaults are shown. Tuples take values
    separated by commas, and may be given several times; booleans are `--name / --no-name` pairs.

    Args:
        model: The config class; every field needs a default and a docstring.

    Returns:
        Options in the order of the fields. An option that was not given is `None`, so that
        the model's own default applies.
    """
    return [_option(name, info, _section(model, name)) for name, info in model.model_fields.items()]


def _section(model: type[BaseModel], field: str) -> str:
    declaring = next(one for one in model.__mro__ if field in vars(one).get("__annotations__", {}))
    return _SECTIONS.get(declaring.__name__, OWN)


def options_for(shortcuts: Mapping[str, tuple[str, str]]) -> list[click.Option]:
    """Flags that stand for an option with a value; the last one given on a line counts.

    Args:
        shortcuts: By flag, the field and its value.

    Returns:
        Options that fill the same parameters as those of `options_of`.
    """
    return [
        click.Option(
            [flag, field],
            flag_value=value,
            default=None,
            help=f"The same as --{field.replace('_', '-')} {value}.",
        )
        for flag, (field, value) in shortcuts.items()
    ]


def build(model: type[Model], given: Mapping[str, Any]) -> Model:
    """Makes the config from what was given on the command line.

    Args:
        model: The config class.
        given: Values by field name; others are ignored, `None` means not given.

    Returns:
        The validated config.

    Raises:
        ArgumentError: A value is outside its range; names the option.
    """
    fields = model.model_fields
    values = {name: value for name, value in given.items() if name in fields and value is not None}
    try:
        return model(**values)
    except ValidationError as error:
        raise ArgumentError("; ".join(_sentences(error))) from None


def _sentences(error: ValidationError) -> Iterable[str]:
    for problem in error.errors():
        message = problem["msg"].removeprefix("Value error, ")
        if problem["loc"]:
            option = "--" + str(problem["loc"][0]).replace("_", "-")
            message = message[:1].lower() + message[1:]
            yield f"{option}: {message}, got {problem['input']!r}"
        else:
            yield message


def _option(name: str, info: FieldInfo, section: str) -> click.Option:
    flag = "--" + name.replace("_", "-")
    kind = _without_none(info.annotation)
    attributes: dict[str, Any] = {"help": _help(info), "default": None, "section": section}
    if kind is bool:
        return Option([f"{flag}/--no-{flag[2:]}"], **attributes)
    if get_origin(kind) is Literal:
        return Option([flag], type=click.Choice([str(v) for v in get_args(kind)]), **attributes)
    if get_origin(kind) is tuple:
        return Option([flag], callback=_split_each, metavar="A,B,…", multiple=True, **attributes)
    if get_origin(kind) is dict:
        return Option([flag], callback=_split_pairs, metavar="A=B,…", **attributes)
    return Option([flag], type=_CLICK_TYPES.get(kind, click.STRING), **attributes)


_CLICK_TYPES: dict[Any, click.ParamType[Any]] = {
    int: click.INT,
    float: click.FLOAT,
    Path: click.Path(path_type=Path),
}


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
        return kinds[0] if len(kinds) == 1 else str
    return annotation


def _help(info: FieldInfo) -> str:
    default = info.get_default(call_default_factory=True, validated_data={})
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    text = (info.description or "").replace("\n", " ").replace("`", "")
    if isinstance(default, bool):
        shown = "on" if default else "off"
    return text if default is None or default in ((), {}) else f"{text} [default: {shown}]"


def _split(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part)


def _split_each(ctx: click.Context, param: click.Parameter, value: Any) -> Any:  # noqa: ARG001
    return tuple(part for one in value for part in _split(one)) if value else None


def _split_pairs(ctx: click.Context, param: click.Parameter, value: Any) -> Any:  # noqa: ARG001
    if value is None:
        return None
    pairs = [part.partition("=") for part in _split(value)]
    if any(not (key and equals and target) for key, equals, target in pairs):
        raise click.BadParameter(f"expected A=B pairs separated by commas, got {value!r}")
    return {key: target for key, _, target in pairs}


def command_with(
    name: str,
    callback: Callable[..., Any],
    params: Iterable[click.Parameter],
    *,
    examples: Iterable[str],
    help: str,  # noqa: A002
) -> click.Command:
    """A command whose help ends with examples.

    Args:
        name: Name of the command.
        callback: Called with the parameters by name.
        params: Arguments and options.
        examples: Command lines that work as they stand.
        help: What the command does.
    """
    epilog = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples)
    return Command(name, callback=callback, params=list(params), help=help, epilog=epilog)
