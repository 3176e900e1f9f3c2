"""Measured speeds: `make bench`. What is compared is measured in the same run, in turns."""
