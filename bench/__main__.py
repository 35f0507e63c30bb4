"""`make bench`: every measurement in turn; a name runs that one alone.

python -m bench            all of them, up to 100,000 pages; some 20 minutes on two cores
python -m bench start      CPU seconds of `cerebro --help` and of `serve` to its first answer
python -m bench seeds      counts after importing the sample documents, once and twice
python -m bench scale      each operation at 1,000, 10,000 and 100,000 pages beside its floor, and
                           how it grows; --sizes 1000000 and --database postgresql by hand
python -m bench encode     papers a CPU second beside the plain library, and cosines to float32
python -m bench vectors    searches in the matrix beside numpy, and recall
python -m bench graph      ranks on the matrix beside networkx
python -m bench search     searches of one wiki in more detail
python -m bench web        server CPU a request at 10,000 pages beside a raw floor
python -m bench browser    requests, bytes, nodes and shifts of each screen beside the budgets
python -m bench linker     the linker's evaluation on six lists, warm and cold; --folds DIR by hand:
                           all lists, by weights that have not seen them
python -m bench ablation   each signal of the linker left out once, on lists held out (by hand)
python -m bench learning   what a reader accepts after 0, 50, 200, 1,000 decisions (by hand)
python -m bench triage     a reader's choices on seven days: how they are ordered, how sure, and by
                           which marks; --people by hand: what many people chose
python -m bench vault      the links of a person's vault, hidden and proposed again (by hand)
python -m bench first_places   proposals printed for reading by eye (by hand)
python -m bench duplicates proposed merges among the headings of all lists, beside judged pairs
python -m bench terms      proposed new concepts of three lists, beside the lists' own headings
python -m bench link_day   a day's papers linked beside a plain matrix product, and memory (by hand)
python -m bench triage_day a day's 1,086 papers judged without a model, beside encoding (by hand)
python -m bench digest_day a day with 1,000 papers told, beside assessing them (by hand)
python -m bench relations  proposals between papers and of threads, printed likewise (by hand)
python -m bench new_threads    threads proposed on seven days, printed for judging (by hand)
python -m bench budget     eight workers at the cap of a budget: calls made, and overshoot
python -m bench checker    sentences of a model: 200 true ones and 200 with an error planted
python -m bench feeds      odd feeds: exceptions, and the share of stated expectations that are met
python -m bench bibliography   BibTeX, CSL-JSON and RIS: crashes, and what of each entry is still there
                           after import and export; --lost prints what is not
python -m bench obsidian   every link of a mirrored wiki followed as Obsidian does, before and after
                           they are written by the names of files; takes what to import (by hand)
python -m bench backups    twenty backups while three write: does each restore whole? (by hand)
python -m bench roundtrip  a wiki written to one file, read back and written again: the same bytes?
python -m bench hostile    what servers do to a client: seconds against the deadline, memory, and what
                           nobody may reach (by hand)
python -m bench feeds100   a hundred feeds, thirty hostile: when the others are up to date (by hand)
python -m bench replay     a day of 1,086 papers from an arXiv on loopback, killed twenty times: what is
                           lost, what is done twice, what is asked again (by hand)
python -m bench kills      writers over HTTP, and a server killed two hundred times: acknowledged writes
                           that are gone or torn, and how soon it is back (by hand)
python -m bench writers    eight writers who count on one page beside an import and backups: lost
                           updates, answers of 5xx, seconds of a save (by hand)
python -m bench syscalls   one save under strace: synced before it is answered? (by hand)
python -m bench workers    pages encoded a second by one worker and by four, on PostgreSQL (by hand)
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

# One thread on both sides of a comparison: threads that wait for each other count as CPU time.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

ALL = (
    "start",
    "seeds",
    "scale",
    "encode",
    "vectors",
    "graph",
    "search",
    "web",
    "browser",
    "linker",
    "terms",
    "duplicates",
    "budget",
    "triage",
    "checker",
    "feeds",
    "bibliography",
    "roundtrip",
)
BY_HAND = (
    "kills",
    "writers",
    "syscalls",
    "backups",
    "replay",
    "hostile",
    "feeds100",
    "workers",
    "link_day",
    "triage_day",
    "digest_day",
    "obsidian",
    "vault",
    "first_places",
    "relations",
    "new_threads",
    "ablation",
    "learning",
)
WITH_OPTIONS = (
    "kills",
    "writers",
    "syscalls",
    "backups",
    "replay",
    "hostile",
    "feeds100",
    "budget",
    "scale",
    "workers",
    "link_day",
    "triage_day",
    "digest_day",
    "obsidian",
    "vault",
    "first_places",
    "relations",
    "new_threads",
    "terms",
    "linker",
    "ablation",
    "learning",
    "triage",
    "checker",
    "feeds",
    "bibliography",
    "roundtrip",
)


def main() -> None:
    """Run what the command line names; what follows one of WITH_OPTIONS are its options."""
    asked = sys.argv[1:]
    if asked and asked[0] in WITH_OPTIONS:
        import_module(f"bench.{asked[0]}").main(asked[1:])
        return
    for name in asked:
        if name not in ALL + BY_HAND:
            known = ", ".join(ALL + BY_HAND)
            sys.exit(f"There is no measurement {name!r}. Use one of: {known}.")
    for name in asked or ALL:
        print(f"\n== {name}", flush=True)
        import_module(f"bench.{name}").main()


if __name__ == "__main__":
    main()
