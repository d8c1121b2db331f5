"""A local web page to explore what a trained run makes, by what its game can do.

`pictures` holds what styles and latents have in common; `translations` and `voices` take files.
Each gives a `Part`: facts for the page, and routes for the server.
"""
