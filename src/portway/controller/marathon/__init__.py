"""What Marathon's users see beyond Apps: definitions, versions, groups, deployments of several apps. All that runs is derived."""
