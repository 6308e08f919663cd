"""Every record has its outcome, whatever stands in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from lmmixup.errors import DataError
from lmmixup.pool import PoolOptions, open_pool
from lmmixup.tokenize import TokenizeConfig, run

if TYPE_CHECKING:
    from pathlib import Path

STRICT = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate user/assistant') }}{% endif %}"
    "{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
GOOD = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}


def outcome(lines: list[str], model: Path, folder: Path, **options: Any) -> dict[str, Any]:
    pool = folder / "pool.jsonl"
    pool.write_text("\n".join([*lines, json.dumps(GOOD)]) + "\n", encoding="utf-8")
    max_line_mb = options.pop("max_line_mb", 64.0)
    config = TokenizeConfig(tokenizer=model, **options)
    opened = open_pool(pool, PoolOptions(max_line_mb=max_line_mb))
    result = run(opened, config, output=folder / "out", num_threads=1)
    assert result.counts["input"] == len(lines) + 1
    return result.counts


def chat(*turns: tuple[str, str]) -> str:
    return json.dumps({"messages": [{"role": role, "content": text} for role, text in turns]})


@pytest.mark.parametrize(
    "line",
    [
        '{"messages": []}',
        '{"messages": [{"role": "user", "content": "only a question"}]}',
        '{"messages": "none"}',
        '{"messages": [{"role": "user"}]}',
        "{",
    ],
)
def test_what_is_no_chat_is_rejected(model: Path, tmp_path: Path, line: str) -> None:
    counts = outcome([line], model, tmp_path)
    assert counts["kept"] == 1
    assert sum(counts["rejected"].values()) == 1
    (reject,) = (tmp_path / "out" / "rejects.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(reject)["line"] == 1


def test_roles_that_the_template_refuses(model: Path, tmp_path: Path) -> None:
    template = tmp_path / "strict.jinja"
    template.write_text(STRICT)
    lines = [
        chat(("assistant", "I begin."), ("user", "?")),
        chat(("user", "a"), ("user", "b"), ("assistant", "c")),
    ]
    counts = outcome(lines, model, tmp_path, template=template)
    assert counts["dropped"] == {"template": 2}
    rows = pq.read_table(tmp_path / "out" / "dropped.parquet").to_pylist()
    assert all("roles must alternate" in row["detail"] for row in rows)


def test_an_empty_answer_has_nothing_to_train_on(tmp_path: Path, model: Path) -> None:
    template = tmp_path / "bare.jinja"
    template.write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    counts = outcome([chat(("user", "a"), ("assistant", ""))], model, tmp_path, template=template)
    assert counts["dropped"] == {"no-answer": 1}
    (row,) = pq.read_table(tmp_path / "out" / "dropped.parquet").to_pylist()
    assert "no token of an answer" in row["detail"]


def test_a_prompt_that_fills_the_limit(tmp_path: Path, model: Path) -> None:
    lines = [chat(("user", "word " * 100), ("assistant", "b"))]
    counts = outcome(lines, model, tmp_path, max_row_tokens=32)
    assert counts["dropped"] == {"no-answer": 1}
    (row,) = pq.read_table(tmp_path / "out" / "dropped.parquet").to_pylist()
    assert "at most 32 are kept" in row["detail"]


def test_lone_surrogates_are_no_text(model: Path, tmp_path: Path) -> None:
    line = chat(("user", "\ud800"), ("assistant", "b"))
    assert "\\ud800" in line
    counts = outcome([line], model, tmp_path)
    assert counts["kept"] + sum(counts["rejected"].values()) == 2


@pytest.mark.slow
def test_a_record_of_50_mb(model: Path, tmp_path: Path) -> None:
    text = "All work and no play makes 杰克 a dull boy.\n" * 1_100_000
    assert len(text.encode()) > 50_000_000
    lines = [chat(("user", "Go on."), ("assistant", text))]
    counts = outcome(lines, model, tmp_path, max_row_tokens=1024, max_line_mb=100.0)
    assert counts["kept"] == 2
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["figures"]["truncated"] == 1
    assert manifest["figures"]["length_quantiles"]["max"] > 10_000_000


def test_an_unknown_kind_of_tokenizer(model: Path, tmp_path: Path) -> None:
    value = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "chat_template.jinja").write_text(STRICT)
    for model_type, version in (("Nonesuch", "1.0"), ("BPE", "7.5")):
        value["model"]["type"], value["version"] = model_type, version
        (folder / "tokenizer.json").write_text(json.dumps(value))
        with pytest.raises(DataError, match=r"odd/tokenizer\.json: expected a tokenizer"):
            outcome([], folder, tmp_path)
    assert not (tmp_path / "out").exists()
