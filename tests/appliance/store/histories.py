"""Random histories of small documents, each with a unique word, and the words that were deleted."""

import random
from collections.abc import Iterator

from appliance.store import Store
from tests.appliance.store.filling import fill, identity, key

_LETTERS = "bcdfghjklmnpqrtvwxz"
_CHANCE = random.Random(7)
_ORDINARY = ["".join(_CHANCE.choice("abcdefghijlmnoprstu") for _ in range(_CHANCE.randint(3, 9))) for _ in range(800)]


class History:
    """One history of a store; the same for the same seed. `gone` holds the words that must not be left anywhere."""

    def __init__(self, seed: int) -> None:
        self.gone: list[str] = []
        self._seed = seed
        self._chance = random.Random(seed)
        self._number = 0
        self._standing: dict[str, tuple[str, str]] = {}  # by id: the word in its name, if any, and that in its text

    def live(self, store: Store) -> None:
        """Add, replace, rename and remove."""
        for _ in range(self._chance.randint(8, 40)):
            kind = self._chance.random()
            if kind < 0.5 or not self._standing:
                self._number += 1
                document = store.queue.add_file(self._path(f"d{self._number}"), identity(self._number))
                self._standing[document] = "", self._read(store, document)
                continue
            document = self._chance.choice(list(self._standing))
            name, word = self._standing[document]
            if kind < 0.7:
                self._standing[document] = name, self._read(store, document)
                self.gone.append(word)
            elif kind < 0.8:
                self._standing[document] = self._next_word(), word
                store.rename(document, self._path(self._standing[document][0]))
                self.gone += filter(None, [name])
            else:
                store.remove(document)
                del self._standing[document]
                self.gone += filter(None, [name, word])

    def standing(self) -> list[str]:
        """The words of the texts that are still stored."""
        return [word for _, word in self._standing.values()]

    def _read(self, store: Store, document: str) -> str:
        word = self._next_word()
        store.queue.add_file(store.get(document).path, identity(self._number))
        sink = store.queue.open_revision(document, key(f"{self._seed} {self._number}"))
        title = self._chance.choice(["A title", word])
        fill(sink, list(self._texts(word)), title=title, size=self._chance.choice([1, 2, 5]))
        sink.complete()
        return word

    def _texts(self, word: str) -> Iterator[str]:
        for number in range(self._chance.choice([1, 1, 2, 3, 5, 9, 20])):
            words = [word] if number == 0 or self._chance.random() < 0.6 else []
            words += self._chance.choices(_ORDINARY, k=self._chance.choice([3, 10, 40, 150]))
            yield " ".join(words)

    def _path(self, name: str) -> bytes:
        return f"c{self._chance.randrange(3)}/{name}.pdf".encode()

    def _next_word(self) -> str:
        """The stemmer leaves it whole, so its bytes appear unchanged in every form of the index."""
        self._number += 1
        first, rest = self._number % 19, self._number // 19
        return f"qzv{_LETTERS[first]}{_LETTERS[rest % 19]}{_LETTERS[rest // 19]}k"
