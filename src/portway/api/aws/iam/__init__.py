"""IAM: roles, instance profiles and server certificates as stored objects. No policy is evaluated: keys have roles of portway's."""
