"""How each family of models wants a hole in a file laid out: one table, and the choice of a row of it. Pure.

It knows how markers are spelled and which token stands for which; it knows neither files nor budgets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["CONTINUATION", "FAMILIES", "Family", "FimIds", "Order", "Template", "template_for"]

Order = Literal["psm", "spm", "spm-joint"]
"""psm: PRE prefix SUF suffix MID. spm: SUF suffix PRE prefix MID. spm-joint: PRE SUF suffix MID prefix, as StarCoder's
authors trained their second order: the prefix runs on into the middle."""


@dataclass(frozen=True, slots=True)
class FimIds:
    """The ids of the fill-in-the-middle tokens that a GGUF names; -1 where it names none."""

    pre: int = -1
    suf: int = -1
    mid: int = -1
    rep: int = -1
    sep: int = -1


@dataclass(frozen=True, slots=True)
class Family:
    """How the markers are spelled, and what else the family was trained on.

    `repo_end` follows the repository's name. With `name_in_prefix` the file's name stands behind the prefix's marker
    and not before it. `header` introduces a file's name in plain text where there is no marker for it. `ends` are
    tokens that end a completion beside those that the GGUF says. `named`: the model's name has this in it.
    """

    name: str
    pre: str
    suf: str
    mid: str = ""
    rep: str = ""
    sep: str = ""
    order: Order = "psm"
    repo_end: str = "\n"
    name_in_prefix: bool = False
    header: str = ""
    ends: tuple[str, ...] = ()
    named: str = ""


# The more particular rows come first: several families share their markers' spelling.
FAMILIES = (
    Family("seed-coder", "<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>", order="spm"),
    Family("codestral", "[PREFIX]", "[SUFFIX]", order="spm", header="+++++ "),
    Family("deepseek", "<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),
    Family("codellama", "<PRE>", "<SUF>", "<MID>", ends=("<EOT>",)),
    Family(
        "qwen",
        "<|fim_prefix|>",
        "<|fim_suffix|>",
        "<|fim_middle|>",
        rep="<|repo_name|>",
        sep="<|file_sep|>",
        ends=("<|fim_pad|>", "<|im_start|>", "<|im_end|>"),
    ),
    Family("codegemma", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", ends=("<|file_separator|>",)),
    Family("granite", "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    Family(
        "mellum",
        "<fim_prefix>",
        "<fim_suffix>",
        "<fim_middle>",
        rep="<reponame>",
        sep="<filename>",
        order="spm",
        repo_end="",
        named="mellum",
    ),
    Family(
        "starcoder2",
        "<fim_prefix>",
        "<fim_suffix>",
        "<fim_middle>",
        rep="<repo_name>",
        sep="<file_sep>",
        repo_end="",
        name_in_prefix=True,
    ),
    Family("starcoder", "<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
)


@dataclass(frozen=True, slots=True)
class Template:
    """A family's row with the ids that its markers have in one model; -1 where there is none.

    `bos` stands first where it is not -1. `ends` are tokens that end a completion. See `Family` for the rest.
    """

    name: str
    order: Order = "psm"
    pre: int = -1
    suf: int = -1
    mid: int = -1
    rep: int = -1
    sep: int = -1
    bos: int = -1
    repo_end: str = "\n"
    name_in_prefix: bool = False
    header: str = ""
    ends: tuple[int, ...] = ()

    @property
    def usable(self) -> bool:
        """Without it there is no filling in: a completion continues the prefix."""
        return min(self.pre, self.suf) >= 0 and (self.mid >= 0 or self.order == "spm")

    @property
    def stops(self) -> tuple[str, ...]:
        """Strings that begin another file."""
        return (f"\n{self.header}",) if self.header else ()

    def ordered(self, order: Order) -> Template:
        """The same markers in another order."""
        return replace(self, order=order)


CONTINUATION = Template("continuation")


def template_for(
    ids: FimIds,
    spelling: Callable[[int], str],
    special: Callable[[str], int],
    *,
    model: str = "",
    family: str = "",
    bos: int = -1,
) -> Template:
    """The template of a model.

    The ids that its GGUF names come first, and say by their spelling which family it is; where they say nothing that is
    known, they are used as they are. Without ids, the markers of each family are looked for in the vocabulary, those
    of `family`, which is the catalog's word, before all others: `special` gives the id of a special token by its
    spelling, -1 where there is none. `model` is the metadata's name.
    """
    named = min(ids.pre, ids.suf) >= 0
    for row in FAMILIES if named else sorted(FAMILIES, key=lambda row: row.name != family):
        known_by_name = row.named in model.lower() or (row.name == family and not named)
        if not known_by_name or (named and spelling(ids.pre).strip() != row.pre):
            continue
        found = _found(row, special, bos) if not named else _named(row, ids, special, bos)
        if found is not None:
            return found
    if named and ids.mid >= 0:
        return Template("generic", "psm", ids.pre, ids.suf, ids.mid, ids.rep, ids.sep, bos)
    return replace(CONTINUATION, bos=bos)


def _found(family: Family, special: Callable[[str], int], bos: int) -> Template | None:
    """The family's template, if all its markers are in the vocabulary."""
    ids = FimIds(*(special(text) if text else -1 for text in (family.pre, family.suf, family.mid)))
    return (
        _named(family, ids, special, bos) if min(ids.pre, ids.suf) >= 0 and (ids.mid >= 0) == bool(family.mid) else None
    )


def _named(family: Family, ids: FimIds, special: Callable[[str], int], bos: int) -> Template | None:
    """The family's template with these ids, if the markers that tell it from its namesakes are there too."""
    rep, sep = (special(text) if text else -1 for text in (family.rep, family.sep))
    ends = tuple(special(text) for text in family.ends)
    if (family.rep and rep < 0) or (family.sep and sep < 0) or min(ends, default=0) < 0:
        return None
    return Template(
        family.name,
        family.order,
        ids.pre,
        ids.suf,
        ids.mid,
        rep,
        sep,
        bos,
        family.repo_end,
        family.name_in_prefix,
        family.header,
        tuple(sorted({*ends, *(i for i in (ids.pre, ids.suf, ids.mid, rep, sep) if i >= 0)})),
    )
