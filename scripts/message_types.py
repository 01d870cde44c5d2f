#!/usr/bin/env python
"""Write the types of the live messages for the scripts, from the TypedDicts of apps/live/wire/messages.py.

Usage: scripts/message_types.py [--check]    (--check writes nothing and fails where the file is stale)
"""

import ast
import inspect
import sys
import types
from pathlib import Path
from typing import Any, Literal, NotRequired, get_args, get_origin, get_type_hints, is_typeddict

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from apps.live.wire import messages  # noqa: E402

TARGET = ROOT / "static/js/live/messages.d.ts"

HEAD = "// The live messages. Written by scripts/message_types.py from apps/live/wire/messages.py: change them there.\n"

PLAIN = {int: "number", float: "number", str: "string", bool: "boolean", type(None): "null"}


def typescript(hint: Any) -> str:
    """Return a Python type as TypeScript writes it.

    Raises:
        TypeError: it has no counterpart in JSON, or none that is known here.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in PLAIN:
        return PLAIN[hint]
    if is_typeddict(hint):
        return str(hint.__name__)
    if origin is Literal:
        return " | ".join(f'"{value}"' for value in arguments)
    if origin is list:
        element = typescript(arguments[0])
        return f"({element})[]" if " " in element else f"{element}[]"
    if origin is types.UnionType:
        return " | ".join(dict.fromkeys(map(typescript, arguments)))
    raise TypeError(f"No TypeScript type is known for {hint}.")


def bases() -> dict[str, list[str]]:
    """Return which messages each one extends; a TypedDict itself forgets them."""
    classes = [node for node in ast.parse(inspect.getsource(messages)).body if isinstance(node, ast.ClassDef)]
    written = {node.name: [base.id for base in node.bases if isinstance(base, ast.Name)] for node in classes}
    return {name: [base for base in extended if base in written] for name, extended in written.items()}


def interface(message: Any, extended: list[str]) -> str:
    """Return one TypedDict as an exported interface, with its docstring, from those that it extends."""
    known = {name for base in extended for name in get_type_hints(getattr(messages, base))}
    head = " extends ".join([message.__name__, *([", ".join(extended)] if extended else [])])
    lines = [f"/** {' '.join(message.__doc__.split())} */", f"export interface {head} {{"]
    for name, hint in get_type_hints(message, include_extras=True).items():
        if name in known:
            continue
        optional = get_origin(hint) is NotRequired
        lines.append(f"  {name}{'?' if optional else ''}: {typescript(get_args(hint)[0] if optional else hint)};")
    return "\n".join([*lines, "}"])


def declarations() -> str:
    """Return the text of the file: all messages in their order, and the union of what a server sends."""
    known = [one for one in vars(messages).values() if is_typeddict(one)]
    sent = " | ".join(one.__name__ for one in known if "type" in get_type_hints(one))
    extended = bases()
    union = f"/** What a server sends. */\nexport type Message = {sent};"
    return "\n".join([HEAD, *(f"{interface(one, extended[one.__name__])}\n" for one in known), union, ""])


def main() -> int:
    """Write the file, or tell whether it is what would be written."""
    if sys.argv[1:] == ["--check"]:
        if TARGET.read_text() == declarations():
            return 0
        print(f"{TARGET.relative_to(ROOT)} is stale; scripts/message_types.py writes it.", file=sys.stderr)  # noqa: T201
        return 1
    TARGET.write_text(declarations())
    return 0


if __name__ == "__main__":
    sys.exit(main())
