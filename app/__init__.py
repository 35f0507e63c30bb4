"""cere-bro: a research wiki that reads with memory.

Things arrive (**items**, from **sources**). The wiki knows things (**pages**, joined by **links**).
Everything else is a verb between the two: *ingest* brings items in, *triage* judges a day's papers
for one reader, the *linker* proposes links for those kept, a person *accepts or rejects*, which
teaches both, *threads* count what recurs. The graph is not a layer: it is pages and links, loaded
when a question needs it. Whatever a machine does to the wiki is a proposal with evidence; a person's
decision, or a rule the person switched on, makes it true; every decision can be undone. The database
is the truth; the *vault* mirrors it as Markdown, which a person may edit with any tool.

    errors | settings  <-  domain  <-  store | sources | llm | embeddings | vault | mail | rendering
             <-  reading  <-  services  <-  calls | fetchers | syncing  <-  pipeline  <-  bootstrap
             <-  web | worker  <-  cli

An arrow is "is imported by"; `|` marks siblings that may not import each other.

    domain      tables and every judgement, as pure functions
    store       the database, SQLite or PostgreSQL: one module a noun; the one write path of pages
                and links; `db`, `search` and `vectors` alone know which engine it is
    sources     connectors ask services for bytes, by the one way out (`http`); readers make frozen
                values of them
    llm         the language model: prompts as files, one client, prices; off without key and budget
    embeddings  the sentence encoder, in the worker alone; everyone else asks the worker
    vault       the folder of Markdown: files read, edited in place and replaced whole, and git
    mail        the SMTP server: one letter handed over, and what came of it
    rendering   the one way text becomes HTML; `reading` looks up what its links lead to
    services    the verbs, the only writers: ingest, triage and judging, what proposes (linker,
                relations, membership, terms, concepts), review and rules, which decide, pages;
                `services/vault` joins pages with their files, read from its `sync`
    calls       one call of the model: reserved against the budget, made, booked
    fetchers    threads that ask what is due, each response kept before the next; and its reading
    syncing     the vault watched, and brought into step with the database (`services/vault`)
    pipeline    the order of the day: each step with the query that finds its pending work
    bootstrap   settings become a running App; tests pass fakes here
    web         screens, fragments and the JSON API
    worker      runs pending work: takes rows up, thinks, stores; several share it
    cli         the same verbs for a terminal

Read next: `pipeline.py`, `services/linker.py`, `domain/linking.py`.
"""

__version__ = "0.1.0"
