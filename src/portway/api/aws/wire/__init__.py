"""The wire of the AWS face: requests to values and values to answers, from botocore's service models. Decides nothing."""
