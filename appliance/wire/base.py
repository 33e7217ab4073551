"""Bases of all shapes. Requests forbid unknown fields, so that a misspelt option is an error, not silently dropped.

Rule: a request that is wrong makes few errors, however large it is. The validator makes an object of about a kilobyte for
each, on the event loop; a million of them would hold up every client. So objects have few keys, and a list is given up
at its first wrong item (`Items`).
"""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_KEYS = 100
"""Of one object in a request; far more than any route has fields."""
_Item = TypeVar("_Item")
Items = Annotated[list[_Item], Field(fail_fast=True)]
"""A list in a request."""


class Bounded(BaseModel):
    """An object with few keys."""

    @model_validator(mode="before")
    @classmethod
    def _has_few_keys(cls, values: Any) -> Any:
        if isinstance(values, dict) and len(values) > MOST_KEYS:
            raise ValueError(f"an object with more than {MOST_KEYS} keys")
        return values


class Reply(BaseModel):
    """Base of everything the service sends; a client ignores the fields of a newer service."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Request(Bounded):
    """Base of everything the service accepts."""

    model_config = ConfigDict(frozen=True, extra="forbid")
