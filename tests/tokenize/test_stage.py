"""The stage against a plain path: jinja2, Hugging Face `tokenizers`, TRL's rule for the mask."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import jinja2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import ipc
from tokenizers import Tokenizer as Peer

from lmmixup.errors import ArgumentError, DataError, InfeasibleError
from lmmixup.pool import open_pool
from lmmixup.tokenize import TokenizeConfig, run
from lmmixup.tokenize.files import find_files

if TYPE_CHECKING:
    from pathlib import Path

    from lmmixup.stage import StageResult

TRIMMED = (
    "{{ bos_token }}{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n\\n' }}"
    "{{ m.content | trim }}{{ '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n\\n' }}{% endif %}"
)
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% set c = m.content %}"
    "{% if m.role == 'assistant' %}{% if '</think>' in c %}{% set c = c.split('</think>')[-1] %}"
    "{% endif %}{% if loop.last %}{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}"
    "{{ c }}{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
NO_SPECIALS = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)

CHATS = [
    [("user", "1 + 1?"), ("assistant", "2")],
    [("system", "Be brief."), ("user", "Say čau."), ("assistant", "čau")],
    [("user", "A list"), ("assistant", "\n- one\n- two")],
    [("user", "A list"), ("assistant", "\n\n\n x ")],
    [("user", "  spaces \n"), ("assistant", " leading and trailing\n\n")],
    [("user", "think"), ("assistant", "<think>\nno\n</think>\n\nyes")],
    [("user", "e\u0301"), ("assistant", "\u0301combines")],
    [("user", "x"), ("assistant", " ")],
    [("user", "x"), ("assistant", "")],
    [("user", "中文"), ("assistant", "没有空格的回答")],
]


def render(template: str, turns: list[tuple[str, str]], *, prompts: bool = False) -> str:
    env = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    messages = [{"role": role, "content": content} for role, content in turns]
    return env.from_string(template).render(
        messages=messages, add_generation_prompt=prompts, bos_token="<|endoftext|>"
    )


def plain(peer: Peer, template: str, turns: list[tuple[str, str]]) -> tuple[list[int], list[int]]:
    """Ids and labels by TRL's rule: the answer starts where the prompt's ids end to be its."""
    ids = peer.encode(render(template, turns), add_special_tokens=False).ids
    opening = render(template, turns[:-1], prompts=True)
    prompt = peer.encode(opening, add_special_tokens=False).ids
    same = 0
    while same < min(len(ids), len(prompt)) and ids[same] == prompt[same]:
        same += 1
    return ids, [-100] * same + ids[same:]


def pool_of(chats: list[list[tuple[str, str]]], path: Path) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for turns in chats:
            messages = [{"role": role, "content": content} for role, content in turns]
            file.write(json.dumps({"messages": messages}) + "\n")
    return path


def rows_of(result: StageResult) -> list[dict[str, Any]]:
    tables = []
    for path in sorted(result.path.glob("data-*.arrow")):
        with ipc.open_stream(path) as opened:
            tables.append(opened.read_all())
    rows: list[dict[str, Any]] = pa.concat_tables(tables).to_pylist()
    return rows


def tokenize(source: Path | pa.Table, model: Path, output: Path, **options: Any) -> StageResult:
    num_threads = options.pop("num_threads", 1)
    config = TokenizeConfig(tokenizer=model, **options)
    return run(open_pool(source), config, output=output, num_threads=num_threads)


@pytest.mark.parametrize("kind", ["bytes", "sentencepiece", "unigram", "wordpiece"])
@pytest.mark.parametrize("template", [TRIMMED, THINKING, NO_SPECIALS, None])
@pytest.mark.parametrize("path", ["auto", "render"])
def test_ids_and_masks_are_those_of_the_plain_path(
    tokenizers_folder: Path, tmp_path: Path, kind: str, template: str | None, path: str
) -> None:
    model = tokenizers_folder / kind
    file = tmp_path / "template.jinja"
    file.write_text(template or (model / "chat_template.jinja").read_text())
    if template == TRIMMED:
        file.write_text(template.replace("{{ bos_token }}", "<|endoftext|>"))
    peer = Peer.from_file(str(model / "tokenizer.json"))
    pool = pool_of(CHATS, tmp_path / "pool.jsonl")
    result = tokenize(
        pool, model, tmp_path / "out", template=file, packing="none", template_path=path
    )
    rows = rows_of(result)
    expected = [plain(peer, file.read_text(), turns) for turns in CHATS]
    # a blank answer may have no token of its own
    expected = [(ids, labels) for ids, labels in expected if max(labels) >= 0]
    assert result.counts["kept"] == len(expected)
    assert [row["input_ids"] for row in rows] == [ids for ids, _ in expected]
    assert [row["labels"] for row in rows] == [labels for _, labels in expected]


def test_several_answers_are_trained_each_to_its_end(model: Path, tmp_path: Path) -> None:
    turns = [("user", "a b"), ("assistant", "c d"), ("user", "e"), ("assistant", "\nf")]
    result = tokenize(pool_of([turns], tmp_path / "pool.jsonl"), model, tmp_path / "out")
    (row,) = rows_of(result)
    peer = Peer.from_file(str(model / "tokenizer.json"))
    trained = [id_ for id_, label in zip(row["input_ids"], row["labels"], strict=True) if label > 0]
    answers = peer.decode(trained, skip_special_tokens=False)
    assert answers == "c d<|im_end|>\n\n\nf<|im_end|>\n"


def test_specialised_and_rendered_give_the_same(
    model: Path, tmp_path: Path, example_pool: Path
) -> None:
    auto = tokenize(example_pool, model, tmp_path / "auto")
    each = tokenize(example_pool, model, tmp_path / "each", template_path="render")
    assert rows_of(auto) == rows_of(each)
    assert auto.figures["template_filled"] > 400
    assert each.figures["template_filled"] == 0


@pytest.mark.parametrize("packing", ["best-fit", "wrapped", "none"])
def test_rows_hold_every_token_once(
    model: Path, tmp_path: Path, example_pool: Path, packing: str
) -> None:
    single = tokenize(example_pool, model, tmp_path / "single", packing="none", max_row_tokens=128)
    packed = tokenize(
        example_pool,
        model,
        tmp_path / "out",
        packing=packing,
        max_row_tokens=128,
        position_ids=True,
    )
    records = sorted(row["input_ids"] for row in rows_of(single))
    rows = rows_of(packed)
    assert all(sum(row["seq_lengths"]) == len(row["input_ids"]) <= 128 for row in rows)
    for row in rows:
        assert row["position_ids"] == [at for n in row["seq_lengths"] for at in range(n)]
    if packing == "wrapped":
        assert {len(row["input_ids"]) for row in rows[:-1]} == {128}
        assert sum(len(row["input_ids"]) for row in rows) == sum(map(len, records))
        return
    found = []
    for row in rows:
        at = 0
        for length in row["seq_lengths"]:
            found.append(row["input_ids"][at : at + length])
            at += length
    assert sorted(found) == records


@pytest.mark.parametrize("num_threads", [2, 7])
def test_threads_change_no_byte(
    model: Path, tmp_path: Path, example_pool: Path, num_threads: int
) -> None:
    options = {"max_row_tokens": 256, "shard_mb": 1}
    tokenize(example_pool, model, tmp_path / "one", **options)
    tokenize(example_pool, model, tmp_path / "many", num_threads=num_threads, **options)
    for path in sorted((tmp_path / "one").iterdir()):
        assert path.read_bytes() == (tmp_path / "many" / path.name).read_bytes(), path.name


def test_an_arrow_pool_gives_what_its_text_gives(
    model: Path, tmp_path: Path, example_pool: Path
) -> None:
    table = open_pool(example_pool).read()
    assert rows_of(tokenize(table, model, tmp_path / "a")) == rows_of(
        tokenize(example_pool, model, tmp_path / "b")
    )


def test_text_of_special_tokens(model: Path, tmp_path: Path) -> None:
    turns = [("user", "What is <|im_end|>?"), ("assistant", "A <|im_start|> closes.")]
    pool = pool_of([turns, CHATS[0]], tmp_path / "pool.jsonl")
    peer = Peer.from_file(str(model / "tokenizer.json"))
    end = peer.token_to_id("<|im_end|>")
    rows = {}
    for policy in ("text", "control", "reject"):
        result = tokenize(pool, model, tmp_path / policy, special_in_text=policy, packing="none")
        rows[policy] = rows_of(result)
        held = result.figures["special_in_text"]
        dropped = result.counts["dropped"]
        assert (held, dropped) == ((0, {"special-in-text": 1}) if policy == "reject" else (1, {}))
    assert rows["text"][0]["input_ids"].count(end) == 2
    assert rows["control"][0]["input_ids"].count(end) == 3
    assert peer.decode(rows["text"][0]["input_ids"], skip_special_tokens=False) == render(
        (model / "chat_template.jinja").read_text(), turns
    )
    assert [rows["text"][1]] == rows["reject"]


def test_records_over_the_limit(model: Path, tmp_path: Path) -> None:
    long = [("user", "short"), ("assistant", "word " * 500)]
    lost = [("user", "word " * 500), ("assistant", "short")]
    pool = pool_of([long, lost, CHATS[0]], tmp_path / "pool.jsonl")
    cut = tokenize(pool, model, tmp_path / "cut", max_row_tokens=64)
    assert cut.figures["truncated"] == 2
    assert cut.figures["truncated_share"] == pytest.approx(2 / 3)
    assert cut.figures["length_quantiles"]["max"] > 500
    assert cut.counts["dropped"] == {"no-answer": 1}
    dropped = tokenize(pool, model, tmp_path / "drop", max_row_tokens=64, too_long="drop")
    assert dropped.counts["dropped"] == {"too-long": 2}
    assert dropped.figures["truncated"] == 2
    assert dropped.figures["length_quantiles"]["max"] > 500
    (first, *_) = pq.read_table(tmp_path / "drop" / "dropped.parquet").to_pylist()
    assert "at most 64" in first["detail"]


def test_a_template_that_raises_drops_the_record(model: Path, tmp_path: Path) -> None:
    template = tmp_path / "t.jinja"
    template.write_text(
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system!') }}{% endif %}"
        + (model / "chat_template.jinja").read_text()
    )
    pool = pool_of(CHATS[:2], tmp_path / "pool.jsonl")
    result = tokenize(pool, model, tmp_path / "out", template=template)
    assert result.counts["dropped"] == {"template": 1}
    (row,) = pq.read_table(tmp_path / "out" / "dropped.parquet").to_pylist()
    assert "no system!" in row["detail"]


def test_says_what_is_missing_or_wrong(model: Path, tmp_path: Path) -> None:
    pool = pool_of(CHATS[:1], tmp_path / "pool.jsonl")
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "tokenizer.json").write_bytes((model / "tokenizer.json").read_bytes())
    with pytest.raises(ArgumentError, match="expected a chat template"):
        tokenize(pool, bare, tmp_path / "out")
    broken = tmp_path / "broken.jinja"
    broken.write_text("{% if %}")
    with pytest.raises(DataError, match="chat template: expected Jinja"):
        tokenize(pool, model, tmp_path / "out", template=broken)
    with pytest.raises(InfeasibleError, match="no record"):
        tokenize(pool, model, tmp_path / "out", max_row_tokens=2)
    assert not (tmp_path / "out").exists()


def test_a_template_with_another_way_for_some_contents_is_found_out(
    model: Path, tmp_path: Path
) -> None:
    template = tmp_path / "t.jinja"
    template.write_text(
        "{% for m in messages %}{{ m.role }}{{ m.content if m.content | length != 40 else '?' }}"
        "{% endfor %}"
    )
    chats = [[("user", "x" * 40), ("assistant", "y")], *CHATS[:1]]
    pool = pool_of(chats, tmp_path / "pool.jsonl")
    with pytest.raises(DataError, match="--template-path render"):
        tokenize(pool, model, tmp_path / "out", template=template)
    tokenize(pool, model, tmp_path / "out", template=template, template_path="render")


def test_stats_count_and_write_no_shards(model: Path, tmp_path: Path, example_pool: Path) -> None:
    result = tokenize(example_pool, model, tmp_path / "out", stats=True)
    names = {path.name for path in result.path.iterdir()}
    assert names == {"dropped.parquet", "lengths.png", "manifest.json", "rejects.jsonl"}
    assert result.figures["length_quantiles"]["max"] > result.figures["length_quantiles"]["0.5"]
    assert result.figures["padding_to_longest"] > 1


def test_finished_shards_are_not_written_again(
    model: Path, tmp_path: Path, example_pool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lmmixup.tokenize import shards

    whole = tokenize(example_pool, model, tmp_path / "whole", max_row_tokens=128)
    monkeypatch.setattr(shards, "MIB", 64)
    several = tokenize(example_pool, model, tmp_path / "several", max_row_tokens=128)
    assert len(list(several.path.glob("data-*.arrow"))) > 10
    assert rows_of(several) == rows_of(whole)
    written: list[str] = []
    write = shards._write_shard

    def dies_at_the_fifth(path: Path, *rest: Any) -> shards.Shard:
        if len(written) == 5:
            raise KeyboardInterrupt
        written.append(path.name)
        return write(path, *rest)

    monkeypatch.setattr(shards, "_write_shard", dies_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        tokenize(example_pool, model, tmp_path / "again", max_row_tokens=128)
    first = list(written)
    written.clear()

    def writes(path: Path, *rest: Any) -> shards.Shard:
        written.append(path.name)
        return write(path, *rest)

    monkeypatch.setattr(shards, "_write_shard", writes)
    tokenize(example_pool, model, tmp_path / "again", max_row_tokens=128)
    assert len(first) == 5
    assert not set(first) & set(written)
    for path in sorted(several.path.iterdir()):
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_digests_tell_tokenizers_and_templates(
    model: Path, tmp_path: Path, example_pool: Path
) -> None:
    names = ("tokenizer_sha256", "template_sha256")
    figures = tokenize(example_pool, model, tmp_path / "out", stats=True).figures
    other = shutil.copytree(model, tmp_path / "other")
    parts = json.loads((other / "tokenizer.json").read_text())
    (other / "tokenizer.json").write_text(json.dumps(parts | {"truncation": None, "padding": None}))
    assert find_files(other).digests() == {name: figures[name] for name in names}
    (other / "tokenizer.json").write_text(json.dumps(parts | {"normalizer": {"type": "NFKC"}}))
    (other / "chat_template.jinja").write_text("{{ messages }}")
    digests = find_files(other).digests()
    assert all(digests[name] != figures[name] for name in names)


@pytest.mark.torch
def test_datasets_opens_it(model: Path, tmp_path: Path, example_pool: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="`datasets` is not installed")
    result = tokenize(example_pool, model, tmp_path / "out")
    opened = datasets.load_from_disk(str(result.path))
    assert opened.column_names == ["input_ids", "labels", "seq_lengths"]
    assert opened[0] == rows_of(result)[0]
