"""The one error tree of cere-bro.

    CerebroError                 anything the program says no to, in one sentence for a person
    ├── NotFound                 no such page, proposal, decision, thread ...
    │   └── Gone                 it was there and was removed; it can be put back
    ├── Invalid                  the request itself is wrong: a bad field, name, date, relation
    ├── Conflict                 the thing moved on meanwhile: decided elsewhere, edited elsewhere
    │   └── EditConflict         an edit on an older revision that does not merge; carries both texts
    ├── Unreadable               outside bytes that no reader understands
    ├── Unavailable              a part that may be missing is missing (encoder, database, disk)
    │   └── NotFetched           a source did not answer as it should; says whether to ask again
    └── Misconfigured            a setting is wrong; the program does not start

Errors know the thing, not the status. web/errors.py maps them to HTTP, cli.py to exit codes and
the worker to "try again" or "park". Expected outcomes are values instead: an entry that cannot be
read is a `Rejected`, never an exception.
"""

from __future__ import annotations


class CerebroError(Exception):
    """Base of everything the program refuses; `str(error)` is one clear sentence."""

    code = "error"


class NotFound(CerebroError):
    """What was asked for does not exist. `slug` is the address of a page that could be written."""

    code = "not_found"

    def __init__(self, message: str, *, slug: str = "") -> None:
        super().__init__(message)
        self.slug = slug


class Gone(NotFound):
    """What was asked for was there, and was removed."""

    code = "gone"


class Invalid(CerebroError):
    """The request is wrong in itself. `fields` maps a form field to its own sentence."""

    code = "invalid"

    def __init__(self, message: str, *, fields: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields = fields or {}


class Conflict(CerebroError):
    """The thing changed since the caller saw it."""

    code = "conflict"


class EditConflict(Conflict):
    """Two edits of one page that do not merge. Both texts are carried: neither is lost.

    `mine` is what the caller sent, `theirs` the page as it stands (revision `revision`), `merged`
    both with conflict marks.
    """

    code = "edit_conflict"

    def __init__(self, message: str, *, mine: str, theirs: str, merged: str, revision: int) -> None:
        super().__init__(message)
        self.mine = mine
        self.theirs = theirs
        self.merged = merged
        self.revision = revision


class Unreadable(CerebroError):
    """Bytes from outside that no reader understands, or not at all."""

    code = "unreadable"


class Unavailable(CerebroError):
    """A part the program can run without is not there now."""

    code = "unavailable"


class NotFetched(Unavailable):
    """What was asked for outside did not come, and why, in one sentence.

    `again` is False where another try is no use until somebody changes something: an address that is
    not allowed, a page that is gone for good, a password that is wrong. `after` is how many seconds
    the other side asked us to wait, or None. `status` is its HTTP status, 0 where it gave none.
    """

    code = "not_fetched"

    def __init__(
        self, message: str, *, again: bool = True, after: float | None = None, status: int = 0
    ) -> None:
        super().__init__(message)
        self.again = again
        self.after = after
        self.status = status


class Misconfigured(CerebroError):
    """A setting keeps the program from starting."""

    code = "misconfigured"
