"""The AWS face: what the AWS CLI, boto3 and Terraform ask of ECS and Elastic Load Balancing, answered by portway."""
