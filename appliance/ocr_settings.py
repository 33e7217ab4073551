"""What the settings of text recognition may be."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from appliance.provider_settings import names

_LANGUAGE = re.compile(r"[A-Za-z_]{1,40}(?:/[A-Za-z_]{1,40})?")

OcrMode = Literal["auto", "off"]


def _language(name: str) -> str:
    if not _LANGUAGE.fullmatch(name):
        raise ValueError('a language is named as Tesseract names it, such as "eng", "deu" or "chi_sim"')
    return name


OcrLanguages = Annotated[
    tuple[Annotated[str, AfterValidator(_language)], ...], BeforeValidator(names), Field(min_length=1, max_length=16)
]
"""The likeliest first."""
