"""One Flow to its end: its steps are read off the objects that it waits for, so an engine resumes by looking again."""
