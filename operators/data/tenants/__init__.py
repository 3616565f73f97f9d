"""Each Account and Project: its namespace, what its people may do there, its quotas, and its orderly end."""
