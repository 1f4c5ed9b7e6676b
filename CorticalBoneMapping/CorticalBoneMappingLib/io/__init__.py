"""Files in and out, one way each: CT volumes, surfaces, tables, settings, and folders of results."""
