"""The papers that rgflow derives from, as data that prints itself as BibTeX.

Entries are in the order in which they are printed. A paper that a venue printed is cited there, with its arXiv number.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rgflow.version import __version__

TITLE = "rgflow: derive, compile, flow and check the 1/width expansion of deep random networks"
ADVANCES = "Advances in Neural Information Processing Systems"
LEARNING = "International Conference on Learning Representations"
SERIES = "Proceedings of Machine Learning Research"


@dataclass(frozen=True)
class Paper:
    """One BibTeX entry: kind ("book", "inproceedings", "misc"), key, and its fields.

    >>> print(Paper("misc", "me2026", "A Title", ("Given Family",), 2026, arxiv="2601.00001").bibtex())
    @misc{me2026,
      title         = {A Title},
      author        = {Family, Given},
      year          = {2026},
      eprint        = {2601.00001},
      archiveprefix = {arXiv},
    }
    """

    kind: str
    key: str
    title: str
    authors: tuple[str, ...]
    year: int | None
    where: dict[str, str] = field(default_factory=dict)
    arxiv: str | None = None

    def bibtex(self) -> str:
        """The entry as text that BibTeX and biblatex read."""
        fields = {"title": self.title, "author": " and ".join(map(_family_first, self.authors))}
        if self.year is not None:
            fields["year"] = str(self.year)
        fields |= self.where
        if self.arxiv is not None:
            fields |= {"eprint": self.arxiv, "archiveprefix": "arXiv"}
        width = max(map(len, fields))
        rows = "".join(f"  {name:<{width}} = {{{value}}},\n" for name, value in fields.items())
        return f"@{self.kind}{{{self.key},\n{rows}}}"


def _family_first(author: str) -> str:
    """Given Family -> Family, Given; a name in braces is one name."""
    given, _, family = author.rpartition(" ")
    return author if author.startswith("{") or not given else f"{family}, {given}"


RGFLOW = Paper(
    "misc", "rgflow", TITLE, ("{The rgflow authors}",), None,
    {"howpublished": "Python package", "note": f"Version {__version__}"},
)  # fmt: skip

PAPERS = {
    "pdlt": Paper(
        "book",
        "roberts2022principles",
        "The Principles of Deep Learning Theory: An Effective Theory Approach to Understanding Neural Networks",
        ("Daniel A. Roberts", "Sho Yaida", "Boris Hanin"),
        2022,
        {"publisher": "Cambridge University Press", "doi": "10.1017/9781009023405"},
        "2106.10165",
    ),
    "non-gaussian": Paper(
        "inproceedings",
        "yaida2020nongaussian",
        "{Non-Gaussian} processes and neural networks at finite widths",
        ("Sho Yaida",),
        2020,
        {
            "booktitle": "Proceedings of The First Mathematical and Scientific Machine Learning Conference",
            "series": SERIES,
            "volume": "107",
            "pages": "165--192",
            "publisher": "PMLR",
        },
        "1910.00019",
    ),
    "partial-jacobians": Paper(
        "inproceedings",
        "doshi2023critical",
        "Critical Initialization of Wide and Deep Neural Networks using Partial {Jacobians}: "
        "General Theory and Applications",
        ("Darshil Doshi", "Tianyu He", "Andrey Gromov"),
        2023,
        {"booktitle": ADVANCES, "volume": "36"},
        "2111.12143",
    ),
    "autoinit": Paper(
        "misc",
        "he2022autoinit",
        "{AutoInit}: Automatic Initialization via {Jacobian} Tuning",
        ("Tianyu He", "Darshil Doshi", "Andrey Gromov"),
        2022,
        arxiv="2206.13568",
    ),
    "transformers": Paper(
        "misc",
        "dinan2023effective",
        "Effective Theory of Transformers at Initialization",
        ("Emily Dinan", "Sho Yaida", "Susan Zhang"),
        2023,
        arxiv="2304.02034",
    ),
    "meta-principles": Paper(
        "misc",
        "yaida2022meta",
        "Meta-Principled Family of Hyperparameter Scaling Strategies",
        ("Sho Yaida",),
        2022,
        arxiv="2210.04909",
    ),
    "abc": Paper(
        "inproceedings",
        "yang2021tensor",
        "Tensor Programs {IV}: Feature Learning in Infinite-Width Neural Networks",
        ("Greg Yang", "Edward J. Hu"),
        2021,
        {
            "booktitle": "Proceedings of the 38th International Conference on Machine Learning",
            "series": SERIES,
            "volume": "139",
            "pages": "11727--11737",
            "publisher": "PMLR",
        },
        "2011.14522",
    ),
    "mu-transfer": Paper(
        "misc",
        "yang2022tensor",
        "Tensor Programs {V}: Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer",
        (
            "Greg Yang",
            "Edward J. Hu",
            "Igor Babuschkin",
            "Szymon Sidor",
            "Xiaodong Liu",
            "David Farhi",
            "Nick Ryder",
            "Jakub Pachocki",
            "Weizhu Chen",
            "Jianfeng Gao",
        ),
        2022,
        arxiv="2203.03466",
    ),
    "integrable": Paper(
        "misc",
        "hajjar2021training",
        "Training Integrable Parameterizations of Deep Neural Networks in the Infinite-Width Limit",
        ("Karl Hajjar", r"L{\'e}na{\"i}c Chizat", "Christophe Giraud"),
        2021,
        arxiv="2110.15596",
    ),
    "edge-of-chaos": Paper(
        "inproceedings",
        "yang2017mean",
        "Mean Field Residual Networks: On the Edge of Chaos",
        ("Greg Yang", "Samuel S. Schoenholz"),
        2017,
        {"booktitle": ADVANCES, "volume": "30"},
        "1712.08969",
    ),
    "variation": Paper(
        "inproceedings",
        "yang2018deep",
        "Deep Mean Field Theory: Layerwise Variance and Width Variation as Methods to Control Gradient Explosion",
        ("Greg Yang", "Samuel S. Schoenholz"),
        2018,
        {"booktitle": f"{LEARNING} (workshop)", "url": "https://openreview.net/forum?id=rJGY8GbR-"},
    ),
    "orthogonal": Paper(
        "misc",
        "day2023feature",
        "Feature Learning and Generalization in Deep Networks with Orthogonal Weights",
        ("Hannah Day", "Yonatan Kahn", "Daniel A. Roberts"),
        2023,
        arxiv="2310.07765",
    ),
    "propagation": Paper(
        "inproceedings",
        "schoenholz2017deep",
        "Deep Information Propagation",
        ("Samuel S. Schoenholz", "Justin Gilmer", "Surya Ganguli", "Jascha Sohl-Dickstein"),
        2017,
        {"booktitle": LEARNING},
        "1611.01232",
    ),
    "tangent-kernel": Paper(
        "inproceedings",
        "jacot2018neural",
        "Neural Tangent Kernel: Convergence and Generalization in Neural Networks",
        ("Arthur Jacot", "Franck Gabriel", r"Cl{\'e}ment Hongler"),
        2018,
        {"booktitle": ADVANCES, "volume": "31"},
        "1806.07572",
    ),
    "jacobian": Paper(
        "misc",
        "hoffman2019robust",
        "Robust Learning with {Jacobian} Regularization",
        ("Judy Hoffman", "Daniel A. Roberts", "Sho Yaida"),
        2019,
        arxiv="1908.02729",
    ),
    "attacks": Paper(
        "inproceedings",
        "madry2018towards",
        "Towards Deep Learning Models Resistant to Adversarial Attacks",
        ("Aleksander Madry", "Aleksandar Makelov", "Ludwig Schmidt", "Dimitris Tsipras", "Adrian Vladu"),
        2018,
        {"booktitle": LEARNING},
        "1706.06083",
    ),
    "fluctuation": Paper(
        "inproceedings",
        "yaida2019fluctuation",
        "Fluctuation-dissipation relations for stochastic gradient descent",
        ("Sho Yaida",),
        2019,
        {"booktitle": LEARNING},
        "1810.00004",
    ),
}
