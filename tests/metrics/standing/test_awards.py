"""奖励测算: pay = max(0, min(300 - paid for all, cap - paid for lower)); scenes at most 100 in all (catalogue §1.5)."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.standing.awards import award_ceiling, wan_words
from tests.metrics.standing.facts import Facts, day, incident, paid, rules, title

TODAY = day("2026-11-22")
GS25 = rules("GS25")
WAN = 1_000_000


@pytest.mark.parametrize(
    ("level", "awards", "wan"),
    [
        ("scene", (), 30),
        ("basic", (), 100),
        ("advanced", (), 300),
        ("excellent", (), 100),
        ("leading", (), 200),
        ("basic", (("scene", 30),), 70),
        ("advanced", (("scene", 30), ("basic", 70)), 200),
        ("advanced", (("workshop", 120),), 180),
        ("advanced", (("workshop", 150), ("factory_2022", 150)), 0),
        ("scene", (("scene", 30), ("scene", 30), ("scene", 30)), 10),
        ("scene", (("scene", 100),), 0),
        ("scene", (("basic", 100), ("advanced", 190)), 10),
        ("excellent", (("basic", 100), ("advanced", 200)), 100),
    ],
)
def test_ceiling(level: str, awards: tuple[tuple[str, int], ...], wan: int) -> None:
    facts = Facts(awards=tuple(paid(k, n, f"2025-12-{i + 1:02d}") for i, (k, n) in enumerate(awards)))
    assert award_ceiling(GS25, level, TODAY, facts).fen == wan * WAN


def test_an_award_of_the_future_is_not_paid_yet() -> None:
    assert award_ceiling(GS25, "basic", TODAY, Facts(awards=(paid("scene", 30, "2027-01-01"),))).fen == 100 * WAN


def test_after_a_revocation_for_false_material_nothing_is_paid() -> None:
    facts = Facts(
        (title("basic", "2025-10-01", state="revoked", ended="2026-03-01"),),
        incidents=(incident("false_material", "2026-02-01"),),
    )
    ceiling = award_ceiling(GS25, "basic", TODAY, facts)
    assert ceiling.fen == 0
    assert ceiling.steps[0][0] == "第二十四条"


def test_a_failed_renewal_is_no_revocation_for_cause() -> None:
    facts = Facts((title("basic", "2022-10-01", state="downgraded", ended="2025-10-01"),), awards=(paid("basic", 100),))
    assert award_ceiling(GS25, "advanced", TODAY, facts).fen == 200 * WAN


def test_an_instrument_without_awards_names_none() -> None:
    assert award_ceiling(rules("TJ"), "advanced", TODAY, Facts()).fen is None


@given(
    st.lists(st.tuples(st.sampled_from(["scene", "basic", "advanced", "workshop"]), st.integers(1, 300)), max_size=6)
)
def test_paying_every_ceiling_never_exceeds_the_total(awards: list[tuple[str, int]]) -> None:
    before = tuple(paid(k, n, f"2025-{i + 1:02d}-01") for i, (k, n) in enumerate(awards))
    facts, total = Facts(awards=before), sum(n for _, n in awards)
    for level in ("scene", "basic", "advanced"):
        fen = award_ceiling(GS25, level, TODAY, facts).fen
        assert fen is not None
        assert 0 <= fen <= 300 * WAN
        assert fen == 0 or total * WAN + fen <= 300 * WAN


def test_an_accident_below_the_bar_forfeits_nothing_and_one_at_the_bar_everything() -> None:
    for severity, wan in (("一般", 100), ("较大", 0)):
        facts = Facts(
            (title("basic", "2025-10-01", state="revoked", ended="2026-03-01"),),
            incidents=(incident("accident", "2026-02-01", severity=severity),),
        )
        assert award_ceiling(GS25, "basic", TODAY, facts).fen == wan * WAN


def test_a_revocation_without_a_date_forfeits_as_well() -> None:
    facts = Facts((title("basic", "2025-10-01", state="revoked"),), incidents=(incident("tax", "2026-02-01"),))
    assert award_ceiling(GS25, "basic", TODAY, facts).fen == 0


def test_a_loss_without_a_cause_on_record_is_said_beside_the_ceiling() -> None:
    facts = Facts((title("basic", "2025-10-01", state="revoked", ended="2026-03-01"),))
    ceiling = award_ceiling(GS25, "basic", TODAY, facts)
    assert ceiling.fen == 100 * WAN
    assert ("第二十四条、第二十五条", "一号线 取消或降格的原因没有登记，若属所列情形则为 0") in ceiling.steps


@given(st.integers(0, 400 * WAN))
def test_money_is_shown_to_the_fen(fen: int) -> None:
    words = wan_words(fen).removesuffix(" 万元")
    assert Decimal(words) * WAN == fen
