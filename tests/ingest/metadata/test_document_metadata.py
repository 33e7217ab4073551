"""Title, language and period of a document come from its first pages alone."""

from dataclasses import replace

import pytest

from ingest.metadata.document_metadata import About
from ingest.metadata.language import guessed_language
from ingest.metadata.period import period_of
from ingest.types import DocumentInfo, Page
from tests.ingest.page_builder import page, prose

TEXTS = {
    "en": "The pump must be locked before the cover is removed, and the key is kept by the person who works on it. "
    "After the work all parts are counted, and the cover is closed with the screws that are in the box.",
    "de": "Vor dem Öffnen ist die Pumpe zu verriegeln, und der Schlüssel wird von der Person verwahrt, die daran arbeitet. "
    "Nach der Arbeit werden alle Teile gezählt und der Deckel mit den Schrauben aus dem Kasten geschlossen.",
    "fr": "La pompe doit être verrouillée avant que le capot ne soit retiré, et la clé est gardée par la personne qui y "
    "travaille. Après les travaux, toutes les pièces sont comptées et le capot est fermé avec les vis de la boîte.",
    "es": "La bomba debe bloquearse antes de que se retire la tapa, y la llave la guarda la persona que trabaja en ella. "
    "Después del trabajo se cuentan todas las piezas y la tapa se cierra con los tornillos que están en la caja.",
    "it": "La pompa deve essere bloccata prima che il coperchio sia rimosso, e la chiave è custodita dalla persona che vi "
    "lavora. Dopo il lavoro si contano tutti i pezzi e il coperchio si chiude con le viti della scatola.",
    "nl": "De pomp moet worden vergrendeld voordat het deksel wordt verwijderd, en de sleutel blijft bij de persoon die er "
    "aan werkt. Na het werk worden alle delen geteld en wordt het deksel met de schroeven uit de doos gesloten.",
    "pt": "A bomba deve ser bloqueada antes de a tampa ser retirada, e a chave fica com a pessoa que trabalha nela. "
    "Depois do trabalho contam-se todas as peças e a tampa é fechada com os parafusos que estão na caixa.",
}


@pytest.mark.parametrize(("language", "text"), TEXTS.items())
def test_a_language_is_recognised_by_its_common_words(language: str, text: str) -> None:
    assert guessed_language(text) == language


@pytest.mark.parametrize(
    "text", ["", "The pump is of the ship.", "Total 12,345 6,789 " * 80, "Pump Motor Valve Filter Hull " * 20]
)
def test_no_language_is_named_without_enough_evidence(text: str) -> None:
    assert guessed_language(text) == ""


@pytest.mark.parametrize(
    ("text", "period"),
    [
        ("For the quarterly period ended June 24, 2023\nor", "2023-06-24"),
        ("for the fiscal year ended\nSeptember 30, 2023", "2023-09-30"),
        ("Three Months Ended March 31, 2022 and 2021", "2022-03-31"),
        ("for the year ended 31 December 2020", "2020-12-31"),
        ("Period ending: 2024-02-29", "2024-02-29"),
        ("year ended June 31, 2023; quarter ended June 30, 2023", "2023-06-30"),
        ("Annual Report 2021", "2021"),
        ("Jahresbericht 2019", "2019"),
        ("Printed on June 24, 2023", ""),
        ("", ""),
    ],
)
def test_the_period_of_a_report_is_found(text: str, period: str) -> None:
    assert period_of(text) == period


def told(number: int, text: str) -> Page:
    return replace(page(number, prose("Some line")), text=text)


def test_only_the_first_pages_count() -> None:
    info = DocumentInfo(9, "A Manual of Pumps")
    about = About().after(told(1, "Annual Report 2021"), info).after(told(2, TEXTS["de"]), info)
    assert about == ("A Manual of Pumps", "de", "2021")
    assert about.after(told(3, TEXTS["en"]), info) == about
    assert About().after(told(4, TEXTS["en"]), info) == About()
