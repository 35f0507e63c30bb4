"""Concepts that become one, or two: what moves, what is decided of what collides, what comes back."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from sqlmodel import Session, select

from app.domain.records import (
    Change,
    ChangeKind,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    Question,
    RedLink,
    Relation,
    Rule,
)
from app.errors import Conflict, Invalid
from app.store import changes, concepts, links, pages
from app.store.pages import PERSON, Content
from tests.factories import THEN, every_row, linked

LATER = THEN + timedelta(hours=1)


def concept(session: Session, title: str, body: str = "", *aliases: str, tags: Any = ()) -> Page:
    content = Content(
        title=title, kind=PageKind.CONCEPT, body=body, aliases=tuple(aliases), tags=tuple(tags)
    )
    return pages.create(session, content, author=PERSON, now=THEN)


def paper(session: Session, title: str, body: str = "") -> Page:
    content = Content(title=title, kind=PageKind.PAPER, body=body)
    return pages.create(session, content, author=PERSON, now=THEN)


def merged(session: Session, source: Page, target: Page) -> concepts.Memory:
    return concepts.merge(session, source, target, author=PERSON, now=LATER)


def unmerged(session: Session, source: Page, target: Page, memory: concepts.Memory) -> None:
    concepts.unmerge(session, source, target, memory, author=PERSON, now=LATER)


def pair(session: Session, source: Page, target: Page) -> Link | None:
    assert source.id is not None and target.id is not None
    session.expire_all()
    return links.between(session, source.id, target.id, Relation.ABOUT)


def state(session: Session) -> dict[str, list[dict[str, Any]]]:
    """Every row of the wiki, apart from its history: that goes on."""
    rows = every_row(session, but=("revision",))
    for row in rows["page"]:
        row["version"] = row["updated_at"] = None
    for row in rows["alias"]:
        row["id"] = None  # made anew whenever the names of a page change
    return {name: sorted(found, key=repr) for name, found in rows.items()}


def test_a_merged_page_gives_away_its_names_and_its_links(session: Session) -> None:
    source = concept(session, "KV caches", "", "key value caches", tags=["memory"])
    target = concept(session, "KV cache", "What is kept of earlier tokens.")
    one, text = paper(session, "One"), paper(session, "Text", "It fills [[KV caches]] quickly.")
    linked(session, one, source)
    memory = merged(session, source, target)

    assert memory["links"]["moved"]["target_id"]
    assert source.kind == PageKind.MERGED
    for name in ("KV caches", "kv-caches", "key value caches"):
        found = pages.named(session, name)
        assert found is not None and found.id == target.id, name
    assert pages.named(session, source.slug) is None
    assert pages.aliases_of(session, target.id or 0) == ["KV caches", "key value caches"]
    assert pages.tags_of(session, target.id or 0) == ["memory"]
    assert pair(session, one, target) is not None
    assert links.between(session, text.id or 0, target.id or 0, Relation.MENTIONS) is not None
    heir = concepts.heir(session, source.id or 0)
    assert heir is None, "nobody decided a merge here: only that leads on"


def test_a_merge_never_loses_a_text(session: Session) -> None:
    source = concept(session, "KV caches", "A person wrote this.")
    target, other = concept(session, "KV cache"), concept(session, "Caches", "And this.")
    memory = merged(session, source, target)
    assert target.body == "A person wrote this."
    unmerged(session, source, target, memory)
    assert (source.body, target.body) == ("A person wrote this.", "")
    memory = merged(session, source, other)
    both = "And this.\n\n## KV caches\n\nA person wrote this."
    assert (source.body, other.body) == ("A person wrote this.", both)
    history = pages.revisions(session, other.id or 0)
    assert history[0].note == "KV caches went into this page"
    edited = Content(title="Caches", kind=PageKind.CONCEPT, body=f"First. {both}")
    pages.revise(session, other, edited, author=PERSON, now=LATER)
    unmerged(session, source, other, memory)
    assert (source.body, other.body) == ("A person wrote this.", "First. And this.")


def test_a_text_that_is_there_already_is_not_added_again(session: Session) -> None:
    source = concept(session, "KV caches", "The same text.")
    target = concept(session, "KV cache", "Before. The same text. After.")
    merged(session, source, target)
    assert target.body == "Before. The same text. After."


def test_a_paper_that_the_concept_does_not_hold_cannot_be_split_off(session: Session) -> None:
    source, other = concept(session, "KV cache"), paper(session, "Other")
    with pytest.raises(Invalid, match=f"holds no paper {other.id}"):
        concepts.split(
            session,
            source,
            title="Paging",
            aliases=[],
            members=[other.id or 0],
            author=PERSON,
            now=LATER,
        )


@pytest.mark.parametrize(
    ("at_source", "at_target", "left"),
    [
        (LinkStatus.ACCEPTED, LinkStatus.REJECTED, LinkStatus.ACCEPTED),
        (LinkStatus.REJECTED, LinkStatus.ACCEPTED, LinkStatus.ACCEPTED),
        (LinkStatus.REJECTED, LinkStatus.DEFERRED, LinkStatus.REJECTED),
        (LinkStatus.REJECTED, LinkStatus.PROPOSED, LinkStatus.REJECTED),
        (LinkStatus.PROPOSED, LinkStatus.DEFERRED, LinkStatus.DEFERRED),
        (LinkStatus.ACCEPTED, LinkStatus.ACCEPTED, LinkStatus.ACCEPTED),
    ],
)
def test_of_two_links_that_become_one_the_more_decided_speaks(
    session: Session, at_source: LinkStatus, at_target: LinkStatus, left: LinkStatus
) -> None:
    source, target = concept(session, "KV caches"), concept(session, "KV cache")
    one = paper(session, "One")
    linked(session, one, source, at_source, evidence=[{"quotation": "of the source"}])
    linked(session, one, target, at_target, evidence=[{"quotation": "of the target"}])
    before = state(session)
    memory = merged(session, source, target)
    kept = pair(session, one, target)
    assert kept is not None and kept.status == left
    assert {each["quotation"] for each in kept.evidence} == {"of the source", "of the target"}
    unmerged(session, source, target, memory)
    assert state(session) == before


def test_links_between_the_two_vanish_and_come_back(session: Session) -> None:
    source = concept(session, "KV caches", "As [[KV cache]] says.")
    target = concept(session, "KV cache", "Many are [[KV caches]].")
    linked(session, source, target, relation=Relation.BROADER)
    before = state(session)
    memory = merged(session, source, target)
    both = (source.id, target.id)
    shown = [
        each
        for each in session.exec(select(Link))
        if {each.source_id, each.target_id} <= set(both) and each.status == LinkStatus.ACCEPTED
    ]
    assert shown == []
    assert links.counts(session, target.id or 0) == {"incoming": 0, "outgoing": 0, "threads": 0}
    unmerged(session, source, target, memory)
    assert state(session) == before


def test_what_else_hangs_on_a_page_moves_with_it(session: Session) -> None:
    source, target = concept(session, "KV caches"), concept(session, "KV cache")
    third = concept(session, "Caching")
    assert source.id and target.id and third.id
    session.add(Question(page_id=source.id, number=1, text="How large?"))
    session.add(Question(page_id=target.id, number=1, text="How fast?"))
    session.add(Rule(concept_id=source.id, least=0.9, created_at=THEN))
    for other, status in ((third.id, LinkStatus.REJECTED), (target.id, LinkStatus.PROPOSED)):
        session.add(
            Change(
                kind=ChangeKind.MERGE,
                key=changes.merge_key(source.id, other),
                title="",
                source_id=source.id,
                target_id=other,
                status=status,
                origin=Origin.LINKER,
                created_at=THEN,
            )
        )
    before = state(session)
    memory = merged(session, source, target)
    asked = [(each.number, each.text) for each in pages.questions_of(session, target.id)]
    assert asked == [(1, "How fast?"), (2, "How large?")]
    assert session.exec(select(Rule.concept_id)).one() == target.id
    no = changes.keyed(session, [changes.merge_key(target.id, third.id)])
    assert [each.status for each in no.values()] == [LinkStatus.REJECTED], "the no is remembered"
    assert changes.count(session) == 0
    unmerged(session, source, target, memory)
    assert state(session) == before


def test_a_merged_page_is_met_nowhere_and_takes_no_edit(session: Session) -> None:
    source, target = concept(session, "KV caches", "[[Nowhere]]"), concept(session, "KV cache", "x")
    merged(session, source, target)
    assert [row.slug for row in pages.listed(session)] == ["kv-cache"]
    assert [row.slug for row in pages.listed(session, recent=True)] == ["kv-cache"]
    assert pages.count(session) == 1
    assert pages.kinds(session) == [(PageKind.CONCEPT, 1)]
    assert pages.letters(session) == ["k"]
    assert pages.orphans(session) == [target.id]
    assert [row[2] for row in pages.wanted(session)] == [1], "the text stands in one page now"
    content = Content(title="New", kind=PageKind.CONCEPT)
    with pytest.raises(Conflict, match="went into another page"):
        pages.revise(session, source, content, author=PERSON, now=LATER)
    with pytest.raises(Conflict, match="went into another page"):
        pages.rename(session, source, "elsewhere", now=LATER)
    with pytest.raises(Invalid, match="by a merge alone"):
        pages.create(session, Content(title="New", kind=PageKind.MERGED), author=PERSON, now=LATER)


def test_only_two_different_concepts_become_one(session: Session) -> None:
    source, one = concept(session, "KV caches"), paper(session, "One")
    with pytest.raises(Invalid, match="this very page"):
        merged(session, source, source)
    with pytest.raises(Invalid, match="One is no concept"):
        merged(session, source, one)


def test_merges_chain_and_are_undone_from_the_last_one_back(session: Session) -> None:
    first, second, third = (concept(session, name) for name in ("A first", "B second", "C third"))
    one = paper(session, "One", "About [[A first]].")
    linked(session, one, first)
    before = state(session)
    into_second = merged(session, first, second)
    between = state(session)
    into_third = merged(session, second, third)
    found = pages.named(session, "a-first")
    assert found is not None and found.id == third.id
    assert pair(session, one, third) is not None
    with pytest.raises(Conflict, match="B second went into"):
        unmerged(session, first, second, into_second)
    unmerged(session, second, third, into_third)
    assert state(session) == between
    unmerged(session, first, second, into_second)
    assert state(session) == before


def test_what_was_done_since_a_merge_stays_where_it_is(session: Session) -> None:
    source, target = concept(session, "KV caches"), concept(session, "KV cache")
    one, two = paper(session, "One"), paper(session, "Two")
    moved = linked(session, one, source, LinkStatus.PROPOSED)
    memory = merged(session, source, target)
    moved.status = LinkStatus.ACCEPTED
    session.add(moved)
    linked(session, two, target)
    edited = Content(title="KV cache", kind=PageKind.CONCEPT, body="Written since.")
    pages.revise(session, target, edited, author=PERSON, now=LATER)
    unmerged(session, source, target, memory)
    back, stayed = pair(session, one, source), pair(session, two, target)
    assert back is not None and back.status == LinkStatus.ACCEPTED
    assert stayed is not None
    assert target.body == "Written since."


def test_an_address_that_somebody_took_is_in_the_way(session: Session) -> None:
    source, target = concept(session, "KV caches"), concept(session, "KV cache")
    memory = merged(session, source, target)
    pages.rename(session, concept(session, "Another"), "kv-caches", now=LATER)
    with pytest.raises(Conflict, match="Another lives at 'kv-caches' now"):
        unmerged(session, source, target, memory)


@pytest.mark.parametrize("seed", range(12))
def test_undo_restores_every_row_of_any_small_wiki(session: Session, seed: int) -> None:
    random = Random(seed)
    names = ["Cache", "Caches", "cache store", "Memory", "Store", "Key cache"]
    texts = ["", "See [[Cache]] and [[about::Caches]].", "[[Store]] or [[cache-store]]; [[Red]]."]
    made = [
        concept(
            session,
            name,
            random.choice([*texts, f"[[{random.choice(names)}]] again."]),
            *random.sample([f"{name} too", *names, "Red"], random.randint(0, 2)),
            tags=random.sample(["a", "b"], random.randint(0, 2)),
        )
        for name in random.sample(names, 5)
    ]
    made += [paper(session, f"Paper {n}", random.choice(texts)) for n in range(5)]
    if random.random() < 0.5:
        pages.rename(session, made[0], "another-address", now=THEN)
    for _ in range(30):
        source, target = random.sample(made, 2)
        relation = random.choice([Relation.ABOUT, Relation.MENTIONS, Relation.BROADER])
        if links.between(session, source.id or 0, target.id or 0, relation) is None:
            status = random.choice(list(LinkStatus))
            evidence = [{"quotation": f"{source.title} {random.random()}"}]
            linked(session, source, target, status, relation, evidence=evidence, note="n")
    for page in made:  # some texts now say what was proposed or decided before
        pages.relink(session, page, now=THEN)
    kept: list[tuple[Page, Page, concepts.Memory]] = []
    states = [state(session)]
    for _ in range(3):
        alive = [page for page in made if page.kind == PageKind.CONCEPT]
        source, target = random.sample(alive, 2)
        kept.append((source, target, merged(session, source, target)))
        states.append(state(session))
        standing = select(Link).where(Link.status != LinkStatus.REJECTED)
        gone = {page.id for page in made if page.kind == PageKind.MERGED}
        touching = [
            each for each in session.exec(standing) if gone & {each.source_id, each.target_id}
        ]
        assert touching == [], "a merged page has no link that shows"
        assert not gone & set(session.exec(select(RedLink.page_id)))
    for source, target, memory in reversed(kept):
        states.pop()
        unmerged(session, source, target, memory)
        again = state(session)
        for table, rows in states[-1].items():
            assert again[table] == rows, table


# ---------------------------------------------------------------- split


def divided(session: Session, source: Page, members: list[Page]) -> tuple[Page, concepts.Memory]:
    return concepts.split(
        session,
        source,
        title="Paged cache",
        aliases=["paged attention"],
        members=[page.id or 0 for page in members],
        author=PERSON,
        now=LATER,
    )


def test_a_split_moves_names_and_papers_and_undo_brings_them_back(session: Session) -> None:
    source = concept(session, "Cache", "Its text.", "paged attention", "caching")
    one, two = paper(session, "One", "By [[paged attention]]."), paper(session, "Two")
    linked(session, one, source)
    linked(session, two, source)
    before = state(session)
    made, memory = divided(session, source, [one])
    assert made.title == "Paged cache" and made.kind == PageKind.CONCEPT
    assert pages.aliases_of(session, source.id or 0) == ["caching"]
    assert pair(session, one, made) is not None and pair(session, one, source) is None
    assert pair(session, two, source) is not None
    assert links.between(session, one.id or 0, made.id or 0, Relation.MENTIONS) is not None
    concepts.unsplit(session, source, memory, author=PERSON, now=LATER)
    after = state(session)
    assert sorted(pages.aliases_of(session, source.id or 0)) == ["caching", "paged attention"]
    for table in set(before) - {"alias", "link", "page_text"}:
        assert after[table] == before[table], table
    edges = [
        sorted((row["source_id"], row["target_id"], row["relation"]) for row in rows["link"])
        for rows in (before, after)
    ]
    assert edges[0] == edges[1]


def test_a_split_that_was_worked_on_stays(session: Session) -> None:
    source = concept(session, "Cache", "", "paged attention")
    one, two = paper(session, "One"), paper(session, "Two")
    linked(session, one, source)
    made, memory = divided(session, source, [one])
    linked(session, two, made)
    with pytest.raises(Conflict, match="worked on since"):
        concepts.unsplit(session, source, memory, author=PERSON, now=LATER)


def test_a_split_needs_a_concept_and_a_title_of_its_own(session: Session) -> None:
    source = concept(session, "Paged cache")
    with pytest.raises(Invalid, match="title of its own"):
        divided(session, source, [])
    with pytest.raises(Invalid, match="only a concept"):
        divided(session, paper(session, "One"), [])


# ---------------------------------------------------------------- a new concept


def written(session: Session, members: list[int]) -> tuple[Page, concepts.Memory]:
    return concepts.write(
        session,
        Content(title="Paged cache", kind=PageKind.CONCEPT, body="It pages.", aliases=("Cache",)),
        members,
        origin=Origin.LINKER,
        confidence=0.7,
        evidence=[{"quotation": "we page it", "page": "one"}, {"quotation": "no", "page": "two"}],
        author=PERSON,
        now=LATER,
        note="proposed",
    )


def test_a_new_concept_holds_the_members_that_are_still_papers(session: Session) -> None:
    one, no_paper = paper(session, "One"), concept(session, "Cache")
    page, memory = written(session, [one.id or 0, no_paper.id or 0, 4711])
    held = pair(session, one, page)
    assert held is not None and held.status == LinkStatus.ACCEPTED
    assert [each["quotation"] for each in held.evidence] == ["we page it"]
    assert memory["links"] == [held.id]
    assert pages.aliases_of(session, page.id or 0) == [], "the other name is a page's already"
    with pytest.raises(Conflict, match="page of that name already: Paged cache"):
        written(session, [])


def test_a_page_nobody_worked_on_is_taken_away_again(session: Session) -> None:
    one = paper(session, "One", "Of the [[Paged cache]].")
    before = state(session)
    page, memory = written(session, [one.id or 0])
    assert pages.wanted(session) == []
    concepts.take_page(session, page, but=memory["links"], now=LATER)
    assert state(session) == before
    page, memory = written(session, [one.id or 0])
    edited = Content(title="Paged cache", kind=PageKind.CONCEPT, body="A person's text.")
    pages.revise(session, page, edited, author=PERSON, now=LATER)
    with pytest.raises(Conflict, match="worked on since"):
        concepts.take_page(session, page, but=memory["links"], now=LATER)
