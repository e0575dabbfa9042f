"""How one inline completion is made: context, debounce, stream, postprocess, cache. None of it knows LSP."""
