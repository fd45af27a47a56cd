"""One file for each kind of example: pictures, rows, sentences, clips. `known.kind_of` finds the one of a name."""
