"""A whole wiki as one file, and back: the same bytes, or nothing and a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlmodel import Session, SQLModel

from app.domain import records
from app.domain.identifiers import title_key
from app.domain.interchange import LEFT_OUT, TYPES
from app.domain.money import LLMSettings
from app.domain.records import (
    Act,
    ActKind,
    Alias,
    AliasKind,
    Assessment,
    AssessmentTopic,
    AuthorKind,
    Change,
    ChangeKind,
    Decision,
    Delivery,
    DeliveryState,
    Digest,
    Draft,
    Episode,
    Fetch,
    FetchReason,
    FetchState,
    Identifier,
    Item,
    Link,
    LinkStatus,
    Listing,
    ListingPaper,
    LooseLink,
    LooseMention,
    Mention,
    ModelBatch,
    ModelCall,
    Origin,
    Page,
    PageKind,
    PageSection,
    Paper,
    PaperState,
    Prediction,
    PredictionTouch,
    Preference,
    Price,
    Question,
    Raw,
    Relation,
    Role,
    Rule,
    Run,
    RunState,
    Source,
    SourceKind,
    Stance,
    Subscription,
    Thread,
    Topic,
    UndoLog,
    VaultConflict,
    Verdict,
)
from app.errors import Conflict, Unreadable
from app.services.interchange import restore, whole
from app.store.db import open_engine, reading, writing
from app.store.pages import IMPORT, PERSON, Author, Content, create, reindex, rename, revise
from app.store.preferences import llm
from app.store.schema import upgrade
from tests import databases
from tests.factories import THEN, make_engine

SHA = "ab" * 32
DERIVED = ("page_text", "red_link", "page_number")
ODD = "Żółć “quotes” 🌊\n\ttab \\ back </script> \u2028 \x7f \\u0000"


def filled(engine: Engine) -> Engine:
    """A wiki with a row in every table that a file has, and odd values in them."""
    with writing(engine) as session:
        session.add(Topic(id="tides", name="Tides", keep=ODD, extra={"colour": "blue", "name": 1}))
        session.flush()
        tide = create(
            session,
            Content(
                title="Tide",
                kind=PageKind.CONCEPT,
                body=f"Of [[Nowhere]] and eight papers strong.\n\n## More\n{ODD}",
                aliases=("Flood", "Ebb"),
                tags=("sea", "moon"),
            ),
            author=PERSON,
            now=THEN,
            extra={"mine": [1, 2.5, None, {"ü": "\\"}], "title": "taken", "row": 3},
        )
        waits = _paper(session, "Waiting", PaperState.WAITING, extra={"slug": "later", "tldr": "x"})
        kept = _paper(session, "Kept", PaperState.KEPT, abstract=ODD)
        plain = _paper(session, "No identifier", PaperState.KEPT)
        session.add(Identifier(scheme="doi", value="10.1000/1", paper_id=kept.id))
        session.add(Identifier(scheme="arxiv", value="2605.00001", paper_id=kept.id, versions=[1]))
        session.flush()
        page = create(
            session,
            Content(title="Kept", kind=PageKind.PAPER, body="Of the [[Tide]]."),
            author=IMPORT,
            now=THEN,
            paper=kept,
        )
        other = create(
            session,
            Content(title="Called otherwise", kind=PageKind.PAPER),
            author=Author(AuthorKind.MODEL, "m", "page@1"),
            now=THEN,
            paper=plain,
        )
        thread = create(
            session, Content(title="Thread", kind=PageKind.THREAD), author=PERSON, now=THEN
        )
        note = create(session, Content(title="Note", kind=PageKind.NOTE), author=PERSON, now=THEN)
        assert tide.id and page.id and other.id and thread.id and note.id
        session.add(Thread(page_id=thread.id, claim=ODD))
        session.flush()
        reindex(session, thread)
        gone = create(
            session,
            Content(title="Gone", kind=PageKind.THREAD, body="It was here."),
            author=PERSON,
            now=THEN,
        )
        assert gone.id
        session.add(Thread(page_id=gone.id, claim="A claim that is gone"))
        later = THEN + timedelta(days=1, microseconds=7)
        content = Content(
            title="Tides",
            kind=PageKind.CONCEPT,
            body="Of [[Note]].",
            aliases=("Flood", "Ebb"),
            tags=("sea",),
        )
        revise(session, tide, content, author=Author(AuthorKind.MODEL, "m"), now=later)
        rename(session, tide, "tides", now=later)
        _rest(session, tide.id, page.id, thread.id, note.id, waits.id or 0, kept.id or 0)
        session.add(
            Link(
                source_id=note.id,
                target_id=gone.id,
                relation=Relation.RELATED,
                status=LinkStatus.REJECTED,
                origin=Origin.AGENT,
                created_at=THEN,
            )
        )
        session.add(
            Prediction(page_id=gone.id, key="g", text="G", origin=Origin.IMPORT, created_at=THEN)
        )
        session.flush()
        gone.kind, gone.slug, gone.title_key = PageKind.MERGED, "gone-merged", ""
        for table in ("page_text", "alias"):
            session.connection().execute(
                sa.delete(SQLModel.metadata.tables[table]).where(sa.column("page_id") == gone.id)
            )
    return engine


def _paper(session: Session, title: str, state: PaperState, **more: Any) -> Paper:
    paper = Paper(state=state, title=title, title_key=title_key(title), created_at=THEN, **more)
    session.add(paper)
    session.flush()
    return paper


def _rest(
    session: Session, tide: int, page: int, thread: int, note: int, waits: int, kept: int
) -> None:
    link = Link(
        source_id=page,
        target_id=thread,
        relation=Relation.PART_OF,
        role=Role.STARTS,
        status=LinkStatus.REJECTED,
        origin=Origin.LINKER,
        confidence=0.1 + 0.2,
        evidence=[{"quotation": ODD, "where": "abstract", "verbatim": True, "spans": [[0, 3]]}],
        signals=[{"name": "words", "value": 1e-7, "words": ""}],
        extra={"resembles": [note]},
        created_at=THEN,
        decided_at=THEN,
    )
    odd = Link(
        source_id=note,
        target_id=thread,
        relation=Relation.RELATED,
        status=LinkStatus.PROPOSED,
        origin=Origin.MODEL,
        evidence=[{"text": "no quotation"}],
        created_at=THEN,
    )
    change = Change(
        kind=ChangeKind.REMOVE,
        key="remove:9",
        title="Gone",
        source_id=tide,
        status=LinkStatus.ACCEPTED,
        origin=Origin.AUTHOR,
        content={"links": [1, {"deep": [None, True]}]},
        created_at=THEN,
    )
    session.add_all([link, odd, change])
    session.flush()
    kept_decision = Decision(at=THEN, verdict=Verdict.KEEP, paper_id=kept, reason=ODD)
    undone = Decision(at=THEN, verdict=Verdict.REJECT, link_id=link.id, undone=True, batch="b")
    session.add_all([kept_decision, undone])
    session.flush()
    undo = Decision(at=THEN, verdict=Verdict.ACCEPT, link_id=link.id, undoes_id=undone.id)
    session.add_all([undo, Decision(at=THEN, verdict=Verdict.DROP, paper_id=waits, agreed=False)])
    session.add_all([Decision(at=THEN, verdict=Verdict.ACCEPT, change_id=change.id)])
    session.add(Question(page_id=page, number=7, text="Why?", withdrawn=True))
    session.add(Question(page_id=page, number=8, text="How?", day="2026-05"))
    prediction = Prediction(
        page_id=page,
        key="k",
        text="It floods.",
        probability=0.3,
        origin=Origin.IMPORT,
        created_at=THEN,
    )
    session.add(prediction)
    session.flush()
    for at, dismissed in ((note, True), (tide, False)):
        touch = {"prediction_id": prediction.id, "page_id": at, "confidence": 0.5, "quotation": "q"}
        session.add(PredictionTouch(**touch, dismissed=dismissed))
    session.add(
        PageSection(page_id=note, key="", position=0, hash="h", owner=AuthorKind.PERSON, at=THEN)
    )
    session.add(VaultConflict(page_id=note, base=1, text=ODD, hash=SHA, at=THEN))
    session.add(Draft(slug="new-page", body=ODD, at=THEN))
    source = Source(key="feed", kind=SourceKind.FEED, name="Feed", created_at=THEN)
    session.add_all([source, Raw(sha256=SHA, size=12, created_at=THEN)])
    session.flush()
    assert source.id
    session.add(
        Subscription(
            source_id=source.id,
            connector="feed",
            options={"a": 1},
            cursor={"etag": '"x"'},
            every_minutes=60,
            due_at=THEN,
        )
    )
    fetch = Fetch(
        source_id=source.id,
        reason=FetchReason.DUE,
        state=FetchState.DONE,
        asked_at=THEN,
        size=2**40,
    )
    session.add(fetch)
    session.flush()
    session.add(
        Delivery(
            source_id=source.id,
            fetch_id=fetch.id or 0,
            name="n",
            format="feed",
            headers={"etag": "x"},
            raw_sha256=SHA,
            state=DeliveryState.READ,
            refusals=[{"where": "1", "reason": "r"}],
            received_at=THEN,
        )
    )
    item = Item(
        source_id=source.id,
        key="1",
        format="feed",
        title=ODD,
        received_at=THEN,
        hash="h",
        raw_sha256=SHA,
        paper_id=kept,
        state={"score": 3},
    )
    session.add(item)
    session.flush()
    assert item.id
    session.add(Mention(item_id=item.id, paper_id=kept, section="", stance=Stance.DISPUTES))
    session.add(LooseMention(item_id=item.id, scheme="doi", value="10.1/2", section="s"))
    session.add(
        LooseLink(source_id=note, relation=Relation.COVERS, paper_id=waits, created_at=THEN)
    )
    digest = create(
        session, Content(title="Day", kind=PageKind.DIGEST, body="Day."), author=IMPORT, now=THEN
    )
    episode = create(session, Content(title="Talk", kind=PageKind.EPISODE), author=IMPORT, now=THEN)
    session.add(Digest(page_id=digest.id or 0, day="2026-05-14", sections=[{"items": [1]}]))
    session.add(Episode(page_id=episode.id or 0, source_id=source.id, takeaways=["a", ""]))
    session.add(Listing(day="2026-05-08", item_id=item.id, prompt_cost_usd=0.1))
    session.add(ListingPaper(day="2026-05-08", paper_id=waits, position=3, version=2))
    call = ModelCall(
        at=THEN,
        day="2026-05-08",
        purpose="judge",
        model="m",
        state=records.CallState.BOOKED,
        cost=2**50,
    )
    session.add(call)
    session.flush()
    session.add(
        Price(
            model="m",
            since="2026-01-01",
            input=1,
            output=2,
            cache_read=3,
            cache_write=4,
            cache_write_1h=5,
        )
    )
    session.add(
        ModelBatch(
            call_id=call.id or 0,
            purpose="judge",
            model="m",
            state=records.BatchState.SENT,
            requests=[{"id": "a", "papers": [kept]}],
            created_at=THEN,
            next_look_at=THEN,
        )
    )
    for scorer, day in (("model", "2026-05-08"), ("local", "")):
        assessment = Assessment(
            paper_id=kept,
            day=day,
            scorer=scorer,
            relevance=7 if day else None,
            topic_id="tides" if day else None,
            score=0.123456789,
            evidence=[{"kind": "near", "page": "tides", "paper": "x", "likeness": 0.5}],
            call_id=call.id,
            at=THEN,
        )
        session.add(assessment)
        session.flush()
        session.add(AssessmentTopic(assessment_id=assessment.id or 0, topic_id="tides"))
    session.add(Rule(concept_id=tide, least=0.9, created_at=THEN))
    run = Run(trigger="person", state=RunState.DONE, started_at=THEN)
    session.add(run)
    session.flush()
    act = Act(kind=ActKind.IMPORT, at=THEN, words="Imported.", counts={"pages": 2})
    session.add(act)
    session.flush()
    session.add(
        UndoLog(act_id=act.id or 0, entries=[["paper", [1], {"venue": ""}, {"venue": "A"}]])
    )
    session.add(Preference(name="linker_floor", value="0.4"))


@pytest.fixture
def source(tmp_path: Path) -> Engine:
    folder = tmp_path / "source"
    folder.mkdir()
    return filled(make_engine(folder))


@pytest.fixture
def target(tmp_path: Path) -> Engine:
    folder = tmp_path / "target"
    folder.mkdir()
    return make_engine(folder)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole wiki, written once."""
    return exported(filled(make_engine(tmp_path_factory.mktemp("written"))))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A wiki into which nothing ever comes."""
    return make_engine(tmp_path_factory.mktemp("empty"))


def exported(engine: Engine) -> bytes:
    with reading(engine) as session:
        return "".join(whole(session)).encode()


def imported(engine: Engine, file: bytes) -> None:
    with writing(engine) as session:
        restore(session, file.splitlines(keepends=True))


def rows(engine: Engine, tables: list[str]) -> dict[str, list[str]]:
    """The rows of tables as texts, whatever the order of keys in an object."""

    def plain(value: Any) -> str:
        return json.dumps(value, sort_keys=True) if isinstance(value, dict) else repr(value)

    with reading(engine) as session:
        return {
            name: sorted(
                " ".join(map(plain, row))
                for row in session.connection().execute(sa.select(SQLModel.metadata.tables[name]))
            )
            for name in tables
        }


def edited(file: bytes, change: Callable[[list[dict[str, Any]]], Any]) -> bytes:
    lines = [json.loads(line) for line in file.splitlines()]
    change(lines)
    lines[-1]["lines"] = len(lines) - 1
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def first(lines: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(line for line in lines if line["type"] == kind)


# ---------------------------------------------------------------- the same bytes


def test_every_table_is_written_or_named_as_left_out() -> None:
    written = {part.table.__tablename__ for kind in TYPES for part in kind.parts}
    left = {table.__tablename__ for table in LEFT_OUT}
    assert written | left == set(SQLModel.metadata.tables)
    assert not written & left


def test_a_file_has_every_type(source: Engine) -> None:
    lines = [json.loads(line) for line in exported(source).splitlines()]
    assert [line["type"] for line in lines[:1]] == ["wiki"]
    assert {line["type"] for line in lines[1:-1]} == {kind.name for kind in TYPES}
    assert lines[-1] == {"type": "end", "lines": len(lines) - 1}


def test_read_back_the_same_is_written_again(source: Engine, target: Engine) -> None:
    file = exported(source)
    imported(target, file)
    assert exported(target) == file
    written = sorted({str(part.table.__tablename__) for kind in TYPES for part in kind.parts})
    of_source, of_target = rows(source, written), rows(target, written)
    # What bears on a prediction is derived, but for what was dismissed.
    of_source["prediction_touch"] = [r for r in of_source["prediction_touch"] if "True" in r]
    assert of_target == of_source
    assert rows(target, list(DERIVED)) == rows(source, list(DERIVED))


def test_what_is_made_after_it_has_ids_of_its_own(source: Engine, target: Engine) -> None:
    imported(target, exported(source))
    with writing(target) as session:
        new = create(session, Content(title="New", kind=PageKind.NOTE), author=PERSON, now=THEN)
        session.add(Alias(page_id=new.id or 0, name="N", key="n", kind=AliasKind.NAME))
        session.flush()
        assert new.id and new.id > 1
        waiting = sa.text("SELECT count(*) FROM unmirrored WHERE page_id = :page")
        assert session.connection().execute(waiting, {"page": new.id}).scalar() == 1


@pytest.mark.postgresql_only
def test_from_one_database_to_the_other_and_back(source: Engine, tmp_path: Path) -> None:
    file = exported(source)
    other = open_engine(f"sqlite:///{tmp_path / 'other.sqlite3'}")
    upgrade(other)
    imported(other, file)
    assert exported(other) == file
    back = open_engine(databases.create())
    upgrade(back)
    imported(back, exported(other))
    assert exported(back) == file


def test_fields_of_the_format_come_first_and_are_theirs(source: Engine) -> None:
    lines = [json.loads(line) for line in exported(source).splitlines()]
    paper = first(lines, "paper")
    assert (paper["id"], paper["slug"], paper["keep"], paper["tldr"]) == ("later",) * 2 + (
        False,
        "x",
    )
    assert paper["day"] == "2026-05-08"
    kept = [line for line in lines if line["type"] == "paper"][1]
    assert kept["id"] == "arxiv:2605.00001" and kept["identifiers"] == ["doi:10.1000/1"]
    link = next(line for line in lines if line["type"] == "link" and line["relation"] == "part-of")
    assert (link["source"], link["target"]) == ("arxiv:2605.00001", "thread")
    assert link["evidence"][0]["quote"] == ODD
    decisions = [line for line in lines if line["type"] == "decision"]
    assert [line["paper"] for line in decisions] == ["arxiv:2605.00001", "later"]
    concept = first(lines, "concept")
    assert concept["mine"] == [1, 2.5, None, {"ü": "\\"}]
    assert concept["row"]["extra"] == {"title": "taken", "row": 3}
    assert concept["aliases"] == ["Flood", "Ebb", "Tide"]
    assert concept["tags"] == ["sea"]


def test_a_text_that_stands_on_the_page_is_not_written_twice(source: Engine) -> None:
    lines = [json.loads(line) for line in exported(source).splitlines()]
    revisions = [line["row"] for line in lines if line["type"] == "revision"]
    of_tide = [row for row in revisions if row["title"].startswith("Tide")]
    assert ["body" in row for row in of_tide] == [True, False]


def test_no_secret_is_in_it(source: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets are settings, and no setting is in the database."""
    for name in ("ANTHROPIC_API_KEY", "CEREBRO_IMAP", "CEREBRO_SMTP", "CEREBRO_PASSWORD_HASH"):
        monkeypatch.setenv(name, "imaps://me:canary@localhost:1")
    assert b"canary" not in exported(source)


# ---------------------------------------------------------------- refused whole


def test_a_wiki_that_is_not_empty_is_left_alone(source: Engine) -> None:
    file = exported(source)
    with pytest.raises(Conflict, match="empty"):
        imported(source, file)
    assert exported(source) == file


def refused(target: Engine, file: bytes) -> str:
    """The sentence for a file; nothing of it is there then."""
    with pytest.raises(Unreadable) as error:
        imported(target, file)
    with reading(target) as session:
        assert session.connection().execute(sa.select(sa.func.count(Page.id))).scalar() == 0
        assert session.connection().execute(sa.select(sa.func.count(Source.id))).scalar() == 0
    return str(error.value)


def test_cut_off_anywhere_it_is_refused(file: bytes, empty: Engine) -> None:
    lines = file.splitlines(keepends=True)
    for count in (1, 2, len(lines) // 2, len(lines) - 1):
        assert "cut off" in refused(empty, b"".join(lines[:count]))
    half = b"".join(lines[:20]) + lines[20][: len(lines[20]) // 2]
    assert refused(empty, half).startswith("Line 21:")
    assert "cut off" in refused(empty, b"")


def test_lines_behind_the_end_are_refused(file: bytes, empty: Engine) -> None:
    assert "follows the line" in refused(empty, file + file.splitlines(keepends=True)[1])


def test_a_line_too_few_is_refused(file: bytes, empty: Engine) -> None:
    lines = file.splitlines(keepends=True)
    draft = next(n for n, line in enumerate(lines) if line.startswith(b'{"type":"draft"'))
    said = refused(empty, b"".join(lines[:draft] + lines[draft + 1 :]))
    assert said.startswith(f"Line {len(lines) - 1}:") and "lines before this one" in said


@pytest.mark.parametrize(
    ("version", "words"),
    [(2, "newer program"), (None, "names no version"), ("1", "no version"), (True, "no version")],
)
def test_versions_that_are_not_known(
    file: bytes, empty: Engine, version: object, words: str
) -> None:
    file = edited(file, lambda lines: lines[0].update(version=version))
    assert words in refused(empty, file)


def _swap(lines: list[dict[str, Any]], kind: str) -> None:
    at = [n for n, line in enumerate(lines) if line["type"] == kind]
    lines[at[0]], lines[at[1]] = lines[at[1]], lines[at[0]]


HOSTILE: list[tuple[Callable[[list[dict[str, Any]]], Any], str]] = [
    (lambda lines: _swap(lines, "revision"), "keep the order"),
    (lambda lines: lines.insert(2, lines.pop()), "lines before this one"),
    (lambda lines: lines.insert(-1, first(lines, "topic")), "stands behind"),
    (lambda lines: lines.insert(3, {"type": "spell"}), "no line of type 'spell'"),
    (lambda lines: lines.insert(3, {"no": "type"}), "no line of type"),
    (lambda lines: first(lines, "concept").update(id="../../etc"), "no slug"),
    (lambda lines: first(lines, "concept").update(id=""), "no slug"),
    (lambda lines: first(lines, "concept").update(id="note"), "same slug"),
    (lambda lines: first(lines, "concept").update(title=7), '"title" is not a text'),
    (lambda lines: first(lines, "concept").pop("row"), '"row" is missing'),
    (lambda lines: first(lines, "concept").update(row=[]), '"row" is missing'),
    (lambda lines: first(lines, "concept")["row"].update(id=2**31), "whole number"),
    (lambda lines: first(lines, "concept")["row"].update(id=10**400), "too large"),
    (lambda lines: first(lines, "concept")["row"].update(id=0), "whole number from 1"),
    (lambda lines: first(lines, "concept")["row"].update(id=True), "whole number"),
    (lambda lines: first(lines, "concept")["row"].update(id=1.0), "whole number"),
    (lambda lines: first(lines, "concept")["row"].pop("id"), '"id" is missing'),
    (lambda lines: first(lines, "concept")["row"].update(spell=1), "knows no field"),
    (lambda lines: first(lines, "concept")["row"].update(created_at="soon"), "ISO form"),
    (lambda lines: first(lines, "concept")["row"].update(created_at="2026-05-08"), "zone"),
    (lambda lines: first(lines, "concept")["row"].update(author_kind="god"), "none of person"),
    (lambda lines: first(lines, "concept")["row"].update(extra=[]), "not an object"),
    (lambda lines: first(lines, "page").update(kind="merged"), '"kind" is none of'),
    (lambda lines: first(lines, "other_page").update(kind="note"), '"kind" is none of'),
    (lambda lines: first(lines, "link").update(confidence="1"), "not a number"),
    (lambda lines: first(lines, "link").update(evidence=["x"]), "list of objects"),
    (lambda lines: first(lines, "link").update(evidence=[{"quote": 1}]), "is not a text"),
    (lambda lines: first(lines, "link").update(spell=1), "knows no field"),
    (lambda lines: first(lines, "link")["row"].update(target_id=999), "no page further up"),
    (lambda lines: first(lines, "link")["row"].update(target_id=None), "whole number"),
    (
        lambda lines: first(lines, "other_decision")["row"].update(undoes_id=99),
        "no decision further up",
    ),
    (lambda lines: first(lines, "raw")["row"].update(sha256="../" * 21 + "x"), "no SHA-256"),
    (lambda lines: first(lines, "source")["row"].update(created_at=None), "ISO form"),
    (lambda lines: first(lines, "identifier")["row"].update(page_id=1), "contradicts itself"),
    (lambda lines: first(lines, "identifier")["row"].update(versions=["1"]), "whole number"),
    (lambda lines: first(lines, "episode")["row"].update(takeaways=[1]), "not a text"),
    (lambda lines: lines.insert(1, {"type": "wiki", "format": "cere-bro", "version": 1}), "type"),
]


@pytest.mark.parametrize(("change", "words"), HOSTILE)
def test_hostile_lines_are_refused_with_their_number(
    file: bytes, empty: Engine, change: Callable[[list[dict[str, Any]]], Any], words: str
) -> None:
    said = refused(empty, edited(file, change))
    assert words in said
    assert said.startswith("Line ") and said.endswith("Nothing was imported.")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("link", "source"),
        ("link", "target"),
        ("decision", "paper"),
        ("paper", "id"),
        ("question", "page"),
        ("assessment", "paper"),
    ],
)
def test_a_name_that_its_row_does_not_say_is_refused(
    file: bytes, empty: Engine, kind: str, name: str
) -> None:
    def damage(lines: list[dict[str, Any]]) -> None:
        first(lines, kind)[name] += "x"

    lines = [json.loads(each) for each in file.splitlines()]
    number = lines.index(first(lines, kind)) + 1
    said = refused(empty, edited(file, damage))
    assert said.startswith(f"Line {number:,}: ") and f'"{name}"' in said
    assert "was changed or damaged" in said


def test_how_far_another_vault_is_comes_with_no_file(file: bytes, target: Engine) -> None:
    """A file says what it likes: nothing of it may keep the vault or the settings from working."""
    said = {
        "llm_papers": "9" * 5000,
        "vault_decisions": "x",
        "vault_git_done": "a 1 1",
        "vault_wiki": "x",
    }

    def say(lines: list[dict[str, Any]]) -> None:
        at = lines.index(first(lines, "preference"))
        lines[:] = [line for line in lines if line["type"] != "preference"]
        lines[at:at] = [
            {"type": "preference", "row": {"name": name, "value": value}}
            for name, value in said.items()
        ]

    imported(target, edited(file, say))
    with reading(target) as session:
        assert [session.get(Preference, name) is not None for name in said] == [True, *[False] * 3]
        assert llm(session).papers == LLMSettings().papers


def test_two_pages_of_one_id_are_refused(file: bytes, empty: Engine) -> None:
    def same(lines: list[dict[str, Any]]) -> None:
        first(lines, "thread")["row"]["id"] = first(lines, "concept")["row"]["id"]

    assert "the same page 1" in refused(empty, edited(file, same))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"\xff\xfe\n", "not JSON"),
        (b"[1]\n", "not a JSON object"),
        (b"\n", "not JSON"),
        (b'{"type":"topic","id":"a\\u0000"}\n', "NUL"),
        (b'{"type":"topic","threshold":NaN}\n', "NaN is not a number"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}\n", "too deeply"),
        (b'{"a":' + b"[" * 100_000 + b"}\n", "nested too deeply"),
    ],
)
def test_lines_that_are_no_json_are_refused(
    file: bytes, empty: Engine, line: bytes, words: str
) -> None:
    lines = file.splitlines(keepends=True)
    said = refused(empty, b"".join([lines[0], line, *lines[1:]]))
    assert said.startswith("Line 2:") and words in said
