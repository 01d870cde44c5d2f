"""Texts of anybody as LaTeX shows them: nothing in them is read as a command, and every engine knows each character."""

import unicodedata

_WRITTEN = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{''}",
    "`": r"{`}",
    "'": r"{'}",
    "[": r"{[}",
    "]": r"{]}",
    "\n": " ",
    "\t": " ",
    "×": r"$\times$",
    "÷": r"$\div$",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\rightarrow$",
    "µ": r"$\mu$",
    "μ": r"$\mu$",
    "°": r"$^\circ$",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "…": r"\ldots{}",
    "‘": r"`{}",
    "’": r"'{}",
    "“": r"``{}",
    "”": r"''{}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
}
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u ",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r ",
    "\u030b": "H ",
    "\u030c": "v ",
    "\u0327": "c ",
}
BREAKS_BEHIND = "+@~(),:=/_.;"
"""A name may be broken behind these."""


def tex(text: object) -> str:
    """Return a text that LaTeX shows as it is.

    Letters with accents are put together from both, a character that no ordinary font of TeX has is written as its
    number, and one that steers is left out.
    """
    written = "".join(_character(one) for one in unicodedata.normalize("NFC", str(text)))
    # Two hyphens would become a dash.
    return written.replace("--", "-{}-{}")


def code(name: object) -> str:
    """Return a name in the letters of a typewriter, which may be broken behind its marks."""
    parts = "".join(tex(one) + (r"\allowbreak{}" if one in BREAKS_BEHIND else "") for one in str(name))
    return rf"\texttt{{{parts}}}"


def number(text: str) -> str:
    """Return a number as it was written, its sign that of mathematics."""
    return f"$-${tex(text[1:])}" if text.startswith("-") else tex(text)


def _character(one: str) -> str:
    if one in _WRITTEN:
        return _WRITTEN[one]
    if " " <= one <= "~":
        return one
    if unicodedata.category(one) in ("Cc", "Cf", "Cs"):
        return ""
    if unicodedata.category(one) == "Zs":
        return " "
    letter, *marks = list(unicodedata.normalize("NFD", one))
    if letter.isascii() and letter.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        return rf"\{_ACCENTS[marks[0]]}{{{letter}}}"
    return f"U+{ord(one):04X}"
