"""What `pytest --nbval` has to know about the notebooks."""

# The Korean edition has the same cells; tests/test_korean.py compares them.
collect_ignore = ["ko"]


def pytest_collectstart(collector):
    """Leaves out of the comparison what differs from machine to machine.

    TensorFlow and progress bars write to stderr as they see fit; images are compared
    by the notebooks' own asserts, not pixel by pixel.
    """
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("stderr", "image/gif", "image/jpeg", "text/html")
