"""A P4 program as tokens. The preprocessor is clang's, as p4c's is the C compiler's."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<string>"(?:[^"\\]|\\.)*")
    |(?P<number>\d+[ws]0[xX][0-9a-fA-F_]+|\d+[ws]0[bB][01_]+|\d+[ws]\d[\d_]*
        |0[xX][0-9a-fA-F_]+|0[bB][01_]+|\d[\d_]*)
    |(?P<name>[A-Za-z_$]\w*)
    |(?P<symbol>&&&|\|\+\||\|-\||\+\+|<<|<=|>=|==|!=|&&|\|\||\.\.|[-+*/%&|^~!<>=?:;,.(){}\[\]@])
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A token: ``kind`` is string, number, name or symbol."""

    kind: str
    text: str
    line: int


def preprocess(source: Path, architecture: Path, *defines: str) -> str:
    """The text of a program with its includes; ``architecture`` has core.p4 and the like."""
    done = subprocess.run(
        ["clang", "-E", "-P", "-x", "c", "-nostdinc", "-I", str(architecture),
         *(f"-D{each}" for each in defines), str(source)],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return done.stdout


def tokens(text: str) -> list[Token]:
    """All tokens, and an empty one at the end."""
    found: list[Token] = []
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SyntaxError(f"line {line}: {text[at : at + 20]!r}")
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(Token(kind, match.group(), line))
        line += match.group().count("\n")
        at = match.end()
    return [*found, Token("end", "", line)]
