"""The AWS face: what the AWS CLI, boto3 and other SDKs ask of ECS and Elastic Load Balancing, answered by portway."""
