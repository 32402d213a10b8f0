"""The derivation of a recursion as data: steps, hypergraphs, diagrams and the terms that they feed.

A second way through the expansion beside :mod:`rgflow.derive.step`: hypergraphs first, with their legs on brackets;
then what each leg takes. Both must give the same terms, and each step is compared with a third, direct calculation.
"""

from rgflow.derive.steps.derivation import Derivation
from rgflow.derive.steps.diagram import Diagram, Hypergraph
from rgflow.derive.steps.step import Step
from rgflow.errors import BrokenStep

__all__ = ["BrokenStep", "Derivation", "Diagram", "Hypergraph", "Step"]
