"""The value of a policy, estimated from rounds that another policy logged: estimators, their choice, intervals."""
