"""The one client for every stage that asks an LLM.

`LLMConfig` has the options that such stages share, `Client` answers a `ChatRequest` from the
cache or from the server, `answers` streams many of them in order, and `Bill` says what they
use and cost.
"""

from lmmixup.llm.batch import Batches
from lmmixup.llm.cache import AnswerCache, open_cache
from lmmixup.llm.client import Client
from lmmixup.llm.config import LLMConfig
from lmmixup.llm.cost import Bill, Prices
from lmmixup.llm.request import Answer, ChatRequest, Failure, Outcome
from lmmixup.llm.stream import answers, run_async

__all__ = [
    "Answer",
    "AnswerCache",
    "Batches",
    "Bill",
    "ChatRequest",
    "Client",
    "Failure",
    "LLMConfig",
    "Outcome",
    "Prices",
    "answers",
    "open_cache",
    "run_async",
]
