"""What a question brings along: files, folders, patterns, web pages, symbols. Imported only when there is any."""
