"""The one client for every stage that asks an LLM.

`ServerConfig` has the options of every call to a server, `CallConfig` those of stages that ask an
LLM and `LLMConfig` those of stages that want JSON; `Client` answers a `ChatRequest` from the cache
or from the server, `Session` opens both, `answers` streams many of them in order, and `Bill` says
what they use and cost.
"""

from lmmixup.llm.batch import Batches
from lmmixup.llm.cache import AnswerCache, open_cache
from lmmixup.llm.client import Client
from lmmixup.llm.config import CallConfig, LLMConfig, ServerConfig
from lmmixup.llm.cost import Bill, Prices
from lmmixup.llm.request import Answer, ChatRequest, Failure, Outcome
from lmmixup.llm.session import Session
from lmmixup.llm.stream import answers, run_async, with_progress

__all__ = [
    "Answer",
    "AnswerCache",
    "Batches",
    "Bill",
    "CallConfig",
    "ChatRequest",
    "Client",
    "Failure",
    "LLMConfig",
    "Outcome",
    "Prices",
    "ServerConfig",
    "Session",
    "answers",
    "open_cache",
    "run_async",
    "with_progress",
]
