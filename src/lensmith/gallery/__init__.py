"""Small experiments on pictures that need no download, each told on a page of its own."""
