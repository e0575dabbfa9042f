"""How one inline completion is made: context, gates, debounce, stream, stops, filters, cache. None of it knows LSP."""
