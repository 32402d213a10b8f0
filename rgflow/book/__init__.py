"""The book: every formula of the source papers beside what the engine derives for it, built from the live objects."""

from rgflow.book.chapters import Book, Entry, build
from rgflow.book.html import html
from rgflow.book.latex import latex

__all__ = ["Book", "Entry", "build", "html", "latex"]
