"""What a recursion is: jets, tensors, brackets, terms, Recursion, System; it prints itself and evaluates nothing."""

from rgflow.algebra.jets import Jet
from rgflow.algebra.linked import Linked
from rgflow.algebra.recursion import Recursion, System
from rgflow.algebra.tensor import LETTERS, Tensor
from rgflow.algebra.terms import Bracket, Term, Value

__all__ = ["LETTERS", "Bracket", "Jet", "Linked", "Recursion", "System", "Tensor", "Term", "Value"]
