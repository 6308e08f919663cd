"""Rewards: each component, their sum, what is unscored, and the audit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from lmmixup import library
from lmmixup.cli import cli
from lmmixup.contract import render
from lmmixup.errors import ArgumentError, DataError, RewardError
from lmmixup.pool import open_pool
from lmmixup.rewards import (
    MAPPINGS,
    WEIGHTS,
    RewardConfig,
    Rewards,
    audit,
    format_reward,
    group_advantages,
    map_scores,
)

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "Q: What is a lemma?\nA: A lemma is a proof step to a theorem, by induction."
BAD = "Q: rain?\nA: sunny weather"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(200):
        good = number % 2
        words = ("lemma proof theorem induction step" if good else "rain sunny weather").split()
        rows.append(
            {
                "prompt": "",
                "completion": f"Q: {' '.join(rng.permutation(words))}?\nA: "
                + " ".join(rng.permutation(words)) * (2 if good else 1),
                "rating": 4 + number % 4 // 2 if good else number % 3,
            }
        )
    path = tmp_path_factory.mktemp("libraries") / "lib"
    config = library.LibraryConfig(dim=64, text="completion")
    library.run(open_pool(pa.Table.from_pylist(rows)), config, output=path)
    return path


@pytest.fixture
def rewards(folder: Path) -> Rewards:
    return Rewards(RewardConfig(library=folder, max_reward_errors=100))


def test_quality_tells_good_from_bad_and_needs_an_answer(rewards: Rewards) -> None:
    outputs = [render("t", GOOD), render("t", BAD), GOOD, render("t", "")]
    good, bad, untagged, empty = rewards.quality(outputs, task_type=["qa"] * 4)
    assert good > 0.6
    assert bad < 0.3
    assert untagged == empty == 0.0
    assert rewards.num_errors == 0


def test_an_answer_without_a_vector_earns_nothing(rewards: Rewards, monkeypatch: Any) -> None:
    made = rewards._scoring._embed

    def without_the_second(library: Any, texts: Any) -> Any:
        vectors = made(library, texts)
        vectors[1] = 0
        return vectors

    monkeypatch.setattr(rewards._scoring, "_embed", without_the_second)
    first, second = rewards.quality([render("t", GOOD)] * 2, task_type=["qa"] * 2)
    assert first > 0.6
    assert second == 0.0
    assert rewards.num_errors == 0


def test_messages_are_completions_too(rewards: Rewards) -> None:
    text = render("t", GOOD)
    as_messages = [[{"role": "assistant", "content": text}]]
    assert rewards.combined(
        as_messages, task_type=["para"], prompts=["p"], completion_ids=[[1]], trainer_state=None
    ) == rewards.combined([text], task_type=["para"])


def test_alignment_compares_with_the_reference(rewards: Rewards) -> None:
    outputs = [render("t", GOOD), render("t", BAD), "no tags"]
    found = rewards.alignment(outputs, task_type=["qa"] * 3, reference=[render("r", GOOD)] * 3)
    assert found == [1.0, 0.0, 0.0]
    assert rewards.alignment(outputs[:1], task_type=["qa"], reference=[None]) == [None]
    assert rewards.num_errors == 1


def test_format_is_a_plain_function() -> None:
    outputs = [render("t", GOOD), render("t", "no form"), GOOD, render("t", GOOD)]
    kinds = ["qa", "qa", "qa", "unknown"]
    assert format_reward(outputs, task_type=kinds) == [1.0, 0.5, 0.0, None]


def test_the_sum_has_the_weights_of_the_task(rewards: Rewards) -> None:
    outputs, kinds = [render("t", GOOD)] * 5, ["qa", "cs", "mcq", "tfq", "para"]
    logged: dict[str, float] = {}
    total = rewards.combined(
        outputs, task_type=kinds, reference=[GOOD] * 5, log_metric=logged.__setitem__
    )
    quality = rewards.quality(outputs, task_type=kinds)
    form = format_reward(outputs, task_type=kinds)
    for row, kind in enumerate(kinds):
        weights = WEIGHTS[kind]
        assert sum(weights.values()) == pytest.approx(1)
        expected = weights["quality"] * quality[row] + weights["format"] * form[row]
        assert total[row] == pytest.approx(expected + weights["alignment"])
    assert logged["reward/alignment"] == 1
    assert logged["reward/unscored"] == 0
    assert logged["reward/format"] == pytest.approx(np.mean(form))
    assert "reward/format_spread" not in logged


def test_the_spread_is_that_within_groups(rewards: Rewards) -> None:
    outputs = [render("t", GOOD), GOOD, render("t", GOOD), render("t", GOOD)]
    logged: dict[str, float] = {}
    rewards.combined(
        outputs,
        task_type=["qa"] * 4,
        reference=[GOOD] * 4,
        prompts=["one", "one", "other", "other"],
        log_metric=logged.__setitem__,
    )
    # Format is 1 and 0 in the first group, 1 and 1 in the second.
    assert logged["reward/format_spread"] == pytest.approx(0.25)
    assert logged["reward/alignment_spread"] == pytest.approx(0.25)


def test_without_its_form_an_output_earns_nothing_where_form_is_required(folder: Path) -> None:
    answer = "A lemma is a proof step to a theorem, by induction."
    outputs = [render("", GOOD), render("", answer), answer]
    columns = {"task_type": ["qa"] * 3, "reference": [GOOD] * 3}
    free = Rewards(RewardConfig(library=folder)).combined(outputs, **columns)
    bound = Rewards(RewardConfig(library=folder, require_form=True)).combined(outputs, **columns)
    assert free[1] is not None
    assert free[1] > 0.05
    assert bound == [free[0], 0.0, 0.0]


def test_none_where_a_weighed_component_is_none(rewards: Rewards) -> None:
    outputs, kinds = [render("t", GOOD)] * 3, ["qa", "para", "poem"]
    found = rewards.combined(outputs, task_type=kinds, reference=[None] * 3)
    assert found[0] is None
    assert found[1] is not None
    assert found[2] is None
    assert rewards.num_errors == 2


def test_errors_past_the_limit_end_the_training(folder: Path) -> None:
    strict = Rewards(RewardConfig(library=folder, max_reward_errors=2))
    output = [render("t", GOOD)]
    for _ in range(2):
        assert strict.combined(output, task_type=["qa"], reference=[None]) == [None]
    with pytest.raises(RewardError, match="3 outputs could not be scored, at most 2 may"):
        strict.combined(output, task_type=["qa"], reference=[None])


def test_a_failing_embedder_scores_nothing(folder: Path, monkeypatch: Any) -> None:
    rewards = Rewards(RewardConfig(library=folder, max_reward_errors=3))

    def fail(*_: Any) -> Any:
        raise DataError("server gone")

    [(_, lib)] = list(rewards._scoring.libraries)
    monkeypatch.setattr(lib.embedder, "embed", fail, raising=False)
    outputs = [render("t", GOOD), render("t", BAD), "untagged"]
    assert rewards.quality(outputs, task_type=["para"] * 3) == [None, None, 0.0]
    assert rewards.num_errors == 2
    with pytest.raises(RewardError, match="server gone"):
        rewards.quality(outputs, task_type=["para"] * 3)


def test_an_output_counts_once_however_many_of_its_rewards_are_missing(
    folder: Path, monkeypatch: Any
) -> None:
    rewards = Rewards(RewardConfig(library=folder, max_reward_errors=10))

    def fail(*_: Any) -> Any:
        raise DataError("server gone")

    [(_, lib)] = list(rewards._scoring.libraries)
    monkeypatch.setattr(lib.embedder, "embed", fail, raising=False)
    outputs, kinds = [render("t", GOOD)] * 4, ["qa", "cs", "para", "poem"]
    found = rewards.combined(outputs, task_type=kinds, reference=[GOOD, None, GOOD, GOOD])
    assert found == [None] * 4
    assert rewards.num_errors == 4


def test_a_task_type_without_library_is_unscored(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "qa").symlink_to(folder)
    rewards = Rewards(RewardConfig(library=tmp_path, max_reward_errors=1))
    assert rewards.quality([render("t", GOOD)], task_type=["para"]) == [None]
    assert rewards.num_errors == 1


def test_one_embedding_serves_both(rewards: Rewards, monkeypatch: Any) -> None:
    [(_, lib)] = list(rewards._scoring.libraries)
    embed, seen = lib.embedder.embed, []
    monkeypatch.setattr(
        lib.embedder, "embed", lambda t, *a: (seen.extend(t.to_pylist()), embed(t, *a))[1]
    )
    outputs = [render("t", GOOD), render("t", BAD), render("u", GOOD)]
    rewards.combined(outputs, task_type=["qa"] * 3, reference=[BAD + "!"] * 3)
    assert sorted(seen) == sorted([GOOD, BAD, BAD + "!"])


def test_libraries_of_whole_records_are_refused(tmp_path: Path) -> None:
    rows = [{"prompt": f"p{n}", "completion": f"c{n}", "rating": n % 6} for n in range(40)]
    config = library.LibraryConfig(dim=64)
    library.run(open_pool(pa.Table.from_pylist(rows)), config, output=tmp_path / "lib")
    with pytest.raises(ArgumentError, match="--text completion"):
        Rewards(RewardConfig(library=tmp_path / "lib"))


def test_mappings() -> None:
    almost_4 = np.array([[0, 0, 0, 0.02, 0.98, 0], [0, 0, 0.5, 0.5, 0, 0], [1, 0, 0, 0, 0, 0]])
    assert map_scores(almost_4, "paper").tolist() == [0.3, 0.3, 0.0]
    assert map_scores(almost_4, "map").tolist() == [1.0, 0.0, 0.0]
    assert map_scores(almost_4, "expectation") == pytest.approx([0.99, 0.25, 0.0])
    assert map_scores(almost_4, "p_ge_4") == pytest.approx([0.98, 0.0, 0.0])
    assert set(MAPPINGS) == {"paper", "map", "expectation", "p_ge_4"}


@given(st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=4, max_size=24))
@settings(max_examples=60, deadline=None)
def test_advantages_leave_unscored_outputs_out(values: list[float | None]) -> None:
    groups = np.arange(len(values)) // 4
    made = group_advantages(values, groups)
    assert made.num_unscored == values.count(None)
    for group in np.unique(groups):
        rows = [row for row in np.flatnonzero(groups == group) if values[row] is not None]
        alone = group_advantages([values[row] for row in rows], np.zeros(len(rows), int))
        np.testing.assert_allclose(made.advantage_N[rows], alone.advantage_N)
        assert abs(made.advantage_N[rows].sum()) < 1e-9
    assert all(made.advantage_N[row] == 0 for row, v in enumerate(values) if v is None)


def sample(num_groups: int) -> pa.Table:
    rows = [
        {
            "prompt": f"merge {group}",
            "completion": render(f"{group}", answer),
            "task_type": "qa",
            "reference": GOOD if group % 2 else None,
        }
        for group in range(num_groups)
        for answer in (GOOD, GOOD, BAD, BAD)
    ]
    return pa.Table.from_pylist(rows)


def test_audit_says_what_is_wrong(rewards: Rewards) -> None:
    table = sample(10)
    columns = {name: table[name].to_pylist() for name in table.column_names}
    outputs = columns.pop("completion")
    found = audit(rewards, outputs, np.arange(40) // 4, **columns)
    assert found.unscored == 0.5
    assert found.zero_variance == 0.5
    by_name = {row.name: row for row in found.rows if row.task_type == "qa"}
    assert by_name["format"].dead == (0.0, 0.5)
    assert by_name["alignment"].dead == ()
    assert by_name["combined"].length_correlation > 0.5
    assert any("50.0% of the outputs have no reward" in warning for warning in found.warnings)
    assert any("is never 0, 0.5" in warning for warning in found.warnings)
    assert any("follows the length" in warning for warning in found.warnings)


def test_audit_of_several_task_types_tells_all_together_too(rewards: Rewards) -> None:
    outputs = [render("t", GOOD), render("t", BAD)]
    for kinds, told in ((["qa", "qa"], {"qa"}), (["qa", "para"], {"qa", "para", "all"})):
        found = audit(rewards, outputs, np.zeros(2, int), task_type=kinds, reference=[GOOD, GOOD])
        assert {row.task_type for row in found.rows} == told


def test_audit_expects_no_half_of_a_paragraph(rewards: Rewards) -> None:
    outputs = [render("t", GOOD), "no tags"] * 10
    found = audit(rewards, outputs, np.arange(20) // 2, task_type=["para"] * 20)
    [form] = [row for row in found.rows if row.name == "format"]
    assert form.dead == ()
    assert found.unscored_reasons == {}


def test_audit_command(folder: Path, tmp_path: Path) -> None:
    pq.write_table(sample(6), tmp_path / "sample.parquet")
    args = ["rewards", "audit", str(tmp_path / "sample.parquet"), "--library", str(folder)]
    done = CliRunner().invoke(cli, args, standalone_mode=False)
    assert done.return_value == 1
    assert "12 outputs could not be scored, a training ends above 0" in done.output
    assert "unscored: an output has no reference" in done.output
    done = CliRunner().invoke(cli, [*args, "--max-reward-errors", "50"])
    assert done.exit_code == 0, done.output
    assert "warning: combined of qa follows the length" in done.output
    rows = [line.split()[:3] for line in done.output.splitlines()]
    assert ["qa", "alignment", "24"] in rows
    done = CliRunner().invoke(cli, [*args, "--max-reward-errors", "50", "--json"])
    assert json.loads(done.output)["num_groups"] == 6
