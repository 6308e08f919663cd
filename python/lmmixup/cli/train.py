"""`lmmixup train sft`, `grpo`, `plan`, `export` and `schema`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lmmixup.cli.options import command_with, options_of
from lmmixup.cli.stage import JSON, OUTPUT, OVERWRITE, QUIET, make_reporter, show_result
from lmmixup.cli.table import show_rows, show_table
from lmmixup.errors import ArgumentError
from lmmixup.train.config import CONFIGS
from lmmixup.train.export import DTYPES, export
from lmmixup.train.packed import open_data
from lmmixup.train.plan import Plan, plan
from lmmixup.train.recipe import PRESETS, resolve, schema
from lmmixup.train.stage import prepare_only, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmmixup.train.config import TrainConfig

_FILES = {
    "model.safetensors": "the model",
    "README.md": "its card: recipe, data, figures",
    "curves.png": "curves of the training",
    "log.jsonl": "the log, one line an entry",
    "dropped.parquet": "samples above the token limits",
}
_NOT_OPTIONS = {"trl"}
_DATA = click.Option(
    ["--data"],
    required=True,
    type=click.Path(path_type=Path),
    help="MIXTURE folder; for sft also packed rows of `lmmixup tokenize`.",
)
_FOLDER = click.Option(
    ["-o", "--output"],
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of both trainings; this one makes sft/ or grpo/ in it.",
)
_PRESET = click.Option(
    ["--preset"], type=click.Choice(PRESETS), help="Settings that come with lmmixup."
)
_RECIPE = click.Option(
    ["--recipe"], type=click.Path(path_type=Path), help="YAML file with sections sft and grpo."
)
_SET = click.Option(
    ["--set", "assignments"],
    multiple=True,
    metavar="KEY=VALUE",
    help="One setting, over preset and recipe; trl.KEY=VALUE for further arguments of TRL.",
)
_GPUS = click.Option(
    ["--gpus"], type=click.IntRange(min=1), help="The same as --processes, on GPUs."
)
_PREPARE = click.Option(
    ["--prepare", "is_preparing"],
    is_flag=True,
    help="Check everything, print the command that starts the processes, and stop. Run that, "
    "then this one without --prepare.",
)


def _resolve(kind: str, given: dict[str, Any]) -> TrainConfig:
    if given["gpus"] is not None:
        if given["cpu"] or given["processes"] is not None:
            raise ArgumentError("--gpus goes neither with --cpu nor with --processes")
        given |= {"processes": given["gpus"], "cpu": False}
    known = CONFIGS[kind].model_fields
    return resolve(
        kind,
        preset=given["preset"],
        recipe=given["recipe"],
        assignments=given["assignments"],
        given={name: value for name, value in given.items() if name in known},
    )


def _options(kind: str) -> list[click.Option]:
    own = [option for option in options_of(CONFIGS[kind]) if option.name not in _NOT_OPTIONS]
    return [_PRESET, _RECIPE, _SET, _GPUS, *own]


def _train(kind: str) -> Callable[..., int]:
    def callback(**given: Any) -> int:
        config = _resolve(kind, given)
        is_silent = given["quiet"] or given["as_json"]
        with make_reporter(quiet=is_silent) as reporter:
            data = open_data(given["data"], kind)
            if given["is_preparing"]:
                for line in prepare_only(
                    data, config, output=_output(given, kind), overwrite=given["overwrite"],
                    reporter=reporter,
                ):  # fmt: skip
                    click.echo(line)
                return 0
            result = run(
                data,
                config,
                output=_output(given, kind),
                overwrite=given["overwrite"],
                reporter=reporter,
                show=(lambda _line: None) if is_silent else click.echo,
            )
        if given["as_json"]:
            click.echo(json.dumps(result.manifest))
        elif not given["quiet"]:
            show_result(result, _FILES)
        return 0

    return callback


def _output(given: dict[str, Any], kind: str) -> Path:
    folder: Path = given["output"]
    return folder / kind


def _plan(**given: Any) -> int:
    config = _resolve(given.pop("kind"), given)
    made = plan(config)
    if given["as_json"]:
        layouts = [{**vars(one), "total": one.total} for one in made.layouts]
        click.echo(json.dumps({**vars(made), "layouts": layouts}))
    else:
        _show_plan(made, "process" if config.cpu else "GPU")
    return 0


def _show_plan(made: Plan, place: str) -> None:
    show_rows(
        [
            ("parameters", f"{made.num_parameters:,}"),
            ("trained", f"{made.num_trained:,}"),
            ("processes", f"{made.processes}"),
            ("tokens of the longest sequence", f"{made.max_sequence_tokens:,}"),
        ]
    )
    headings = ("ZeRO", "weights", "gradients", "optimiser", "activations", "rollout", place,
                *(["main memory"] if place == "GPU" else []))  # fmt: skip
    rows = []
    for one in made.layouts:
        name = f"{one.zero}{' offload' if one.offload else ''}"
        parts = (one.weights, one.gradients, one.optimizer, one.activations, one.rollout)
        cells = [f"{part:.1f}" for part in (*parts, one.total, one.host)]
        rows.append((name, *cells[: len(headings) - 1]))
    click.echo(f"\nGB of each {place}, estimated; take a quarter on top:")
    show_table(headings, rows)


def _export(**given: Any) -> int:
    made = export(
        given["checkpoint"],
        given["output"],
        dtype=given["dtype"],
        merge_lora=given["merge_lora"],
        overwrite=given["overwrite"],
    )
    click.echo(str(made))
    return 0


def _schema() -> int:
    click.echo(json.dumps(schema(), indent=1))
    return 0


_COMMON = [OVERWRITE, _PREPARE, QUIET, JSON]

_SFT = command_with(
    "sft",
    _train("sft"),
    [_DATA, _FOLDER, *_options("sft"), *_COMMON],
    help="Fine-tune a model on the cold-start part; makes the folder OUTPUT/sft.",
    examples=[
        "lmmixup train sft --model Qwen/Qwen2.5-1.5B-Instruct --data mixture -o out",
        "lmmixup train sft --preset paper-7b --data mixture -o out --gpus 8 --zero 3",
        "lmmixup train sft --preset smoke --model out/sft --data mixture -o tried",
    ],
)

_GRPO = command_with(
    "grpo",
    _train("grpo"),
    [_DATA, _FOLDER, *_options("grpo"), *_COMMON],
    help="Train a model by GRPO on the RL part; makes the folder OUTPUT/grpo.",
    examples=[
        "lmmixup train grpo --preset paper-1.5b --model out/sft --data mixture --library lib -o o",
        "lmmixup train grpo --model out/sft --data mixture --library lib -o out --set beta=0.04",
    ],
)

_PLAN = command_with(
    "plan",
    _plan,
    [
        click.Argument(["kind"], type=click.Choice(list(CONFIGS))),
        *_options("grpo"),
        *[option for option in _options("sft") if option.name == "max_sequence_tokens"],
        JSON,
    ],
    help="Estimate the memory of a training: of each GPU, or with --cpu of each process.",
    examples=[
        "lmmixup train plan grpo --preset paper-7b --model out/sft --gpus 8",
        "lmmixup train plan sft --preset cpu-135m --model SmolLM2-135M-Instruct",
    ],
)

_EXPORT = command_with(
    "export",
    _export,
    [
        click.Argument(["checkpoint"], type=click.Path(path_type=Path)),
        OUTPUT,
        click.Option(
            ["--dtype"], type=click.Choice(DTYPES), default="float32", help="Type of the weights."
        ),
        click.Option(
            ["--merge-lora/--no-merge-lora"], default=True, help="Of adapters, the whole model."
        ),
        OVERWRITE,
    ],
    help="Make a plain model folder of a checkpoint, of any ZeRO stage.",
    examples=["lmmixup train export out/.sft.partial/work/checkpoints/checkpoint-100 -o model"],
)

_SCHEMA = command_with(
    "schema",
    _schema,
    [],
    help="Print the JSON Schema of recipe files.",
    examples=["lmmixup train schema > recipe.schema.json"],
)

command = click.Group(
    "train",
    help="Train the mixer: supervised fine-tuning, then GRPO.",
    commands=[_SFT, _GRPO, _PLAN, _EXPORT, _SCHEMA],
)
