"""A wiki restored from its vault alone, and what is derived made anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, col, select

from app.domain.records import (
    Alias,
    AliasKind,
    AuthorKind,
    Change,
    ChangeKind,
    Decision,
    Digest,
    Episode,
    Identifier,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    PageText,
    Paper,
    PaperState,
    Prediction,
    Question,
    QuestionState,
    RedLink,
    Relation,
    Revision,
    Role,
    Source,
    SourceKind,
    Thread,
    ThreadStatus,
    Verdict,
)
from app.errors import Conflict, NotFound
from app.services import pages as saving
from app.services import rebuild, review
from app.services.vault.sync import Sync
from app.store import changes, links, mirror, pages, papers, threads
from app.store.db import reading, writing
from app.store.pages import IMPORT, PERSON, Content
from app.vault import journal
from app.vault.folder import Vault
from tests.factories import make_engine
from tests.services.vault.synced import Clock

NOW = datetime(2026, 5, 14, 9, 0, tzinfo=UTC)
LATER = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)


def _sync(engine: Engine, root: Path) -> None:
    sync = Sync(engine, Vault(root), clock=lambda: NOW, monotonic=Clock())
    sync.open()
    for _ in range(4):
        sync.look()
        sync.look()
        sync.write()
    sync.tell_decisions()


def _wiki(session: Session) -> None:
    """One of everything that a vault holds."""
    memory = pages.create(
        session,
        Content(
            title="KV cache",
            kind=PageKind.CONCEPT,
            body="It grows. See [[Attention]] and [[a red one]].\n\n## Open questions\n\n- How far?\n",
            aliases=("key-value cache",),
            tags=("serving",),
        ),
        author=PERSON,
        now=NOW,
    )
    attention = pages.create(
        session,
        Content(title="Attention: a way", kind=PageKind.CONCEPT, aliases=("Attention",)),
        author=IMPORT,
        now=NOW,
        extra={"theirs": [1, {"a": None}]},
    )
    thread = pages.create(
        session, Content(title="Memory is paging", kind=PageKind.THREAD), author=PERSON, now=NOW
    )
    threads.set_claim(session, thread, "Paging is enough.", ThreadStatus.CONTRADICTED, now=NOW)
    kept = [_paper(session, number) for number in range(3)]
    ids = [page.id or 0 for page in kept]
    for number, (source, relation, target) in enumerate(
        [
            (ids[0], Relation.ABOUT, memory.id),
            (ids[0], Relation.ABOUT, attention.id),
            (ids[1], Relation.ABOUT, memory.id),
            (ids[1], Relation.PART_OF, thread.id),
            (ids[2], Relation.CONTRADICTS, ids[1]),
        ]
    ):
        session.add(
            Link(
                source_id=source,
                target_id=target or 0,
                relation=relation,
                status=LinkStatus.PROPOSED,
                origin=Origin.LINKER,
                confidence=0.5 + number / 10,
                role=Role.STARTS if relation is Relation.PART_OF else None,
                note="the first" if relation is Relation.PART_OF else "",
                day="2026-05-08" if relation is Relation.PART_OF else "",
                reason=f"reason {number}",
                evidence=[
                    {"quotation": "It grows.", "where": "text", "verbatim": True, "spans": []}
                ],
                signals=[{"name": "words", "value": 1.5, "words": ["cache"]}],
                extra={links.RESEMBLES: [ids[1]], "told": "kept"},
                created_at=NOW,
            )
        )
    session.add(
        Digest(
            page_id=_page(session, "A day", PageKind.DIGEST),
            day="2026-05-14",
            framing="Few.",
            sections=[{"name": "tldr", "title": "TL;DR"}],
            ledger={"z": 1, "a": 2},
            key="k",
            told_at=NOW,
        )
    )
    show = Source(
        key="show:x",
        kind=SourceKind.PODCAST,
        name="A show",
        url="https://x.example",
        created_at=NOW,
    )
    session.add(show)
    session.flush()
    session.add(
        Episode(
            page_id=_page(session, "An episode", PageKind.EPISODE),
            source_id=show.id or 0,
            published="2026-05-13",
            minutes=31,
            takeaways=["one"],
            chapters=[{"at": 0, "title": "Begin", "text": "It begins."}],
        )
    )
    session.add(
        Prediction(
            page_id=memory.id or 0,
            key="itends",
            text="It ends.",
            made="2026-05-01",
            due="2026-12",
            probability=0.25,
            origin=Origin.IMPORT,
            created_at=NOW,
        )
    )
    asked = session.exec(select(Question).where(Question.page_id == memory.id)).one()
    asked.state = QuestionState.PARTLY
    session.add(asked)
    article = _page(session, "An article", PageKind.ARTICLE)
    session.add(Identifier(scheme="url", value="https://y.example/a", page_id=article))
    session.flush()


def _page(session: Session, title: str, kind: PageKind) -> int:
    return pages.create(session, Content(title=title, kind=kind), author=IMPORT, now=NOW).id or 0


def _paper(session: Session, number: int) -> Page:
    paper = Paper(
        state=PaperState.WAITING,
        title=f"Paper {number}",
        title_key=f"paper{number}",
        abstract=f"Abstract {number}.",
        authors=["A. One", "B. Two"],
        published="2026-05-08",
        venue="A venue",
        categories=["cs.LG"],
        references=["arxiv:2601.00001"],
        code_url="https://code.example",
        extra={"note": "from there"},
        created_at=NOW,
    )
    session.add(paper)
    session.flush()
    session.add(
        Identifier(scheme="arxiv", value=f"2605.0000{number}", paper_id=paper.id, versions=[1, 2])
    )
    session.flush()
    review.decide_paper(session, paper.id or 0, Verdict.KEEP, now=NOW, reason="mine")
    return session.get_one(Page, paper.page_id)


def _decide(engine: Engine) -> None:
    """Decisions of every sort, an undo among them."""
    with writing(engine) as session:
        every = session.exec(
            select(Link.id).where(Link.status == LinkStatus.PROPOSED).order_by(col(Link.id))
        ).all()
        waiting = [each or 0 for each in every]
    for link_id, verdict in zip(
        waiting,
        [Verdict.ACCEPT, Verdict.REJECT, Verdict.DEFER, Verdict.ACCEPT, Verdict.ACCEPT],
        strict=True,
    ):
        with writing(engine) as session:
            review.decide(session, link_id, verdict, now=NOW, reason=f"said {verdict.value}")
    with writing(engine) as session:
        undone = review.undo(session, None, now=NOW)  # the last: it waits again
        assert len(undone.decisions) == 1
        dropped = Paper(
            state=PaperState.WAITING, title="Not mine", title_key="notmine", created_at=NOW
        )
        session.add(dropped)
        session.flush()
        session.add(Identifier(scheme="arxiv", value="2605.09999", paper_id=dropped.id))
        review.decide_paper(session, dropped.id or 0, Verdict.DROP, now=NOW, reason="no")
        changes.propose(
            session,
            kind=ChangeKind.CONCEPT,
            key="concept:paging",
            title="Paging",
            confidence=0.6,
            reason="often",
            content={"term": "paging"},
            evidence=[],
            signals=[],
            origin=Origin.LINKER,
            now=NOW,
        )
        session.flush()
        change = session.exec(select(Change)).one()
        review.decide(
            session, review.Reference(change.id or 0, change=True), Verdict.REJECT, now=NOW
        )
    with writing(engine) as session:
        saving.rename(session, "kv-cache", "the-kv-cache", now=NOW)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """The vault of a wiki that had all of it."""
    engine = make_engine(tmp_path / "one")
    with writing(engine) as session:
        _wiki(session)
    _decide(engine)
    _sync(engine, tmp_path / "vault")
    return Vault(tmp_path / "vault")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return make_engine(tmp_path / "two")


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()


def _restore(engine: Engine, vault: Vault) -> rebuild.Rebuilt:
    with writing(engine) as session:
        return rebuild.from_vault(session, vault, now=LATER)


_WHAT: dict[str, Callable[[Session], Any]] = {
    "pages": lambda s: [
        (
            p.id,
            p.slug,
            p.kind,
            p.title,
            p.body,
            p.version,
            p.author_kind,
            p.author,
            p.created_at,
            p.updated_at,
            {name: value for name, value in p.extra.items() if name != mirror.HAD},
        )
        for p in s.exec(select(Page))
    ],
    "names": lambda s: [
        (_slug(s, a.page_id), a.name, a.key, a.kind) for a in s.exec(select(Alias))
    ],
    "papers": lambda s: [
        (
            p.title,
            p.title_key,
            p.state,
            p.abstract,
            p.authors,
            p.venue,
            p.published,
            p.categories,
            p.references,
            p.code_url,
            p.extra,
            p.came,
        )
        for p in s.exec(select(Paper).where(col(Paper.page_id).is_not(None)))
    ],
    "identifiers": lambda s: [
        (i.scheme, i.value, i.versions, _slug(s, i.page_id)) for i in s.exec(select(Identifier))
    ],
    "threads": lambda s: [(t.claim, t.status) for t in s.exec(select(Thread))],
    "digests": lambda s: [
        (d.day, d.framing, d.sections, list(d.ledger.items()), d.key, d.told_at)
        for d in s.exec(select(Digest))
    ],
    "episodes": lambda s: [
        (e.published, e.minutes, e.takeaways, e.chapters, s.get_one(Source, e.source_id).key)
        for e in s.exec(select(Episode))
    ],
    "questions": lambda s: [
        (_slug(s, q.page_id), q.number, q.text, q.state, q.in_text)
        for q in s.exec(select(Question))
    ],
    "predictions": lambda s: [
        (_slug(s, p.page_id), p.text, p.made, p.due, p.probability, p.created_at)
        for p in s.exec(select(Prediction))
    ],
    "links": lambda s: [
        (
            _slug(s, k.source_id),
            k.relation,
            _slug(s, k.target_id),
            k.role,
            k.note,
            k.day,
            k.status,
            k.origin,
            k.confidence,
            k.reason,
            k.evidence,
            k.signals,
            k.created_at,
            k.decided_at,
            {n: v for n, v in k.extra.items() if n != links.RESEMBLES},
        )
        for k in s.exec(select(Link).where(Link.status != LinkStatus.PROPOSED))
    ],
    "red links": lambda s: [
        (_slug(s, r.page_id), r.name, r.sentence) for r in s.exec(select(RedLink))
    ],
    "texts": lambda s: [
        (_slug(s, t.page_id), t.names, t.text, t.hash) for t in s.exec(select(PageText))
    ],
}


def _slug(session: Session, page_id: int | None) -> str:
    return session.get_one(Page, page_id).slug if page_id else ""


@pytest.mark.parametrize("what", _WHAT)
def test_what_a_vault_holds_comes_back(
    vault: Vault, engine: Engine, tmp_path: Path, what: str
) -> None:
    done = _restore(engine, vault)
    assert done.problems == {} and done.by_hand == 0
    with reading(make_engine(tmp_path / "one")) as before, reading(engine) as after:
        had, has = _WHAT[what](before), _WHAT[what](after)
        assert sorted(map(repr, had)) == sorted(map(repr, has)) and had


def test_decisions_come_back_with_who_when_why_and_what_was_undone(
    vault: Vault, engine: Engine, tmp_path: Path
) -> None:
    done = _restore(engine, vault)

    def told(d: Decision, s: Session) -> list[str]:
        return [
            _slug(s, s.get_one(Link, d.link_id).source_id) if d.link_id else "",
            s.get_one(Paper, d.paper_id).title if d.paper_id else "",
            s.get_one(Change, d.change_id).title if d.change_id else "",
        ]

    with reading(make_engine(tmp_path / "one")) as before, reading(engine) as after:
        had, has = (
            {
                d.id: (
                    d.at,
                    d.who,
                    d.verdict,
                    d.reason,
                    d.batch,
                    d.undone,
                    d.undoes_id,
                    d.agreed,
                    d.superseded,
                    d.confidence,
                    d.signal,
                    d.kind,
                    _slug(s, d.concept_id),
                    *told(d, s),
                )
                for d in s.exec(select(Decision))
            }
            for s in (before, after)
        )
        # The link that waits again is in no file: neither are the decision about it and its undo.
        lost = set(had) - set(has)
        assert {had[each][5:7] for each in lost} == {(True, None), (False, min(lost))}
        assert done.left_out == len(lost) == 2 and done.decisions == len(has)
        assert all(has[each] == had[each] for each in has)
        dropped = after.exec(select(Paper).where(Paper.title == "Not mine")).one()
        assert (dropped.state, dropped.page_id) == (PaperState.DROPPED, None)
        change = after.exec(select(Change)).one()
        assert (change.key, change.status) == ("concept:paging", LinkStatus.REJECTED)


def test_a_link_that_was_decided_can_be_undone_after_it_and_a_change_says_why_not(
    vault: Vault, engine: Engine
) -> None:
    _restore(engine, vault)
    with writing(engine) as session:
        rejected = session.exec(
            select(Decision).where(
                col(Decision.link_id).is_not(None), Decision.verdict == Verdict.REJECT
            )
        ).one()
        review.undo(session, rejected.id, now=LATER)
        assert session.get_one(Link, rejected.link_id).status is LinkStatus.PROPOSED
        of_change = session.exec(select(Decision).where(col(Decision.change_id).is_not(None))).one()
        with pytest.raises(Conflict, match="before the wiki was rebuilt"):
            review.undo(session, of_change.id, now=LATER)


def test_a_rejected_change_is_not_proposed_again(vault: Vault, engine: Engine) -> None:
    _restore(engine, vault)
    with writing(engine) as session:
        assert not changes.propose(
            session,
            kind=ChangeKind.CONCEPT,
            key="concept:paging",
            title="Paging",
            confidence=0.6,
            reason="often",
            content={},
            evidence=[],
            signals=[],
            origin=Origin.LINKER,
            now=LATER,
        )


def test_a_former_address_still_leads_there(vault: Vault, engine: Engine) -> None:
    _restore(engine, vault)
    with reading(engine) as session:
        found = pages.addressed(session, "kv-cache")
        assert found is not None and found.slug == "the-kv-cache"
        kinds = session.exec(select(Alias.kind).where(Alias.key == "kv-cache")).all()
        assert AliasKind.REDIRECT in kinds


def test_sync_goes_on_where_it_was_and_touches_no_file(vault: Vault, engine: Engine) -> None:
    _restore(engine, vault)
    before = {path: path.read_bytes() for path in vault.root.rglob("*.md")}
    _sync(engine, vault.root)
    assert {path: path.read_bytes() for path in vault.root.rglob("*.md")} == before
    with reading(engine) as session:
        assert mirror.problems(session) == [] and mirror.pending(session) == 0
        assert {each.author_kind for each in session.exec(select(Revision))} != {AuthorKind.VAULT}
        assert session.exec(select(sa.func.count()).select_from(Revision)).one() == len(before)


def test_the_vault_is_only_read(vault: Vault, engine: Engine) -> None:
    before = {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in vault.root.rglob("*")
        if path.is_file()
    }
    _restore(engine, vault)
    assert {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in vault.root.rglob("*")
        if path.is_file()
    } == before


def test_a_wiki_that_is_not_empty_is_left_alone(vault: Vault, engine: Engine) -> None:
    with writing(engine) as session:
        pages.create(session, Content(title="Mine", kind=PageKind.NOTE), author=PERSON, now=NOW)
    with pytest.raises(Conflict, match="not empty"):
        _restore(engine, vault)
    with reading(engine) as session:
        assert [page.title for page in session.exec(select(Page))] == ["Mine"]


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_pages_is_told_in_words(
    tmp_path: Path, engine: Engine, there: bool
) -> None:
    if there:
        (tmp_path / "nothing").mkdir()
    with pytest.raises(Exception, match=r"There are no pages in|cannot be read") as caught:
        _restore(engine, Vault(tmp_path / "nothing"))
    assert isinstance(caught.value, NotFound) or not there


# ---------------------------------------------------------------- edited since, written by hand, hostile


def test_what_a_file_says_goes_before_its_companion(vault: Vault, engine: Engine) -> None:
    path = vault.root / "concepts" / "KV cache.md"
    text = path.read_text()
    path.write_text(
        text.replace("title: KV cache", "title: The cache").replace("It grows.", "It shrinks.")
    )
    paper = vault.root / "papers" / "Paper 0.md"
    said = paper.read_text()
    assert "[[KV cache]]" in said
    paper.write_text(
        said.replace('  - "[[KV cache]]"\n', '  - "[[Memory is paging]]"\n').replace(
            "A venue", "Another"
        )
    )
    done = _restore(engine, vault)
    assert done.problems == {}
    with reading(engine) as session:
        page = pages.get(session, "the-kv-cache")
        assert page.title == "The cache" and page.body.startswith("It shrinks.")
        kept = pages.get(session, "paper-0")
        assert papers.of_page(session, kept.id or 0).venue == "Another"  # type: ignore[union-attr]
        stands = {
            (_slug(session, link.target_id), link.status)
            for link in session.exec(select(Link).where(Link.source_id == kept.id))
        }
        assert ("memory-is-paging", LinkStatus.ACCEPTED) in stands
        assert ("the-kv-cache", LinkStatus.REJECTED) in stands


def test_a_vault_without_companions_is_taken_as_far_as_it_goes(
    vault: Vault, engine: Engine
) -> None:
    shutil.rmtree(vault.root / ".cerebro")
    done = _restore(engine, vault)
    assert done.by_hand == sum(done.pages.values()) == 9 and done.decisions == 0
    with reading(engine) as session:
        page = pages.get(session, "the-kv-cache")
        assert pages.content_of(session, page).tags == ("serving",)
        assert session.exec(select(Thread.claim)).all() == ["Paging is enough."]
        assert session.exec(select(Digest.day)).all() == ["2026-05-14"]
        kept = papers.of_page(session, pages.get(session, "paper-1").id or 0)
        assert kept is not None and kept.authors == ["A. One", "B. Two"]
        relations = {
            (_slug(session, link.source_id), link.relation, _slug(session, link.target_id))
            for link in session.exec(select(Link).where(Link.status == LinkStatus.ACCEPTED))
        }
        assert ("paper-0", Relation.ABOUT, "the-kv-cache") in relations
        assert ("paper-1", Relation.PART_OF, "memory-is-paging") in relations
        assert ("the-kv-cache", Relation.MENTIONS, "attention-a-way") in relations
        assert [q.text for q in session.exec(select(Question))] == ["How far?"]


def test_files_of_other_programs_become_pages(tmp_path: Path, engine: Engine) -> None:
    root = tmp_path / "notes"
    for path, text in {
        "Daily/2026-05-14.md": "Read [[Deep work|it]] and [[Nowhere]].",
        "Deep work.md": "---\ntags: focus\nalias: flow\nrating: 5\nrelated: [[Someday]]\n---\nText",
        "concepts/Entropy.md": "# Entropy",
        "threads/T.md": "---\nid: t\nkind: thread\nmembers:\n  - {paper: arxiv:2605.00007, role: starts}\n---\n",
        "P.md": "---\nid: arxiv:2605.00007v2\nkind: paper\nlinks:\n  - {relation: about, target: entropy}\n---\n",
        "copy of P.md": "---\nid: t\nkind: thread\n---\nanother",
        "broken.md": "---\nid: broken\ntitle: [x\n---\nStill here.",
        "binary.md": "a\x00b",
        "empty.md": "",
        "day.md": "---\nkind: digest\nday: 2026-13-45\n---\n",
        "con.md": "device",
        ".obsidian/x.md": "hidden",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    done = _restore(engine, Vault(root))
    assert set(done.problems) == {"copy of P.md", "broken.md", "binary.md", "day.md"}
    with reading(engine) as session:
        titles = {page.title: page for page in session.exec(select(Page))}
        assert set(titles) == {
            "2026-05-14",
            "Deep work",
            "Entropy",
            "T",
            "P",
            "copy of P",
            "broken",
            "empty",
            "day",
            "con",
        }
        assert titles["Entropy"].kind is PageKind.CONCEPT
        assert titles["broken"].body == "Still here." and titles["broken"].slug == "broken"
        assert titles["day"].kind is PageKind.NOTE
        links_ = {
            (_slug(session, each.source_id), each.relation, _slug(session, each.target_id))
            for each in session.exec(select(Link))
        }
        assert links_ == {
            ("2026-05-14", Relation.MENTIONS, "deep-work"),
            ("p", Relation.ABOUT, "entropy"),
            ("p", Relation.PART_OF, "t"),
        }
        red = {each.name for each in session.exec(select(RedLink))}
        assert red == {"Nowhere", "Someday"}
        assert session.exec(select(Identifier.value)).all() == ["2605.00007"]


_THEIRS = {
    "notes/Own.md": "---\nmy-own-key: 5 # mine\ntitle: 'Own'\n# a remark\ncss: [wide]\n---\nOn #Paging.\n",
    "own/Windows.md": "\ufeff---\r\nabout: '[[notes/Own]]'\r\nkind: idea\r\n---\r\nText.\r\n",
    "own/Zettel.md": "---\nid: 202401011230\ntags: [zk]\n---\nA note on #paging and #not-one.\n",
    "own/Odd.md": "---\nid: 2024-01-01 12:30 # theirs\n---\nAnother.\n",
    "own/Bare.md": "Nothing before the text, #bare.\n",
}


def test_front_matter_of_other_programs_is_the_same_bytes_in_the_new_vault(
    tmp_path: Path, engine: Engine
) -> None:
    """Also a kind, a tag or a link that the old file does not say, or says in another way."""
    theirs, old, root = tmp_path / "a", tmp_path / "old", tmp_path / "new"
    theirs.mkdir()
    for path, text in _THEIRS.items():
        (old / path).parent.mkdir(parents=True, exist_ok=True)
        (old / path).write_bytes(text.encode())
    first = make_engine(theirs)
    _sync(first, old)
    with writing(first) as session:
        page = pages.get(session, "202401011230")
        fewer = replace(pages.content_of(session, page), tags=("paging", "zk"))
        pages.revise(session, page, fewer, author=PERSON, now=NOW)
    _sync(first, old)
    first.dispose()
    before = {path: (old / path).read_bytes() for path in _THEIRS}
    for path, text in _THEIRS.items():
        lines, kept = text.splitlines(), before[path].decode().splitlines()
        assert [line for line in kept if line in lines] == lines, "nothing of theirs was changed"
    assert not any(b"kind: note" in text for text in before.values())

    assert _restore(engine, Vault(old)).problems == {}
    with reading(engine) as session:
        tags = {p.slug: pages.content_of(session, p).tags for p in session.exec(select(Page))}
    assert tags["own"] == ("paging",) and tags["202401011230"] == ("paging", "zk")
    _sync(engine, root)
    assert {path: (root / path).read_bytes() for path in _THEIRS} == before


@pytest.mark.parametrize(
    "side",
    [
        {
            "version": "many",
            "created_at": 5,
            "extra": [],
            "author": "x",
            "links": {"a": 1},
            "redirects": 7,
        },
        {"version": -1, "created_at": "2026-05-14T09:00:00", "kind": "removed", "title": None},
        {
            "links": [1, {"relation": "eats", "target": "t"}, {"relation": "about", "target": 5}],
            "questions": [
                {"number": True},
                {"number": 1, "text": "a\u0000b"},
                {"number": 1, "text": "twice"},
            ],
            "predictions": [{"text": "x", "probability": "high"}, {"text": "x"}],
        },
        {
            "paper": [1],
            "identifiers": [
                {"scheme": [], "value": {}},
                {"scheme": "arxiv", "value": "x", "versions": "y"},
            ],
            "thread": {"claim": 4, "status": "asleep"},
            "digest": {"day": 5},
            "episode": {"source": {"key": 3}},
        },
        {"author": {"kind": "emperor", "name": "\ud800"}, "extra": {"\u0000": "\udfff"}},
    ],
)
def test_a_companion_that_somebody_spoiled_harms_nothing(
    tmp_path: Path, engine: Engine, side: dict[str, Any]
) -> None:
    vault = Vault(tmp_path / "vault")
    vault.claim("w")
    for kind in PageKind:
        if kind not in (PageKind.MERGED, PageKind.REMOVED):
            day = "day: 2026-05-14\n" if kind is PageKind.DIGEST else ""
            text = f"---\nid: a-{kind.value}\nkind: {kind.value}\ntitle: A {kind.value}\n{day}---\nText\n"
            (vault.root / f"{kind.value}.md").write_text(text)
            path = vault.root / ".cerebro/pages" / f"a-{kind.value}.json"
            path.write_text(json.dumps(side))
    decisions = [
        {"n": 1, "verdict": "keep", "paper": {"ids": ["arxiv:2605.1"], "title": 7}},
        {"n": "x"},
        {"n": 2, "link": {"source": "a-note", "relation": "about", "target": "nobody"}},
        {"n": 3, "verdict": "maybe", "link": "x", "change": {"kind": "concept", "key": 5}},
        {"n": 4, "undoes": [1], "paper": {"ids": 3, "page": "a-paper"}, "before": 7},
        {
            "n": 5,
            "verdict": "drop",
            "paper": {"ids": ["arxiv:2605.00001"], "title": "Q\u0000"},
            "at": "never",
        },
        {"n": 2**40, "verdict": "keep"},
    ]
    lines = "".join(json.dumps(line) + "\n" for line in decisions)
    (vault.root / ".cerebro" / journal.DECISIONS).write_text(lines + '{"n": 6, "verd')
    _restore(engine, vault)
    with reading(engine) as session:
        assert session.exec(select(sa.func.count()).select_from(Page)).one() == 7
        assert {page.body for page in session.exec(select(Page))} == {"Text\n"}
        assert session.exec(select(Paper.title).where(Paper.state == PaperState.DROPPED)).all() == [
            "Q"
        ]


def test_a_restore_that_fails_leaves_the_wiki_empty(
    vault: Vault, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OSError("no")

    with monkeypatch.context() as patch:
        patch.setattr(rebuild.derived, "rebuild", fails)
        with pytest.raises(OSError, match="no"):
            _restore(engine, vault)
    with reading(engine) as session:
        assert session.exec(select(Page)).all() == [] and mirror.wiki_name(session) is None
    assert sum(_restore(engine, vault).pages.values()) == 9


# ---------------------------------------------------------------- what is derived


def test_what_is_derived_is_made_anew(vault: Vault, tmp_path: Path) -> None:
    engine = make_engine(tmp_path / "one")
    with reading(engine) as session:
        had = {what: sorted(map(repr, _WHAT[what](session))) for what in ("red links", "texts")}
    with writing(engine) as session:
        for table in ("page_text", "red_link", "page_number", "title_word"):
            session.connection().execute(sa.delete(sa.table(table)))
    with writing(engine) as session:
        done = rebuild.anew(session)
    assert done.texts == 9 and done.red_links == 1 and "9 searchable texts" in done.in_words()
    with reading(engine) as session:
        assert {
            what: sorted(map(repr, _WHAT[what](session))) for what in ("red links", "texts")
        } == had
    with writing(engine) as session:
        assert "nothing was wrong" in rebuild.anew(session).in_words()
