"""The command line, with the sentence vectors of earlier runs kept in a file.

python -m bench.kept_vectors link --json. An evaluation runs the same texts through the encoder each
time, and that is most of its time. Vectors are kept by model and text in ~/.cache/cerebro-bench, so
the numbers are those that the model gave; a text that is not there yet is encoded as usual.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from unittest.mock import patch

import numpy as np

from app.cli import main
from app.embeddings.sentence import Matrix, SentenceTransformerEncoder
from bench.fit_linker import CACHE

_encode = SentenceTransformerEncoder.encode


def kept(encoder: SentenceTransformerEncoder, texts: Sequence[str]) -> Matrix:
    """What the encoder gives for these texts, asked only for those that are new."""
    keys = [
        hashlib.sha256(f"{encoder.model}\n{text}".encode("utf-8", "replace")).digest()
        for text in texts
    ]
    CACHE.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(CACHE / "vectors.sqlite", timeout=60)) as store:
        store.execute("CREATE TABLE IF NOT EXISTS vector (key BLOB PRIMARY KEY, data BLOB)")
        found: dict[bytes, Matrix] = {}
        for key in dict.fromkeys(keys):
            row = store.execute("SELECT data FROM vector WHERE key = ?", (key,)).fetchone()
            if row:
                found[key] = np.frombuffer(row[0], np.float32)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if missing:
            made = np.asarray(_encode(encoder, list(missing.values())), np.float32)
            found |= dict(zip(missing, made, strict=True))
            rows = [(key, found[key].tobytes()) for key in missing]
            store.executemany("INSERT OR IGNORE INTO vector VALUES (?, ?)", rows)
            store.commit()
    return np.stack([found[key] for key in keys])


if __name__ == "__main__":
    with patch.object(SentenceTransformerEncoder, "encode", kept):
        main()
