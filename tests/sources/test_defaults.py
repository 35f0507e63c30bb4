"""The sources on offer are ones that can be added, each once."""

from __future__ import annotations

from app.bootstrap import CONNECTORS
from app.sources.defaults import DEFAULTS, default, found


def test_each_is_a_source_of_its_connector() -> None:
    sources = [found(each, CONNECTORS) for each in DEFAULTS]
    assert len({source.key for source in sources}) == len(DEFAULTS) >= 12
    for each, source in zip(DEFAULTS, sources, strict=True):
        assert (source.connector, source.name) == (each.connector, each.name)
        assert source.url.startswith("https://")
        assert default(each.key) is each
        assert each.words.endswith(".")
    assert default("no such") is None
    assert len({each.group for each in DEFAULTS}) == 3
