"""The width of a normal interval, as refuters and estimation studies take it."""

NORMAL_95 = 1.959964  # standard errors on each side of an estimate within its 95 % interval
