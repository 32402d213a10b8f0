"""What a recursion is: jets, tensors, brackets, terms, Recursion, System; it prints itself and evaluates nothing."""

from rgflow.algebra.jets import Jet
from rgflow.algebra.recursion import Recursion, System
from rgflow.algebra.tensor import LETTERS, Tensor
from rgflow.algebra.terms import Bracket, Term, Value

__all__ = ["LETTERS", "Bracket", "Jet", "Recursion", "System", "Tensor", "Term", "Value"]
