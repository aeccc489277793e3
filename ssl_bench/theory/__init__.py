"""Closed forms: what a linear model of each objective keeps of the data, and what that is worth to the labels."""
