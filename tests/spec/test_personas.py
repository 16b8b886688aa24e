"""Personas, worked by hand: shares, roots, distances, and whom nothing is said about."""

import json

import numpy as np
import pytest

from features.language import events, having
from models.persona import NO_PERSONA, Persona, Personas, Side, personas_from_json
from models.seen import Seen, SeenEvent, Values
from models.spoken import Words
from training.persona_names import named

EMAIL, CHAT = having("channel", "email").count(), having("channel", "chat").count()
ORDERS, VALUE = events("order").count(), events("order").mean("value")
GAP = events("order").gap_mean()
NAMES = [feature.name for feature in (EMAIL, CHAT, ORDERS, VALUE)]

MIX = Side((0, 1), (0, 1), (0.0, 0.0), (1.0, 1.0))
"""Counts of e-mails and chats; their shares' roots as they are."""
AMOUNT = Side((3,), (2,), (4.0,), (2.0,))
"""The average value: `(√value - 4) / 2`."""

CHANNELS = Personas(
    (MIX,),
    (Persona("Mostly email", "", 0.6, (0.8, 0.6)), Persona("Mostly chat", "", 0.4, (0.6, 0.8))),
    {},
)
BASKETS = Personas(
    (AMOUNT,), (Persona("Usual", "", 0.7, (0.0,)), Persona("High value", "", 0.3, (2.0,))), {}
)


@pytest.mark.parametrize(
    ("emails", "chats", "expected"),
    [
        pytest.param(16, 9, 0, id="shares .64 and .36, roots .8 and .6: the first centre"),
        pytest.param(9, 16, 1, id="shares .36 and .64: the second centre"),
        pytest.param(160, 90, 0, id="ten times as many, the same shares"),
        pytest.param(10, 10, 0, id="as near to both: the larger segment"),
        pytest.param(0, 5, 1, id="five events are enough"),
        pytest.param(0, 4, NO_PERSONA, id="four are not"),
        pytest.param(0, 0, NO_PERSONA, id="nothing happened"),
    ],
)
def test_a_mix_is_read_by_its_shares(emails: int, chats: int, expected: int) -> None:
    """The persona is the nearest centre by the roots of the shares, if five events are there."""
    row = np.array([[emails, chats, np.nan, np.nan]], np.float32)
    assert expected == CHANNELS.assign(row)[0]


@pytest.mark.parametrize(
    ("orders", "value", "expected"),
    [
        pytest.param(5, 16.0, 0, id="√16 = 4, standardised 0"),
        pytest.param(5, 36.0, 0, id="√36 = 6, standardised 1: as near to both, the larger"),
        pytest.param(5, 36.5, 1, id="a little more"),
        pytest.param(5, 1e6, 1, id="standardised 498, cut to 3"),
        pytest.param(5, -9.0, 0, id="-√9 = -3, standardised -3.5, cut to -3"),
        pytest.param(5, np.nan, 0, id="missing stands at the centre"),
        pytest.param(4, 1e6, NO_PERSONA, id="four orders are not enough"),
    ],
)
def test_an_amount_is_standardised(orders: int, value: float, expected: int) -> None:
    """Amounts enter as standardised roots, cut to ±3; missing ones as what is usual."""
    row = np.array([[np.nan, np.nan, orders, value]], np.float32)
    assert expected == BASKETS.assign(row)[0]


@pytest.mark.parametrize("personas", [CHANNELS, BASKETS])
def test_personas_survive_json(personas: Personas) -> None:
    """They are plain data whose columns are named, and come back the same."""
    text = json.dumps(personas.to_json(NAMES))
    assert personas == personas_from_json(json.loads(text), NAMES)


def test_a_stranger_among_the_columns_is_refused() -> None:
    """Personas that read a column which the model lacks are an error, not another column."""
    data = CHANNELS.to_json(NAMES)
    with pytest.raises(KeyError):
        personas_from_json(data, NAMES[1:])


def test_of_a_thin_history_nothing_is_said() -> None:
    """The code of no persona gives none."""
    assert CHANNELS.of(NO_PERSONA) is None
    assert "Mostly chat" == CHANNELS.personas[1].name == getattr(CHANNELS.of(1), "name", None)


def test_names_say_what_distinguishes() -> None:
    """Large, small and middling values: two speak for themselves, one is average; with units."""
    value = np.concatenate([np.full(40, 100.0), np.full(40, 1.0), np.full(40, 30.25)])
    rows = np.column_stack([np.zeros((120, 2)), np.full(120, 9), value]).astype(np.float32)
    found = told(AMOUNT, rows, np.repeat([0, 1, 2], 40))
    said = "Orders so far have a value of $100 on average, others $15.62."
    assert ("High value", said) == found[0]
    assert ("Low value", "Orders so far have a value of $1 on average, others $65.12.") == found[1]
    assert "Average, low value" == found[2][0]


def test_pauses_are_said_in_days() -> None:
    """Who comes rarely comes every so many days, and so do the others."""
    rows = np.array([[0, 0, 9, 30, 20]] * 40 + [[0, 0, 9, 30, 5]] * 80, np.float32)
    found = told(Side((4,), (2,), (4.0,), (2.0,)), rows, np.repeat([0, 1], [40, 80]))
    assert ("Rare orders", "On average 20 days between orders so far, others 5 days.") == found[0]
    assert "Frequent orders" == found[1][0]


def test_a_level_is_said_with_its_property() -> None:
    """Of yes and no the rarer one speaks, and it says of what it is the level."""
    rows = np.array([[19, 1, 0, 0]] * 60 + [[20, 0, 0, 0]] * 60 + [[14, 6, 0, 0]] * 60, np.float32)
    found = told(MIX, rows, np.repeat([0, 1, 2], 60))
    assert "Channel is hardly ever chat" == found[1][0]
    assert "Channel is chat in 0% of their messages, in 18% of others'." == found[1][1]
    assert "Channel is chat more often" == found[2][0]
    assert "Channel is chat in 30% of their messages, in 2% of others'." == found[2][1]


def test_kinds_of_event_are_said_in_the_plural() -> None:
    """A mix of kinds of event says which there are more or fewer of."""
    tickets, visits, calls = (events(n).count() for n in ("ticket", "page_view", "call_made"))
    rows = np.array([[8, 12, 0]] * 60 + [[1, 16, 3]] * 60 + [[4, 13, 3]] * 60, np.float32)
    side = Side((0, 1, 2), (0, 1, 2), (0.0,) * 3, (1.0,) * 3)
    label = np.repeat([0, 1, 2], 60)
    found = named((tickets, visits, calls), (side,), rows, label, Words(), Seen())
    assert "Hardly any calls made, fewer page views" == found[0][0]
    assert "0% of their events are calls made, of others' 15%." in found[0][1]
    assert "More page views, more calls made" == found[1][0]


def test_names_are_unique() -> None:
    """Two personas that the same words describe are told apart by their figures."""
    rows = np.array([[20, 0, 0, 0]] * 30 + [[15, 5, 0, 0]] * 30 + [[2, 18, 0, 0]] * 90, np.float32)
    label = np.repeat([0, 1, 2], [30, 30, 90])
    names = [name for name, _ in told(MIX, rows, label)]
    mostly = "Channel is mostly"
    assert [f"{mostly} email, in 100%", f"{mostly} email, in 75%", f"{mostly} chat"] == names


def told(side: Side, rows: np.ndarray, label: np.ndarray) -> list[tuple[str, str]]:
    """Names and sentences where messages alone have a channel, and values are dollars."""
    channel = Values(levels={"channel": ("chat", "email")})
    seen = Seen({"message": SeenEvent(9, 1, channel), "order": SeenEvent(9, 1)})
    features = (EMAIL, CHAT, ORDERS, VALUE, GAP)
    return named(features, (side,), rows, label, Words(units={"value": "$"}), seen)
