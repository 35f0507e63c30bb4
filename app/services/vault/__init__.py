"""The vault and the wiki, kept in step: the one place where the store and the folder of files meet.

`sync` is a pass, put together from its parts, each of which does one thing with a `pair` (a wiki's
database, its folder, and what is said of them). Files become pages, in the order of a look:

    looks       which files changed, and have been the same for long enough to be read
    placing     whose each file is: its page's as before, moved, copied, of no page, gone
    taking      a page's file: joined with what the page says      (`fields`: its front matter)
    making      a file of no page: a page is made for it
    strays      what somebody wrote into a file while it was replaced

Then pages become files: `writing`. `rows` are those of the mirror, which both sides go by; `report`
tells what was done; `conflicts` end by the reader's word. `files` are the same files to take along.
"""
