"""Real markets as they run: an exchange's public data, bars that the owner keeps current, and several joined to one."""
