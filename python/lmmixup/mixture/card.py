"""The data-set card."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from lmmixup.mixture.split import PARTS
from lmmixup.mixture.worsen import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lmmixup.mixture.config import MixtureConfig

TASKS = {
    "qa": "question and answer",
    "tfq": "true or false",
    "mcq": "multiple choice",
    "cs": "category and statement",
    "para": "paragraph",
}

USES = {
    "cold_start": "supervised training",
    "rl": "GRPO",
    "validation": "validation of GRPO",
    "test": "test",
}

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

COLUMNS = {
    "id": "hash of task type and passages",
    "source": "where the text is from",
    "article": "key of the split; of a fused sample that of its first passage",
    "task_type": "one of the five",
    "prompt": "the user turn of the contract: instruction and the records of low quality",
    "completion": "the record of high quality, without tags",
    "messages": "system turn, user turn, and the target in its tags",
    "cot": "the reasoning in the tags; may be null",
    "rating": "0 to 5, of the record of high quality",
    "rating_source": "`construction`, or the judge",
    "sources": "the records of low quality, with their rating, article and kinds of degradation",
    "texts": "ids of the texts behind the sample",
}


def write_card(
    folder: Path,
    config: MixtureConfig,
    made: Mapping[str, Mapping[str, int]],
    libraries: Mapping[str, Mapping[str, Any]],
) -> None:
    """Writes `README.md` with the head that Hugging Face reads.

    Args:
        folder: Where it goes.
        config: Name, license, language, teacher.
        made: Samples by part and task type.
        libraries: Figures of each library.

    Notes:
        Says no date, so that the same build has the same bytes.

    Source:
        Hugging Face's dataset cards.
    """
    card = _head(config, made) + _text(config, made, libraries)
    (folder / "README.md").write_text(card, encoding="utf-8")


def _head(config: MixtureConfig, made: Mapping[str, Mapping[str, int]]) -> str:
    total = sum(sum(by_kind.values()) for by_kind in made.values())
    size = next((name for most, name in SIZES if total < most), "n>1M")
    paths = "".join(
        f"  - split: {part}\n    path: {part}.parquet\n" for part in PARTS if made[part]
    )
    data_files = f"  data_files:\n{paths}" if paths else ""
    return (
        f"---\npretty_name: {json.dumps(config.name)}\nlicense: {config.license}\n"
        f"language:\n- {config.language}\ntask_categories:\n- text-generation\n"
        "tags:\n- instruction-distillation\n- lm-mixup\n- croissant\n"
        f"size_categories:\n- {size}\nconfigs:\n- config_name: default\n{data_files}---\n\n"
    )


def summary(made: Mapping[str, Mapping[str, int]]) -> str:
    """One sentence about a data set.

    Args:
        made: Samples by part and task type.
    """
    total = sum(sum(by_kind.values()) for by_kind in made.values())
    return (
        f"{total:,} samples for teaching a model to write one good instruction record from several "
        "bad ones: each has 2 to 20 records of low quality and one of high quality."
    )


def _text(
    config: MixtureConfig,
    made: Mapping[str, Mapping[str, int]],
    libraries: Mapping[str, Mapping[str, Any]],
) -> str:
    kinds = config.task_types
    rows = [
        f"| `{part}.parquet` | {USES[part]} | "
        + " | ".join(f"{made[part].get(kind, 0):,}" for kind in kinds)
        + f" | {sum(made[part].values()):,} |"
        for part in PARTS
    ]
    table = "\n".join(
        [
            "| file | for | " + " | ".join(f"{TASKS[k]} (`{k}`)" for k in kinds) + " | all |",
            "|---|---|" + "--:|" * (len(kinds) + 1),
            *rows,
        ]
    )
    columns = "\n".join(f"| `{name}` | {text} |" for name, text in COLUMNS.items())
    weights = ", ".join(f"{kind} {weight}" for kind, weight in WEIGHTS.items())
    template = (files("lmmixup.mixture") / "card.md").read_text(encoding="utf-8")
    return template.format(
        name=config.name,
        summary=summary(made),
        table=table,
        teacher=config.teacher,
        seed=config.seed,
        columns=columns,
        ratings=_ratings(config),
        weights=weights,
        libraries=_libraries(libraries),
        limits=_limits(config),
        license=config.license,
    )


def _ratings(config: MixtureConfig) -> str:
    if config.model is None:
        return "Of records of high quality by construction: 5, or 4 where the record is shortened."
    judge = config.judge or config.model
    return (
        f"Of records of high quality by `{judge}`, from {config.min_rating}; others were left out."
    )


def _libraries(libraries: Mapping[str, Mapping[str, Any]]) -> str:
    if not libraries:
        return ""
    rows = "\n".join(
        f"| `{kind}` | {one['records']:,} | {one['qwk']:.2f} | {one['matched']:,} | "
        f"{one['qwk_matched']:.2f} |"
        for kind, one in libraries.items()
    )
    about = (
        "`library/TASK_TYPE/` has rated records of the training articles only, for the reward of "
        "GRPO. How well each record's rating follows from the others (quadratic weighted kappa), "
        "on all and on a subset in which every rating has the same lengths:"
    )
    head = "| library | records | kappa | of the same lengths | kappa |\n|---|--:|--:|--:|--:|"
    return f"\n{about}\n\n{head}\n{rows}\n"


def _limits(config: MixtureConfig) -> str:
    if config.model is None:
        return (
            "Rules wrote it, from the texts' own sentences: what the texts say wrongly is wrong "
            "here too, a sentence may miss what stood before it, and a distractor may be right by "
            "chance. Questions are of a few forms only."
        )
    return "A model wrote it; what it says was not checked by people."
