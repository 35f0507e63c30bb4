"""Decision memory: what the linker does in its next run, whatever surface a pair was decided on.

Every case runs the real linker over a real wiki: decide on one surface, change something, run again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, col, select
from starlette.testclient import TestClient

from app import cli
from app.bootstrap import App
from app.domain.records import Link, LinkStatus, PageKind, Relation, Verdict
from app.errors import Conflict
from app.pipeline import link_now
from app.services import pages as editing
from app.services import review
from app.services.linker import shipped_weights
from app.settings import Settings
from app.store import decisions, links, pages
from app.store.db import reading, writing
from app.web.app import create
from app.worker import Worker
from tests.factories import make_engine, make_link
from tests.web.conftest import load

DAY = datetime(2026, 5, 12, 9, 0, tzinfo=UTC)
EAGER = replace(shipped_weights(), floor=0.05)
PAPER, CONCEPT = "arxiv:2605.00009", "cold-infusion"
ACCEPTED, REJECTED = LinkStatus.ACCEPTED, LinkStatus.REJECTED
PROPOSED, DEFERRED = LinkStatus.PROPOSED, LinkStatus.DEFERRED

Row = dict[str, Any]


@pytest.fixture
def wiki(tmp_path: Path) -> Iterator[App]:
    """Two concepts, five linked papers and one that waits; its first proposal was made."""
    settings = Settings(data=tmp_path / "data", embedding_model="none", timezone="UTC", now=DAY)
    settings.data.mkdir()
    engine = make_engine(settings.data)
    app = App(settings, engine, EAGER)
    rows: list[Row] = [
        {
            "type": "concept",
            "id": CONCEPT,
            "title": "Cold infusion",
            "text": "Leaves in cold water.",
        },
        {"type": "concept", "id": "bridges", "title": "Bridges", "text": "Decks and cables."},
    ]
    for number, (title, abstract, concept) in enumerate(
        [
            ("Tannins of leaves", "Green leaves give tannins to water over a night.", CONCEPT),
            ("Water for leaves", "Soft water draws more from the leaves.", CONCEPT),
            ("Cables in gusts", "We load the deck of a bridge with wind.", "bridges"),
            ("Steel decks", "Welds of a bridge deck crack under traffic.", "bridges"),
            ("Footbridges", "Loads on light decks of bridges.", "bridges"),
        ]
    ):
        rows += [paper(number, title, abstract), link(number, concept)]
    rows.append(
        paper(9, "Oolong at rest", "Oolong rests on the deck in soft water, and the cup is mild.")
    )
    load(app, rows)
    run(app)
    yield app
    engine.dispose()


def paper(number: int, title: str, abstract: str) -> Row:
    return {
        "type": "paper",
        "id": f"arxiv:2605.{number:05}",
        "title": title,
        "abstract": abstract,
        "published": f"2026-05-{number + 1:02}",
        "state": "kept",
    }


def link(number: int, concept: str, status: str = "accepted", **more: Any) -> Row:
    return {
        "type": "link",
        "source": f"arxiv:2605.{number:05}",
        "relation": "about",
        "target": concept,
        "status": status,
        **more,
    }


def on(app: App, days: int) -> App:
    """The same wiki some days later."""
    return replace(app, settings=replace_now(app.settings, DAY + timedelta(days=days)))


def replace_now(settings: Settings, now: datetime) -> Settings:
    return settings.model_copy(update={"now": now})


def run(app: App) -> int:
    """The linker over this paper; how many new proposals it made."""
    return link_now(app, paper=PAPER)[1]


def pair(session: Session) -> Link:
    """The link between the paper and the concept: there is never more than one."""
    concept = pages.get(session, CONCEPT)
    [found] = session.exec(
        select(Link)
        .where(Link.target_id == concept.id, col(Link.reason) != "")
        .where(col(Link.source_id) == pages.get(session, "oolong-at-rest").id)
    ).all()
    return found


def standing(app: App) -> tuple[LinkStatus, str]:
    with reading(app.engine) as session:
        found = pair(session)
        return found.status, found.reason


def number(app: App) -> int:
    with reading(app.engine) as session:
        return pair(session).id or 0


# ---------------------------------------------------------------- where a person decides


def by_screen(app: App, word: str) -> None:
    with TestClient(create(app), base_url="http://127.0.0.1:8000") as client:
        assert client.post(f"/review/{number(app)}", data={"decision": word}).status_code < 400


def by_rail(app: App, word: str) -> None:
    """The suggestions beside a page, where there is no reason to give."""
    with TestClient(create(app), base_url="http://127.0.0.1:8000") as client:
        data = {"decision": word, "next": "/w/oolong-at-rest"}
        assert client.post(f"/review/{number(app)}", data=data).status_code < 400


def in_bulk(app: App, word: str) -> None:
    with TestClient(create(app), base_url="http://127.0.0.1:8000") as client:
        data = {"decision": word, "id": [str(number(app))]}
        assert client.post("/review/bulk", data=data).status_code < 400


def by_api(app: App, word: str) -> None:
    with TestClient(create(app), base_url="http://127.0.0.1:8000") as client:
        answer = client.post(f"/api/v1/review/{number(app)}", json={"decision": word})
        assert answer.status_code == 200, answer.text


def by_command(app: App, word: str) -> None:
    verdict = review.verdict(word, of="link")
    with writing(app.engine) as session:
        review.decide(session, pair(session).id or 0, verdict, now=app.clock())


def by_rule(app: App, word: str) -> None:
    with writing(app.engine) as session:
        decisions.decide_link(session, pair(session), Verdict(word), now=app.clock(), who="rule 1")


def by_import(app: App, word: str) -> None:
    status = {"accept": "accepted", "reject": "rejected", "defer": "deferred"}[word]
    load(app, [link(9, CONCEPT, status, at=app.clock().isoformat())], name="decided.jsonl")


SURFACES = [by_screen, by_rail, in_bulk, by_api, by_command, by_rule, by_import]
Decide = Callable[[App, str], None]


# ---------------------------------------------------------------- what happens meanwhile


def save(app: App, slug: str, **changes: Any) -> None:
    with writing(app.engine) as session:
        page = pages.get(session, slug)
        content = replace(pages.content_of(session, page), **changes)
        editing.save(session, slug, content, base=page.version, now=app.clock())


def another_edit(app: App) -> None:
    save(app, "oolong-at-rest", body="A note about cups.")
    save(app, "bridges", body="Decks, cables, and towers.")


def the_text_says_it(app: App) -> None:
    save(app, "oolong-at-rest", body="This is cold-infusion, said the author.")


def a_new_name(app: App) -> None:
    save(app, CONCEPT, aliases=("Soft waters",))


def three_papers(app: App) -> None:
    rows: list[Row] = []
    for n in (20, 21, 22):
        rows += [
            paper(n, f"Oolong cup {n}", "Oolong leaves rest in soft water; the cup is mild."),
            link(n, CONCEPT, at=app.clock().isoformat()),
        ]
    load(app, rows, name="more.jsonl")


def everything(app: App) -> None:
    another_edit(app)
    the_text_says_it(app)
    a_new_name(app)
    three_papers(app)


MEANWHILE = [another_edit, the_text_says_it, a_new_name, three_papers]
BACK = {
    the_text_says_it: "the paper says “cold-infusion”.",
    a_new_name: "Cold infusion is also called “soft water”, which the paper says.",
    three_papers: "which it resembles, were accepted into Cold infusion, and the confidence rose",
}


@pytest.mark.parametrize("meanwhile", MEANWHILE, ids=lambda each: each.__name__)
@pytest.mark.parametrize("decide", SURFACES, ids=lambda each: each.__name__)
def test_a_rejected_pair_returns_on_new_evidence_alone(
    wiki: App, decide: Decide, meanwhile: Callable[[App], None]
) -> None:
    decide(wiki, "reject")
    assert standing(wiki)[0] is REJECTED
    assert run(wiki) == 0
    later = on(wiki, 2)
    meanwhile(later)
    new = BACK.get(meanwhile)
    assert run(later) == (1 if new else 0)
    status, reason = standing(wiki)
    assert status is (PROPOSED if new else REJECTED)
    assert run(later) == 0, "once, and brought up to date after that"
    assert standing(wiki) == (status, reason)
    if new:
        assert reason.startswith("Rejected on 12 May 2026; since then ")
        assert new in reason
        decide(on(wiki, 3), "reject")
        assert run(on(wiki, 4)) == 0, "the same evidence never brings it back twice"
        assert standing(wiki)[0] is REJECTED


@pytest.mark.parametrize("word", ["accept", "defer"])
@pytest.mark.parametrize("decide", SURFACES, ids=lambda each: each.__name__)
def test_what_is_linked_or_put_off_stays_so(wiki: App, decide: Decide, word: str) -> None:
    decide(wiki, word)
    before = standing(wiki)
    assert before[0] is (ACCEPTED if word == "accept" else DEFERRED)
    assert run(wiki) == 0
    later = on(wiki, 2)
    everything(later)
    assert run(later) == 0
    assert standing(wiki) == before


@pytest.mark.parametrize("word", ["accept", "reject", "defer"])
def test_what_is_undone_waits_as_before_and_is_neither_doubled_nor_withdrawn(
    wiki: App, word: str
) -> None:
    with reading(wiki.engine) as session:
        before = pair(session).model_dump()
    by_screen(wiki, word)
    with writing(wiki.engine) as session:
        review.undo(session, None, now=wiki.clock())
    with reading(wiki.engine) as session:
        assert pair(session).model_dump() == before
    assert run(wiki) == 0
    later = on(wiki, 2)
    everything(later)
    assert run(later) == 0
    with reading(wiki.engine) as session:
        after = pair(session)
        assert (after.status, after.id) == (PROPOSED, before["id"])
        assert not after.reason.startswith("Rejected")


# ---------------------------------------------------------------- a pair that came back


@pytest.fixture
def returned(wiki: App) -> App:
    """Rejected, and back because the paper says the name now."""
    by_screen(wiki, "reject")
    later = on(wiki, 2)
    the_text_says_it(later)
    assert run(later) == 1
    return later


def test_the_rejection_can_be_undone_after_the_pair_is_back(returned: App) -> None:
    with writing(returned.engine) as session:
        review.undo(session, None, now=returned.clock())
    with reading(returned.engine) as session:
        found = pair(session)
        assert (found.status, found.decided_at) == (PROPOSED, None)
        assert not found.reason.startswith("Rejected")
        assert not {links.REJECTION, links.RETURNED} & {*found.extra}
    assert run(returned) == 0
    assert not standing(returned)[1].startswith("Rejected")


def test_the_second_rejection_is_undone_before_the_first(returned: App) -> None:
    with reading(returned.engine) as session:
        newest = decisions.newest_standing(session)
        first = newest.id if newest else None
        before = pair(session).model_dump()
    by_screen(returned, "reject")
    with writing(returned.engine) as session, pytest.raises(Conflict, match="later decision"):
        review.undo(session, first, now=returned.clock())
    with writing(returned.engine) as session:
        review.undo(session, None, now=returned.clock())
    with reading(returned.engine) as session:
        assert pair(session).model_dump() == before
    assert run(on(returned, 5)) == 0
    assert standing(returned)[0] is PROPOSED


def test_a_pair_that_came_back_and_would_not_be_made_now_is_rejected_as_before(
    returned: App,
) -> None:
    with writing(returned.engine) as session:
        links.withdraw_proposals(session, pair(session).source_id, keep=set())
    with reading(returned.engine) as session:
        found = pair(session)
        assert (found.status, found.decided_at) == (REJECTED, DAY)
    assert run(on(returned, 5)) == 0, "what was weighed once brings nothing back"
    a_new_name(on(returned, 6))
    assert run(on(returned, 7)) == 1
    assert standing(returned)[1].startswith("Rejected on 12 May 2026; since then Cold infusion is")


def test_a_wikilink_that_comes_and_goes_leaves_the_pair_as_it_was(wiki: App) -> None:
    by_screen(wiki, "reject")
    with reading(wiki.engine) as session:
        before = pair(session).model_dump()
    save(on(wiki, 1), "oolong-at-rest", body="[[about::Cold infusion]] it is.")
    assert standing(wiki)[0] is ACCEPTED
    assert run(on(wiki, 2)) == 0
    save(on(wiki, 3), "oolong-at-rest", body="No more.")
    with reading(wiki.engine) as session:
        assert pair(session).model_dump() == before
    assert run(on(wiki, 4)) == 0
    assert standing(wiki)[0] is REJECTED


@pytest.mark.parametrize(
    "written",
    ["[[Cold infusion]]", "[[cold-infusion]]", "[[Night tea]]", "[[extends::Night tea|x]]"],
)
def test_what_the_text_links_is_not_proposed(wiki: App, written: str) -> None:
    save(wiki, CONCEPT, aliases=("Night tea",))
    save(wiki, "oolong-at-rest", body=f"See {written}.")
    run(on(wiki, 1))
    with reading(wiki.engine) as session:
        about = links.between(
            session,
            pages.get(session, "oolong-at-rest").id or 0,
            pages.get(session, CONCEPT).id or 0,
            Relation.ABOUT,
        )
        assert about is None


def test_what_the_concept_links_is_not_proposed(wiki: App) -> None:
    save(wiki, CONCEPT, body="As in [[Oolong at rest]].")
    run(on(wiki, 1))
    with reading(wiki.engine) as session:
        concept = pages.get(session, CONCEPT)
        assert not session.exec(
            select(Link).where(Link.target_id == concept.id, Link.status == PROPOSED)
        ).all()


def test_an_import_cannot_say_what_the_wiki_remembers(wiki: App) -> None:
    fake = {"returned": "Trust me.", "rejection": {"at": "2020-01-01"}, "resembles": [1], "ours": 1}
    load(wiki, [link(9, CONCEPT, "rejected", at=wiki.clock().isoformat(), extra=fake, **fake)])
    with reading(wiki.engine) as session:
        found = pair(session)
        memory = links.rejection(found)
        assert memory is not None
        assert memory.at == wiki.clock()
        assert links.RETURNED not in found.extra
        assert found.extra.get(links.RESEMBLES) != [1]


def test_what_was_rejected_before_there_was_a_memory_gets_one(wiki: App) -> None:
    """The first look says how things stand; what the paper says then is not new."""
    with writing(wiki.engine) as session:
        found = pair(session)
        found.status, found.extra, found.decided_at = REJECTED, {}, DAY
        session.add(found)
    the_text_says_it(on(wiki, 1))
    assert run(on(wiki, 2)) == 0
    with reading(wiki.engine) as session:
        assert links.rejection(pair(session)) is not None
    a_new_name(on(wiki, 3))
    assert run(on(wiki, 4)) == 1
    assert "is also called" in standing(wiki)[1]


def test_a_pair_decided_while_the_linker_was_thinking_stays_decided(wiki: App) -> None:
    from app.services import linker

    by_screen(wiki, "reject")
    later = on(wiki, 2)
    the_text_says_it(later)
    with reading(wiki.engine) as session:
        work = linker.read(session, None, [linker.page_of(session, PAPER)])
    proposals = linker.rank_papers(work, EAGER)
    assert any(each.returns for each in proposals)
    with writing(wiki.engine) as session:
        found = pair(session)
        links.reject(session, found, at=later.clock())
    with writing(wiki.engine) as session:
        assert linker.store(session, work, proposals, now=later.clock()) == 0
    assert standing(wiki)[0] is REJECTED


def test_a_concept_that_went_into_another_meanwhile_gets_no_proposal(wiki: App) -> None:
    from app.services import linker

    with writing(wiki.engine) as session:
        session.delete(pair(session))
    with reading(wiki.engine) as session:
        work = linker.read(session, None, [linker.page_of(session, PAPER)])
    proposals = linker.rank_papers(work, EAGER)
    with writing(wiki.engine) as session:
        page = pages.get(session, CONCEPT)
        page.kind = PageKind.MERGED
        session.add(page)
        gone = page.id
    with writing(wiki.engine) as session:
        linker.store(session, work, proposals, now=wiki.clock())
    with reading(wiki.engine) as session:
        assert not session.exec(
            select(Link).where(Link.target_id == gone, Link.status == PROPOSED)
        ).all()


def test_a_quotation_that_the_text_lost_goes_from_what_was_put_off(wiki: App) -> None:
    quoted = "Cold infusion of oolong takes a night."
    save(wiki, "oolong-at-rest", body=f"{quoted} Cups are mild.")
    run(wiki)
    with reading(wiki.engine) as session:
        assert quoted in [each["quotation"] for each in pair(session).evidence]
    by_screen(wiki, "defer")
    save(on(wiki, 1), "oolong-at-rest", body="Another text.")
    run(on(wiki, 2))
    with reading(wiki.engine) as session:
        assert quoted not in [each["quotation"] for each in pair(session).evidence]


def test_a_quotation_that_the_text_lost_goes_from_what_waits_of_a_linked_paper(wiki: App) -> None:
    quoted = "Cold infusion of oolong takes a night."
    save(wiki, "oolong-at-rest", body=f"{quoted} Cups are mild.")
    Worker(wiki).once("test")
    with writing(wiki.engine) as session:
        assert quoted in [each["quotation"] for each in pair(session).evidence]
        paper, bridges = (
            pages.get(session, slug).id or 0 for slug in ("oolong-at-rest", "bridges")
        )
        make_link(session, paper, bridges, Relation.ABOUT)
    save(on(wiki, 1), "oolong-at-rest", body="Another text.")
    assert Worker(on(wiki, 2)).once("test") > 0
    with reading(wiki.engine) as session:
        found = session.exec(select(Link).where(Link.status == PROPOSED)).all()
        assert quoted not in [each["quotation"] for one in found for each in one.evidence]
    assert Worker(on(wiki, 2)).once("test") == 0


# ---------------------------------------------------------------- what is told


def test_what_it_resembles_is_told_on_every_surface(
    wiki: App, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    later = on(wiki, 1)
    with TestClient(create(later), base_url="http://127.0.0.1:8000") as client:
        screen = client.get("/review").text
        assert "Resembles" in screen
        assert '<a href="/w/water-for-leaves">Water for leaves</a>' in screen
        [waiting] = [
            each
            for each in client.get("/api/v1/review").json()["proposals"]
            if each["target"]["slug"] == CONCEPT
        ]
        like = {"slug": "water-for-leaves", "title": "Water for leaves"}
        assert like in waiting["resembles"]
        candidates = client.get(f"/api/v1/papers/{PAPER}/candidates").json()["candidates"]
        assert like in candidates[0]["resembles"]
    rows = link_now(later, paper=PAPER)[0]
    assert like in rows[0]["resembles"]
    assert json.dumps(rows)
    monkeypatch.setattr(cli, "_open", lambda: later)
    cli.review(as_json=True)
    listed = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert like in next(each for each in listed if each.get("target") == CONCEPT)["resembles"]


def test_a_page_that_it_resembled_may_go_or_be_renamed(wiki: App) -> None:
    with writing(wiki.engine) as session:
        page = pages.get(session, "water-for-leaves")
        page.kind = PageKind.MERGED
        session.add(page)
        page = pages.get(session, "tannins-of-leaves")
        page.title = "Tannins anew"
        session.add(page)
    with TestClient(create(wiki), base_url="http://127.0.0.1:8000") as client:
        screen = client.get("/review").text
        assert "Tannins anew" in screen
        assert "water-for-leaves" not in screen
