"""Holds the starter wiki in ``wiki/`` to its own rules: every page parses, every id, link, thread
member and wikilink leads somewhere, and what is red is red on purpose. Reads files only; it must
not need the application, a database or the network."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import latex2mathml.converter
import pytest
from ruamel.yaml import YAML

WIKI = Path(__file__).parent.parent / "wiki"
FOLDERS = {"concept": "concepts", "paper": "papers", "thread": "threads"}

NAMED_CONCEPTS = [
    "kv-cache",
    "rl-for-llms",
    "agent-benchmarks",
    "responsible-ai",
    "llm-routing",
    "knowledge-distillation",
    "on-policy-distillation",
    "speculative-decoding",
    "mixture-of-experts",
    "long-context",
    "quantization",
    "retrieval-augmented-generation",
    "agent-memory",
    "state-space-models",
    "lora-adapters",
    "test-time-compute",
    "interpretability",
    "world-models",
    "evaluation-integrity",
    "inference-economics",
]

# Pages worth writing that nobody has written; they give the wanted-pages list something to show.
RED_LINKS = {"multi-head latent attention", "prompt caching", "reward hacking"}

# Papers left without an `about` link, so that the linker has something to propose on a first start.
UNLINKED_PAPERS = {
    "awq": "quantization",
    "direct-preference-optimization": "rl-for-llms",
    "generalized-knowledge-distillation": "on-policy-distillation",
    "heavy-hitter-oracle": "kv-cache",
    "memgpt": "agent-memory",
    "routellm": "llm-routing",
}

RELATIONS = {
    "about",
    "extends",
    "confirms",
    "contradicts",
    "uses",
    "compares",
    "broader",
    "related",
    "answers",
}
ROLES = {"starts", "supports", "extends", "contradicts", "formalises", "measures", "applies"}
KEYS = {
    "concept": {"id", "kind", "title", "aliases", "tags", "links", "predictions"},
    "paper": {
        "id",
        "kind",
        "title",
        "aliases",
        "authors",
        "published",
        "categories",
        "tags",
        "links",
        "questions",
    },
    "thread": {"id", "kind", "title", "claim", "tags", "members", "predictions"},
}
# Words of the body, fewest and most.
LENGTHS = {"concept": (180, 450), "paper": (90, 200), "thread": (80, 200)}

WIKILINK = re.compile(
    r"\[\[(?:(?P<relation>[a-z-]+)::)?(?P<page>[^\[\]|#\\]+)"
    r"(?:#(?P<heading>[^\[\]|]+))?(?:\\?\|(?P<text>[^\[\]]+))?\]\]"
)
CODE = re.compile(r"```[^`]*```")
MATHS = re.compile(r"\$(?P<tex>[^$\n]+)\$")
HEADING = re.compile(r"^#{2,3} (.+)$", re.MULTILINE)
SLUG = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


@dataclass(frozen=True)
class Member:
    """One row of a thread."""

    paper: str
    role: str
    date: date
    note: str


@dataclass(frozen=True)
class Page:
    """One file of the starter wiki, front matter parsed, body as written."""

    path: Path
    kind: str
    id: str
    title: str
    claim: str
    keys: frozenset[str]
    aliases: tuple[str, ...]
    tags: tuple[str, ...]
    authors: tuple[str, ...]
    published: object
    categories: tuple[str, ...]
    questions: tuple[str, ...]
    links: tuple[tuple[str, str], ...]
    members: tuple[Member, ...]
    body: str

    @property
    def slug(self) -> str:
        return self.path.stem

    @property
    def names(self) -> set[str]:
        """All names under which a wikilink finds this page, case folded."""
        return {name.casefold() for name in (self.slug, self.title, *self.aliases)}

    @property
    def text(self) -> str:
        """The body without fenced code, where a bracket is only a bracket."""
        return CODE.sub("", self.body)


def read_page(path: Path) -> Page:
    source = path.read_text(encoding="utf-8")
    opening, front, body = source.split("---\n", 2)
    assert opening == "", f"{path.name} does not open with front matter"
    data = YAML(typ="safe").load(io.StringIO(front))
    return Page(
        path=path,
        kind=data["kind"],
        id=data["id"],
        title=data["title"],
        claim=data.get("claim", ""),
        keys=frozenset(data),
        aliases=tuple(data.get("aliases", ())),
        tags=tuple(data.get("tags", ())),
        authors=tuple(data.get("authors", ())),
        published=data.get("published"),
        categories=tuple(data.get("categories", ())),
        questions=tuple(data.get("questions", ())),
        links=tuple((link["relation"], link["target"]) for link in data.get("links", ())),
        members=tuple(Member(**member) for member in data.get("members", ())),
        body=body,
    )


PAGES = [read_page(path) for path in sorted(WIKI.glob("*/*.md"))]
BY_ID = {page.id: page for page in PAGES}
BY_NAME = {name: page for page in PAGES for name in page.names}


def pages_of(kind: str) -> list[Page]:
    return [page for page in PAGES if page.kind == kind]


def wikilinks(page: Page) -> Iterator[re.Match[str]]:
    return WIKILINK.finditer(page.text)


def linked_names(page: Page) -> set[str]:
    return {link["page"].casefold() for link in wikilinks(page)}


def slugs(pages: list[Page]) -> list[str]:
    return [page.slug for page in pages]


every_page = pytest.mark.parametrize("subject", PAGES, ids=slugs(PAGES))
every_concept = pytest.mark.parametrize(
    "subject", pages_of("concept"), ids=slugs(pages_of("concept"))
)
every_paper = pytest.mark.parametrize("subject", pages_of("paper"), ids=slugs(pages_of("paper")))
every_thread = pytest.mark.parametrize("subject", pages_of("thread"), ids=slugs(pages_of("thread")))


def test_starter_wiki_has_enough_pages_of_each_kind() -> None:
    assert len(pages_of("concept")) >= 18
    assert len(pages_of("paper")) >= 24
    assert len(pages_of("thread")) == 4
    assert set(NAMED_CONCEPTS) <= set(slugs(pages_of("concept")))


def test_no_two_pages_share_an_id_a_slug_or_a_name() -> None:
    assert len({page.id for page in PAGES}) == len(PAGES)
    assert len({page.slug for page in PAGES}) == len(PAGES)
    assert len(BY_NAME) == sum(len(page.names) for page in PAGES)


@every_page
def test_page_is_in_the_folder_of_its_kind_and_has_only_known_keys(subject: Page) -> None:
    assert subject.path.parent.name == FOLDERS[subject.kind]
    assert SLUG.fullmatch(subject.slug)
    assert subject.keys <= KEYS[subject.kind]
    assert subject.title.strip() == subject.title != ""
    assert subject.tags


@every_page
def test_id_is_the_slug_or_an_arxiv_identifier(subject: Page) -> None:
    if subject.kind == "paper":
        assert re.fullmatch(r"arxiv:\d{4}\.\d{4,5}", subject.id)
    else:
        assert subject.id == subject.slug


@every_page
def test_links_name_a_known_relation_and_a_page_that_exists(subject: Page) -> None:
    assert len(set(subject.links)) == len(subject.links)
    for relation, target in subject.links:
        assert relation in RELATIONS
        assert target in BY_ID
        assert target != subject.id
        wants = "concept" if relation in {"about", "broader", "related"} else "paper"
        assert BY_ID[target].kind == wants


@every_page
def test_wikilinks_lead_to_a_page_unless_red_on_purpose(subject: Page) -> None:
    for link in wikilinks(subject):
        name = link["page"].casefold()
        if name in RED_LINKS:
            continue
        assert name in BY_NAME, link.group()
        assert BY_NAME[name] is not subject, link.group()
        assert link["relation"] is None or link["relation"] in RELATIONS
        if link["heading"]:
            assert link["heading"] in HEADING.findall(BY_NAME[name].body)


@every_page
def test_no_bracket_pair_escapes_the_wikilink_form(subject: Page) -> None:
    assert subject.text.count("[[") == subject.text.count("]]") == len(list(wikilinks(subject)))


def test_every_red_link_is_used_and_has_no_page() -> None:
    used = {link["page"].casefold() for page in PAGES for link in wikilinks(page)}
    assert used >= RED_LINKS
    assert not RED_LINKS & BY_NAME.keys()


@every_page
def test_body_keeps_its_length_and_opens_with_text_or_a_heading(subject: Page) -> None:
    fewest, most = LENGTHS[subject.kind]
    assert fewest <= len(subject.text.split()) <= most
    assert not subject.body.startswith("# "), "the title is in the front matter"
    assert subject.body.endswith("\n")


@every_page
def test_footnotes_are_both_called_and_written(subject: Page) -> None:
    called = re.findall(r"\[\^(\w+)\](?!:)", subject.body)
    written = re.findall(r"^\[\^(\w+)\]:", subject.body, re.MULTILINE)
    assert sorted(called) == sorted(written)


@every_page
def test_formulas_convert_to_mathml(subject: Page) -> None:
    assert subject.text.count("$") % 2 == 0
    for formula in MATHS.finditer(subject.text):
        assert "<math" in latex2mathml.converter.convert(formula["tex"])


@every_concept
def test_concept_has_sections_aliases_and_links_to_other_pages(subject: Page) -> None:
    assert 2 <= len(HEADING.findall(subject.body)) <= 4
    assert subject.aliases
    resolved = {BY_NAME[name].slug for name in linked_names(subject) if name in BY_NAME}
    assert len(resolved) >= 2


@every_concept
def test_concept_is_linked_from_another_page(subject: Page) -> None:
    linking = [
        other.slug
        for other in PAGES
        if other is not subject
        and (
            subject.names & linked_names(other)
            or subject.id in {target for _, target in other.links}
        )
    ]
    assert linking


@every_paper
def test_paper_has_authors_a_date_that_fits_its_identifier_and_questions(subject: Page) -> None:
    assert subject.authors
    assert len(set(subject.authors)) == len(subject.authors)
    assert isinstance(subject.published, date)
    assert subject.published.strftime("%y%m") == subject.id.removeprefix("arxiv:")[:4]
    assert subject.categories
    assert 1 <= len(subject.questions) <= 3
    assert all(question.endswith(("?", ".")) for question in subject.questions)
    assert HEADING.findall(subject.body) == ["What it does", "Takeaways"]


@every_paper
def test_paper_is_about_one_to_three_concepts_unless_left_to_the_linker(subject: Page) -> None:
    about = [target for relation, target in subject.links if relation == "about"]
    if subject.slug not in UNLINKED_PAPERS:
        assert 1 <= len(about) <= 3
        return
    assert about == []
    concept = BY_ID[UNLINKED_PAPERS[subject.slug]]
    calls = [link for link in wikilinks(subject) if link["page"].casefold() in concept.names]
    assert len(calls) <= 1


def test_every_paper_left_to_the_linker_exists_and_its_concept_has_accepted_papers() -> None:
    assert set(UNLINKED_PAPERS) <= set(slugs(pages_of("paper")))
    for concept in UNLINKED_PAPERS.values():
        assert any(("about", concept) in page.links for page in pages_of("paper"))


@every_thread
def test_thread_claims_one_sentence_and_has_dated_members_in_order(subject: Page) -> None:
    assert subject.claim.endswith(".")
    assert subject.claim.count(". ") == 0
    assert 4 <= len(subject.members) <= 7
    assert [member.date for member in subject.members] == sorted(m.date for m in subject.members)
    assert subject.members[0].role == "starts"
    for member in subject.members:
        assert member.role in ROLES
        assert BY_ID[member.paper].kind == "paper"
        assert member.date == BY_ID[member.paper].published
        assert member.note.strip()
        assert "\n" not in member.note


def test_wiki_shows_each_kind_of_markup_at_least_once() -> None:
    everything = "\n".join(page.body for page in PAGES)
    for sample in ("```text", "- [ ] ", "| --- |", "[^1]", "::", "#What is known]]"):
        assert sample in everything
