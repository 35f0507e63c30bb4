"""Pages that are taken out of the wiki: what goes with them, and that all of it comes back."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, select

from app.domain.identifiers import PaperId
from app.domain.queries import Filters, parse_query
from app.domain.records import (
    GONE,
    Alias,
    Change,
    ChangeKind,
    Decision,
    Digest,
    Link,
    LinkStatus,
    LooseLink,
    Origin,
    Page,
    PageKind,
    PageText,
    Paper,
    PaperState,
    Prediction,
    PredictionTouch,
    Question,
    RedLink,
    Relation,
    Revision,
    Thread,
    Verdict,
)
from app.errors import Conflict, NotFound
from app.services import review
from app.store import decisions, joining, links, pages, papers, questions, removal, search
from app.store.pages import PERSON, Content
from tests.factories import THEN, every_row, linked

LATER = THEN + timedelta(hours=1)


def page(
    session: Session,
    title: str,
    body: str = "",
    *aliases: str,
    kind: PageKind = PageKind.CONCEPT,
    tags: tuple[str, ...] = (),
) -> Page:
    content = Content(title=title, kind=kind, body=body, aliases=aliases, tags=tags)
    return pages.create(session, content, author=PERSON, now=THEN)


def kept(session: Session, title: str, *identifiers: str) -> tuple[Paper, Page]:
    paper = Paper(state=PaperState.WAITING, title=title, title_key=title.lower(), created_at=THEN)
    session.add(paper)
    session.flush()
    papers.add_identifiers(session, paper, [PaperId("arxiv", each) for each in identifiers])
    return paper, papers.give_page(session, paper, now=THEN)


def remove(session: Session, *gone: Page, **values: Any) -> list[Decision]:
    return removal.remove_all(session, gone, now=LATER, **values)


def state(session: Session) -> dict[str, list[dict[str, Any]]]:
    """Every row of the wiki, but for the record of removals themselves."""
    rows = every_row(session, but=("change", "decision"))
    others = sa.select(Change.__table__).where(Change.kind != ChangeKind.REMOVE)  # type: ignore[attr-defined]
    rows["change"] = [dict(row._mapping) for row in session.connection().execute(others)]
    return rows


def red(session: Session) -> list[tuple[int, str]]:
    return sorted(session.exec(select(RedLink.page_id, RedLink.name)).all())


def test_what_linked_to_it_is_red_and_leads_back_when_it_is_restored(session: Session) -> None:
    writer = page(session, "Essay", "See [[KV cache]], [[caches]] and [[Other]].")
    gone = page(session, "KV cache", "Says [[Essay]] and [[Nowhere]].", "caches", tags=("memory",))
    before = state(session)
    (decision,) = remove(session, gone, reason="  twice here ")
    assert (gone.kind, gone.slug) == (PageKind.REMOVED, "kv-cache-removed")
    assert (decision.who, decision.reason) == ("person", "twice here")
    assert red(session) == [(writer.id, "KV cache"), (writer.id, "Other"), (writer.id, "caches")]
    assert pages.named(session, "KV cache") is pages.named(session, "caches") is None
    assert pages.by_slug(session, "kv-cache") is None
    assert session.exec(select(Link).where(Link.status == LinkStatus.ACCEPTED)).all() == []
    assert session.exec(select(Revision).where(Revision.page_id == gone.id)).one().body
    removal.restore(session, gone, now=LATER)
    assert state(session) == before


def test_no_list_and_no_search_has_it(session: Session) -> None:
    stays, gone = page(session, "Stays", "quantised text"), page(session, "Goes", "quantised text")
    remove(session, gone)
    assert [row.slug for row in pages.listed(session)] == ["stays"]
    assert [row.slug for row in pages.listed(session, recent=True)] == ["stays"]
    assert (pages.count(session), pages.letters(session)) == (1, ["s"])
    found = search.match(session, parse_query("quantised"), Filters())
    assert [page_id for page_id, _ in found.ranked] == [stays.id]
    assert search.complete(session, "goes") == ()
    assert session.get(PageText, gone.id) is None
    assert search.named(session, "goes-removed", parse_query("goes-removed"), Filters()) == []


def test_links_of_every_status_rest_and_stand_again(session: Session) -> None:
    gone = page(session, "Cache")
    made = [
        linked(session, page(session, f"P{status}", kind=PageKind.PAPER), gone, status, note="n")
        for status in LinkStatus
    ]
    decisions.decide_link(session, made[0], Verdict.ACCEPT, now=THEN)
    before = state(session)
    remove(session, gone)
    session.expire_all()
    assert {each.status for each in made} == {LinkStatus.REJECTED}
    assert links.count(session) == 0, "nothing waits in Review"
    assert decisions.newest_of(session, made[0].id or 0) is not None, "the decision stays on record"
    removal.restore(session, gone, now=LATER)
    assert state(session) == before


def test_a_decision_about_one_of_its_links_is_undone_after_it_is_back(session: Session) -> None:
    gone = page(session, "Cache")
    link_row = linked(session, page(session, "P"), gone, LinkStatus.PROPOSED)
    decided = decisions.decide_link(session, link_row, Verdict.REJECT, now=THEN)
    remove(session, gone)
    with pytest.raises(Conflict, match=r"Cache was removed since\. Put it back first"):
        review.undo(session, decided.id, now=LATER)
    removal.restore(session, gone, now=LATER)
    review.undo(session, decided.id, now=LATER)
    assert link_row.status == LinkStatus.PROPOSED


def test_a_paper_is_dropped_and_kept_again(session: Session) -> None:
    paper, gone = kept(session, "A paper", "2401.00001")
    article = page(session, "An article", kind=PageKind.ARTICLE)
    joining.link(session, article.id or 0, Relation.COVERS, gone.id or 0, at=THEN)
    questions.add(session, gone.id or 0, ["Why?"], day="2026-05-01")
    before = state(session)
    (decision,) = remove(session, gone)
    assert (paper.state, paper.page_id) == (PaperState.DROPPED, None)
    assert decisions.last(session, paper_id=paper.id) is decision, "no import keeps it again"
    loose = session.exec(select(LooseLink)).one()
    assert (loose.source_id, loose.paper_id) == (article.id, paper.id)
    assert session.exec(select(Question)).all() == []
    review.undo(session, decision.id, now=LATER)
    assert state(session) == before


def test_a_thread_a_digest_and_predictions_go_and_come(session: Session) -> None:
    thread = page(session, "A thread", kind=PageKind.THREAD)
    digest = page(session, "A digest", kind=PageKind.DIGEST)
    toucher = page(session, "Toucher", kind=PageKind.PAPER)
    session.add(Thread(page_id=thread.id or 0, claim="It holds."))
    session.add(Digest(page_id=digest.id or 0, day="2026-05-08", framing="f", told_at=THEN))
    foretold = Prediction(
        page_id=digest.id or 0, key="k", text="t", origin=Origin.IMPORT, created_at=THEN
    )
    session.add(foretold)
    session.flush()
    session.add(
        PredictionTouch(
            prediction_id=foretold.id or 0,
            page_id=toucher.id or 0,
            confidence=1,
            quotation="q",
            dismissed=True,
        )
    )
    linked(session, toucher, thread, relation=Relation.PART_OF, day="2026-05-02")
    pages.reindex(session, thread)
    before = state(session)
    remove(session, thread, digest, toucher)
    for table in (Thread, Digest, Prediction, PredictionTouch):
        assert session.exec(select(table)).all() == [], table  # type: ignore[call-overload]
    for each in (digest, toucher, thread):
        removal.restore(session, each, now=LATER)
    after = state(session)
    for name, rows in before.items():
        if (
            name != "prediction_touch"
        ):  # of two that went together the one that came back first has it
            assert after[name] == rows, name


def test_an_id_that_was_given_again_meanwhile_is_left_to_its_new_row(session: Session) -> None:
    gone, other = page(session, "Asks", kind=PageKind.PAPER), page(session, "Other")
    questions.add(session, gone.id or 0, ["Why?"], day="")
    asked = session.exec(select(Question)).one().id
    answer = linked(session, other, gone, relation=Relation.ANSWERS, question_id=asked)
    remove(session, gone)
    questions.add(session, other.id or 0, ["Another?"], day="")
    removal.restore(session, gone, now=LATER)
    session.expire_all()
    (back,) = pages.questions_of(session, gone.id or 0)
    (stands,) = pages.questions_of(session, other.id or 0)
    assert (back.text, stands.text) == ("Why?", "Another?")
    assert answer.question_id == back.id


def test_a_taken_address_is_left_to_whoever_has_it(session: Session) -> None:
    gone = page(session, "KV cache", "", "caches")
    remove(session, gone)
    new = page(session, "KV cache", "Written anew.")
    undo = removal.restore(session, gone, now=LATER)
    assert (new.slug, gone.slug) == ("kv-cache", "kv-cache-2")
    assert undo.reason == "Its address kv-cache was taken: it is at kv-cache-2 now."
    assert pages.named(session, "caches") is not None


def test_a_former_address_that_leads_elsewhere_by_now_stays_there(session: Session) -> None:
    gone = page(session, "Cache")
    pages.rename(session, gone, "store", now=THEN)
    remove(session, gone)
    page(session, "Cache")
    removal.restore(session, gone, now=LATER)
    assert [row.name for row in session.exec(select(Alias))] == []


def test_of_several_at_one_address_the_last_one_removed_is_meant(session: Session) -> None:
    first = page(session, "Cache", "first")
    remove(session, first)
    second = page(session, "Cache", "second")
    remove(session, second)
    like_it = page(session, "Cache removed")
    assert second.slug == "cache-removed-2"
    remove(session, like_it)
    assert removal.removed_at(session, "cache") is second
    assert removal.removed_at(session, "cache-removed-3") is like_it
    assert removal.removed_at(session, "nowhere") is removal.removed_at(session, "ca") is None
    removal.restore(session, second, now=LATER)
    assert removal.removed_at(session, "cache") is first
    assert removal.address(session, first) == "cache"
    with pytest.raises(NotFound, match="Cache was not removed"):
        removal.standing(session, second)


def test_it_can_happen_again_and_only_to_a_page(session: Session) -> None:
    gone = page(session, "Cache")
    with pytest.raises(NotFound, match="was not removed"):
        removal.restore(session, gone, now=LATER)
    for _ in range(2):
        (decision,) = remove(session, gone)
        with pytest.raises(Conflict, match="removed already"):
            remove(session, gone)
        removal.restore(session, gone, now=LATER)
        with pytest.raises(Conflict, match="undone already"):
            review.undo(session, decision.id, now=LATER)
    assert gone.slug == "cache"
    kinds = session.exec(select(Change.kind, Change.status)).all()
    assert kinds == [(ChangeKind.REMOVE, LinkStatus.REJECTED)] * 2


def test_what_came_since_in_its_place_stands_in_the_way(session: Session) -> None:
    paper, gone = kept(session, "A paper", "2401.00001")
    told = page(session, "Digest of a day", kind=PageKind.DIGEST)
    session.add(Digest(page_id=told.id or 0, day="2026-05-08"))
    remove(session, gone, told)
    paper.state = PaperState.WAITING
    again = papers.give_page(session, paper, now=LATER)
    new = page(session, "Told anew", kind=PageKind.DIGEST)
    session.add(Digest(page_id=new.id or 0, day="2026-05-08"))
    session.flush()
    with pytest.raises(Conflict, match=f"a page again since: {again.slug}"):
        removal.restore(session, gone, now=LATER)
    with pytest.raises(Conflict, match="another digest of 2026-05-08 since: told-anew"):
        removal.restore(session, told, now=LATER)
    remove(session, again, new)
    removal.restore(session, gone, now=LATER)
    removal.restore(session, told, now=LATER)
    assert paper.page_id == gone.id and gone.kind == PageKind.PAPER


def test_what_is_merged_is_no_page_to_remove_and_its_heir_is_one(session: Session) -> None:
    one, other = page(session, "Caches"), page(session, "Cache", "Text.")
    merged = review.merge(session, "caches", "Cache", now=THEN)
    with pytest.raises(Conflict, match="merged into another page already"):
        remove(session, one)
    remove(session, other)
    with pytest.raises(Conflict, match=r"Cache was removed since\. Put it back first"):
        review.undo(session, merged.id, now=LATER)
    removal.restore(session, other, now=LATER)
    review.undo(session, merged.id, now=LATER)
    assert {one.kind, other.kind} == {PageKind.CONCEPT}


def test_a_page_that_a_decision_made_is_not_lost_when_both_are_undone(session: Session) -> None:
    change = Change(
        kind=ChangeKind.CONCEPT,
        key="concept:paging",
        title="Paging",
        status=LinkStatus.PROPOSED,
        origin=Origin.LINKER,
        created_at=THEN,
    )
    session.add(change)
    session.flush()
    made = review.decide(session, f"c{change.id}", Verdict.ACCEPT, now=THEN)
    gone = pages.get(session, "paging")
    remove(session, gone)
    with pytest.raises(Conflict, match="worked on since"):
        review.undo(session, made.id, now=LATER)
    removal.restore(session, gone, now=LATER)
    review.undo(session, made.id, now=LATER)
    assert pages.by_slug(session, "paging") is None


@pytest.mark.parametrize("seed", range(12))
def test_any_small_wiki_is_as_it_was_whatever_comes_back_first(session: Session, seed: int) -> None:
    random = Random(seed)
    names = ["Cache", "Caches", "cache store", "Memory", "Store", "Key cache"]
    texts = ["", "See [[Cache]] and [[about::Caches]].", "[[Store]] or [[cache-store]]; [[Red]]."]
    made = [
        page(
            session,
            name,
            random.choice([*texts, f"[[{random.choice(names)}]] again."]),
            *random.sample([f"{name} too", *names, "Red"], random.randint(0, 2)),
            tags=tuple(random.sample(["a", "b"], random.randint(0, 2))),
        )
        for name in random.sample(names, 5)
    ]
    for number in range(4):
        _, new = kept(session, f"Paper {number}", f"2401.0000{number}")
        made.append(new)
    if random.random() < 0.5:
        pages.rename(session, made[0], "another-address", now=THEN)
    for _ in range(30):
        source, target = random.sample(made, 2)
        relation = random.choice([Relation.ABOUT, Relation.MENTIONS, Relation.COVERS])
        if links.between(session, source.id or 0, target.id or 0, relation) is None:
            said = {"origin": Origin.IMPORT} if relation == Relation.COVERS else {}
            linked(session, source, target, random.choice(list(LinkStatus)), relation, **said)
    for each in made:  # some texts now say what was proposed or decided before
        pages.relink(session, each, now=THEN)
    before = state(session)
    gone = random.sample(made, 5)
    remove(session, *gone[:2])
    for each in gone[2:]:
        remove(session, each)
    shown = select(Link).where(Link.status != LinkStatus.REJECTED)
    ids = {each.id for each in session.exec(select(Page)) if each.kind in GONE}
    assert [row for row in session.exec(shown) if ids & {row.source_id, row.target_id}] == []
    assert not ids & set(session.exec(select(RedLink.page_id)))
    random.shuffle(gone)
    for each in gone:
        removal.restore(session, each, now=LATER)
    after = state(session)
    for table, rows in before.items():
        assert after[table] == rows, table
