"""Tools that control the pictures of a style-based generator, given as functions and arrays."""
