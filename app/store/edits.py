"""Edits of pages that a machine proposed: what they would change, and making them true or undone.

The `content` of such a change is {"base": version it began from, "author": {name, prompt},
"sections": [{key, title, before_hash, text, sentences}], "papers": [ids], "struck": [sentences]}. A
section with a `before_hash` gets another text; one without is new, and goes to the end of the page.
Where the author is {"kind": "import"} the text is what a source says now of a page that a person
edited; such a proposal alone may be for a section of a person's, who sees the two side by side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.domain import ownership
from app.domain.merge import merge3
from app.domain.ownership import Owner
from app.domain.records import (
    GONE,
    AuthorKind,
    Change,
    ChangeKind,
    Link,
    LinkStatus,
    Origin,
    Page,
    PageKind,
    PageSection,
    Paper,
    PaperState,
    Relation,
    Revision,
)
from app.errors import Conflict
from app.store import changes, pages, sections
from app.store.pages import PERSON, Author

RECENT = "recent"  # the key of a concept's section about what came last
NEW_PAPERS = 3  # since it was written, from which on another one is proposed


def key(page_id: int, section: str, papers: Iterable[int] = ()) -> str:
    """What names a proposed edit: the papers it rests on. The newest link alone does not name it: one
    made earlier may be accepted later.
    """
    told = ",".join(map(str, sorted(papers)))
    return f"edit:{page_id}:{section}:{sha256(told.encode()).hexdigest()[:16]}"


def propose_import(
    session: Session, page: Page, text: str, *, source: str, name: str, now: datetime
) -> bool:
    """Propose what a source says anew of a page that a person edited; whether it is a new proposal.

    Anew is each section of `text` that stood in no import of the page, was not decided on before and
    does not stand on the page. Two edits of one section are joined where they leave each other's lines
    alone. `source` and `name` say whose text it is; what waits of the same source is replaced.
    """
    assert page.id is not None
    imported = _imported(session, page.id)
    own = f"import:{page.id}:{sha256(source.encode()).hexdigest()[:8]}:"
    before = session.exec(
        select(Change).where(
            Change.kind == ChangeKind.EDIT,
            Change.target_id == page.id,
            col(Change.key).startswith(own, autoescape=True),
        )
    ).all()
    waiting = [each for each in before if each.status == LinkStatus.PROPOSED]
    decided = [each for each in before if each.status != LinkStatus.PROPOSED]
    standing = {each.key: each for each in ownership.sections(page.body)}
    known = {"", *(each.hash for each in standing.values())}
    known |= {each.hash for body in imported for each in ownership.sections(body)}
    known |= {str(each["came"]) for one in decided for each in one.content["sections"]}
    told = [
        _told(each, text, page.body, standing.get(each.key), imported)
        for each in ownership.sections(text)
        if each.hash not in known
    ]
    made = [each for each in told if each is not None]
    key_of = f"{own}{ownership.text_hash(text)}"
    changes.withdraw(session, [each.key for each in waiting if each.key != key_of or not made])
    if not made:
        return False
    return changes.propose(
        session,
        kind=ChangeKind.EDIT,
        key=key_of,
        title=page.title,
        target_id=page.id,
        confidence=0.5,
        reason=f"{name} says something else by now than what you edited.",
        content={
            "base": page.version,
            "author": {"kind": AuthorKind.IMPORT.value, "name": name, "prompt": ""},
            "sections": made,
            "papers": [],
            "struck": [],
        },
        evidence=[],
        signals=[],
        origin=Origin.IMPORT,
        now=now,
    )


def _imported(session: Session, page_id: int) -> list[str]:
    """The texts that imports gave a page, the newest last."""
    statement = (
        select(Revision.body)
        .where(Revision.page_id == page_id, Revision.author_kind == AuthorKind.IMPORT)
        .order_by(col(Revision.number))
    )
    return list(session.exec(statement))


def _told(
    came: ownership.Section,
    text: str,
    body: str,
    there: ownership.Section | None,
    imported: list[str],
) -> dict[str, Any] | None:
    """A section that came, as an edit of the one that stands; None where it would change nothing."""
    said = ownership.text_of(text, came)
    if there is not None:
        former = (ownership.named(each, came.key) for each in reversed(imported))
        old = next(
            (
                ownership.text_of(each, one)
                for each, one in zip(reversed(imported), former, strict=True)
                if one is not None
            ),
            "",
        )
        mine = ownership.text_of(body, there)
        joined = merge3(f"{old}\n", f"{mine}\n", f"{said}\n")
        said = joined.text.strip() if joined.clean else said
        if ownership.text_hash(said) == there.hash:
            return None
    return {
        "key": came.key,
        "title": came.title,
        "before_hash": there.hash if there is not None else None,
        "text": said,
        "came": came.hash,
        "sentences": [],
    }


# ---------------------------------------------------------------- what would change


def refusal(session: Session, page: Page | None, content: dict[str, Any]) -> str:
    """ "" when the edit can be made as it was proposed; else why not, in one sentence."""
    if page is None or page.kind in GONE:
        return "The page is gone: reject this proposal."
    owners = {each.key: each for each in sections.of_page(session, page)}
    for each in content.get("sections", []):
        name = each.get("title") or "the text before the first heading"
        owned = owners.get(each["key"])
        if each["before_hash"] is None:
            if owned is not None:
                return f"The page has a section “{name}” by now, and this would write another one."
        elif owned is None:
            return f"The section “{name}” stands on the page no more."
        elif not owned.owner.is_machine and not _is_import(content):
            return (
                f"A person wrote “{name}” since this was proposed: it is theirs and stays as it is."
            )
        elif owned.hash != each["before_hash"]:
            return f"The section “{name}” was changed since this was proposed."
    return ""


def _is_import(content: dict[str, Any]) -> bool:
    return bool(content.get("author", {}).get("kind") == AuthorKind.IMPORT.value)


def edited(body: str, content: dict[str, Any]) -> str:
    """The body with the edit made. Raises KeyError where a section is gone."""
    for each in content.get("sections", []):
        if each["before_hash"] is None and not each["key"]:
            body = ownership.before_all(body, each["text"])
        elif each["before_hash"] is None:
            body = ownership.added(body, each["title"], each["text"])
        else:
            body = ownership.written(body, each["key"], each["text"])
    return body


def apply(session: Session, change: Change, *, now: datetime) -> dict[str, Any]:
    """Make an edit as one revision by the machine that wrote it; what an undo needs.

    The page counts as reviewed: a person took it. Raises Conflict when one of its sections is a
    person's by now, or was changed: nothing is written then.
    """
    page = session.get(Page, change.target_id) if change.target_id else None
    if why := refusal(session, page, change.content):
        raise Conflict(f"{why} Nothing was changed; reject this, and it may be proposed anew.")
    assert page is not None and page.id is not None
    author = change.content.get("author", {})
    kind = AuthorKind.IMPORT if _is_import(change.content) else AuthorKind.MODEL
    memory = {
        "page": page.id,
        "version": page.version,
        "body": page.body,
        "author": [page.author_kind.value, page.author],
        "owners": sections.as_json(sections.kept(session, page.id)),
    }
    content = replace(pages.content_of(session, page), body=edited(page.body, change.content))
    pages.revise(
        session,
        page,
        content,
        author=Author(kind, str(author.get("name", "")), str(author.get("prompt", ""))),
        now=now,
        note="proposed, accepted in review",
    )
    _written_by(page, PERSON.kind, PERSON.name)
    session.add(page)
    session.flush()
    return memory | {"made": page.version}


def take_back(session: Session, change: Change, memory: dict[str, Any], *, now: datetime) -> None:
    """Undo an accepted edit: its sections as they were, and whose they were.

    What was written elsewhere on the page since stays. Raises Conflict when one of its sections was
    changed since, or the page is gone.
    """
    page = session.get(Page, memory["page"])
    if page is None or page.kind in GONE:
        raise Conflict("The page is gone: this cannot be undone.")
    assert page.id is not None
    body, former = page.body, str(memory["body"])
    for each in change.content.get("sections", []):
        name = each.get("title") or "the text before the first heading"
        now_there = ownership.named(body, each["key"])
        if now_there is None or now_there.hash != ownership.text_hash(each["text"]):
            raise Conflict(
                f"The section “{name}” was changed since. Restore an earlier version of the page "
                "from its history instead."
            )
        old = ownership.named(former, each["key"])
        if old is None:
            body = ownership.removed(body, each["key"])
        else:
            body = ownership.written(body, each["key"], ownership.text_of(former, old))
    if page.version == memory["made"]:
        body = former
    whole = body == former
    pages.revise(
        session,
        page,
        replace(pages.content_of(session, page), body=body),
        author=PERSON,
        now=now,
        note="undid a proposed edit",
    )
    _put_back_owners(session, page, change, memory, whole=whole)
    if whole:
        kind, name = memory["author"]
        _written_by(page, AuthorKind(kind), name)
    session.add(page)
    session.flush()


def _written_by(page: Page, kind: AuthorKind, name: str) -> None:
    page.author_kind, page.author = kind, name


def _put_back_owners(
    session: Session, page: Page, change: Change, memory: dict[str, Any], *, whole: bool
) -> None:
    """Whose the sections were, now that their former texts stand again."""
    assert page.id is not None
    before = sections.from_json(memory["owners"])
    if whole:
        sections.put_back(session, page.id, before)
        return
    owners = {each["key"]: each for each in before}
    kind, name = memory["author"]
    touched = {each["key"] for each in change.content.get("sections", [])}
    rows = sections.from_json(sections.as_json(sections.kept(session, page.id)))
    for row in rows:
        if row["key"] in touched:
            old = owners.get(row["key"])
            told = Owner(old["owner"], old["author"], old["prompt"]) if old else None
            told = told or Owner(AuthorKind(kind), name)
            row |= {"owner": told.kind, "author": told.name, "prompt": told.prompt}
    sections.put_back(session, page.id, rows)


# ---------------------------------------------------------------- what may be proposed


def stale_concepts(session: Session, *, since: datetime, limit: int) -> list[int]:
    """Concepts with three or more papers accepted since that time and since the page was last
    changed, or since its section "Recent" was, those with the most first.
    """
    section = PageSection.__table__  # type: ignore[attr-defined]
    last = sa.func.coalesce(section.c.at, col(Page.updated_at))
    statement: Any = (
        sa.select(col(Link.target_id))
        .join(Page, col(Page.id) == col(Link.target_id))
        .join(Paper, col(Paper.page_id) == col(Link.source_id))
        .outerjoin(section, sa.and_(section.c.page_id == col(Page.id), section.c.key == RECENT))
        .where(
            col(Link.decided_at) > since,
            col(Link.decided_at) > last,
            col(Link.status) == LinkStatus.ACCEPTED,
            col(Link.relation) == Relation.ABOUT,
            col(Page.kind) == PageKind.CONCEPT,
            sa.or_(section.c.owner.is_(None), section.c.owner.in_(sorted(ownership.MACHINES))),
            ~_waits(col(Page.id)),
        )
        .group_by(col(Link.target_id))
        .having(sa.func.count() >= NEW_PAPERS)
        .order_by(sa.func.count().desc(), col(Link.target_id))
        .limit(limit)
    )
    return list(session.connection().execute(statement).scalars())


def _waits(page_id: Any) -> Any:
    """Whether an edit of the page waits, or was put off."""
    waiting = (LinkStatus.PROPOSED, LinkStatus.DEFERRED)
    return sa.exists().where(
        col(Change.target_id) == page_id,
        col(Change.kind) == ChangeKind.EDIT,
        col(Change.status).in_(waiting),
    )


def new_papers(session: Session, concept: int, *, since: datetime, limit: int) -> list[Any]:
    """Rows (link, page, slug, title, abstract, published, decided_at) of a concept's newest papers."""
    statement: Any = (
        sa.select(
            col(Link.id).label("link"),
            col(Page.id).label("page"),
            col(Page.slug),
            col(Paper.title),
            col(Paper.abstract),
            col(Paper.published),
            col(Link.decided_at),
        )
        .join(Page, col(Page.id) == col(Link.source_id))
        .join(Paper, col(Paper.page_id) == col(Page.id))
        .where(
            col(Link.target_id) == concept,
            col(Link.status) == LinkStatus.ACCEPTED,
            col(Link.relation) == Relation.ABOUT,
            col(Link.decided_at) > since,
        )
        .order_by(col(Link.decided_at).desc(), col(Link.id).desc())
        .limit(limit)
    )
    return list(session.connection().execute(statement))


def changed_at(session: Session, page: Page, section: str) -> datetime:
    """When a section of a page was written, or the page where it has none of its own."""
    assert page.id is not None
    found = next((row for row in sections.kept(session, page.id) if row.key == section), None)
    return found.at if found is not None else page.updated_at


def known_papers(session: Session, page_id: int, section: str) -> set[int]:
    """Papers that an edit of this section was proposed with before, whatever became of it."""
    statement = select(Change.content).where(
        Change.kind == ChangeKind.EDIT,
        Change.target_id == page_id,
        col(Change.key).startswith(f"edit:{page_id}:{section}:", autoescape=True),
    )
    return {int(each) for told in session.exec(statement) for each in told.get("papers", [])}


def extracted_papers(session: Session, *, since: datetime, limit: int) -> list[int]:
    """Pages of kept papers that came since then, whose text is the extracted summary and for which
    no other was proposed, the newest first.
    """
    proposed = sa.exists().where(
        col(Change.target_id) == col(Page.id), col(Change.kind) == ChangeKind.EDIT
    )
    statement = (
        sa.select(col(Page.id))
        .join(Paper, col(Paper.page_id) == col(Page.id))
        .where(
            col(Page.kind) == PageKind.PAPER,
            col(Page.author_kind) == AuthorKind.EXTRACT,
            col(Page.updated_at) > since,
            col(Paper.state) == PaperState.KEPT,
            ~proposed,
        )
        .order_by(col(Page.updated_at).desc(), col(Page.id).desc())
        .limit(limit)
    )
    return [page_id or 0 for page_id in session.connection().execute(statement).scalars()]


def paper(session: Session, page_id: int) -> Any:
    """A row (title, abstract, published) of the paper whose page it is; None when it is gone."""
    statement = sa.select(col(Paper.title), col(Paper.abstract), col(Paper.published)).where(
        col(Paper.page_id) == page_id
    )
    return session.connection().execute(statement).first()


def page(session: Session, page_id: int) -> Page | None:
    """The page, where it stands."""
    found = session.get(Page, page_id)
    return found if found is not None and found.kind not in GONE else None
