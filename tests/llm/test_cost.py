"""Prices and the cost limit."""

from __future__ import annotations

import asyncio

import pytest

from lmmixup.llm import Answer, Bill, ChatRequest, LLMConfig, Prices
from lmmixup.llm.cost import CostLimitError

REQUEST = ChatRequest("m", ({"role": "user", "content": "x" * 968},), {"max_tokens": 1000})
ANSWER = Answer("y", "stop", None, 250, 50)


def test_a_price_that_is_unknown_is_not_zero() -> None:
    assert Prices(1.0, None).cost(10, 10) is None
    assert Prices(0.0, 0.0).cost(10, 10) == 0.0
    bill = Bill(Prices(None, 2.0), None, 10)
    bill.settle(0.0, ANSWER)
    assert bill.spent is None
    assert str(bill) == "300 tokens, cost unknown"


def test_a_limit_needs_prices() -> None:
    with pytest.raises(ValueError, match="max_cost needs price_in and price_out"):
        LLMConfig(max_cost=1.0, price_in=1.0)


def test_the_highest_cost_is_set_aside_and_the_real_one_kept() -> None:
    async def main() -> None:
        bill = Bill(Prices(1000.0, 1000.0), 5.0, 1000)
        most = bill.most(REQUEST)
        assert most == pytest.approx(2.0)
        first = await bill.set_aside(REQUEST)
        second = await bill.set_aside(REQUEST)
        third = asyncio.create_task(bill.set_aside(REQUEST))
        await asyncio.sleep(0)
        assert not third.done()
        bill.settle(first, ANSWER)
        bill.settle(second, ANSWER)
        await third
        assert bill.spent == pytest.approx(0.6)
        bill.release(third.result(), is_paid=True)
        assert bill.spent == pytest.approx(2.6)
        fourth = await bill.set_aside(REQUEST)
        bill.release(fourth, is_paid=False)
        assert bill.spent == pytest.approx(2.6)
        bill.settle(await bill.set_aside(REQUEST), Answer("z", "stop", None, 400, 100))
        with pytest.raises(CostLimitError, match=r"stopped at max_cost 5: 3\.1000 is spent"):
            await bill.set_aside(REQUEST)

    asyncio.run(main())


def test_a_request_never_has_more_tokens_than_is_set_aside() -> None:
    text = "naïve \N{GRINNING FACE} 漢字"
    request = ChatRequest("m", ({"role": "user", "content": text},))
    assert request.most_tokens() > len(text.encode())
    assert request.estimated_tokens() == -(-len(text.encode()) // 4)
