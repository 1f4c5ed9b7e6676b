"""The command line, ``cbm COMMAND``: one module a command, which imports what it needs when it runs."""
