"""What several test files begin with."""

import sys
import warnings
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[1] / "book" / "_tools"


@pytest.fixture(scope="module")
def browser():
    """The browser of the site test; a test that wants one is skipped where there is none."""
    pytest.importorskip("playwright.sync_api")
    sys.path.insert(0, str(TOOLS))
    import site_test

    try:
        with site_test.chromium() as found:
            yield found
    except RuntimeError as error:
        pytest.skip(str(error))


@pytest.fixture
def warned():
    """What a test is told of being slow, however often.

    Nothing else: Python may tell at any time of a file that an earlier test has left open.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", message="(plans|updates) are slower")
        yield caught


@pytest.fixture
def house():
    """The house style, and no figure left open."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    from seqrl import style

    style.use_style()
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def trained_leap(tmp_path_factory):
    """A small LEAP of GoToLocalS7N5 with plans of four actions, untrained, as a checkpoint."""
    from seqrl import checkpoints, datasets
    from seqrl.experiments import untrained
    from seqrl.leap import LEAPConfig
    from seqrl.trained import load
    from seqrl.transformer import TransformerConfig

    data = datasets.collect("GoToLocalS7N5", "expert", 8, processes=1, progress=False)
    trunk = TransformerConfig(layers=1, heads=2, width=16, activation="gelu")
    model = untrained(LEAPConfig.for_data(data, horizon=4, trunk=trunk), 0)
    path = tmp_path_factory.mktemp("leap") / "model.safetensors"
    checkpoints.save_model(path, model, {"data": checkpoints.data_card(data), "recipe": {}})
    return load(path)
