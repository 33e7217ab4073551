"""Bases of all shapes. Requests forbid unknown fields, so that a misspelt option is an error, not silently dropped."""

from pydantic import BaseModel, ConfigDict


class Reply(BaseModel):
    """Base of everything the service sends; a client ignores the fields of a newer service."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Request(BaseModel):
    """Base of everything the service accepts."""

    model_config = ConfigDict(frozen=True, extra="forbid")
