"""Fill in the middle: from a hole in a file to a prompt."""
