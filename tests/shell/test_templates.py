"""Templates: the built-in ones, the user's, and what is wrong with one."""

from __future__ import annotations

import pytest

from ingle_shell import templates
from shell.fake_daemon import FakeDaemon, answered
from support import Instance

DIFF = "diff --git a/x b/x\n+hello\n"


def write(instance: Instance, name: str, text: str) -> None:
    path = instance.config_file.parent / f"templates/{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def messages(daemon: FakeDaemon) -> tuple[str, str]:
    system, user = daemon.bodies("/ingle/ask")[-1]["messages"]
    return system["content"], user["content"]


@pytest.mark.parametrize("name", ["commit", "review", "explain", "regex", "test", "changelog"])
def test_every_built_in_template_has_what_the_list_and_the_question_need(name: str) -> None:
    template = templates.find(name)
    assert template.description
    assert templates.filled(name, template, {})


def test_a_template_stands_between_what_is_piped_in_and_the_words(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("Add hello"))
    done = instance.run("ask", "-t", "commit", "Mention the ticket 42.", input=DIFF)
    assert (done.returncode, done.stdout) == (0, "Add hello\n")
    system, user = messages(daemon)
    assert system == "You write git commit messages."
    assert user.startswith(f"{DIFF}\nWrite the commit message")
    assert user.endswith("alone.\n\nMention the ticket 42.")
    assert daemon.bodies("/ingle/ask")[-1]["temperature"] == 0


def test_the_command_line_goes_before_the_template(instance: Instance, daemon: FakeDaemon) -> None:
    daemon.play("/ingle/ask", answered("x"))
    instance.run("ask", "-t", "commit", "--system", "Rhyme.", "--temperature", "1", input=DIFF)
    assert messages(daemon)[0] == "Rhyme."
    assert daemon.bodies("/ingle/ask")[-1]["temperature"] == 1


def test_a_template_that_needs_input_says_which_command_makes_it(instance: Instance) -> None:
    done = instance.run("ask", "-t", "commit")
    assert done.returncode == 2
    assert "git diff --staged | ask -t commit" in done.stderr


def test_the_users_own_template_with_variables(instance: Instance, daemon: FakeDaemon) -> None:
    write(instance, "tr", 'prompt = "Translate to $language, ${tone}; $$5."\n[variables]\ntone = "plainly"\n')
    daemon.play("/ingle/ask", answered("x"))
    instance.run("ask", "-t", "tr", "-v", "language=German", "hello")
    assert messages(daemon)[1] == "Translate to German, plainly; $5.\n\nhello"


def test_the_users_own_template_replaces_the_built_in_one(instance: Instance, daemon: FakeDaemon) -> None:
    write(instance, "commit", 'prompt = "mine"')
    daemon.play("/ingle/ask", answered("x"))
    assert instance.run("ask", "-t", "commit").returncode == 0
    assert messages(daemon)[1] == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-t", "tr"), "wants a value for language"),
        (("-t", "tr", "-v", "language=x", "-v", "size=3"), "has no variable size"),
        (("-t", "tr", "-v", "language"), "is no variable"),
        (("-t", "nothing"), "There are: changelog, commit"),
        (("-t", "../../etc/passwd"), "there is no template"),
    ],
)
def test_a_mistake_on_the_command_line_says_what_there_is(
    instance: Instance, arguments: tuple[str, ...], said: str
) -> None:
    write(instance, "tr", 'prompt = "Translate to $language."')
    done = instance.run("ask", *arguments, "hello")
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('prompt = "x"\nprompt', 2),
        ('prompt = "x"\n\ncolour = "red"\n', 3),
        ('prompt = "x"\nmax_tokens = "many"\n', 2),
        ('\nprompt = "costs $ 5"\n', 2),
    ],
)
def test_a_mistake_in_a_file_names_the_file_and_the_line(instance: Instance, text: str, line: int) -> None:
    write(instance, "bad", text)
    done = instance.run("ask", "-t", "bad", "x")
    assert done.returncode == 2
    assert f"bad.toml:{line}: " in done.stderr


def test_without_a_name_they_are_listed(instance: Instance) -> None:
    write(instance, "mine", 'description = "my own"\nprompt = "x"')
    done = instance.run("ask", "-t")
    assert done.returncode == 0
    assert "mine       my own" in done.stdout.splitlines()
    assert [line.split()[0] for line in done.stdout.splitlines()] == sorted(
        ["changelog", "commit", "explain", "mine", "regex", "review", "test"]
    )
