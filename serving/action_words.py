"""What pages call actions. Knows nothing about who shows them."""

WORDS = {"email": "e-mail"}


def kind_words(kind: str) -> str:
    """A kind of action in words: `e-mail`."""
    return WORDS.get(kind, kind)
