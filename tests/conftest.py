"""What holds for all tests."""

import os

import pytest

# before torch is imported, and for every process that a test starts
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["ZANSA_WATCH"] = "0.1"  # timings are asked for by tests, how exact they are is not

# The files that take longest, the slowest first: they begin first, so that the last one to end is a short one.
SLOW = [
    "several",
    "grow_cli",
    "grow",
    "cli",
    "contract",
    "backbone",
    "beginnings",
    "resbuilder",
    "budget",
    "tune",
    "adopt",
    "series",
    "benchmarks",
    "data",
    "train",
]


def pytest_collection_modifyitems(items):
    rank = {f"test_{name}": k for k, name in enumerate(SLOW)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Decoded images and tables of times are kept in a folder of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZANSA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
