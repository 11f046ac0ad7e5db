"""What the AWS face counts of itself."""

from __future__ import annotations

from portway.api.aws.metrics import AwsMetrics


def test_nothing_is_told_while_nobody_asked() -> None:
    assert AwsMetrics().page() == ""


def test_requests_are_counted_by_service_operation_and_code() -> None:
    metrics = AwsMetrics()
    for code in ("", "", "ClusterNotFoundException"):
        metrics.observe("ecs", "DescribeServices", code, 0.003)
    lines = metrics.page().splitlines()
    labels = 'service="ecs",operation="DescribeServices",code='
    assert f'portway_aws_requests_total{{{labels}""}} 2' in lines
    assert f'portway_aws_requests_total{{{labels}"ClusterNotFoundException"}} 1' in lines


def test_durations_are_told_by_service_alone() -> None:
    metrics = AwsMetrics()
    metrics.observe("ecs", "RunTask", "", 0.003)
    metrics.observe("ecs", "StopTask", "", 0.3)
    metrics.observe("ec2", "DescribeVpcs", "", 9.0)
    page = metrics.page()
    assert 'portway_aws_request_duration_seconds_bucket{service="ecs",le="0.005"} 1' in page
    assert 'portway_aws_request_duration_seconds_count{service="ecs"} 2' in page
    assert 'portway_aws_request_duration_seconds_bucket{service="ec2",le="5"} 0' in page
