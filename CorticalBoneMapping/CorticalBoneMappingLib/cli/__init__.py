"""The command line: ``cbm COMMAND``. Each command is a module; it imports what it needs when it runs."""
