"""The report and the model card: what stands in them, and that they need nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from report_page import Page, colours, contrast

from features.config import read_config
from features.sources import read_histories
from models.files import load
from training.audited import Audited
from training.bootstrap import Interval
from training.clock import Clock
from training.engines import InProcess
from training.findings import Finding
from training.fitting import parameters
from training.gate import Decision, Reason
from training.judging import judge_test, look_back
from training.model_card import model_card, plain
from training.pictures import gains, interval_bar, rate_intervals
from training.record import tags_of
from training.report import page
from training.report_words import Told, between, figure, headline, signed
from training.result import manifest
from training.shap_pictures import clipped
from training.svg import tag, ticks

EVIL = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def told(shop: Path, shop_run: tuple[Path, object]) -> Told:
    """A trained shop with everything that a run knows."""
    business = read_config(shop)
    engine = InProcess(read_histories(business), lambda _: None)
    problem = engine.resolve(business.problem("churn"))
    ready = engine.prepare(business, problem, shop.parent, Clock(lambda _: None))
    model = load(shop_run[0] / "shop" / "churn" / "model")
    verdict = judge_test(ready, model.probabilities(ready.parts["test"][0]))
    n_train = len(ready.split.train)
    chosen = parameters(n_train, len(ready.features), problem.seed)
    looked = look_back(ready, chosen, len(model.trees), n_train)
    check = Finding("P08", "warning", "labels", "The rate has changed.", ("Look why",))
    return Told(
        business.name, "churn", ready, model, tags_of(model.contract), manifest(engine), (check,),
        verdict, looked,
    )  # fmt: skip


@pytest.fixture(scope="module")
def html(told: Told) -> str:
    """The page of the trained shop."""
    return page(told)


def an_audit() -> Audited:
    leak = Finding("L05", "leak", "plan", "One feature tells almost everything.", ("Drop it",))
    return Audited((leak,), "Tried: 1,200 values.")


def test_the_page_says_which_model_is_judged_and_which_is_registered(told: Told) -> None:
    """The judged model's rows end before the test, the registered one's are all that matured."""
    fitted = told.model.contract.trained["fitted"]
    assert fitted["judged"]["known_by"] < fitted["registered"]["known_by"]
    assert f"fitted on {fitted['judged']['n_rows']:,} rows" in told.tags["judged_model"]
    assert f"again on {fitted['registered']['n_rows']:,} rows" in told.tags["registered_model"]


def test_the_page_is_well_formed(html: str) -> None:
    """Every element is closed in order, ids are unique, links inside the page have a target."""
    read = Page(html)
    assert [] == read.faults
    assert len(set(read.ids)) == len(read.ids)
    inside = {link[1:] for link in read.references if link.startswith("#")}
    assert inside <= set(read.ids)


def test_the_page_needs_nothing_but_itself(html: str) -> None:
    """No script, and no reference to a host or a file."""
    read = Page(html)
    assert [] == read.named("script")
    assert {"data:,"} == {link for link in read.references if not link.startswith("#")}
    assert not [words for words in ("http://", "https://", "@import", "url(") if words in html]
    assert not [name for _, named in read.tags for name in named if name.startswith("on")]


def test_the_page_can_be_heard(html: str) -> None:
    """It names its language, every picture and every column, and skips no level of heading."""
    read = Page(html)
    assert [{"lang": "en"}] == read.named("html")
    pictures = [named for named in read.named("svg") if named.get("role") == "img"]
    assert len(read.named("svg")) == len(pictures) <= html.count("<title>") - 1
    assert {"col", "row", "rowgroup"} >= {named.get("scope") for named in read.named("th")}
    assert [] == [b for a, b in zip([0, *read.headings], read.headings, strict=False) if b > a + 1]


def test_every_part_of_a_run_is_told(html: str) -> None:
    """The sections that the run has parts for are there, with their figures."""
    read = Page(html)
    wanted = {"data", "metrics", "quality", "when", "why", "examples", "audit", "limits"}
    assert wanted <= set(read.ids)
    for words in (
        "the probability of no order within 30 days", "asked every 15 days", "Back-test",
        "What a random split would have claimed", "orders", "P08", "Best rule", "Not run.",
    ):  # fmt: skip
        assert words in read.text, words


def test_absent_parts_are_left_out(told: Told) -> None:
    """Without verdict, look back, sources and checks the page still stands, without their parts."""
    bare = replace(told, verdict=None, looked=None, manifest={}, checks=(), tags={})
    read = Page(page(bare))
    assert [] == read.faults
    assert {"metrics", "when", "gate"}.isdisjoint(read.ids)
    assert {"data", "quality", "examples", "limits"} <= set(read.ids)
    assert "random split would" not in read.text
    assert "Sources" not in read.text
    assert "Nothing stood against fitting" in read.text


def test_audit_and_gate_are_told_where_a_run_has_them(told: Told) -> None:
    """A leak is called one; a refusal has its reasons."""
    full = replace(
        told, audit=an_audit(), decision=Decision((Reason("G01", "not above the rule"),), ())
    )
    read = Page(page(full))
    assert "gate" in read.ids
    assert "There is a leak" in read.text
    assert "L05" in read.text
    assert "Not fit to be champion." in read.text
    assert "not above the rule" in read.text
    assert "leakage audit was not part" not in read.text


def test_what_others_named_stays_text(told: Told) -> None:
    """Names that hold markup are shown as they are written, in the page and in the card."""
    source = {**told.manifest["sources"][0], "name": EVIL}
    check = Finding("P05", "warning", EVIL, f"{EVIL} is quiet.", (EVIL,))
    assert told.verdict is not None
    group = replace(told.verdict.slices[0], by=EVIL, level=EVIL)
    other = replace(group, level=f"{EVIL} 2")
    verdict = replace(told.verdict, slices=[group, other], by_period=[group], notes=(EVIL,))
    evil = replace(
        told, business=EVIL, name=EVIL, tags={"judged_model": EVIL},
        manifest={**told.manifest, "sources": [source]}, checks=(check,), verdict=verdict,
        decision=Decision((Reason("G01", EVIL),), (EVIL,)),
    )  # fmt: skip
    read = Page(page(evil))
    assert [] == read.faults
    assert [] == read.named("script")
    assert read.text.count(EVIL) >= 8
    assert "<script" not in model_card(evil)


def test_a_picture_escapes_words_and_attributes() -> None:
    """Neither text nor attribute of a picture can end it."""
    drawn = tag("text", EVIL, class_='a" onload="b', x=1.23456789)
    assert "<script" not in drawn
    assert 'x="1.23457"' in drawn
    assert "&#34; onload=&#34;b" in drawn


def test_the_same_run_gives_the_same_page(told: Told, html: str) -> None:
    """Nothing of the page depends on when or where it was written."""
    assert html == page(told)


def test_no_customer_is_named(told: Told, html: str) -> None:
    """The page can be passed on: ids of customers are not in it."""
    text = Page(html).text
    assert not [f"c{number:03d}" for number in range(300) if f"c{number:03d}" in text]


def test_colours_can_be_told_from_the_paper() -> None:
    """Text has a contrast of 4.5 and lines of 3 to the paper, in light, dark and print."""
    css = (ROOT / "training" / "templates" / "report.css").read_text()
    words = ("ink", "dim", "link", "up", "down", "good", "poor")
    marks = ("model", "rule", "train", "validation", "test", "purge", "none")
    for begin in (":root", "prefers-color-scheme: dark", "@media print"):
        colour = colours(css, begin)
        for paper in ("paper", "card"):
            for name in words:
                assert contrast(colour[name], colour[paper]) >= 4.5, (begin, name, paper)
        for name in marks:
            assert contrast(colour[name], colour["paper"]) >= 3.0, (begin, name)


def test_the_card_has_the_headings_of_a_model_card(told: Told) -> None:
    """Mitchell et al.'s sections stand in it, with sources and the attributes that are read."""
    card = model_card(told)
    headings = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert [
        "Model details", "Intended use", "Factors", "Metrics", "Evaluation and training data",
        "Ethical considerations", "Caveats and recommendations",
    ] == headings  # fmt: skip
    assert "Source orders" in card
    assert "city" in card.partition("## Ethical considerations")[2]
    tables = [line for line in card.splitlines() if line.startswith("|")]
    assert tables and all(line.endswith("|") for line in tables)


def test_the_card_of_a_bare_run_stands(told: Told) -> None:
    """Without verdict and sources the card has no metrics and no sources."""
    card = model_card(replace(told, verdict=None, looked=None, manifest={}, checks=(), tags={}))
    assert "## Metrics" not in card
    assert "Source " not in card


def test_markdown_of_others_stays_text() -> None:
    """Table borders, emphasis, links, markup and line ends of a name are no Markdown."""
    assert r"a\|b \*c\* \[d\](e) &lt;i&gt; f" == plain("a|b *c* [d](e) <i>\nf")


def test_a_model_that_is_not_better_is_not_called_better(told: Told) -> None:
    """Where one rival's interval reaches zero the headline names that rival."""
    assert told.verdict is not None
    judgement = told.verdict.judgement
    unsure = {"average_precision": Interval(0.01, -0.02, 0.04)}
    sure = {"average_precision": Interval(0.1, 0.05, 0.2)}
    worse = replace(judgement, differences={"best_rule": sure, "logistic": unsure})
    better, says = headline(replace(told.verdict, judgement=worse))
    assert not better
    assert "is not shown to be better than a logistic regression" in says
    assert "rule" not in says


def test_gains_do_not_depend_on_the_order_of_tied_rows() -> None:
    """Rows of one score are reached at one pace; all of them reach everything."""
    label, score = np.array([1, 0, 1, 0], dtype=np.int8), np.array([0.9, 0.5, 0.5, 0.5])
    shares = np.array([0.0, 0.25, 0.5, 1.0])
    assert [0.0, 0.5, 2 / 3, 1.0] == pytest.approx(gains(label, score, shares).tolist())
    turned = gains(label[::-1], score[::-1], shares)
    assert gains(label, score, shares).tolist() == pytest.approx(turned.tolist())


def test_rows_of_one_customer_make_an_interval_wider() -> None:
    """Ten rows a customer, all alike, tell as much as one row each."""
    rng = np.random.default_rng(3)
    label = (rng.random(500) < 0.3).astype(np.int8)
    score, who = np.full(500, 0.3), np.arange(500)
    low, high = rate_intervals(label, score, who)
    many = [np.repeat(of, 10) for of in (label, score, who)]
    low_many, high_many = rate_intervals(*many)
    assert low.tolist() == pytest.approx(low_many.tolist(), abs=0.01)
    assert high.tolist() == pytest.approx(high_many.tolist(), abs=0.01)
    alone = rate_intervals(many[0], many[1], np.arange(5_000))
    assert (alone[1] - alone[0] < (high - low) / 2).all()


@pytest.mark.parametrize(
    ("interval", "side"),
    [(Interval(0.2, 0.1, 0.3), "better"), (Interval(-0.2, -0.3, -0.1), "worse"),
     (Interval(0.0, -0.1, 0.1), "")],
)  # fmt: skip
def test_an_interval_is_coloured_only_when_it_is_clear_of_the_mark(
    interval: Interval, side: str
) -> None:
    """Better and worse need the whole interval on one side."""
    drawn = interval_bar(interval, -0.3, 0.3, 0.0, "x")
    assert {word for word in ("better", "worse") if word in drawn} == ({side} if side else set())


def test_numbers_are_short_and_have_a_true_minus() -> None:
    """No negative zero, no decimals on large numbers, both ends alike."""
    assert ("−0.12", "0.00", "1,235") == (figure(-0.123, 2), figure(-0.001, 2), figure(1234.6, 2))
    assert ("+0.10", "+0.00") == (signed(0.1, 2), signed(0.0, 2))
    assert "72 to 707" == between(Interval(381, 71.98, 707), 2)


def test_ticks_are_round_and_inside() -> None:
    """Steps are 1, 2 or 5 times a power of ten."""
    assert [0, 0.2, 0.4, 0.6, 0.8, 1.0] == ticks(0, 1)
    assert [-0.1, 0.0, 0.1] == ticks(-0.14, 0.14, 3)
    assert [3.0] == ticks(3, 3)


def test_a_long_name_keeps_its_end() -> None:
    """What tells windows of one feature apart stands at the end of its name."""
    name = "Average active share of usage reported events of the whole account in the last 7 days"
    short = clipped(name, 50)
    assert len(short) <= 50
    assert short.startswith("Average active")
    assert short.endswith("in the last 7 days")
    assert "a name" == clipped("a name", 50)
