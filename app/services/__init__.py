"""The verbs. Each takes the session first, changes the wiki, and leaves the commit to its caller."""
