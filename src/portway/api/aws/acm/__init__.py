"""ACM: certificates that were imported. portway issues none by itself here."""
