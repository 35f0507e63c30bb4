"""What starting costs, in CPU seconds: the help, and the server up to its first answer."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from bench.process import cerebro, cpu_of, run, server


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        run(cerebro("migrate"), data)
        _, python = run([sys.executable, "-c", "pass"], data)
        helps = [run(cerebro("--help"), data)[1] for _ in range(3)]
        print(
            f"cerebro --help           {min(helps):6.2f} CPU s ({min(helps) / python:.1f} x `python -c pass`)"
        )
        for words, arguments in (
            ("empty wiki", ["--no-starter"]),
            ("first start, starter wiki", []),
        ):
            begun = time.monotonic()
            with server(
                cerebro("serve", "--no-worker", "--port", "8791", *arguments), data, 8791
            ) as process:
                wall = time.monotonic() - begun
                cpu = cpu_of(process.pid)
            print(f"serve to first answer    {cpu:6.2f} CPU s, {wall:.2f} s wall ({words})")


if __name__ == "__main__":
    main()
