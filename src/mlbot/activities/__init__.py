"""One module a verb: the glue from edges to core and back, without decisions."""
