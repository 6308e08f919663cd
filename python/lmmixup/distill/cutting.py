"""How clusters are cut for a mixer: what a prompt holds, and which records go together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from lmmixup.contract import messages, prompt_ids

if TYPE_CHECKING:
    from lmmixup.distill.config import DistillConfig
    from lmmixup.distill.part import Grouping, Part, Sizing
    from lmmixup.distill.rater import Rater


@dataclass(frozen=True)
class Cutting:
    """What decides where clusters are cut, beside the config.

    Attributes:
        rater: Of the mixer mergeit.
        tokenizer: Of a mixer whose tokenizer is known.
        sizing: Counts the tokens of a part's prompt; `None` counts bytes.
        grouping: Puts a cluster's records into groups; `None` leaves them together.
    """

    rater: Rater | None = None
    tokenizer: Any = None
    sizing: Sizing | None = None
    grouping: Grouping | None = None


def cutting_of(config: DistillConfig) -> Cutting:
    """Opens what a config names.

    Args:
        config: Library and tokenizer.

    Raises:
        FileError: They are not there.
        LmmixupError: A package is missing.
    """
    tokenizer: Any = None
    if (path := config.path or config.tokenizer) is not None:
        from lmmixup.distill.engine import open_tokenizer  # noqa: PLC0415

        tokenizer = open_tokenizer(path)
    if config.library is None:
        sizing = None if tokenizer is None else partial(_contract_tokens, tokenizer)
        return Cutting(tokenizer=tokenizer, sizing=sizing)
    from lmmixup.distill.mergeit import near_groups  # noqa: PLC0415
    from lmmixup.distill.rater import Rater  # noqa: PLC0415

    rater = Rater(config.library)
    return Cutting(
        rater=rater,
        tokenizer=tokenizer,
        sizing=partial(_merge_tokens, tokenizer, config),
        grouping=partial(near_groups, rater, config.min_similarity),
    )


def turns_of(part: Part, config: DistillConfig) -> tuple[dict[str, str], ...]:
    """What the mixer of a config is asked about a part."""
    if not config.is_mergeit:
        return tuple(messages(part.record()))
    from lmmixup.distill.mergeit import merge_messages  # noqa: PLC0415

    return merge_messages(part.record()["records"])


def _contract_tokens(tokenizer: Any, part: Part) -> int:
    return len(prompt_ids(part.record(), tokenizer))


def _merge_tokens(tokenizer: Any, config: DistillConfig, part: Part) -> int:
    from lmmixup.distill.chat import chat_request  # noqa: PLC0415

    turns = turns_of(part, config)
    if tokenizer is None:
        return chat_request(turns, config, 0).estimated_tokens()
    ids = tokenizer.apply_chat_template(
        list(turns), add_generation_prompt=True, tokenize=True, return_dict=False
    )
    return len(ids)
