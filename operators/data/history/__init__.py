"""What happened and what was used, in a real database: SQLite by default, PostgreSQL by URL.

`facts` says, purely, what the state of an object means; `recorder` writes that down, once, however often it looks.
"""
