"""What may be read: git's own opinion on random trees and rules, secrets, private folders, links, pipes."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pathspec.patterns.gitignore import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from ingle_daemon.workspace.ignore import Ignore, is_secret
from ingle_daemon.workspace.patterns import Pattern

NAMES = ("a", "b", "x.py", "y.txt", "build")
PATTERN = st.one_of(
    st.sampled_from(["*", "/*", "!*/", "!*.py", "*.py", "build/", "!build/", "/build", "a/b", "a/**", "**/b", "a/*/b"]),
    st.sampled_from(
        ["!a", "!a/b", "!/a/", "b/", "\\!a", "# a", "", "[ab]", "!x.py", "*.t?t", "a ", "**/", "a/**/x.py"]
    ),
    st.lists(st.sampled_from([*NAMES, "*", "**", "?", "!", "/"]), min_size=1, max_size=4).map("".join),
)
PATHS = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join)


def kept(root: Path) -> set[str]:
    return {path for _, files in Ignore(root).walk() for path, _ in files}


def write(root: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def git(*arguments: str | Path) -> str:
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True, env=env).stdout


@settings(max_examples=60, deadline=None)
@given(
    paths=st.sets(PATHS, min_size=1, max_size=12),
    rules=st.dictionaries(st.sampled_from(["", "a/", "a/b/", "build/"]), st.lists(PATTERN, max_size=4), max_size=3),
    exclude=st.lists(PATTERN, max_size=2),
)
def test_git_agrees(paths: set[str], rules: dict[str, list[str]], exclude: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        git("init", "-q", root)
        write(root, {".git/info/exclude": "\n".join(exclude)})
        for path in sorted(paths):
            if not any(parent.is_file() for parent in (root / path).parents) and not (root / path).exists():
                write(root, {path: ""})
        for base, lines in rules.items():
            if (root / base).is_dir():
                write(root, {f"{base}.gitignore": "\n".join(lines)})
        listed = git("-C", root, "ls-files", "-z", "--others", "--exclude-standard").split("\0")
        assert kept(root) == set(filter(None, listed))


def test_a_folder_of_a_repository_has_its_rules(tmp_path: Path) -> None:
    git("init", "-q", tmp_path)
    write(tmp_path, {".gitignore": "*.log\n/sub/out\nin/*.txt\n", "sub/.gitignore": "!keep.log\n"})
    write(tmp_path, {"sub/a.log": "", "sub/keep.log": "", "sub/out/a.py": "", "sub/a.py": "", "sub/in/a.txt": ""})
    assert kept(tmp_path / "sub") == {".gitignore", "keep.log", "a.py", "in/a.txt"}


def test_a_worktree_has_the_repository_s_exclude(tmp_path: Path) -> None:
    write(tmp_path, {"main/.git/info/exclude": "*.tmp\n", "main/.git/worktrees/w/commondir": "../..\n"})
    write(tmp_path, {"w/.git": f"gitdir: {tmp_path}/main/.git/worktrees/w\n", "w/a.tmp": "", "w/a.py": ""})
    assert kept(tmp_path / "w") == {"a.py"}


def test_our_rules_decide_before_git_s(tmp_path: Path) -> None:
    write(tmp_path, {".gitignore": "*.gen.py\n", ".ingleignore": "!api.gen.py\nvendored/\n"})
    write(tmp_path, {"api.gen.py": "", "b.gen.py": "", "vendored/a.py": "", "a.py": ""})
    assert kept(tmp_path) == {".gitignore", ".ingleignore", "api.gen.py", "a.py"}


@pytest.mark.parametrize("line", ["/", "*", " * "])
def test_a_private_folder_is_private_whatever_else_is_said(tmp_path: Path, line: str) -> None:
    write(tmp_path, {"inner/.ingleignore": f"# mine\n{line}\n!a.py\n", "inner/a.py": "", "b.py": ""})
    assert kept(tmp_path) == {"b.py"}
    assert not Ignore(tmp_path).private
    assert Ignore(tmp_path / "inner").private
    assert kept(tmp_path / "inner") == set()
    assert not Ignore(tmp_path / "inner").keeps("a.py")


@pytest.mark.parametrize(
    "path",
    [
        *(".env", ".env.local", "a/.ENVRC", "server.pem", "tls.key", "id_rsa", ".ssh/config", "aws_credentials.json"),
        *(".netrc", ".npmrc", ".pypirc", "vault.kdbx", "secrets.yaml", "/x/.aws/config", ".envs/.production/.django"),
    ],
)
def test_secrets(path: str, tmp_path: Path) -> None:
    assert is_secret(path)
    assert not Ignore(tmp_path).keeps(path.lstrip("/"))


@pytest.mark.parametrize("path", ["environment.py", "keyboard.ts", "src/secretary.go", "", "a/b/monkey", "id.py"])
def test_not_secrets(path: str) -> None:
    assert not is_secret(path)


def test_ignoring_rules_cannot_bring_a_secret_back(tmp_path: Path) -> None:
    write(tmp_path, {".ingleignore": "!.env\n!.git\n", ".env": "KEY=1", ".git/config": "", "a.py": ""})
    assert kept(tmp_path) == {".ingleignore", "a.py"}


def test_links_pipes_and_made_folders_are_left_alone(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    root = tmp_path / "root"
    write(outside, {"o.py": ""})
    write(root, {"a.py": "", "env/pyvenv.cfg": "", "env/b.py": "", "node_modules/c.js": "", "target/CACHEDIR.TAG": ""})
    (root / "folder").symlink_to(outside)
    (root / "file.py").symlink_to(outside / "o.py")
    (root / ".gitignore").symlink_to(outside / "o.py")
    os.mkfifo(root / "pipe")
    assert kept(root) == {"a.py"}
    assert not Ignore(root).keeps("folder/o.py")


def test_names_that_are_not_utf_8_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.py")).write_text("")
    (tmp_path / os.fsdecode(b"d\xe9")).mkdir()
    write(tmp_path, {"café.py": ""})
    assert kept(tmp_path) == {"café.py"}


def test_rules_that_mean_nothing_or_are_absurd_are_passed_over(tmp_path: Path) -> None:
    name = "a" * 200
    write(tmp_path, {".gitignore": f"!\n[\n///\n{'a*' * 40}\n*.log\n", name: "", "a.log": ""})
    assert kept(tmp_path) == {".gitignore", name}


def test_a_rule_that_could_match_in_endless_ways_takes_no_time(tmp_path: Path) -> None:
    """A stranger's repository has it: while an expression is matched no other thread of the daemon runs."""
    name = "a" * 200
    write(tmp_path, {".gitignore": f"{'*a' * 5}*b\n{'**/a/' * 6}b\n", name: "", f"{name}b": "", f"{'a/' * 400}c": ""})
    began = time.monotonic()
    assert kept(tmp_path) == {".gitignore", name, f"{'a/' * 400}c"}
    assert time.monotonic() - began < 5


@settings(max_examples=500, deadline=None)
@given(
    pattern=st.lists(st.sampled_from([*"aab*?/", "**/", "/**/", "**", "[ab]"]), min_size=1, max_size=8).map("".join),
    path=st.lists(st.sampled_from(["a", "b", "ab", "aab", "ba"]), min_size=1, max_size=5).map("/".join),
)
def test_a_pattern_matches_as_pathspec_matches_it(pattern: str, path: str) -> None:
    try:
        expected = GitIgnoreSpecPattern(pattern)
    except GitIgnorePatternError:
        with pytest.raises(GitIgnorePatternError):
            Pattern(pattern)
        return
    for each in (path, f"{path}/"):
        matches = [found and (found.match.end(), found.match.groupdict().get("ps_d")) for found in (
            expected.match_file(each), Pattern(pattern).match_file(each)
        )]  # fmt: skip
        assert matches[0] == matches[1]


def test_a_tree_deeper_than_python_recurses(tmp_path: Path) -> None:
    folder = "/".join("d" * 1500)
    assert Ignore(tmp_path).keeps(f"{folder}/a.py")


@pytest.mark.parametrize("name", [".gitignore", ".ingleignore", ".git", "pyvenv.cfg"])
def test_a_folder_in_the_place_of_a_rule_file_stops_nobody(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"a.py": "", f"sub/{name}/x": "", "sub/b.py": ""})
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert "a.py" in kept(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_an_unreadable_ingleignore_wanted_to_keep_is_kept(tmp_path: Path) -> None:
    write(
        tmp_path, {"a.py": "", "rules": "*\n", "link/x.py": "", "large/x.py": "", "folder/x.py": "", "empty/x.py": ""}
    )
    (tmp_path / "link/.ingleignore").symlink_to("../rules")
    (tmp_path / "large/.ingleignore").write_text("#" * 300_000 + "\n*\n")
    (tmp_path / "folder/.ingleignore").mkdir()
    (tmp_path / "empty/.ingleignore").write_text("")
    assert kept(tmp_path) == {"a.py", "rules", "empty/x.py", "empty/.ingleignore"}
    (tmp_path / ".ingleignore").mkdir()
    assert Ignore(tmp_path).private
