"""The model card of a release, as Markdown."""

from mlbot.core.card import Card
from mlbot.render.engine import fill


def card_text(card: Card) -> str:
    """The card, with a line end."""
    return f"{fill('release/card.md.j2', card=card).strip()}\n"
