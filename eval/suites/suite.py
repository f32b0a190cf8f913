"""What a suite is: data sets with their rows, truth and metrics, how the system is asked, and published numbers.

A suite is one YAML file in this folder, or the path of a user's own. `load_suite` reads it strictly: an option that
does not exist is an error naming the nearest one.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from cuewise.mllm.config_tools import from_dict, load_yaml, override

FOLDER = Path(__file__).parent
SELECTION = "the system as given; nothing was chosen on these data"
MAX_PROBLEMS = 20
Comparable = Literal["yes", "partly", "no"]


class SuiteError(ValueError):
    """A suite, its data or its predictions cannot be used. `problems` holds one line per thing to mend."""

    def __init__(self, *problems: str):
        super().__init__("\n".join(problems[:MAX_PROBLEMS]))
        self.problems = list(problems)

    @property
    def shown(self) -> list[str]:
        """The first problems, and how many more there are."""
        rest = len(self.problems) - MAX_PROBLEMS
        more = [f"... and {rest} more problems of this kind"] if rest > 0 else []
        return self.problems[:MAX_PROBLEMS] + more


@dataclass(kw_only=True, slots=True)
class Source:
    """Where the rows of a data set come from: a corpus reader, a file of rows, or clips made on the spot."""

    corpus: str | None = None
    """Name of a reader of `cuewise.data_recipes.corpora`."""

    rows: str | None = None
    """JSONL file of `Row` records below the data set's folder, for corpora without a reader."""

    synthetic: int = 0
    """Number of synthetic clips, made from the seeds `first_seed` upwards."""

    first_seed: int = 2_000_000
    """Seeds from 2,000,000 are never trained on."""

    folder: str | None = None
    """Folder of the data set below the data root; its own name when missing."""

    split: str | None = None
    """Split of the corpus; all rows when missing."""

    def __post_init__(self) -> None:
        given = [name for name in ("corpus", "rows", "synthetic") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"a source names exactly one of corpus, rows, synthetic; got {', '.join(given) or 'none'}")


@dataclass(kw_only=True, slots=True)
class Condition:
    """How every sample is asked once more: with a part of the picture covered, a small picture, another wording."""

    occlude: float = 0.0
    """Share of the picture's pixels that a grey block covers, at one place per sample."""

    shrink: float = 1.0
    """Factor by which pictures are made smaller and then as large as before."""

    say: str = ""
    """A sentence put behind the question."""

    def __post_init__(self) -> None:
        if not 0 <= self.occlude < 1 or not 0 < self.shrink <= 1:
            raise ValueError(f"a condition needs occlude in [0, 1) and shrink in (0, 1], got {self.occlude:g} and "
                             f"{self.shrink:g}")  # fmt: skip

    @property
    def changes_pictures(self) -> bool:
        return self.occlude > 0 or self.shrink < 1


@dataclass(kw_only=True, slots=True)
class Dataset:
    """One data set of a suite."""

    source: Source
    truth: str
    """Which part of a row is the truth; one of `cuewise.eval.truths.TRUTHS`."""

    metrics: list[str]
    """Names of `cuewise.eval.measures.MEASURES`, in the order in which they are shown."""

    classes: dict[str, list[str]] | list[str] = field(default_factory=dict)
    """Closed label set: class -> words that mean it (the class itself is always one). Empty: open vocabulary."""

    show: list[str] = field(default_factory=lambda: ["face", "voice", "words", "scene"])
    """What of a clip is shown; `context` too, when a row's context belongs to the question."""

    question: str | None = None
    """The question of the protocol; without one, the system's standard prompt for emotions."""

    form: Literal["explained", "direct"] = "explained"
    candidates: bool = False
    """Whether the closed label set is shown to the system."""

    cluster: str | None = None
    """Group that is drawn as a whole in bootstrap intervals, e.g. `speaker`; samples are drawn without one."""

    slices: list[str] = field(default_factory=list)
    """Groups for which the primary metric is shown by itself: speaker, language, tier, task or a demographic field."""

    gaps: dict[str, list[str]] = field(default_factory=dict)
    """Group column -> two of its groups, whose difference of accuracy is told with its interval."""

    conditions: dict[str, Condition] = field(default_factory=dict)
    """Name -> condition; every sample is asked under each, the first one being what the others are compared with."""

    option_seed: int | None = None
    """Options of multiple-choice rows are shown in an order drawn from it and the row's id; as written without."""

    max_tokens: int | None = None
    folds: str | None = None
    """Group that names the test fold of a sample, for fold protocols."""

    outside: Literal["refuse", "leave out"] = "refuse"
    """What happens to rows whose label is none of the classes."""

    embedder: str = "offline"
    """What `load_embedder` takes, for metrics that compare cue texts."""

    def __post_init__(self) -> None:
        if not isinstance(self.classes, (dict, list)):
            raise ValueError(f"`classes` must be a list, or a mapping of class -> words, got {self.classes!r:.80}")
        groups = list(self.classes.values()) if isinstance(self.classes, dict) else []
        words = [*self.classes, *(word for group in groups for word in (group if isinstance(group, list) else [group]))]
        wrong = next((word for word in words if word is not None and not isinstance(word, str)), None)
        if wrong is not None:
            raise ValueError(f"`classes` holds {type(wrong).__name__} {wrong!r:.40}; classes and their words are "
                             "words, a class without more words has []")  # fmt: skip
        text = next((group for group in groups if isinstance(group, str)), None)
        if text is not None:
            raise ValueError(f"`classes`: the words {text!r} of a class must be a list, [{text}]")
        unpaired = [column for column, pair in self.gaps.items() if len(pair) != 2]
        if unpaired:
            raise ValueError(f"`gaps.{unpaired[0]}` must name two groups, got {self.gaps[unpaired[0]]}")
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(f"`classes` names a class twice: {', '.join(self.classes)}")


@dataclass(kw_only=True, slots=True, frozen=True)
class Primary:
    dataset: str
    metric: str


@dataclass(kw_only=True, slots=True, frozen=True)
class Baseline:
    """A published number beside ours."""

    system: str
    dataset: str
    metric: str
    value: float
    source: str
    comparable: Comparable
    note: str = ""
    n: int | None = None
    averaging: str | None = None
    selection: str | None = None
    """How the published system or checkpoint was chosen; None where the source does not say."""


@dataclass(kw_only=True, slots=True)
class BaselineTable:
    """Many published numbers of one source: one row per system, one column per data set."""

    source: str
    comparable: Comparable
    note: str = ""
    averaging: str | None = None
    selection: str | None = None
    columns: list[list[str]]
    """[data set, metric] of each column."""

    rows: dict[str, list[float]]
    """System -> its numbers, in percent as tables print them."""

    def baselines(self) -> list[Baseline]:
        """The same as single numbers, as shares."""
        for system, values in self.rows.items():
            if len(values) != len(self.columns):
                raise ValueError(f"baseline table: {system} has {len(values)} numbers for {len(self.columns)} columns")
        return [
            Baseline(system=system, dataset=dataset, metric=metric, value=round(value / 100, 6), source=self.source,
                     comparable=self.comparable, note=self.note, averaging=self.averaging, selection=self.selection)
            for system, values in self.rows.items() for (dataset, metric), value in zip(self.columns, values)
        ]  # fmt: skip


@dataclass(kw_only=True, slots=True)
class Mean:
    """A plain mean over one metric of several data sets, e.g. the nine of MER-UniBench."""

    name: str
    of: dict[str, str]
    """Data set -> metric."""


@dataclass(kw_only=True, slots=True)
class Suite:
    name: str = ""
    title: str
    about: str
    """What it measures and how faithful the protocol is, in a sentence or two."""

    licence: str = ""
    """On what terms the data can be had."""

    datasets: dict[str, Dataset]
    primary: Primary
    means: list[Mean] = field(default_factory=list)
    baselines: list[Baseline] = field(default_factory=list)
    baseline_tables: list[BaselineTable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.datasets:
            raise ValueError("`datasets` is empty; a suite needs at least one")
        self.baselines = [*self.baselines, *(b for table in self.baseline_tables for b in table.baselines())]
        names = {"primary": [self.primary], "baselines": self.baselines}
        means = {mean.name for mean in self.means}
        for where, entries in names.items():
            for entry in entries:
                if entry.dataset not in self.datasets and entry.dataset not in means:
                    raise ValueError(f"{where} names data set {entry.dataset!r}; this suite has "
                                     f"{', '.join([*self.datasets, *means])}")  # fmt: skip


def suite_names() -> list[str]:
    """Names of the suites that come with the package."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def load_suite(name: str, overrides: list[str] | None = None) -> Suite:
    """A suite by name, or by the path of a YAML file, with `key.sub=value` overrides. Raises SuiteError."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = FOLDER / f"{name}.yaml"
        if not path.is_file():
            from difflib import get_close_matches

            near = get_close_matches(name, suite_names(), n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"suites: {', '.join(suite_names())}"
            raise SuiteError(f"there is no suite `{name}`; {hint}")
    try:
        values: dict[str, Any] = override(load_yaml(path), overrides or [])
        suite = from_dict(Suite, values | {"name": path.stem})
    except UnicodeDecodeError as error:
        raise SuiteError(f"{path.name}: byte {error.object[error.start]:#04x} at {error.start} is not UTF-8; save the "
                         "file as UTF-8") from None  # fmt: skip
    except RecursionError:
        raise SuiteError(f"{path.name}: nested too deeply, or an anchor that holds itself; write it out") from None
    except (ValueError, TypeError) as error:
        text = " ".join(str(error).split())
        raise SuiteError(text if text.startswith(str(path)) else f"{path.name}: {text}") from None
    return suite
