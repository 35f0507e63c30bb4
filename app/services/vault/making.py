"""A file of no page: made outside, copied, or back again; a page is made for it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlmodel import Session, select

from app.domain.identifiers import clean_date, is_slug, parse_id, slugify, title_key, whole_day
from app.domain.items import SourceRef
from app.domain.markdown import name_key
from app.domain.notes import Note
from app.domain.records import (
    Digest,
    Episode,
    Page,
    PageKind,
    Paper,
    PaperState,
    SourceKind,
    Thread,
)
from app.errors import Invalid
from app.services.vault import fields, rows
from app.services.vault.pair import VAULT, File, Pair
from app.services.vault.taking import Taking, adopted
from app.store import items, mirror, pages, papers, removal
from app.store.db import writing
from app.store.pages import Content
from app.vault import names


class Making:
    """Makes pages for files that are none's."""

    def __init__(self, pair: Pair, taking: Taking) -> None:
        self._pair = pair
        self._taking = taking

    def make(self, file: File, copy_of: int | None) -> None:
        """A page for a file that is none's: made outside, or copied."""
        now = self._pair.clock()
        with writing(self._pair.engine) as session:
            twin = mirror.of_key(session, names.path_key(file.path))
            if twin is not None and twin.version > 0 and twin.page_id is not None:
                raise Invalid(
                    f"Its name is that of {twin.path} but for case or accents: many file systems "
                    "take the two for one. Give it another name."
                )
            if twin is not None:
                session.delete(twin)
                session.flush()
                if twin.page_id is not None:
                    mirror.mark(session, [twin.page_id])
            note = file.note
            self._check_empty(session, file)
            original = session.get(Page, copy_of) if copy_of is not None else None
            stem = names.stem(file.path)
            if original is not None:
                said = note.title.strip()
                same = not said or name_key(said) == name_key(original.title)
                note = replace(note, id="", identifiers=(), title=stem if same else said)
            back = removal.removed_at(session, note.id) if is_slug(note.id) else None
            if back is not None and back.id is not None:
                self._put_back(session, back, file, now)
                page: Page = back
                refused: list[str] = []
            else:
                page, refused = self._made(session, note, file.path, now)
                session.add(rows.of_file(page, file, now))
            session.flush()
            assert page.id is not None
            mirror.mark(session, [page.id])
            refused += [file.parsed.problem] if file.parsed.problem else []
            if refused:
                mirror.note_problem(session, file.path, " ".join(refused), now=now)
            else:
                mirror.solved(session, [file.path])
        if refused:
            self._pair.report.refused[file.path] = " ".join(refused)
        (self._pair.report.made if copy_of is None else self._pair.report.copied).append(file.path)
        if back is not None and page.id is not None:
            self._taking.take(file, page.id, moved=True)

    def _check_empty(self, session: Session, file: File) -> None:
        """Raises Invalid for a file that a click on a link makes where no file has the link's name."""
        if file.parsed.head.strip("\ufeff \r\n") or file.note.body.strip():
            return
        stem = names.stem(file.path)
        page = pages.named(session, stem)
        if page is not None:
            name = pages.file_names(session, [page])[page.id]
            raise Invalid(
                f"It is empty, and “{stem}” leads to {page.title} in the wiki. Write the link as "
                f"[[{name}|{stem}]] and delete this file, or write into it to make a page of its own."
            )

    def _put_back(self, session: Session, page: Page, file: File, now: datetime) -> None:
        """The file of a removed page is there again: so is the page."""
        assert page.id is not None
        removal.restore(session, page, now=now, who="person", reason="its file came back")
        row = mirror.of_pages(session, [page.id]).get(page.id)
        row = adopted(session, page, file, row, now)
        row.version = row.version or page.version  # it grew from what the page said when it went
        session.add(row)

    def _made(
        self, session: Session, note: Note, path: str, now: datetime
    ) -> tuple[Page, list[str]]:
        refused: list[str] = []
        stem = names.stem(path)
        title = note.title.strip() or stem
        kind = note.kind or names.kind_of_folder(path) or PageKind.NOTE
        if kind is PageKind.DIGEST and not self._is_free_day(session, note):
            kind = PageKind.NOTE
            refused.append("It is no digest: those have a `day` that no other digest has.")
        aliases = note.aliases
        slug = note.id if is_slug(note.id) else slugify(title)
        known = {name_key(name) for name in (title, slug, *aliases)}
        if name_key(stem) not in known and pages.named(session, stem) is None:
            aliases = (*aliases, stem)
        content = Content(
            title=title, kind=kind, body=note.body, aliases=aliases, tags=note.every_tag
        ).cleaned()
        if kind is PageKind.PAPER:
            page = self._made_paper(session, content, note, slug, now)
        else:
            page = pages.create(
                session, content, author=VAULT, now=now, slug=slug, note="made in the vault"
            )
            assert page.id is not None
            if kind is PageKind.THREAD:
                session.add(Thread(page_id=page.id))
            elif kind is PageKind.DIGEST:
                session.add(Digest(page_id=page.id, day=fields.one(note.facts.get("day", ""))))
            elif kind is PageKind.EPISODE:
                ref = SourceRef(key="vault", kind=SourceKind.FILE, name="Vault")
                source = items.source(session, ref, now=now)
                session.add(Episode(page_id=page.id, source_id=source.id or 0))
            session.flush()
        nothing = Note(facts={"day": note.facts["day"]} if "day" in note.facts else {})
        refused += fields.apply(session, page, nothing, note, now)
        return page, refused

    def _made_paper(
        self, session: Session, content: Content, note: Note, slug: str, now: datetime
    ) -> Page:
        found = papers.find(
            session, [each for i in note.identifiers if (each := parse_id(i))], content.title
        )
        standing = session.get(Page, found.page_id) if found and found.page_id else None
        if standing is not None:
            raise Invalid(
                f"The paper it is about has a page already: [[{standing.title}]]. Write there, or "
                "make this a note (`kind: note`) without the paper's title and identifiers."
            )
        paper = found or Paper(
            state=PaperState.WAITING,
            title=content.title,
            title_key=title_key(content.title),
            created_at=now,
        )
        session.add(paper)
        session.flush()
        page = papers.give_page(
            session,
            paper,
            now=now,
            slug=slug,
            body=content.body,
            aliases=content.aliases,
            tags=content.tags,
            author=VAULT,
        )
        if page.title != content.title:
            pages.revise(session, page, content, author=VAULT, now=now)
        return page

    def _is_free_day(self, session: Session, note: Note) -> bool:
        day = fields.one(note.facts.get("day", ""))
        whole = whole_day(day) is not None or (len(day) == 7 and clean_date(day) == day)
        return whole and session.exec(select(Digest).where(Digest.day == day)).first() is None
