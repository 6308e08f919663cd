"""Chats to packed token ids: a tokenizer, a chat template, packing, Arrow shards."""

from lmmixup.tokenize.config import TokenizeConfig
from lmmixup.tokenize.stage import run
from lmmixup.tokenize.tokenizer import Tokenizer

__all__ = ["TokenizeConfig", "Tokenizer", "run"]
