"""Finds due work in rows and does it, under leases."""
