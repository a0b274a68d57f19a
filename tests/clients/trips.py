"""What the frameworks are asked for: a trip, and the tool that plans it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Trip(BaseModel):
    """A trip."""

    model_config = ConfigDict(extra="forbid")

    city: Literal["Oslo", "Rome"]
    days: int = Field(ge=0, le=9)


OSLO = {"city": "Oslo", "days": 3}
BOOKED = "3 nights in Oslo are booked."
DONE = "Have a good time in Oslo."


def plan_trip(city: str, days: int) -> str:
    """Plans a trip.

    Args:
        city: Where to.
        days: For how long.
    """
    return f"{days} nights in {city} are booked."


def assert_the_loop_closed(heard: list[dict[str, Any]]) -> None:
    """The model was offered the tool, and its call came back to it with the result."""
    first, second = heard
    (tool,) = first["tools"]
    assert tool["function"]["name"] == "plan_trip"
    assert set(tool["function"]["parameters"]["properties"]) == {"city", "days"}
    call, result = second["messages"][-2:]
    assert call["role"] == "assistant"
    assert call["tool_calls"][0]["function"]["name"] == "plan_trip"
    assert result["role"] == "tool"
    assert result["tool_call_id"] == call["tool_calls"][0]["id"]
    assert BOOKED in str(result["content"])
