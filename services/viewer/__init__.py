"""The viewer: a page in the browser."""
