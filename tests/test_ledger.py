"""Ledgers as values and as JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abut.errors import InvalidArchiveError
from abut.ledger import Ledger, Member, Release, decode, encode, load
from abut.store import open_store
from abut.tiling import tile

TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001
IDS = st.sampled_from(["A", "B", "C", "D"])


@st.composite
def members(draw: st.DrawFn) -> Member:
    where = tile(draw(st.sampled_from(["32TNM", "21HVB", "01CCV", "60XWR"])))
    released, held = {}, set()
    for block in where.hull:
        state = draw(st.sampled_from(["empty", "held", "released"]))
        if state == "held":
            held.add(block)
        elif state == "released":
            released[block] = Release(draw(IDS), draw(st.sampled_from([EARLY, LATE])), draw(st.booleans()))
    return Member(
        draw(IDS), "prefix", where, frozenset(held), released, draw(st.none() | TIMES), removed=draw(st.booleans())
    )


EARLY = datetime(2026, 1, 1, tzinfo=UTC)
LATE = EARLY + timedelta(days=1, microseconds=5)
ledgers = st.builds(
    lambda found, revision: Ledger("layer", revision, {member.product: member for member in found}),
    st.lists(members(), max_size=3),
    st.integers(0, 10**6),
)


@given(ledgers)
def test_a_ledger_comes_back_from_its_json(ledger: Ledger) -> None:
    assert decode(encode(ledger), "x") == ledger
    assert encode(decode(encode(ledger), "x")) == encode(ledger)


@given(members())
def test_every_block_that_is_not_empty_has_one_holder(member: Member) -> None:
    for block in member.tile.hull:
        holder = member.holder(block)
        assert (holder is not None) == (block in member.valid)
        assert (holder == member.product) == (block in member.held) or holder == member.product
    assert not member.held & member.released.keys()


def test_every_change_grows_the_revision() -> None:
    member = Member("A", "p", tile("32TNM"), frozenset())
    ledger = Ledger("layer", 4, {})
    assert ledger.changed(member).revision == 5
    assert ledger.changed(member).changed(without="A") == Ledger("layer", 6, {})
    assert ledger.changed(member).of_tile(tile("32TNM")) == member
    assert ledger.changed(member).of_tile(tile("32TNN")) is None


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"abut:ledger":2}', b'{"abut:ledger":1,"layer":"x","revision":1,"members":[{}]}']
)
def test_what_is_no_ledger_is_refused_with_its_key(data: bytes) -> None:
    with pytest.raises(InvalidArchiveError, match=r"layers/x\.json"):
        decode(data, "layers/x.json")


def test_a_layer_without_a_ledger_has_an_empty_one() -> None:
    assert load(open_store("memory://"), "layer") == (Ledger("layer", 0, {}), None)
