"""Links and facts of front matter, put in and taken out."""

from __future__ import annotations

from app.domain.records import (
    Decision,
    Identifier,
    Link,
    LinkStatus,
    Origin,
    PageKind,
    Paper,
    Relation,
    Thread,
    ThreadStatus,
    Verdict,
)
from app.services import review
from app.store import links, pages
from app.store.db import writing
from app.vault import journal
from app.vault.folder import Vault
from tests.factories import make_link, make_page
from tests.services.vault.synced import NOW, Wiki


def test_a_link_taken_out_is_rejected_and_not_proposed_again(wiki: Wiki) -> None:
    one = wiki.page("One", "Text.\n", PageKind.CONCEPT)
    two = wiki.page("Two", "", PageKind.CONCEPT)
    with writing(wiki.engine) as session:
        source, target = pages.get(session, one), pages.get(session, two)
        make_link(session, source.id or 0, target.id or 0, Relation.USES, origin=Origin.LINKER)
    wiki.pass_()
    assert 'uses:\n  - "[[Two]]"\n' in wiki.text("concepts/One.md")
    wiki.replace("concepts/One.md", 'uses:\n  - "[[Two]]"\n', "")
    wiki.pass_()
    [link] = wiki.all(Link)
    assert link.status is LinkStatus.REJECTED
    [decision] = wiki.all(Decision)
    assert (decision.who, decision.verdict) == ("person", Verdict.REJECT)
    with writing(wiki.engine) as session:
        again = links.propose(
            session,
            source_id=link.source_id,
            target_id=link.target_id,
            relation=Relation.USES,
            confidence=0.9,
            reason="alike",
            evidence=[],
            signals=[],
            text_hash="",
            origin=Origin.LINKER,
            now=NOW,
        )
        assert not again
    wiki.agree()
    with writing(wiki.engine) as session:
        review.undo(session, decision.id or 0, now=NOW)
    wiki.pass_()
    assert '"[[Two]]"' in wiki.text("concepts/One.md")


def test_a_link_put_in_accepts_its_proposal(wiki: Wiki) -> None:
    one, two = wiki.page("One", "Text.\n"), wiki.page("Two")
    with writing(wiki.engine) as session:
        source, target = pages.get(session, one), pages.get(session, two)
        make_link(
            session,
            source.id or 0,
            target.id or 0,
            Relation.ABOUT,
            status=LinkStatus.PROPOSED,
            origin=Origin.LINKER,
        )
    wiki.pass_()
    wiki.replace("notes/One.md", "title: One\n", 'title: One\nabout: ["[[two]]"]\n')
    wiki.pass_()
    [link] = wiki.all(Link)
    assert link.status is LinkStatus.ACCEPTED
    [decision] = wiki.all(Decision)
    assert decision.agreed is True and decision.reason == "put into its file"
    lines = list(journal.decisions(Vault(wiki.root)))
    assert [line["link"] for line in lines] == [
        {"source": "one", "relation": "about", "target": "two"}
    ]
    wiki.agree()


def test_a_link_to_a_page_nobody_wrote_waits_for_it(wiki: Wiki) -> None:
    wiki.page("One", "Text.\n")
    wiki.pass_()
    wiki.replace("notes/One.md", "title: One\n", 'title: One\nextends:\n  - "[[Later]]"\n')
    wiki.pass_()
    assert '"[[Later]]"' in wiki.text("notes/One.md") and not wiki.all(Link)
    wiki.agree()
    wiki.page("Later")
    wiki.pass_()
    [link] = wiki.all(Link)
    assert (link.relation, link.status) == (Relation.EXTENDS, LinkStatus.ACCEPTED)
    assert wiki.text("notes/One.md").count("[[Later]]") == 1
    wiki.agree()


def test_the_facts_of_a_paper_and_of_a_thread_are_taken_up(wiki: Wiki) -> None:
    with writing(wiki.engine) as session:
        make_page(session, "A paper", PageKind.PAPER, published="2026-05-01", authors=("Ada",))
    thread = wiki.page("A thread", "", PageKind.THREAD)
    with writing(wiki.engine) as session:
        session.add(Thread(page_id=pages.get(session, thread).id or 0, claim="It is so."))
    wiki.pass_()
    wiki.replace("papers/A paper.md", "- Ada\n", "- Ada\n  - Grace\n")
    wiki.replace("papers/A paper.md", "title: A paper\n", "title: A paper\nvenue: ICML\n")
    wiki.replace(
        "papers/A paper.md",
        "title: A paper\n",
        'title: A paper\nidentifiers: ["arxiv:2605.00001"]\n',
    )
    wiki.replace("threads/A thread.md", "It is so.", "It is not so.")
    wiki.replace("threads/A thread.md", "status: open", "status: closed")
    report = wiki.pass_()
    assert not report.refused
    [paper] = wiki.all(Paper)
    assert (paper.authors, paper.venue) == (["Ada", "Grace"], "ICML")
    assert [row.value for row in wiki.all(Identifier)] == ["2605.00001"]
    [row] = wiki.all(Thread)
    assert (row.claim, row.status) == ("It is not so.", ThreadStatus.CLOSED)
    assert wiki.read(thread).extra["claims"][0]["claim"] == "It is so."
    wiki.agree()
