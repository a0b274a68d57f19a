"""The rig: nginx and the gateway through the same workloads in the same minutes, compared as ratios.

The rule: a number from one machine on one day is never a result; the quotient of two windows of one round is.
"""
