"""Measurements that anyone can repeat; each program prints its own table."""
