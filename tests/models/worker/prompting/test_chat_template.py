"""Chat templates are strangers' programs: anything forbidden quickly becomes an InvalidPrompt."""

import time

import pytest

from models.errors import InvalidPrompt
from models.worker.prompting.chat_template import CHATML, ChatTemplate, merge_system, takes_system_role

HELLO = [{"role": "user", "content": "hello"}]


def test_chatml_renders_as_its_authors_wrote_it() -> None:
    expected = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    assert ChatTemplate(CHATML).render(HELLO) == expected


def test_templates_see_the_begin_and_end_tokens_and_the_usual_functions() -> None:
    source = "{{ bos_token }}{% for m in messages %}{{ m | tojson }}{{ eos_token }}{% break %}{% endfor %}"
    rendered = ChatTemplate(source, bos="<s>", eos="</s>").render(HELLO)
    assert rendered == '<s>{"role": "user", "content": "hello"}</s>'


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[7].content.x.y }}", "failed"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "failed"),
        ("{{ messages.append(1) }}", "failed"),
        ("{{ cycler.__init__.__globals__ }}", "failed"),
        ("{{ 'x' * 1000000000 * 100 }}", "failed"),
        ("{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}", "wrote more than"),
    ],
)
def test_a_template_that_breaks_out_of_its_limits_is_refused(source: str, why: str) -> None:
    with pytest.raises(InvalidPrompt) as caught:
        ChatTemplate(source).render(HELLO)
    assert why in caught.value.why or "too much memory" in caught.value.why


def test_a_template_that_loops_is_stopped() -> None:
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    began = time.process_time()
    with pytest.raises(InvalidPrompt, match="more than 1 s"):
        ChatTemplate(loop).render(HELLO)
    assert time.process_time() - began < 10


def test_a_template_that_doubles_its_memory_is_stopped() -> None:
    bomb = "{% set n = namespace(s='xxxxxxxxxxxxxxxx') %}{% for a in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}"
    with pytest.raises(InvalidPrompt, match="memory"):
        ChatTemplate(bomb).render(HELLO)


@pytest.mark.parametrize("source", ["{% for %}", "{{ " + "(" * 5000 + " }}"])
def test_invalid_jinja_is_refused_when_compiled(source: str) -> None:
    with pytest.raises(InvalidPrompt, match="not valid"):
        ChatTemplate(source)


def test_a_template_that_refuses_or_drops_the_system_role_is_recognised() -> None:
    refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}{{ messages[0].content }}"
    drops = "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"
    assert takes_system_role(ChatTemplate(CHATML))
    assert not takes_system_role(ChatTemplate(refuses))
    assert not takes_system_role(ChatTemplate(drops))


def test_a_merged_system_message_stands_before_the_first_question() -> None:
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "why?"}]
    assert merge_system(messages) == [{"role": "user", "content": "be brief\n\nwhy?"}]
    assert merge_system([{"role": "system", "content": "x"}]) == [{"role": "user", "content": "x"}]
    assert merge_system(HELLO) == HELLO
