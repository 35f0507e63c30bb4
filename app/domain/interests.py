"""Interests to begin with: each becomes a topic that says what to keep and what to leave out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Interest:
    """`id` is that of the topic it becomes; `words` is what a reader chooses by."""

    id: str
    name: str
    words: str
    keep: str
    filter: str
    tier: int = 2


INTERESTS = (
    Interest(
        id="agent_memory",
        name="Memory of agents",
        words="how agents remember, recall and forget",
        keep="long-term memory for language model agents; how memories are written, retrieved, "
        "updated or forgotten; learning from past episodes; benchmarks of memory over many sessions",
        filter="retrieval-augmented generation over fixed documents, with nothing that is remembered",
        tier=1,
    ),
    Interest(
        id="serving",
        name="Serving language models",
        words="making models fast and cheap to run",
        keep="key-value cache management; batching and scheduling of requests; speculative decoding; "
        "quantization of weights and caches; routing between models; cost of inference",
        filter="deployment reports without a method that others could use",
    ),
    Interest(
        id="inside_models",
        name="Inside models",
        words="what goes on inside a network, and why",
        keep="interpretability of language models; sparse autoencoders and features; circuits; "
        "what training makes of representations",
        filter="saliency maps and explanations of image classifiers",
    ),
    Interest(
        id="agents_tools",
        name="Agents and tools",
        words="models that plan, call tools and write code",
        keep="language model agents that use tools; planning and search; several agents that work "
        "together; agents that write and repair code; browsing and computer use",
        filter="prompt collections and demos without an evaluation",
    ),
    Interest(
        id="reasoning",
        name="Reasoning",
        words="thinking longer, verifying, mathematics",
        keep="reasoning of language models; reinforcement learning with verifiable rewards; chains of "
        "thought and whether they are faithful; test-time compute; mathematics and proofs",
        filter="one more prompt for one more puzzle",
    ),
    Interest(
        id="retrieval",
        name="Search and retrieval",
        words="finding the right passage, and using it",
        keep="dense and sparse retrieval; reranking; retrieval-augmented generation; embeddings of "
        "text; citations and attribution of answers; long documents",
        filter="recommendation of products",
    ),
    Interest(
        id="evaluation",
        name="Evaluation",
        words="what benchmarks measure, and what they miss",
        keep="evaluation of language models; benchmarks and their contamination; models as judges; "
        "statistics of comparisons; replication of published results",
        filter="a leaderboard entry without analysis",
    ),
    Interest(
        id="training",
        name="Training and data",
        words="pretraining, data mixtures, optimisers",
        keep="pretraining of language models; scaling laws; data selection and mixtures; synthetic "
        "data; optimizers and schedules; distributed training",
        filter="fine-tuning one model for one dataset",
    ),
    Interest(
        id="safety",
        name="Safety and alignment",
        words="what models should not do, and how to tell",
        keep="alignment of language models; jailbreaks and prompt injection; oversight; deception "
        "and sandbagging; privacy of training data; unlearning",
        filter="opinion without a method or a measurement",
    ),
    Interest(
        id="multimodal",
        name="Images, video, speech",
        words="models that see, hear and draw",
        keep="vision-language models; diffusion and flow matching; video generation and "
        "understanding; speech recognition and synthesis; documents and charts",
        filter="medical image segmentation",
    ),
    Interest(
        id="robots",
        name="Robots and world models",
        words="learning to act in the world",
        keep="robot learning; vision-language-action models; world models; simulation and transfer "
        "to real robots; navigation and manipulation",
        filter="control theory without learning",
    ),
    Interest(
        id="people",
        name="People and models",
        words="how people use these systems, and what it does to them",
        keep="studies of how people use language models; writing and programming with assistance; "
        "education; trust and reliance; interfaces for models",
        filter="surveys of attitudes without a system in use",
    ),
)
