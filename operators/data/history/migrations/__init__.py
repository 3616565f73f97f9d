"""How the tables came about, release by release; run at start."""
