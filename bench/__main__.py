"""`make bench`: every measurement in turn; a name runs that one alone.

python -m bench            all of them
python -m bench start      CPU seconds of `cerebro --help` and of `serve` to its first answer
python -m bench seeds      counts after importing the sample documents, once and twice
python -m bench web        server CPU a request at 10,000 pages beside a raw floor
python -m bench browser    requests, bytes, nodes and shifts of each screen beside the budgets
python -m bench linker     the linker's evaluation on six lists, warm and cold
"""

from __future__ import annotations

import sys

from bench import browser, linker, seeds, start, web

ALL = {
    "start": start.main,
    "seeds": seeds.main,
    "web": web.main,
    "browser": browser.main,
    "linker": linker.main,
}


def main() -> None:
    for name in sys.argv[1:] or ALL:
        if name not in ALL:
            sys.exit(f"There is no measurement {name!r}. Use one of: {', '.join(ALL)}.")
        print(f"\n== {name}", flush=True)
        ALL[name]()


if __name__ == "__main__":
    main()
