"""What a server does unasked to keep its house: rows that are over are deleted in small turns."""
