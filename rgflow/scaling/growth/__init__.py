"""How a chain of blocks grows with depth, term against term, in symbols.

To be read in the order signs (who decides between terms), growth (monomials in the depth), tails (averages at large and
small kernels), balance (which terms win), expressivity (two inputs), phases (every regime with its conditions). Beside
these: depth_law and printing (how one law is named and written), cases (one regime), diagram (many, over a grid).
"""

from rgflow.scaling.growth.cases import PhaseCase
from rgflow.scaling.growth.phases import VariationPhases, variation_phases

__all__ = ["PhaseCase", "VariationPhases", "variation_phases"]
