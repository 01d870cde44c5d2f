"""The kit that pages are made of: charts as data, numbers as people read them, downloads, tags."""
