"""The exposition: what Prometheus reads, as its format says."""

from __future__ import annotations

from portway.core.exposition import Family, Histogram, Kind, render

HITS = Family(name="hits_total", kind=Kind.COUNTER, help="Hits.", labels=("path", "method"))


def test_a_family_says_its_help_and_type_once_before_its_series():
    page = render([(HITS, {("/b", "GET"): 2, ("/a", "GET"): 1.5})])
    assert page == (
        "# HELP hits_total Hits.\n# TYPE hits_total counter\n"
        'hits_total{path="/a",method="GET"} 1.5\nhits_total{path="/b",method="GET"} 2\n'
    )


def test_what_labels_may_hold_cannot_break_out_of_them():
    page = render([(HITS, {('a"} 1\n', "\\"): 1})])
    assert page.splitlines()[-1] == r'hits_total{path="a\"} 1\n",method="\\"} 1'


def test_a_histogram_counts_each_value_in_every_bucket_that_holds_it():
    family = Family(name="wait_seconds", kind=Kind.HISTOGRAM, help="Wait.", buckets=(0.1, 1.0))
    histogram = Histogram(family.buckets)
    for value in (0.1, 0.5, 7.0):
        histogram.observe(value)
    assert render([(family, {(): histogram})]).splitlines()[2:] == [
        'wait_seconds_bucket{le="0.1"} 1',
        'wait_seconds_bucket{le="1"} 2',
        'wait_seconds_bucket{le="+Inf"} 3',
        "wait_seconds_sum 7.6",
        "wait_seconds_count 3",
    ]


def test_a_histogram_without_values_is_there_with_zeros():
    family = Family(name="wait_seconds", kind=Kind.HISTOGRAM, help="Wait.", buckets=(1.0,))
    page = render([(family, {(): Histogram(family.buckets)})])
    assert 'wait_seconds_bucket{le="+Inf"} 0' in page
    assert "wait_seconds_count 0" in page


def test_a_family_without_series_is_named_all_the_same():
    assert render([(HITS, {})]) == "# HELP hits_total Hits.\n# TYPE hits_total counter\n"
