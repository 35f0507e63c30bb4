"""What only a browser can show. A package, so that the browser it opens is closed behind it."""
