"""Text that shows all there is in it, and that no terminal obeys."""


def printable(text: str) -> str:
    """A text on one line, with what cannot be seen as escapes: control characters, which way to write.

    Letters and signs of any script stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
