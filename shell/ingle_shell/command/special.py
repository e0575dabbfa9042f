"""Programs whose arguments decide what they do in a way of their own: find, sed, awk, dd, tar, shells … Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from ingle_shell.command.risk import READS, Risk, Situation, unknown, worst
from ingle_shell.command.rules import by_table, has_flag, operands, risk_of_call
from ingle_shell.command.syntax import Word

__all__ = ["SPECIAL"]

Words = Sequence[Word]


# --- files ----------------------------------------------------------------------------------------------------------


def _copy(words: Words, situation: Situation) -> Risk:
    """cp, mv, ln, install: what stands at the target is overwritten, unless an option forbids it."""
    plain, name = operands(words[1:]), words[0].text
    if name == "ln" and not has_flag("-f", words[1:]) and not has_flag("--force", words[1:]):
        return Risk("writes")
    if any(has_flag(flag, words[1:]) for flag in ("-n", "-i", "--no-clobber", "--interactive")):
        return Risk("writes")
    if any(has_flag(flag, words[1:]) for flag in ("-t", "--target-directory", "--strip-program", "-S")):
        return unknown(f"where {name} writes is not known")
    if len(plain) < 2:
        return Risk("writes")
    return situation.target(plain[-1], plain[:-1])


def _tee(words: Words, situation: Situation) -> Risk:
    appends = has_flag("-a", words[1:]) or has_flag("--append", words[1:])
    targets = [word for word in operands(words[1:]) if word.text not in ("/dev/null", "/dev/tty", "-")]
    if appends and all(word.known and not word.text.startswith("/dev/") for word in targets):
        return worst([Risk("writes", root=situation.surroundings.protected(word.text)) for word in targets])
    return worst([situation.target(word) for word in targets])


def _dd(words: Words, situation: Situation) -> Risk:
    if any(word.free for word in words[1:]):
        return unknown("where dd writes is not known")
    targets = [word for word in words[1:] if word.text.startswith("of=") and word.text != "of=/dev/null"]
    return worst([situation.target(Word(word.text[3:], word.known, word.glob)) for word in targets])


_RUNNING_TAR = (
    "--to-command", "--checkpoint-action", "--use-compress-program", "-I", "--rsh-command", "--info-script",
    "--new-volume-script", "--rmt-command", "-F",
)  # fmt: skip


def _tar(words: Words, situation: Situation) -> Risk:
    arguments = words[1:]
    if not arguments:
        return READS
    first = arguments[0].text
    mode = first if not first.startswith("-") else "".join(w.text[1:] for w in arguments if re.match(r"-[^-]", w.text))
    if (
        set(first) & set("IF")
        or any(has_flag(flag, arguments) for flag in _RUNNING_TAR)
        or any(word.free for word in arguments)
    ):
        return unknown("tar may run another program")
    if (
        has_flag("--remove-files", arguments)
        or has_flag("--delete", arguments)
        or has_flag("--recursive-unlink", arguments)
    ):
        return Risk("destroys", reasons=("tar removes files",))
    if "x" in mode or has_flag("--extract", arguments) or has_flag("--get", arguments):
        return Risk("writes")
    if "t" in mode or "d" in mode or has_flag("--list", arguments):
        return READS
    archive = [
        word for word in operands(arguments) if re.search(r"\.(tar|tgz|tbz2?|txz|tzst|gz|xz|bz2|zst)$", word.text)
    ]
    return situation.target(archive[0]) if archive and "r" not in mode else Risk("writes")


def _rsync(words: Words, _: Situation) -> Risk:
    arguments = words[1:]
    network = any(":" in word.text for word in operands(arguments))
    if any(has_flag(flag, arguments) for flag in ("-e", "--rsh", "--rsync-path")) or any(w.free for w in arguments):
        return unknown("rsync may run another program")
    if has_flag("-n", arguments) or has_flag("--dry-run", arguments):
        return Risk(network=network)
    if any(word.text.startswith(("--delete", "--remove-source", "--inplace", "--del")) for word in arguments):
        return Risk("destroys", network=network, reasons=("rsync deletes files",))
    return Risk("writes", network=network)


def _change_mode(words: Words, situation: Situation) -> Risk:
    """chmod, chown, chgrp: what stood there before is lost, for one file no tragedy, for a tree of them one."""
    root = words[0].text != "chmod" or any(situation.surroundings.protected(word.text) for word in operands(words[2:]))
    if has_flag("-R", words[1:]) or has_flag("--recursive", words[1:]):
        return Risk("destroys", root, reasons=(f"{words[0].text} changes a whole tree",))
    return Risk("writes", root)


def _find(words: Words, situation: Situation) -> Risk:
    parts: list[Risk] = []
    index = 1
    while index < len(words):
        word = words[index]
        if word.free:
            parts.append(unknown("an argument of find could be an action"))
        elif word.text in ("-exec", "-execdir", "-ok", "-okdir"):
            end = next((i for i in range(index, len(words)) if words[i].text in (";", "+")), len(words))
            inner = [Word(w.text, known=False) if "{}" in w.text else w for w in words[index + 1 : end]]
            parts.append(risk_of_call(inner, situation) if inner else unknown("what find runs is not known"))
            index = end
        elif word.text == "-delete":
            parts.append(Risk("destroys", reasons=("find deletes what it finds",)))
        elif word.text.startswith("-f") and word.text in ("-fprint", "-fprint0", "-fprintf", "-fls"):
            parts.append(situation.target(words[index + 1] if index + 1 < len(words) else Word("", known=False)))
        index += 1
    return worst(parts)


# --- languages ------------------------------------------------------------------------------------------------------

_ADDRESS = r"(?:\d+|\$|/(?:[^/\\\n]|\\.)*/I?)"
_SUBSTITUTION = r"s(?P<d>[^\w\s\\])(?:(?!(?P=d))[^\\\n]|\\.)*(?P=d)(?:(?!(?P=d))[^\\\n]|\\.)*(?P=d)[gpiIm0-9]*"
_TRANSLATION = r"y/(?:[^/\\\n]|\\.)*/(?:[^/\\\n]|\\.)*/"
_HARMLESS_SED = re.compile(
    rf"\s*(?:{_ADDRESS}(?:\s*[,~]\s*[+~]?{_ADDRESS})?)?\s*!?\s*(?:{_SUBSTITUTION}|{_TRANSLATION}|[pdDPNnGHhgxq=]\d*|)\s*(?:[;\n]|\Z)"
)


_PLAIN_SED = re.compile(r"-[nErsuz]+|--|--(quiet|silent|posix|regexp-extended|null-data|separate|debug|version|help)")


def _sed(words: Words, _: Situation) -> Risk:
    arguments, scripts, in_place, backup = list(words[1:]), [], False, False
    if any(word.free for word in arguments) or has_flag("-f", arguments) or has_flag("--file", arguments):
        return unknown("what sed runs was not read")
    index = 0
    plain = []
    while index < len(arguments):
        text = arguments[index].text
        if text in ("-e", "--expression") or re.fullmatch(r"-[nErsuz]+e", text):
            index += 1
            scripts += arguments[index : index + 1]
        elif text.startswith("--expression="):
            scripts.append(Word(text.partition("=")[2], arguments[index].known))
        elif match := re.fullmatch(r"(?:-[nErsuz]*i|--in-place=?)(.*)", text):
            in_place, backup = True, bool(match[1])
        elif not text.startswith("-"):
            plain.append(arguments[index])
        elif not _PLAIN_SED.fullmatch(text):
            return unknown(f"the option {text} of sed is not understood")
        index += 1
    scripts = scripts or plain[:1]
    if not all(script.known and _harmless_sed(script.text) for script in scripts):
        return unknown("what the script of sed does is not known")
    if in_place:
        return Risk("writes") if backup else Risk("destroys", reasons=("sed changes files in place, keeping no copy",))
    return READS


def _harmless_sed(script: str) -> bool:
    position = 0
    while position < len(script):
        match = _HARMLESS_SED.match(script, position)
        if not match or match.end() == position:
            return False
        position = match.end()
    return True


def _awk(words: Words, _: Situation) -> Risk:
    arguments = words[1:]
    for flag in ("-f", "--file", "-i", "--include", "-l", "--load", "-E", "--exec"):
        if has_flag(flag, arguments) and not re.match(r"-[Fv]", arguments[0].text):
            return unknown("what awk runs was not read")
    index = 0
    while index < len(arguments) and re.match(r"-[Fv]", arguments[index].text):
        index += 2 if len(arguments[index].text) == 2 else 1
    if index >= len(arguments) or not arguments[index].known or arguments[index].text.startswith("-"):
        return unknown("what awk runs is not known")
    program = re.sub(r"\|\|", " ", arguments[index].text)
    if re.search(r"system|getline|\||@|print[^;}\n]*>|close|fflush", program):
        return unknown("the program of awk may run or write anything")
    return READS


def _shell(words: Words, situation: Situation) -> Risk:
    """sh -c SCRIPT is read; a shell that reads its script from elsewhere is not."""
    arguments = words[1:]
    if len(arguments) == 1 and arguments[0].text == "--version":
        return READS
    if len(arguments) >= 2 and re.fullmatch(r"-[leuix]*c", arguments[0].text) and arguments[1].known:
        return situation.script(arguments[1].text)
    return unknown(f"{words[0].text} runs a script that was not read")


def _eval(words: Words, situation: Situation) -> Risk:
    if not all(word.known for word in words[1:]):
        return unknown("what eval runs is not known")
    return situation.script(" ".join(word.text for word in words[1:]))


def _python(words: Words, situation: Situation) -> Risk:
    module = [word.text for word in words[1:3]]
    if module == ["-m", "json.tool"] and len(words) <= 4:
        return READS
    if module == ["-m", "http.server"]:
        return Risk("reads", network=True, reasons=("serves this folder to the network",))
    if module == ["-m", "venv"] and not has_flag("--clear", words[3:]):
        return Risk("writes")
    return by_table(words)


# --- network --------------------------------------------------------------------------------------------------------


_WRITING_CURL = re.compile(
    r"-[a-zA-Z]*O[a-zA-Z]*$|--remote-name|-[a-zA-Z]*[cDTdF]|--(cookie-jar|dump-header|upload|data|form|json)"
)


def _curl(words: Words, situation: Situation) -> Risk:
    arguments = words[1:]
    if has_flag("-K", arguments) or has_flag("--config", arguments) or any(word.free for word in arguments):
        return unknown("what curl is told was not read")
    parts = [Risk(network=True)]
    for index, word in enumerate(arguments):
        following = arguments[index + 1] if index + 1 < len(arguments) else Word("", known=False)
        if re.fullmatch(r"-[a-zA-Z]*o|--output", word.text):
            parts += [] if following.text in ("/dev/null", "-") else [situation.target(following)]
        elif re.fullmatch(r"-o.+|--output=.+", word.text):
            parts.append(situation.target(Word(re.sub(r"^(-o|--output=)", "", word.text), word.known)))
        elif _WRITING_CURL.match(word.text):
            parts.append(Risk("writes"))
        elif re.fullmatch(r"-[a-zA-Z]*X|--request", word.text) and following.text not in ("GET", "HEAD", "OPTIONS"):
            parts.append(
                Risk("writes")
                if following.text in ("POST", "PUT", "PATCH")
                else unknown("what it asks the server to do is not known")
            )
        elif re.match(r"-X.|--request=", word.text) and not re.search(r"(GET|HEAD)$", word.text):
            parts.append(unknown("what it asks the server to do is not known"))
    return worst(parts)


def _wget(words: Words, situation: Situation) -> Risk:
    arguments = words[1:]
    if any(word.free for word in arguments) or any(
        has_flag(flag, arguments) for flag in ("-e", "--execute", "--config", "--use-askpass")
    ):
        return unknown("what wget is told is not known")
    for index, word in enumerate(arguments[:-1]):
        if re.fullmatch(r"-[a-z]*O|--output-document", word.text):
            target = arguments[index + 1]
            return (
                Risk(network=True)
                if target.text in ("-", "/dev/null")
                else worst([Risk(network=True), situation.target(target)])
            )
    if has_flag("-O", arguments) or has_flag("--output-document", arguments) or has_flag("-o", arguments):
        return Risk("destroys", network=True, known=False, reasons=("wget may overwrite a file",))
    return Risk("reads" if has_flag("--spider", arguments) else "writes", network=True)


def _ssh(words: Words, situation: Situation) -> Risk:
    arguments = words[1:]
    index = 0
    while index < len(arguments) and arguments[index].text.startswith("-"):
        if not re.fullmatch(r"-[46AaCqTtvxXY]+|-[pilLRJ].*", arguments[index].text):
            return worst([Risk(network=True), unknown("an option of ssh is not understood")])
        index += 2 if re.fullmatch(r"-[pilLRJ]", arguments[index].text) else 1
    rest = arguments[index + 1 :]
    if not rest:
        return Risk("writes", network=True, reasons=("opens a session on another machine",))
    if not all(word.known for word in rest):
        return worst([Risk(network=True), unknown("what it runs on the other machine is not known")])
    return worst([Risk(network=True), situation.script(" ".join(word.text for word in rest))])


def _signal(words: Words, _: Situation) -> Risk:
    if [word.text for word in words[1:2]] in (["-l"], ["-0"], ["-L"]):
        return READS
    return Risk("destroys", reasons=(f"{words[0].text} ends processes, and what they have not saved",))


# --- the shell's own ------------------------------------------------------------------------------------------------


def _assign(words: Words, _: Situation) -> Risk:
    """export, declare, read and the like: harmless by themselves, but for the names that they set."""
    for word in words[1:]:
        name = word.text.partition("=")[0]
        if word.free or (not word.known and "=" not in word.text):
            return unknown(f"what {words[0].text} sets is not known")
        if (
            not name.startswith("-")
            and (name.isupper() or name in ("path", "fpath"))
            and name not in ("REPLY", "EDITOR", "LANG", "TZ")
        ):
            return unknown(f"sets {name}, which may change what the rest does")
    return READS


def _set(words: Words, situation: Situation) -> Risk:
    if situation.shell == "fish":
        return _assign(words, situation)
    if all(re.fullmatch(r"[-+][euxo]+|pipefail|errexit|nounset|xtrace", word.text) for word in words[1:]):
        return READS
    return unknown("what set changes is not known")


SPECIAL: Mapping[str, Callable[[Words, Situation], Risk]] = {
    **dict.fromkeys(("cp", "mv", "ln", "install"), _copy),
    **dict.fromkeys(("chmod", "chown", "chgrp"), _change_mode),
    **dict.fromkeys(("sh", "bash", "zsh", "dash", "ksh", "fish"), _shell),
    **dict.fromkeys(("awk", "gawk", "mawk", "nawk"), _awk),
    **dict.fromkeys(("export", "declare", "local", "readonly", "typeset", "unset", "read", "getopts"), _assign),
    **dict.fromkeys(("python", "python3"), _python),
    **dict.fromkeys(("kill", "pkill", "killall"), _signal),
    "tee": _tee,
    "dd": _dd,
    "tar": _tar,
    "rsync": _rsync,
    "find": _find,
    "sed": _sed,
    "gsed": _sed,
    "eval": _eval,
    "curl": _curl,
    "wget": _wget,
    "ssh": _ssh,
    "set": _set,
}
