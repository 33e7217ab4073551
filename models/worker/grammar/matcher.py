"""Runs a grammar over bytes: a pushdown automaton whose states are built when first reached. Pure.

A state is the set of all stacks that the text so far can lead to, as in llama.cpp's grammar sampler. A stack is a chain of
`Node`s. Equal nodes are one object, so equal stacks are too, and each transition is computed only once. States are values:
a caller may keep one, go back to it, and share it between requests with the same grammar.

Rule: everything is bounded. A state with too many stacks is refused, a stack that is too deep is not followed, and the
cache of states and transitions is cleared when full.
"""

from typing import Final

from models.worker.grammar.errors import GrammarTooComplex
from models.worker.grammar.rules import Rules

_MOST_STACKS: Final = 2_000  # chosen by eye, like the next
_DEEPEST: Final = 1_000
_MOST: Final = 500_000  # weight of the cache, about 20 MB
_NODE, _STATE, _PART = 6, 16, 1  # weights of a node; of a state; of a stack in a state, and of a transition
_END: Final = 1 << 40  # a symbol that ends an alternative


class Node:
    """A stack: a place in the grammar, and the stack to return to from there."""

    __slots__ = ("depth", "parent", "place")
    depth: int

    def __init__(self, place: int, parent: "Node | None") -> None:
        self.place = place
        self.parent = parent
        self.depth = parent.depth + 1 if parent else 1


class State:
    """The stacks that a text can lead to. `complete`: it may end here. `open`: more may follow."""

    __slots__ = ("complete", "next", "nodes")

    def __init__(self, nodes: frozenset[Node], complete: bool) -> None:
        self.nodes = nodes
        self.complete = complete
        self.next: dict[int, State | None] = {}

    @property
    def open(self) -> bool:
        return bool(self.nodes)


class Matcher:
    """A grammar in use. Used by one thread only."""

    def __init__(self, rules: Rules) -> None:
        """Raises GrammarTooComplex."""
        self._sets = rules.sets
        self._symbols: list[int] = []
        self._beginnings: list[list[int]] = []
        for alternatives in rules.alternatives:
            places = []
            for one in alternatives:
                places.append(len(self._symbols))
                self._symbols += [*one, _END]
            self._beginnings.append(places)
        self._symbols += [rules.root, _END]
        self._nodes: dict[tuple[int, Node | None], Node] = {}
        self._states: dict[tuple[frozenset[Node], bool], State] = {}
        self._held = 0
        self._first: tuple[State, ...] = ()  # kept when the cache is cleared, except its transitions
        self.start = self._settle([self._node(len(self._symbols) - 2, None)])
        self._first = (self.start,)

    def after(self, state: State, data: bytes) -> State | None:
        """Returns the state after these bytes, None if the grammar forbids them. Raises GrammarTooComplex."""
        for byte in data:
            following = state.next[byte] if byte in state.next else self._step(state, byte)
            if following is None:
                return None
            state = following
        return state

    def first_bytes(self, state: State) -> frozenset[int]:
        """Returns the bytes that may come next."""
        return frozenset[int]().union(*(self._sets[-1 - self._symbols[node.place]] for node in state.nodes))

    def _step(self, state: State, byte: int) -> State | None:
        todo = [self._return_to(node) for node in state.nodes if byte in self._sets[-1 - self._symbols[node.place]]]
        found = self._settle(todo) if todo else None
        self._hold(_PART)
        state.next[byte] = found
        return found

    def _settle(self, todo: list[Node | None]) -> State:
        """Expands the stacks until each has a set of bytes on top, and returns their state."""
        seen: set[Node] = set()
        bytes_next: list[Node] = []
        complete = False
        while todo:
            node = todo.pop()
            if node is None:
                complete = True
            elif node not in seen:
                seen.add(node)
                if len(seen) > _MOST_STACKS:
                    raise GrammarTooComplex(
                        f"it is too ambiguous: over {_MOST_STACKS} ways would have to be followed at once"
                    )
                symbol = self._symbols[node.place]
                if symbol < 0:
                    bytes_next.append(node)
                elif node.depth < _DEEPEST:
                    back = self._return_to(node)
                    todo += [
                        back if self._symbols[begin] == _END else self._node(begin, back)
                        for begin in self._beginnings[symbol]
                    ]
        return self._state(frozenset(bytes_next), complete)

    def _return_to(self, node: Node) -> Node | None:
        """The stack without its top symbol."""
        return node.parent if self._symbols[node.place + 1] == _END else self._node(node.place + 1, node.parent)

    def _node(self, place: int, parent: Node | None) -> Node:
        key = (place, parent)
        node = self._nodes.get(key)
        if node is None:
            self._hold(_NODE)
            node = self._nodes[key] = Node(place, parent)
        return node

    def _state(self, nodes: frozenset[Node], complete: bool) -> State:
        key = (nodes, complete)
        state = self._states.get(key)
        if state is None:
            self._hold(_STATE + _PART * len(nodes))
            state = self._states[key] = State(nodes, complete)
        return state

    def _hold(self, more: int) -> None:
        """Adds to the weight of the cache, clearing it first if it is full. Call before storing."""
        if self._held + more > _MOST:
            self._clear()
        self._held += more

    def _clear(self) -> None:
        """Clears the cache. States in use stay valid; their stacks are only no longer shared with new, equal ones."""
        for state in (*self._states.values(), *self._first):
            state.next.clear()
        self._states.clear()
        self._nodes.clear()
        self._held = 0
