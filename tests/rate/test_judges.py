"""Judges and their columns."""

from __future__ import annotations

import pytest

from lmmixup.rate import RateConfig
from lmmixup.rate.judges import Judge, column_names, read_judge


@pytest.mark.parametrize(
    ("spec", "judge"),
    [
        ("gpt-4o-mini", Judge("gpt-4o-mini")),
        ("@cf/meta/llama-3", Judge("@cf/meta/llama-3")),
        ("claude@20240620", Judge("claude@20240620")),
        ("m@http://h:1/v1", Judge("m", "http://h:1/v1")),
        ("a@b@https://h/v1#THE_KEY", Judge("a@b", "https://h/v1", "THE_KEY")),
    ],
)
def test_specs(spec: str, judge: Judge) -> None:
    assert read_judge(spec) == judge


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ((), "name at least one judge"),
        (("",), "expected a judge as NAME"),
        (("m@http://me:pw@h/v1",), "neither user, password nor query"),
        (("gpt-4", "GPT.4"), "two judges would share the columns of 'gpt_4'"),
    ],
)
def test_judges_that_cannot_be(models: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RateConfig(model=models)


def test_names_of_columns() -> None:
    assert column_names([Judge("meta-llama/Llama-3.1-8B"), Judge("漢字")]) == [
        "meta_llama_llama_3_1_8b",
        "漢字",
    ]


def test_a_manifest_holds_nothing_of_the_calls() -> None:
    config = RateConfig(model=("m",), concurrency=7, max_cost=1, price_in=1, price_out=1,
                        api_key_env="MINE", cache="none", keep_going=True)  # fmt: skip
    assert set(config.model_dump()) == {
        "base_url", "temperature", "max_output_tokens", "llm_seed", "structured", "model",
        "judge_repeat", "rubric",
    }  # fmt: skip
