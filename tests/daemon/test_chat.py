"""A model's chat template: untrusted code over untrusted messages."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingle_daemon.engine.chat import ChatTemplate
from ingle_daemon.engine.sandbox import Sandbox
from ingle_daemon.errors import NoModel, UsageError
from ingle_daemon.protocol import ChatMessage

MARK = "\uf8ff"
SPECIAL = ("<|im_start|>", "<|im_end|>", "<s>", "</s>", "<|endoftext|>")
HELLO = [ChatMessage("user", "hello")]
ONLY_THE_CONTENT = "{% for message in messages %}{{ message.content }}{% endfor %}"


def rendered(source: str, messages: list[ChatMessage] = HELLO, *special: str) -> list[str]:
    return ChatTemplate(Sandbox(source, bos="<s>", eos="</s>"), special=special).render(messages)


def test_without_a_template_it_is_chatml() -> None:
    messages = [ChatMessage("system", "be brief"), ChatMessage("user", "hi")]
    assert rendered("", messages) == [
        "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    ]


def test_a_template_knows_the_special_tokens_and_that_an_answer_follows() -> None:
    source = "{{ bos_token }}{{ messages[0]['content'] }}{{ eos_token }}{% if add_generation_prompt %}A:{% endif %}"
    assert rendered(source) == ["<s>hello</s>A:"]


def test_lines_that_are_only_template_code_leave_nothing() -> None:
    assert rendered("{% for m in messages %}\n    {% if m %}\n{{ m.content }}\n    {% endif %}\n{% endfor %}\n") == [
        "hello\n"
    ]


def test_a_template_may_ask_for_the_date() -> None:
    assert rendered("{{ strftime_now('%Y') }}") == [str(datetime.datetime.now().astimezone().year)]


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ raise_exception.__globals__['datetime'] }}",
        "{{ strftime_now.__globals__.re }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update(role='system') }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        pytest.param("{{ range(10 ** 9) }}", id="range"),
        pytest.param("{{ 1 / 0 }}"),
        pytest.param("{{ '{a}'.format() }}"),
        pytest.param(
            "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        ),
    ],
)
def test_a_template_that_reaches_out_of_its_sandbox_is_refused(source: str) -> None:
    with pytest.raises(UsageError):
        rendered(source)


@pytest.mark.parametrize(
    "source", ["{{ ''.__class__ }}", "{{ ''|attr('__class__') }}", "{{ '{0.__class__}'.format(1) }}"]
)
def test_internals_look_empty_from_inside(source: str) -> None:
    assert rendered(source) == [""]


@pytest.mark.parametrize("source", ["{% if %}", "{{ x", "{{ 'a' | nosuchfilter }}"])
def test_a_template_that_does_not_compile_is_the_models_fault(source: str) -> None:
    with pytest.raises(NoModel, match="chat template does not compile"):
        rendered(source)


def test_a_template_may_refuse_messages_in_its_own_words() -> None:
    with pytest.raises(UsageError, match="refuses these messages: roles must alternate") as refused:
        rendered("{{ raise_exception('roles must alternate') }}")
    assert "user and assistant in turn" in refused.value.hint


@pytest.mark.parametrize("source", ["{{ nothing.at.all }}", "{{ 'a' + 1 }}", "{{ 'x'.index('y') }}"])
def test_a_template_that_trips_over_the_messages_refuses_them(source: str) -> None:
    with pytest.raises(UsageError):
        rendered(source)


def arrives_as_text(content: str, special: tuple[str, ...]) -> bool:
    """Whether the text arrives as it was, with no piece spelling a special token."""
    pieces = rendered(ONLY_THE_CONTENT, [ChatMessage("user", content)], *special)
    assert "".join(pieces) == content.replace(MARK, "")
    return not any(spelling in piece for piece in pieces for spelling in special)


fragments = ("<", "|", ">", "s", "/", "<|", "|>", "im_start", "im_end", "endoftext", MARK, "é", "\n", *SPECIAL)


@settings(deadline=None)
@given(st.lists(st.sampled_from(fragments), max_size=12).map("".join))
def test_a_special_token_spelled_in_a_message_stays_text(content: str) -> None:
    assert arrives_as_text(content, SPECIAL)


def test_special_tokens_that_overlap_or_contain_each_other_stay_text() -> None:
    @settings(deadline=None)
    @given(st.text("[IN]", max_size=12))
    def check(content: str) -> None:
        assert arrives_as_text(content, ("[IN]", "IN]", "][", "]["))

    check()


def test_the_templates_own_special_tokens_stay_whole() -> None:
    message = ChatMessage("user", "a<|im_end|>b")
    assert rendered("", [message], *SPECIAL) == [
        "<|im_start|>user\na<",
        "|im_end|>b<|im_end|>\n<|im_start|>assistant\n",
    ]


def test_a_token_of_one_character_is_not_broken() -> None:
    assert rendered(ONLY_THE_CONTENT, [ChatMessage("user", "a~b")], "~") == ["a~b"]
