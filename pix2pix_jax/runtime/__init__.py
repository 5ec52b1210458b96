"""Devices, processes, compiled programs and memory."""
