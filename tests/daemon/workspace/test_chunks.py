"""Pieces and definitions: what every grammar in the table finds, and that nothing of a file is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingle_daemon.workspace.chunks import cut

SAMPLES = {
    "a.py": ("X = 1\n@dec\ndef f(a):\n    y = 1\nclass A(B):\n    def m(self): pass\n", "X f A m"),
    "a.js": ("export const a = (x) => x\nfunction f(){ const inner = 1 }\nclass A { m(){} }\n", "a f A m"),
    "a.ts": (
        "interface I {a: string}\ntype T = string\nexport enum E {A}\nnamespace N { function g(){} }\n",
        "I T E N g",
    ),
    "a.tsx": ("export default class A { render(): X { return <b/> } }\n", "A render"),
    "a.go": ("package a\ntype S struct { x int }\nconst C = 1\nvar v = 2\nfunc (s *S) M() {}\n", "S C v M"),
    "a.rs": (
        "struct S { x: i32 }\ntrait T { fn t(&self); }\nimpl T for S { fn u(&self) {} }\nconst C: i32 = 1;\n",
        "S T t u C",
    ),
    "a.c": (
        "#define X 1\nstruct S { int x; };\ntypedef struct { int y; } T;\nstatic int *f(int a) { return 0; }\n",
        "X S T f",
    ),
    "a.cpp": ("namespace n { template<class T> class A { void m() {} }; }\nvoid n::B::k(S *s) {}\n", "n A m k"),
    "A.java": ("class A { int x; A() {} void m() {} }\ninterface I { void z(); }\nrecord R(int a) {}\n", "A A m I z R"),
    "a.kt": ("@Ann class A(val x: Int) { fun m() {} }\nobject O {}\nfun Foo.f(a: Int): Int = a\n", "A m O f"),
    "A.cs": ("namespace N { class A { void M() {} int P { get; set; } } struct S {} }\n", "A M P S"),
    "a.rb": ("module M\n class A < B\n  def m?(a)\n  end\n  def self.s\n  end\n end\nend\n", "M A m s"),
    "a.php": ("<?php\nfunction f($a) {}\nclass A { public function m() {} }\ntrait T {}\n", "f A m T"),
    "a.swift": ("class A {\n func m() {}\n}\nprotocol P {}\nfunc f(a: Int) -> Int { a }\n", "A m P f"),
    "a.scala": ("object O { def f(a: Int) = a }\ntrait T { val x = 1 }\ncase class C(a: Int)\n", "O f T C"),
    "a.lua": ("local function f(a) end\nfunction M.g(b) end\nfunction M:h() end\n", "f g h"),
    "a.sh": ("f() { echo; }\nfunction g { echo; }\n", "f g"),
    "a.zig": ("const S = struct { x: i32 };\npub fn f(a: i32) i32 { return a; }\n", "S f"),
    "a.hs": ("f :: Int -> Int\nf x = x\ndata D = D Int\nclass C a where\n  m :: a\n", "f D C m"),
    "a.ml": ("let f x = x\ntype t = int\nmodule M = struct let g y = y end\n", "f t M g"),
    "a.dart": ("class A { void m() {} }\nint f(int a) { return a; }\nenum E {a}\n", "A m f E"),
    "a.pl": ("package P;\nsub f { 1 }\n", "f"),
    "a.jl": ("function f(x)\n x\nend\nstruct S\n a\nend\nmodule M\nend\n", "f S M"),
    "a.proto": ('syntax = "proto3";\nmessage M { int32 a = 1; }\nservice S { rpc R(M) returns (M); }\n', "M S R"),
    "a.m": ("@interface A : NSObject\n- (void)m;\n@end\nvoid f(int a) {}\n", "A m f"),
    "a.sql": ("CREATE TABLE t (a int);\nCREATE VIEW v AS SELECT 1;\n", "t v"),
    "a.ps1": ("function F($a) { 1 }\n", "F"),
}


def names(path: str, text: str) -> list[str]:
    return [symbol.name for chunk in cut(path, text.encode()) for symbol in chunk.symbols]


def signatures(path: str, text: str) -> dict[str, str]:
    return {symbol.name: symbol.signature for chunk in cut(path, text.encode()) for symbol in chunk.symbols}


@pytest.mark.parametrize("path", SAMPLES)
def test_every_grammar_finds_its_definitions(path: str) -> None:
    text, expected = SAMPLES[path]
    assert names(path, text) == expected.split()


def test_a_function_s_head_is_what_its_callers_must_know() -> None:
    source = 'def f(\n    a: int,\n) -> str:\n    """Say a.\n\n    More.\n    """\n    return str(a)\n'
    assert signatures("a.py", source)["f"] == 'def f(\n    a: int,\n) -> str:\n    """Say a.'
    assert signatures("a.rs", "/// Adds.\n#[inline]\npub fn add(a: i32) -> i32 {\n    a\n}\n")["add"] == (
        "/// Adds.\npub fn add(a: i32) -> i32"
    )
    assert signatures("a.ts", "export async function f(a: X): Promise<Y> {\n  g()\n}\n")["f"] == (
        "export async function f(a: X): Promise<Y>"
    )
    assert signatures("a.ts", "class A {\n  private m(ä: X): Y { return 1 }\n}\n")["m"] == "private m(ä: X): Y"


def test_a_class_s_head_has_its_fields() -> None:
    assert signatures("a.py", "class A(B):\n    x: int\n    y: str\n\n    @property\n    def m(self):\n        pass\n")[
        "A"
    ] == ("class A(B):\n    x: int\n    y: str")


def test_pieces_end_where_functions_do() -> None:
    functions = [f"# about {n}\n@dec\ndef f{n}(a):\n" + "    work(a)\n" * 8 for n in range(4)]
    chunks = cut("a.py", "\n\n".join(["import os", *functions]).encode())
    assert [chunk.text.splitlines()[0] for chunk in chunks[-3:]] == ["# about 1", "# about 2", "# about 3"]
    assert [[symbol.name for symbol in chunk.symbols] for chunk in chunks[-3:]] == [["f1"], ["f2"], ["f3"]]


def test_a_small_class_is_one_piece_and_a_large_one_is_cut_at_its_methods() -> None:
    small = "class A:\n" + "".join(f"    def m{n}(self):\n        pass\n\n" for n in range(3))
    assert len(cut("a.py", small.encode())) == 1
    large = "class A:\n" + "".join(f"    def m{n}(self):\n" + "        work()\n" * 9 + "\n" for n in range(6))
    assert [chunk.text.strip().splitlines()[0] for chunk in cut("a.py", large.encode())][1:] == [
        f"def m{n}(self):" for n in range(1, 6)
    ]


def test_without_a_grammar_pieces_are_cut_at_empty_lines() -> None:
    text = "\n".join("" if row % 15 == 14 else f"line {row}" for row in range(100))
    chunks = cut("notes.txt", text.encode())
    assert [chunk.line for chunk in chunks] == [1, 31, 61]
    assert not any(chunk.symbols for chunk in chunks)


def test_line_ends_and_bytes_that_are_no_text() -> None:
    (chunk,) = cut("a.py", b"\r\n\r\ndef f():\r\n    return '\xff'\r\n")
    assert (chunk.line, chunk.text) == (3, "def f():\n    return '\N{REPLACEMENT CHARACTER}'")
    assert [symbol.line for symbol in chunk.symbols] == [3]


LINE = st.sampled_from(
    ["def f():", "    x = 1", "class A:", "    def m(self):", "", "        pass", "# note", '"""', ")", "}"]
)


@given(st.lists(LINE, max_size=300), st.sampled_from(["a.py", "a.c", "a.txt"]))
def test_no_line_is_lost_or_doubled(lines: list[str], path: str) -> None:
    chunks = cut(path, "\n".join(lines).encode())
    at = {row: line for chunk in chunks for row, line in enumerate(chunk.text.split("\n"), chunk.line)}
    assert sum(chunk.text.count("\n") + 1 for chunk in chunks) == len(at)
    assert {row: line for row, line in at.items() if line} == {row: line for row, line in enumerate(lines, 1) if line}
    assert all(len(chunk.text.splitlines()) <= 45 for chunk in chunks)


@given(st.binary(max_size=500), st.sampled_from(sorted(SAMPLES)))
def test_any_bytes_are_cut(data: bytes, path: str) -> None:
    assert all(chunk.text.strip() for chunk in cut(path, data))
