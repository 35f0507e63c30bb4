"""Saved pages of a show: a made-up show, dates in six languages, damage, and the real page."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.items import (
    Chapter,
    Document,
    EpisodeArrival,
    LinkArrival,
    MentionArrival,
    PageArrival,
    PaperArrival,
    Rejected,
)
from app.domain.records import PageKind, Relation, SourceKind
from app.errors import Unreadable
from app.sources.base import File
from app.sources.podcast_page import PodcastPage

SHOW = (Path(__file__).parent / "data" / "podcast-show.txt").read_bytes()
SEED = Path(__file__).parents[3] / "shared" / "data" / "seeds" / "podcast-page-2026-05-27.txt"
READER = PodcastPage()
SLACK = "why-slack-water-keeps-time"


def document(data: bytes | str, name: str = "page.txt") -> Document:
    return READER.read(File(name=name, data=data.encode() if isinstance(data, str) else data))


def read(data: bytes | str, name: str = "page.txt") -> list[Any]:
    return list(document(data, name).arrivals)


def of(kind: type, arrivals: list[Any]) -> list[Any]:
    return [arrival for arrival in arrivals if isinstance(arrival, kind)]


def episodes(data: bytes | str, name: str = "page.txt") -> list[EpisodeArrival]:
    return of(EpisodeArrival, read(data, name))


def changed(*pairs: tuple[str, str]) -> str:
    text = SHOW.decode()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


# ---------------------------------------------------------------- the show as it is


def test_show_is_the_source_and_the_day_it_was_saved_the_key() -> None:
    page = document(SHOW)
    assert (page.source.key, page.source.kind, page.source.name) == (
        "podcast:salt-and-signal-papers-by-the-sea",
        SourceKind.PODCAST,
        "Salt and Signal: Papers by the Sea",
    )
    assert (page.key, page.published) == (
        "salt-and-signal-papers-by-the-sea:2031-03-04",
        "2031-03-04",
    )


def test_open_episode_is_told_in_its_parts() -> None:
    assert episodes(SHOW)[0] == EpisodeArrival(
        page=PageArrival(
            ref=SLACK,
            kind=PageKind.EPISODE,
            title="Why Slack Water Keeps Time",
            text="For a century the turn of the tide was called noise. Two authors say it is a "
            "clock, and they brought the harbour's books.",
        ),
        published="2031-03-02",
        minutes=24,
        ai_generated="This episode was AI-generated on March 2, 2031. The script was written by an "
        "AI language model and the host voices were synthesized by Tin Larynx. The producer is not "
        "affiliated with Tin Larynx.",
        takeaways=(
            "The turn of the tide is a limit cycle, with 2 constants",
            "Why the sill matters more than the moon — within limits",
        ),
        chapters=(
            Chapter(
                at=0,
                title="The pilot who never looked up",
                text="A harbour pilot leaves by the smell of mud.",
            ),
            Chapter(
                at=465,
                title="Is the sill enough?",
                text="Measurements from three ports say almost.",
            ),
            Chapter(
                at=3730,
                title="What the critics miss",
                text="Where the data are thin: winter, ice * and ferries.",
            ),
        ),
    )


def test_source_paper_is_kept_covered_and_mentioned() -> None:
    arrivals = read(SHOW)
    assert of(PaperArrival, arrivals)[0] == PaperArrival(
        refs=("arxiv:3103.00011v2",),
        title="Slack Water Is a Limit Cycle",
        published="2031-03-01",
        keep=True,
    )
    assert (
        LinkArrival(source=SLACK, relation=Relation.COVERS, target="arxiv:3103.00011") in arrivals
    )
    mention = of(MentionArrival, arrivals)[0]
    assert (mention.paper, mention.section, mention.day, mention.source_name) == (
        "arxiv:3103.00011",
        "Why Slack Water Keeps Time",
        "2031-03-02",
        "Salt and Signal: Papers by the Sea",
    )
    assert mention.text.startswith("For a century")


def test_recommended_reading_is_a_paper_or_an_article_with_its_reason() -> None:
    arrivals = read(SHOW)
    blog = "url:https://blog.example.org/slack?y=1"
    assert (
        PageArrival(ref=blog, kind=PageKind.ARTICLE, title="The Harbour Master's Blog") in arrivals
    )
    assert [
        (link.source, link.target, link.note)
        for link in of(LinkArrival, arrivals)
        if link.relation is Relation.RECOMMENDS
    ] == [
        (SLACK, "arxiv:3103.00012", "The small bodies the episode waves at."),
        (SLACK, blog, "Twenty years of gauge readings, with jokes."),
        ("how-rye-forgets", "arxiv:3103.00012", "Named in passing."),
    ]


def test_paper_recommended_twice_is_told_of_once() -> None:
    titles = [paper.title for paper in of(PaperArrival, read(SHOW))]
    assert titles == [
        "Slack Water Is a Limit Cycle",
        "Moonlets: A Catalogue of the Very Small",
        "Rye Forgets Faster Than Wheat",
    ]


def test_listed_episodes_have_their_dates_and_lengths() -> None:
    assert [(e.page.title, e.published, e.minutes) for e in episodes(SHOW)] == [
        ("Why Slack Water Keeps Time", "2031-03-02", 24),
        ("How Rye Forgets", "2031-03-03", 28),
        ("A Chat With Nobody", "2031-03-04", 65),
        ("Older Than The Others", "2031-02-28", 31),
    ]
    assert of(Rejected, read(SHOW)) == []


def test_episode_without_any_section_is_a_description() -> None:
    assert episodes(SHOW)[2].page.text == "We sit and say little."
    assert episodes(SHOW)[2].ai_generated == "This episode was AI-generated on March 4, 2031."
    assert episodes(SHOW)[3].page.text == "Two friends on the pier."


# ---------------------------------------------------------------- dates


@pytest.mark.parametrize(
    ("stated", "published", "minutes"),
    [
        ("Ayer28 min", "2031-03-03", 28),
        ("Hoy28 min", "2031-03-04", 28),
        ("anteayer 28 min", "2031-03-02", 28),
        ("Hace 3 días28 min", "2031-03-01", 28),
        ("Hace una semana · 28 min", "2031-02-25", 28),
        ("Hace 5 horas28 min", "2031-03-04", 28),
        ("Yesterday28 min", "2031-03-03", 28),
        ("2 weeks ago • 1 hr 2 min", "2031-02-18", 62),
        ("a day ago 28 mins", "2031-03-03", 28),
        ("Gestern28 Min.", "2031-03-03", 28),
        ("vor 2 Tagen · 28 Min", "2031-03-02", 28),
        ("hier28 min", "2031-03-03", 28),
        ("il y a 3 jours 28 min", "2031-03-01", 28),
        ("Aujourd’hui · 28 min", "2031-03-04", 28),
        ("Ontem28 min", "2031-03-03", 28),
        ("há 3 dias28 min", "2031-03-01", 28),
        ("Ieri28 min", "2031-03-03", 28),
        ("3 giorni fa 28 min", "2031-03-01", 28),
        ("26 de feb de 203128 min", "2031-02-26", 28),
        ("26 de febrero de 2031 · 120 min", "2031-02-26", 120),
        ("26 de feb28 min", "2031-02-26", 28),
        ("26 de dic28 min", "2030-12-26", 28),
        ("Feb 26, 203128 min", "2031-02-26", 28),
        ("Feb 2628 min", "2031-02-26", 28),
        ("February 26 2031 28 min", "2031-02-26", 28),
        ("26. Februar 2031 · 28 Min.", "2031-02-26", 28),
        ("26 févr. 2031 28 min", "2031-02-26", 28),
        ("1er juillet 2030 28 min", "", 28),
        ("1 août 2030 · 28 min", "2030-08-01", 28),
        ("26 fev 203128 min", "2031-02-26", 28),
        ("26 gen 2031 28 min", "2031-01-26", 28),
        ("28 min · 2031-02-26", "2031-02-26", 28),
        ("26/02/2031 28 min", "2031-02-26", 28),
        ("02/26/2031 28 min", "2031-02-26", 28),
        ("manana quizas28 min", "", 28),
    ],
)
def test_date_of_a_listed_episode(stated: str, published: str, minutes: int) -> None:
    found = episodes(
        changed(("Ayer28 min", stated), ("AI-generated on March 3, 2031", "AI-generated"))
    )
    assert [e.page.title for e in found][1:3] == ["How Rye Forgets", "A Chat With Nobody"]
    assert (found[1].published, found[1].minutes) == (published, minutes)


def test_relative_dates_count_from_the_day_the_episodes_settle_not_from_the_file_name() -> None:
    assert episodes(SHOW, name="podcast-2031-09-30.txt")[1].published == "2031-03-03"


def test_episodes_that_appear_a_day_after_they_were_made_shift_the_saved_day() -> None:
    text = changed(
        ("24 min · 2 de mar de 2031", "24 min · 3 de mar de 2031"), ("Hoy1 h", "Ayer1 h")
    )
    text = text.replace("AI-generated on March 4", "AI-generated on March 3")
    assert document(text).published == "2031-03-05"
    assert [e.published for e in episodes(text)][:3] == ["2031-03-03", "2031-03-04", "2031-03-04"]


def test_date_in_the_file_name_is_the_last_resort() -> None:
    text = re.sub(r"AI-generated on March \d, 2031", "AI-generated", SHOW.decode())
    assert episodes(text, name="show-2031-03-08.txt")[1].published == "2031-03-07"
    found = read(text)
    assert of(EpisodeArrival, found)[1].published == ""
    assert [said.where for said in of(Rejected, found)] == ["How Rye Forgets", "A Chat With Nobody"]
    assert "nothing tells the day the page was saved" in of(Rejected, found)[0].reason


def test_date_in_unknown_words_is_said_and_the_episode_still_arrives() -> None:
    (said,) = of(Rejected, read(changed(("Ayer28 min", "manana quizas28 min"))))
    assert (said.where, said.reason) == (
        "How Rye Forgets",
        "Its date 'manana quizas' could not be read.",
    )


# ---------------------------------------------------------------- descriptions in other shapes


def told(description: str) -> list[Any]:
    return read(changed(("Two friends on the pier.", description)))


def older(description: str) -> EpisodeArrival:
    return of(EpisodeArrival, told(description))[3]


def test_description_on_many_lines_is_read_alike() -> None:
    text = SHOW.decode()
    for mark in (
        "Source:",
        "Paper was",
        "This episode was",
        "KEY TAKEAWAYS",
        "RECOMMENDED READING",
    ):
        text = text.replace(f" {mark}", f"\n\n{mark}\n" if mark.isupper() else f"\n{mark}")
    text = text.replace(" * ", "\n* ")
    expected = [arrival for arrival in read(SHOW) if not isinstance(arrival, EpisodeArrival)]
    assert [a for a in read(text) if not isinstance(a, EpisodeArrival)] == expected
    first, again = episodes(SHOW)[0], episodes(text)[0]
    assert (again.takeaways, again.chapters[:2]) == (first.takeaways, first.chapters[:2])
    assert again.page == first.page


@pytest.mark.parametrize(
    ("words", "title", "text"),
    [
        ("The old pier A walk along it.", "The old pier", "A walk along it."),
        ("Who paid? Ledgers from 1931 tell.", "Who paid?", "Ledgers from 1931 tell."),
        (
            "Inside the NOAA archive How boxes are lost.",
            "Inside the NOAA archive",
            "How boxes are lost.",
        ),
        ("Rust, salt and money Framing the bill.", "Rust, salt and money", "Framing the bill."),
        ("The setup: A wet contract Using ink.", "The setup: A wet contract", "Using ink."),
        (
            "Three wet ports Brine's ledger and what it hides.",
            "Three wet ports",
            "Brine's ledger and what it hides.",
        ),
        ("What the divers saw 40 lamps, all lit.", "What the divers saw", "40 lamps, all lit."),
        ("a title all small", "a title all small", ""),
        ("One line\nand its text on the next.", "One line", "and its text on the next."),
    ],
)
def test_chapter_title_ends_where_its_sentence_begins(words: str, title: str, text: str) -> None:
    (chapter,) = older(f"KEY TAKEAWAYS\n* 00:30 — {words}").chapters
    assert chapter == Chapter(at=30, title=title, text=text)


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [("00:00", 0), ("7:45", 465), ("75:30", 4530), ("1:02:03", 3723), ("(02:03)", 123)],
)
def test_chapter_times_are_seconds(stamp: str, seconds: int) -> None:
    assert older(f"Words.\n\n{stamp} - The pier\nIt is wet.").chapters[0].at == seconds


def test_reading_without_an_address_is_known_by_title_and_one_without_either_is_said() -> None:
    arrivals = told("RECOMMENDED READING * Old Ropes — Why they hold. * just words")
    assert PaperArrival(refs=(), title="Old Ropes") in arrivals
    assert of(LinkArrival, arrivals)[-1].target == "title:Old Ropes"
    assert "'just words'" in of(Rejected, arrivals)[0].reason


def test_address_that_is_none_is_said() -> None:
    arrivals = told("RECOMMENDED READING * Old Ropes [https://[bad] — Why they hold.")
    assert of(Rejected, arrivals)[0].where == "Older Than The Others, reading 1"


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("https://openreview.net/forum?id=abc", PaperArrival),
        ("https://aclanthology.org/2031.acl-1.1/", PaperArrival),
        ("https://example.org/paper.pdf", PaperArrival),
        ("https://doi.org/10.1234/x", PaperArrival),
        ("https://example.org/post", PageArrival),
    ],
)
def test_address_tells_a_paper_from_an_article(address: str, kind: type) -> None:
    arrivals = told(f"RECOMMENDED READING * Old Ropes [{address}] — Why they hold.")
    assert [type(a) for a in arrivals if getattr(a, "title", "") == "Old Ropes"] == [kind]


def test_source_that_is_no_paper_is_an_article_and_not_mentioned_as_a_paper() -> None:
    arrivals = told("Source: A Blog [https://example.org/post] Words.")
    assert of(LinkArrival, arrivals)[-1].target == "url:https://example.org/post"
    assert len(of(MentionArrival, arrivals)) == 2


def test_invitation_to_read_more_is_no_part_of_the_text() -> None:
    assert older("Two friends … Ver más").page.text == "Two friends"


def test_same_title_in_the_list_is_one_episode_with_its_longer_text() -> None:
    text = changed(("How Rye Forgets", "Why Slack Water Keeps Time"))
    assert [e.page.ref for e in episodes(text)].count(SLACK) == 1


def test_titles_that_share_a_slug_get_addresses_of_their_own() -> None:
    text = changed(("A Chat With Nobody", "How Rye Forgets!"))
    assert [e.page.ref for e in episodes(text)][1:3] == ["how-rye-forgets", "how-rye-forgets-2"]


def test_page_cut_off_inside_an_entry_keeps_it_and_says_so() -> None:
    arrivals = read(SHOW[: SHOW.index(b"Baking begins")])
    last = of(EpisodeArrival, arrivals)[-1]
    assert (last.page.title, last.minutes, last.published) == ("How Rye Forgets", None, "")
    assert last.takeaways == ("Starch in rye goes back twice as fast",)
    assert of(Rejected, arrivals)[-1].reason == "The page ends before its date."


def test_list_without_an_open_episode_and_without_pictures() -> None:
    text = "Sea Show\n\nAll episodes\n\n2 episodes\n\nOne\n\nFirst words.\n\nToday 5 min\n"
    text += "Two\n\nSecond words.\n\n3 March 2031 6 min\n"
    found = episodes(text, name="2031-03-04.txt")
    assert [(e.page.title, e.page.text, e.published) for e in found] == [
        ("One", "First words.", "2031-03-04"),
        ("Two", "Second words.", "2031-03-03"),
    ]


def test_html_page_is_read_with_the_addresses_of_its_links() -> None:
    text = (
        "<!doctype html><body><h1>Sea Show</h1><h2>One</h2><p>5 min · 3 March 2031</p>"
        "<h3>Description</h3><p>Words.</p><p>KEY TAKEAWAYS</p><ul><li>Wet</li></ul>"
        "<p>RECOMMENDED READING</p><ul><li><a href='https://arxiv.org/abs/3103.00012'>Moonlets</a>"
        " — Small.</li></ul><h3>Comments</h3><p>0</p></body>"
    )
    arrivals = read(text)
    (episode,) = of(EpisodeArrival, arrivals)
    assert (episode.page.title, episode.page.text, episode.takeaways) == ("One", "Words.", ("Wet",))
    assert of(LinkArrival, arrivals)[0].target == "arxiv:3103.00012"
    assert of(LinkArrival, arrivals)[0].note == "Small."


@pytest.mark.parametrize("text", ["", "Sea Show", "Sea Show\n\nYesterday 5 min", "x" * 1000])
def test_page_without_an_episode_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable, match=r"page\.txt"):
        document(text)


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        (SHOW.decode(), True),
        ("Sea Show\n\nOne\n\n5 min · 3 March 2031\n\nDescription\n\nWords.", True),
        ("KEY TAKEAWAYS\nreading takes 5 min", False),
        ("# A post\n\n5 min · 3 March 2031\n\nAbout piers.", False),
    ],
)
def test_recognises_a_line_of_date_and_length_beside_its_words(text: str, ours: bool) -> None:
    assert READER.recognises(File(name="x", data=text.encode())) is ours


# ---------------------------------------------------------------- damage, and the real page


@given(
    st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=30),
    st.integers(0, 5000),
    st.integers(0, 2000),
)
@settings(deadline=None)
def test_damaged_page_is_read_or_unreadable(
    flips: list[tuple[int, int]], cut: int, length: int
) -> None:
    data = bytearray(SHOW)
    for at, byte in flips:
        data[at % len(data)] = byte
    del data[cut : cut + length]
    READER.recognises(File(name="page.txt", data=bytes(data)))
    with suppress(Unreadable):
        assert of(EpisodeArrival, read(bytes(data)))


@pytest.mark.parametrize(
    "unit",
    [
        "Hoy 5 min\n",
        "x\nHoy 5 min\n",
        "ab 5 min\n5 min\n",
        "abcd more\nabcd\n",
        "* 00:00 — A b ",
        "* ",
        "[h ",
        "— ",
        " ",
        "\n",
        "Source: ",
        "https://",
        "KEY TAKEAWAYS ",
        "RECOMMENDED READING * a [https://b ",
        "AI-generated. The script ",
        "1 de may ",
    ],
)
def test_long_repetitions_are_read_in_good_time(unit: str) -> None:
    text = changed(("Two friends on the pier.", unit * (200_000 // len(unit))))
    assert len(episodes(text)) >= 3


@pytest.mark.skipif(not SEED.is_file(), reason="no ../shared/data")
def test_real_page_is_read_whole() -> None:
    page = document(SEED.read_bytes(), SEED.name)
    arrivals = list(page.arrivals)
    found = of(EpisodeArrival, arrivals)
    assert of(Rejected, arrivals) == []
    assert (page.source.name, page.published) == ("AI Papers: A Deep Dive", "2026-05-28")
    assert [(e.published, e.minutes, len(e.takeaways), len(e.chapters)) for e in found] == [
        ("2026-05-26", 24, 6, 7),
        ("2026-05-27", 28, 6, 8),
        ("2026-05-27", 25, 6, 8),
        ("2026-05-27", 31, 6, 8),
        ("2026-05-27", 25, 6, 8),
        ("2026-05-27", 22, 7, 11),
    ]
    assert all(e.ai_generated.startswith("This episode was AI-generated on May") for e in found)
    assert all(
        e.ai_generated.endswith("not affiliated with Anthropic or Eleven Labs.") for e in found
    )
    assert all(len(e.page.text) > 300 and "AI-generated on" not in e.page.text for e in found)
    assert all(chapter.title and chapter.text for e in found for chapter in e.chapters)
    assert max(len(chapter.title) for e in found for chapter in e.chapters) < 90
    links = of(LinkArrival, arrivals)
    assert sum(link.relation is Relation.COVERS for link in links) == 6
    recommended = [link for link in links if link.relation is Relation.RECOMMENDS]
    assert len(recommended) == 23
    assert all(link.note.endswith(".") for link in recommended)
    assert [page.ref for page in of(PageArrival, arrivals)] == [
        "url:https://deepmind.google/discover/blog/"
        "specification-gaming-the-flip-side-of-ai-ingenuity/"
    ]
    kept = [paper for paper in of(PaperArrival, arrivals) if paper.keep]
    days = [paper.published for paper in kept]
    assert days == [f"2026-05-{day}" for day in (25, 26, 26, 25, 25, 25)]


@pytest.mark.skipif(not SEED.is_file(), reason="no ../shared/data")
@given(
    st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 255)), max_size=40),
    st.integers(3_000, 30_000),
)
@settings(deadline=None, max_examples=50)
def test_real_page_damaged_is_read_or_unreadable(flips: list[tuple[int, int]], end: int) -> None:
    data = bytearray(SEED.read_bytes())
    for at, byte in flips:
        data[at % len(data)] = byte
    with suppress(Unreadable):
        assert of(EpisodeArrival, read(bytes(data[:end]), SEED.name))
