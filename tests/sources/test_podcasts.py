"""Podcasts: episodes of a feed, chapters and transcripts beside them, and asking for all three."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from html import escape
from pathlib import Path

import pytest

from app.bootstrap import READERS
from app.domain.items import (
    Document,
    EpisodeArrival,
    LinkArrival,
    MentionArrival,
    PageArrival,
    Rejected,
)
from app.domain.records import PageKind, Relation
from app.errors import Unreadable
from app.sources.base import File, reader_for
from app.sources.connectors import Fetched, Wanted
from app.sources.http import Transport
from app.sources.podcasts import (
    MOST_BESIDE,
    MOST_TRIES,
    ChaptersFile,
    Podcast,
    PodcastConnector,
    Transcript,
    seconds_of,
)
from tests.servers.pages import Page as Answer
from tests.servers.pages import Site

SAMPLES = Path(__file__).parents[3] / "shared/data/formats/podcast"
TODAY = date(2026, 5, 8)
NOW = datetime(2026, 5, 8, 9, tzinfo=UTC)
DISCLOSURE = (
    "This episode was AI-generated on May 6, 2026. The script was written by a model and the host "
    "voices are synthesized."
)
NOTES = f"""<p>We talk about how maps are learned.</p>
<p>Source: Maps of maps https://arxiv.org/abs/2605.00001</p>
<p>{DISCLOSURE}</p>
<p>KEY TAKEAWAYS</p><ul><li>Maps are learned.</li><li>They are small.</li></ul>
<p>CHAPTERS</p><ul><li>0:00 — The beginning</li><li>1:02:03 — The end</li></ul>
<p>RECOMMENDED READING</p><ul><li><a href="https://arxiv.org/abs/2605.00002">Older maps</a> — Where it began.</li></ul>"""


def item(
    number: int = 1,
    *,
    notes: str = "<p>Words.</p>",
    link: str | None = None,
    more: str = "",
    sound: bool = True,
    day: int = 6,
) -> str:
    link = f"https://show.example/{number}" if link is None else link
    enclosure = f'<enclosure url="https://a.example/{number}.mp3?x=1&amp;y=2" length="1" type="audio/mpeg"/>'
    return (
        f"<item><title>Episode {number}</title><guid>e{number}</guid><link>{link}</link>"
        f"<pubDate>Wed, {day:02} May 2026 10:00:00 GMT</pubDate>"
        f"<description>{escape(notes)}</description>{enclosure if sound else ''}{more}</item>"
    )


def show(*items: str, head: str = "") -> File:
    text = (
        '<?xml version="1.0"?><rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd" '
        'xmlns:podcast="https://podcastindex.org/namespace/1.0" xmlns:psc="http://podlove.org/simple-chapters">'
        f"<channel><title>The show</title><link>https://show.example/</link>{head}{''.join(items)}</channel></rss>"
    )
    return File("show.xml", text.encode(), url="https://show.example/feed")


def read(file: File) -> list[Document]:
    return [each for each in Podcast().read(file).documents if isinstance(each, Document)]


def only(file: File) -> EpisodeArrival:
    (document,) = read(file)
    (episode,) = [each for each in document.arrivals if isinstance(each, EpisodeArrival)]
    return episode


# ---------------------------------------------------------------- episodes


def test_a_feed_with_audio_is_a_podcast_and_one_with_pictures_is_not() -> None:
    picture = '<enclosure url="https://a.example/1.png" length="1" type="image/png"/>'

    assert reader_for(show(item()), READERS).format == "podcast"
    assert reader_for(show(item(sound=False, more=picture)), READERS).format == "feed"


def test_an_episodes_notes_become_its_parts() -> None:
    (document,) = read(show(item(notes=NOTES, more="<itunes:duration>1:10:31</itunes:duration>")))
    arrivals = list(document.arrivals)
    episode = arrivals[0]

    assert isinstance(episode, EpisodeArrival)
    assert episode.page.ref == "url:https://show.example/1"
    assert episode.page.text == "We talk about how maps are learned."
    assert episode.ai_generated == DISCLOSURE
    assert episode.takeaways == ("Maps are learned.", "They are small.")
    assert [(chapter.at, chapter.title) for chapter in episode.chapters] == [
        (0, "The beginning"),
        (3723, "The end"),
    ]
    assert (episode.minutes, episode.published) == (71, "2026-05-06")
    assert episode.page.extra["audio"] == "https://a.example/1.mp3?x=1&y=2"
    links = {(each.relation, each.target) for each in arrivals if isinstance(each, LinkArrival)}
    assert links == {
        (Relation.COVERS, "arxiv:2605.00001"),
        (Relation.RECOMMENDS, "arxiv:2605.00002"),
    }
    mentioned = {each.paper for each in arrivals if isinstance(each, MentionArrival)}
    assert mentioned == {"arxiv:2605.00001", "arxiv:2605.00002"}
    assert document.hash


def test_notes_without_parts_stay_as_they_are_with_their_links() -> None:
    episode = only(
        show(item(notes='<p>See <a href="https://b.example/">this</a>.</p><script>x</script>'))
    )

    assert episode.page.text == "See [this](https://b.example/)."


@pytest.mark.parametrize(
    ("said", "minutes"),
    [("90", 2), ("5400", 90), ("62:03", 62), ("1:02:03", 62), ("00:00:10", 1), ("soon", None), ("", None),
     ("-5", None), ("1:2:3:4", None), ("9" * 30, None), ("0", None)],
)  # fmt: skip
def test_a_length_is_minutes(said: str, minutes: int | None) -> None:
    assert only(show(item(more=f"<itunes:duration>{said}</itunes:duration>"))).minutes == minutes


def test_the_podcast_namespace_tells_season_people_and_what_lies_beside() -> None:
    more = (
        "<podcast:season>2</podcast:season><podcast:episode>7</podcast:episode>"
        '<podcast:person>Ada Park</podcast:person><podcast:person role="guest">Ben Quill</podcast:person>'
        '<podcast:transcript url="https://a.example/1.txt" type="text/plain"/>'
        '<podcast:transcript url="https://a.example/1.vtt" type="text/vtt"/>'
    )

    extra = only(show(item(more=more))).page.extra

    assert (extra["season"], extra["episode"]) == ("2", "7")
    assert extra["persons"] == ["Ada Park", "Ben Quill (guest)"]
    assert extra["transcript"] == "https://a.example/1.vtt"


def test_simple_chapters_of_the_feed_are_read() -> None:
    more = '<psc:chapters version="1.2"><psc:chapter start="0" title="A"/><psc:chapter start="00:01:30" title="B"/></psc:chapters>'

    assert [(each.at, each.title) for each in only(show(item(more=more))).chapters] == [
        (0, "A"),
        (90, "B"),
    ]


def test_a_live_item_is_not_the_show() -> None:
    live = '<podcast:liveItem status="live"><title>Live now</title><link>https://live.example/</link><guid>l</guid></podcast:liveItem>'

    bundle = Podcast().read(show(item(), head=live))

    assert bundle.source.name == "The show"
    assert len(list(bundle.documents)) == 1


def test_episodes_that_all_lead_to_the_show_have_pages_of_their_own() -> None:
    home = "https://show.example/"

    refs = {
        each.page.ref
        for document in read(show(item(1, link=home), item(2, link=home)))
        for each in document.arrivals
        if isinstance(each, EpisodeArrival)
    }

    assert len(refs) == 2


def test_a_post_among_episodes_is_an_article() -> None:
    _, post = read(show(item(1), item(2, sound=False)))

    assert [each.kind for each in post.arrivals if isinstance(each, PageArrival)] == [
        PageKind.ARTICLE
    ]


def test_a_json_feed_with_sound_is_a_podcast() -> None:
    feed = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": "The show",
        "items": [
            {
                "id": "1",
                "url": "https://show.example/1",
                "title": "One",
                "content_text": "Words.",
                "attachments": [
                    {"url": "https://a.example/1.mp3", "mime_type": "audio/mpeg", "duration_in_seconds": 600}
                ],
            }
        ],
    }  # fmt: skip
    file = File("feed.json", json.dumps(feed).encode())

    assert reader_for(file, READERS).format == "podcast"
    assert only(file).minutes == 10


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples are not here")
def test_every_sample_is_read() -> None:
    read_as = {}
    for path in sorted(SAMPLES.iterdir()):
        file = File(path.name, path.read_bytes())
        reader = reader_for(file, READERS)
        read_as[path.name] = reader.format
        read_ = reader.read(file)
        documents = [read_] if isinstance(read_, Document) else list(read_.documents)
        assert documents
        for document in documents:
            assert isinstance(document, Document)
            assert not any(isinstance(each, Rejected) for each in document.arrivals)

    assert read_as["example.xml"] == read_as["feed_ai_first_podcast.xml"] == "podcast"
    beside = {read_as[f"example.{ending}"] for ending in ("html", "json", "srt", "vtt")}
    assert beside == {"transcript"}


# ---------------------------------------------------------------- chapters and transcripts

CHAPTERS = {
    "version": "1.2.0",
    "title": "Episode 1",
    "chapters": [
        {"startTime": 62.5, "title": "Second"},
        {"startTime": 0, "title": "First"},
        {"startTime": 30, "title": "Advert", "toc": False},
        {"startTime": "x", "title": "Odd"},
        {"startTime": -1, "title": "Before"},
        7,
    ],
}
VTT = (
    "WEBVTT\n\nNOTE made by hand\n\n1\n00:00:01.000 --> 00:00:04.000\n<v Ada>Maps &amp; more,\nsaid</v>\n\n"
    "00:00:04.000 --> 00:00:06.000\n<v Ada>in two.\n\n00:01:05.500 --> 00:01:06.000\n<v Ben>See arXiv:2605.00001."
)
SRT = "1\r\n00:00:01,000 --> 00:00:04,000\r\nAda: Maps are\r\n\r\n2\r\n00:00:04,000 --> 00:00:06,000\r\nlearned [[here]].\r\n"


def chapters_of(data: bytes, **headers: str) -> list[object]:
    return list(ChaptersFile().read(File("my_episode.json", data, headers=headers)).arrivals)


def test_chapters_of_a_file_are_those_of_the_episode_it_names() -> None:
    data = json.dumps(CHAPTERS).encode()

    refused, episode = chapters_of(data)

    assert ChaptersFile().recognises(File("x", data))
    assert isinstance(refused, Rejected) and "3 have no time" in refused.reason
    assert isinstance(episode, EpisodeArrival)
    assert episode.page.title == "Episode 1"
    assert [(each.at, each.title) for each in episode.chapters] == [(0, "First"), (62, "Second")]


@pytest.mark.parametrize(
    "data", [b"{}", b'{"chapters": 5}', b'{"chapters"', b"[]", b"[" * 100_000, b'{"chapters": "' + b"x" * 600_000 + b'"}']
)  # fmt: skip
def test_what_holds_no_chapters_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        ChaptersFile().read(File("x.json", data))


def transcript(data: bytes, name: str = "my_talk.vtt") -> PageArrival:
    page = next(iter(Transcript().read(File(name, data)).arrivals))
    assert isinstance(page, PageArrival)
    return page


def test_a_transcript_is_a_page_with_a_paragraph_for_each_voice() -> None:
    page = transcript(VTT.encode())

    assert page.title == "Transcript: my talk"
    assert (
        page.text
        == "**Ada**, 0:01: Maps & more, said in two.\n\n**Ben**, 1:05: See arXiv:2605.00001."
    )


def test_a_transcript_says_which_papers_were_named() -> None:
    document = Transcript().read(File("x.vtt", VTT.encode()))

    assert [each.paper for each in document.arrivals if isinstance(each, MentionArrival)] == [
        "arxiv:2605.00001"
    ]


def test_subtitles_are_read_and_nothing_in_them_acts() -> None:
    file = File("a.srt", SRT.encode())

    assert reader_for(file, READERS).format == "transcript"
    assert transcript(SRT.encode()).text == "**Ada**, 0:01: Maps are learned \\[\\[here\\]\\]."


def test_the_json_and_html_of_a_transcript_are_read() -> None:
    said = {"version": "1.0.0", "segments": [{"speaker": "Ada", "startTime": 3.5, "endTime": 4, "body": "Hello"}, {"body": 5}, None]}  # fmt: skip
    html = "<cite>Ada:</cite>\n<time>0:03</time>\n<p>Hello</p>"

    for data in (json.dumps(said).encode(), html.encode()):
        assert reader_for(File("x", data), READERS).format == "transcript"
        assert transcript(data).text.startswith("**Ada**, 0:03: Hello")


@pytest.mark.parametrize(
    "data", [b"WEBVTT", b"WEBVTT\n\n00:00:00.000 --> x\nhi", b"", b'{"segments": []}', b"1\n00:00:01,000 --> 00:00:02,000\n",
             b"x" * 5_000_000]
)  # fmt: skip
def test_a_transcript_in_which_nobody_speaks_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable):
        Transcript().read(File("x.vtt", data))


def test_seconds_are_read_in_each_form() -> None:
    assert [seconds_of(text) for text in ("1:01:01", "1:01", "61.5", "x", "")] == [
        3661,
        61,
        61.5,
        None,
        None,
    ]


# ---------------------------------------------------------------- fetching


@pytest.fixture
def site() -> Iterator[Site]:
    with Site({}) as made:
        yield made


def beside(site: Site, number: int) -> str:
    return (
        f'<podcast:chapters url="{site.at(f"/{number}.json")}" type="application/json"/>'
        f'<podcast:transcript url="{site.at(f"/{number}.vtt")}" type="text/vtt"/>'
    )


def publish(site: Site, *numbers: int, day: int = 6) -> None:
    items = (item(number, more=beside(site, number), day=day) for number in numbers)
    site.pages["/feed"] = Answer(show(*items).data, etag=f'"{len(numbers)}"')
    for number in numbers:
        site.pages[f"/{number}.json"] = Answer(
            json.dumps(CHAPTERS).encode(), kind="application/json"
        )
        site.pages[f"/{number}.vtt"] = Answer(VTT.encode(), kind="text/vtt")


def fetch(site: Site, **wanted: object) -> Iterator[Fetched]:
    facts = {"url": site.at("/feed"), "options": {}, "cursor": {}, "today": TODAY, **wanted}
    return PodcastConnector().fetch(Transport(allow={site.pair}), Wanted(**facts))  # type: ignore[arg-type]


def test_chapters_and_transcripts_come_after_the_feed_and_never_the_audio(site: Site) -> None:
    publish(site, 1)

    found = list(fetch(site))

    assert [each.format for each in found] == ["podcast", "chapters", "transcript"]
    assert site.paths == ["/feed", "/1.json", "/1.vtt"]
    again = list(fetch(site, cursor=found[-1].cursor))
    assert [each.data for each in again] == [b""]


def test_only_what_is_new_is_asked_for(site: Site) -> None:
    publish(site, 1)
    cursor = list(fetch(site))[-1].cursor
    publish(site, 2, 1)

    found = list(fetch(site, cursor=cursor))

    assert [each.url for each in found[1:]] == [site.at("/2.json"), site.at("/2.vtt")]


def test_a_fetch_that_ends_early_goes_on_with_what_was_left(site: Site) -> None:
    publish(site, 1)
    cursor = next(fetch(site)).cursor

    found = list(fetch(site, cursor=cursor))

    assert [each.format for each in found if each.data] == ["chapters", "transcript"]


def test_nothing_is_asked_for_beside_what_is_older_than_the_first_day(site: Site) -> None:
    publish(site, 1)

    first = list(fetch(site, since="2026-05-07"))
    second = list(fetch(site, cursor=first[-1].cursor))

    assert [each.format for each in first + second if each.data] == ["podcast"]


def test_what_does_not_come_is_tried_again_a_few_times(site: Site) -> None:
    publish(site, 1)
    del site.pages["/1.json"]
    cursor: object = {}
    for _ in range(MOST_TRIES + 2):
        cursor = list(fetch(site, cursor=cursor))[-1].cursor

    assert site.paths.count("/1.json") == MOST_TRIES
    assert site.paths.count("/1.vtt") == 1


def test_many_episodes_are_asked_for_over_several_fetches(site: Site) -> None:
    publish(site, *range(15))

    first = list(fetch(site))
    second = list(fetch(site, cursor=first[-1].cursor))

    assert len([each for each in first if each.data]) == 1 + MOST_BESIDE
    assert len([each for each in second if each.data]) == 30 - MOST_BESIDE


def test_a_source_may_leave_transcripts_where_they_are(site: Site) -> None:
    publish(site, 1)

    assert [each.format for each in fetch(site, options={"transcripts": "no"})] == ["podcast"]
