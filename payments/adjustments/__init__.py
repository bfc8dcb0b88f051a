"""Adjusting entries (调账): requested by one operator, approved by another, delivered to billing."""
